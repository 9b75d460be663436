/*
 * When the queue role looks at what is due: its one timer, and the recipients that wait for it.
 */
#ifndef QUEUE_WAKE_H
#define QUEUE_WAKE_H

#include <stdint.h>

struct envelope;
struct queue;

/* LOOK does what is due at NOW, and returns when something will be next.  It is called from the
 * loop, for the first time soon. */
void wake_init(struct queue *, int64_t (*look)(struct queue *, int64_t now));
/* It is called not later than at DUE. */
void wake_by(struct queue *, int64_t due);
/* The recipient waits in the schedule until its DUE. */
void wake_for(struct queue *, const struct envelope *, uint32_t index);

#endif
