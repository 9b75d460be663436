/*
 * Submissions in (accept.c), as queue.c drives them.
 */
#ifndef QUEUE_ACCEPT_H
#define QUEUE_ACCEPT_H

#include <stdbool.h>

#include "lib/peer.h"

struct queue;

/* The store is open. */
void accept_init(struct queue *);
/* For SUBJECT_SUBMIT, as in struct subject_ops. */
bool accept_message(struct peer *, struct message *);
void accept_up(struct peer *);
void accept_down(struct peer *);
/* Tells submitters when room came or went. */
void accept_check_room(void);

#endif
