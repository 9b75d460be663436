/*
 * The role's one timer.
 *
 * It reads no clock but lib/clock.h, and sleeps until the next recipient is due; with a test clock,
 * whose jumps no timer sees, it looks every 50 ms.  Whoever makes something due earlier says so by
 * wake_by: a recipient that waits must never be one that nobody looks at in time.
 */
#include <event2/event.h>

#include "lib/clock.h"
#include "lib/peer.h"
#include "queue/queue.h"
#include "queue/wake.h"

/* The longest sleep: a wall clock that was set forward is noticed after so long. */
#define SLEEP_MOST 60
#define TEST_PERIOD_MS 50

static void
set_timer(struct queue *q, int64_t now, int64_t at)
{
	struct timeval wait = { 0, 0 };

	if (at > now + SLEEP_MOST)
		at = now + SLEEP_MOST;
	if (at > now && clock_is_test())
		wait.tv_usec = TEST_PERIOD_MS * 1000;
	else if (at > now)
		wait.tv_sec = (time_t)(at - now);
	q->wakes_at = at;
	event_add(q->timer, &wait);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct queue *q = arg;
	int64_t now = clock_now();

	(void)fd;
	(void)what;
	/* what becomes due while LOOK looks, it counts in */
	q->wakes_at = INT64_MIN;
	set_timer(q, now, q->look(q, now));
}

void
wake_init(struct queue *q, int64_t (*look)(struct queue *, int64_t))
{
	q->look = look;
	q->timer = evtimer_new(peer_base(), on_timer, q);
	set_timer(q, 0, 0);
}

void
wake_by(struct queue *q, int64_t due)
{
	if (due < q->wakes_at)
		set_timer(q, clock_now(), due);
}

void
wake_for(struct queue *q, const struct envelope *env, uint32_t index)
{
	int64_t due = env->recipients[index].due;

	schedule_add(&q->schedule, due, env->id, index);
	wake_by(q, due);
}
