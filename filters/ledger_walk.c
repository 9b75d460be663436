/*
 * Walks over tables (ledger_walk.h).
 *
 * Each walk is an event of its own that is added again after each step and freed with its last;
 * nobody holds a pointer to it.  What is inserted or deleted between two steps may or may not be
 * seen.  DONE comes exactly once.
 */
#include <stdlib.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/ledger_walk.h"
#include "lib/buf.h"
#include "lib/mem.h"

/* A millisecond or two of work, so that the questions of sessions are answered in between. */
#define STEP 100

struct walking {
	struct ledger_walk w;
	struct event event;
	bool stopped;
};

static void
next_turn(struct walking *walking)
{
	struct timeval tv = { walking->w.pause_ms / 1000, (walking->w.pause_ms % 1000) * 1000 };

	evtimer_add(&walking->event, &tv);
}

static void
end(struct walking *walking, int rc)
{
	struct ledger_walk w = walking->w;

	buf_free(&walking->w.from);
	event_del(&walking->event);
	free(walking);
	w.done(rc, w.arg);
}

static enum kv_step
on_item(const struct ledger_item *item, void *arg)
{
	struct walking *walking = arg;
	enum kv_step step;

	step = walking->w.visit(item, walking->w.arg);
	walking->stopped = step == KV_STOP;
	return step;
}

static void
on_drained(struct ctl *ctl, void *arg)
{
	(void)ctl;
	next_turn(arg);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct walking *walking = arg;
	struct ledger_walk *w = &walking->w;
	long n;

	(void)fd;
	(void)what;
	if (w->ctl != NULL && ctl_gone(w->ctl)) {
		end(walking, -1);
		return;
	}
	if (w->ctl != NULL && ctl_busy(w->ctl)) {
		ctl_on_drained(w->ctl, on_drained, walking);
		return;
	}
	n = ledger_scan(w->store, w->table, &w->from, STEP, on_item, walking);
	if (n == -1)
		end(walking, -1);
	else if (n < STEP || walking->stopped)
		end(walking, 0);
	else
		next_turn(walking);
}

void
ledger_walk(const struct ledger_walk *w)
{
	struct walking *walking;

	walking = xcalloc(1, sizeof(*walking));
	walking->w = *w;
	evtimer_assign(&walking->event, peer_base(), on_turn, walking);
	next_turn(walking);
}
