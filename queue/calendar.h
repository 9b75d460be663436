/*
 * A wall clock that was wrong: what the queue remembers of times that lie ahead, and whether what seems old may be given up.
 */
#ifndef QUEUE_CALENDAR_H
#define QUEUE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

struct envelope;
struct queue;

/* Nothing that the clock could have been wrong about waits longer than it would have from NOW on: a message that was accepted
 * later than that was accepted now, and no recipient who was tried waits more than MOST seconds.  True: something changed. */
bool calendar_pull_back(struct envelope *, int64_t now, uint32_t most);
/* Of what the store finds: pulls it back, and remembers how late it is. */
void calendar_recovered(struct queue *, struct envelope *);
/* When all of it was found: a queue that nobody looked at for long was closed, or the clock is wrong. */
void calendar_begin(struct queue *);
/* Before the queue looks at what is due.  True: the clock was set back, and dead destinations are to be woken, too. */
bool calendar_look(struct queue *);
/* It is older than it may get, and the clock that says so has gone right for a while. */
bool calendar_is_over(const struct queue *, int64_t time);

#endif
