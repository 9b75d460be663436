/*
 * Trying at once what waits for a domain: a customer of ours is there again (ETRN, RFC 1985).
 */
#ifndef QUEUE_FLUSH_H
#define QUEUE_FLUSH_H

#include <stdbool.h>

struct message;
struct queue;

/* A SUBMIT_FLUSH. */
bool flush_message(struct queue *, struct message *);

#endif
