/*
 * Deliverers as peers of the queue role: they come, report, and go.
 */
#ifndef QUEUE_CARRIERS_H
#define QUEUE_CARRIERS_H

#include <stdbool.h>

struct lanes;
struct message;
struct peer;

/* For SUBJECT_DELIVERY, as in struct subject_ops. */
bool carriers_message(struct lanes *, struct peer *, struct message *);
void carriers_up(struct lanes *, struct peer *);
void carriers_down(struct lanes *, struct peer *);

#endif
