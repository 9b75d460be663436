/*
 * A few threads for what computes or blocks too long for an event loop: work goes to them, and comes back to the loop.
 */
#ifndef LIB_WORKERS_H
#define LIB_WORKERS_H

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct workers;

struct work {
	STAILQ_ENTRY(work) entry;
	void (*run)(struct work *);  /* in a thread: touches nothing but what hangs on it */
	void (*done)(struct work *); /* then in the loop; may free it */
};

/* N threads; of work that waits there is at most MOST.  For the whole life of the process. */
struct workers *workers_new(struct event_base *, unsigned n, unsigned most);
/* False: too much waits already.  What was taken comes back. */
bool workers_add(struct workers *, struct work *);

#endif
