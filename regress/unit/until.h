/* For tests that await an event: the loop runs until it has come, and ends the test when it does not. */
#ifndef REGRESS_UNIT_UNTIL_H
#define REGRESS_UNIT_UNTIL_H

#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#define UNTIL_SECONDS 60

static inline void
until_guard(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fprintf(stderr, "the event that the test waits for does not come\n");
	abort();
}

/* *COUNTER is at least N. */
static inline void
run_until(struct event_base *base, const unsigned *counter, unsigned n)
{
	const struct timeval limit = { .tv_sec = UNTIL_SECONDS };
	struct event *timer = evtimer_new(base, until_guard, NULL);

	event_add(timer, &limit);
	while (*counter < n)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
}

#endif
