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
	TAILQ_ENTRY(work) entry;
	enum { WORK_TAKEN, WORK_WAITS, WORK_WAITS_URGENTLY } where; /* the workers' own, like ENTRY */
	void (*run)(struct work *);  /* in a thread: touches nothing but what hangs on it */
	void (*done)(struct work *); /* then in the loop; may free it */
};

/* N threads; of work that waits there is at most MOST of each kind.  For the whole life of the process. */
struct workers *workers_new(struct event_base *, unsigned n, unsigned most);
/* False: too much waits already.  What was taken comes back.  URGENT work is done before all that is not. */
bool workers_add(struct workers *, struct work *, bool urgent);
/* True: no thread has begun with it, and none will; it does not come back. */
bool workers_withdraw(struct workers *, struct work *);

#endif
