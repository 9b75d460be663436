/*
 * What a wall clock does that was set by days (calendar.h).
 *
 * A host may boot in the year 2000 or 2040, and a virtual machine wake up next week, until somebody sets the clock.  Set
 * back, everything that was accepted or put off under the wrong time would wait until that time comes: so it is pulled back,
 * when the clock is set and when the store is opened.  Set forward, everything in the queue would look too old and be
 * returned at its next failure: so nobody is given up, and nobody is told of a delay, before the clock has gone right for some
 * hours in which it was tried.  A day of rest of a server that was closed counts the same.  Nothing can fail.
 */
#include "lib/clock.h"
#include "lib/log.h"
#include "queue/calendar.h"
#include "queue/envelope.h"
#include "queue/queue.h"

#define LONG 86400
#define PROBATION (6 * 3600)

static int64_t
shift(int64_t time, int64_t by)
{
	return time > by ? time - by : time;
}

bool
calendar_pull_back(struct envelope *env, int64_t now, uint32_t most)
{
	int64_t ahead = env->time - now, latest;
	bool was_ahead = ahead > CLOCK_SLACK, changed = was_ahead;
	struct recipient *r;
	uint32_t i;

	if (was_ahead) {
		env->time = now;
		env->expires = shift(env->expires, ahead);
		env->release = shift(env->release, ahead);
		env->deliver_by = shift(env->deliver_by, ahead);
	}
	latest = (env->release > now ? env->release : now) + most + CLOCK_SLACK;
	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		/* whoever was never tried waits because somebody said so */
		if (r->state != RECIPIENT_WAITING || r->due <= latest || (r->attempts == 0 && !was_ahead))
			continue;
		r->due = env->release > now ? env->release : now;
		changed = true;
	}
	return changed;
}

/* The longest that a failure or a provider's wish makes anybody wait, or a person who said when. */
static uint32_t
longest_wait(const struct queue *q)
{
	uint32_t retry = q->retry.most + q->retry.most / 10;

	return retry > LONG ? retry : LONG;
}

void
calendar_recovered(struct queue *q, struct envelope *env)
{
	uint32_t i;

	(void)calendar_pull_back(env, clock_now(), longest_wait(q));
	if (env->time > q->latest)
		q->latest = env->time;
	for (i = 0; i < env->recipients_n && env->release == 0; i++)
		if (env->recipients[i].state == RECIPIENT_WAITING && env->recipients[i].due > q->latest)
			q->latest = env->recipients[i].due;
}

static void
begin_probation(struct queue *q)
{
	q->sure_at = clock_steady() + PROBATION;
}

void
calendar_begin(struct queue *q)
{
	int64_t closed = clock_now() - q->latest;

	if (q->latest == 0 || closed <= LONG)
		return;
	begin_probation(q);
	log_notice("queue.clock", F_I64("closed", closed),
	    F_STR("effect", "nothing is given up for its age in the next six hours"));
}

static bool
pull_back(struct envelope *env, void *arg)
{
	struct queue *q = arg;
	uint32_t i;

	if (!calendar_pull_back(env, clock_now(), longest_wait(q)) || env->held)
		return true;
	/* whoever is busy is put off anew when he fails */
	for (i = 0; i < env->recipients_n; i++)
		if (recipient_is_open(&env->recipients[i]))
			schedule_add(&q->schedule, env->recipients[i].due, env->id, i);
	return true;
}

static void
go_back(struct queue *q)
{
	int64_t now = clock_now();
	struct work *work;

	store_each(q->store, pull_back, q);
	TAILQ_FOREACH(work, &q->untold, untold)
		if (work->tell_at > now)
			work->tell_at = now;
}

bool
calendar_look(struct queue *q)
{
	int64_t by = clock_was_set(&q->clock);

	if (by == 0)
		return false;
	log_warning("queue.clock", F_I64("set_by", by),
	    F_STR("effect", by < 0 ? "what waited for a later time is tried now"
				   : "nothing is given up for its age in the next six hours"));
	begin_probation(q);
	if (by < 0)
		go_back(q);
	return by < 0;
}

bool
calendar_is_over(const struct queue *q, int64_t time)
{
	return clock_now() >= time && clock_steady() >= q->sure_at;
}
