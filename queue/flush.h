/*
 * Trying at once what waits for a domain, because a customer of ours is there again (ETRN, RFC 1985), or for a reason that is
 * perhaps no more, because the operator has changed the configuration.
 */
#ifndef QUEUE_FLUSH_H
#define QUEUE_FLUSH_H

#include <stdbool.h>

struct message;
struct queue;

/* A SUBMIT_FLUSH. */
bool flush_message(struct queue *, struct message *);
/* What waits for a reason that begins so. */
void flush_healed(struct queue *, const char *reason);

#endif
