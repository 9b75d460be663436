/*
 * The queue role: opens the store, connects its parts with their peers, keeps the time, and ends in
 * order.
 *
 * It reads no clock but lib/clock.h, and sleeps until the next recipient is due; with a test clock,
 * whose jumps no timer sees, it looks every 50 ms.  A store that cannot be opened ends the role
 * with a reason that the operator can act on; the master starts it again, less and less often.  On
 * the way out nothing new begins, and what deliverers hold has some seconds to end, for each result
 * that is not waited for is a message delivered twice.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "deliver/delivery.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/role.h"
#include "queue/accept.h"
#include "queue/lane.h"
#include "queue/outcome.h"
#include "queue/pause.h"
#include "queue/queue.h"
#include "queue/submit_wire.h"

/* The longest sleep: a wall clock that was set forward is noticed after so long. */
#define SLEEP_MOST 60
#define TEST_PERIOD_MS 50
#define SWEEP_MS 60000
#define STOP_SECONDS 10

static struct {
	struct queue queue;
	struct queue_conf conf; /* texts are its own */
	uint64_t swept_ms;
	struct event *stop_tick;
} role;

/* --- time --- */

static void
set_tick(struct queue *q, int64_t now, int64_t at)
{
	struct timeval wait = { 0, 0 };

	q->tick_at = at;
	if (at > now && clock_is_test())
		wait.tv_usec = TEST_PERIOD_MS * 1000;
	else if (at > now)
		wait.tv_sec = at - now < SLEEP_MOST ? (time_t)(at - now) : SLEEP_MOST;
	event_add(q->tick, &wait);
}

void
queue_wake(struct queue *q, int64_t due)
{
	if (due < q->tick_at)
		set_tick(q, clock_now(), due);
}

/* When something is to be done next, as far as anything can be done at all. */
static int64_t
next_time(const struct queue *q, int64_t now)
{
	int64_t next = now + SLEEP_MOST, due;

	if (dispatch_may_begin(q) && schedule_next(&q->schedule, &due) && due < next)
		next = due;
	if (!TAILQ_EMPTY(&q->untold) && TAILQ_FIRST(&q->untold)->tell_at < next)
		next = TAILQ_FIRST(&q->untold)->tell_at;
	return next;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct queue *q = arg;
	int64_t now = clock_now();

	(void)fd;
	(void)what;
	/* whoever wakes us from in here is answered by next_time() */
	q->tick_at = INT64_MIN;
	outcome_tell_due(q, now);
	(void)dispatch_due(q, now);
	if (clock_ms() - role.swept_ms > SWEEP_MS) {
		role.swept_ms = clock_ms();
		lanes_sweep(q->lanes);
		dispatch_tidy(q);
	}
	set_tick(q, now, next_time(q, now));
}

/* --- peers --- */

static bool
delivery_message(struct peer *peer, struct message *m)
{
	return carrier_message(role.queue.lanes, peer, m);
}

static void
delivery_up(struct peer *peer)
{
	carrier_up(role.queue.lanes, peer);
	if (peer->role == ROLE_LOOKUP)
		queue_wake(&role.queue, clock_now());
}

static void
delivery_down(struct peer *peer)
{
	carrier_down(role.queue.lanes, peer);
}

static const struct subject_ops delivery_ops = {
	.message = delivery_message,
	.up = delivery_up,
	.down = delivery_down,
};

void
queue_role_renew(const struct queue_conf *conf)
{
	char *host = xstrdup(conf->host), *dir = role.conf.dir == NULL ? xstrdup(conf->dir) : (char *)(uintptr_t)role.conf.dir;

	free((char *)(uintptr_t)role.conf.host);
	role.conf = *conf;
	role.conf.host = host;
	role.conf.dir = dir;
	role.queue.retry = (struct retry_policy){ .first = conf->retry_first, .most = conf->retry_most };
}

static bool
submit_message(struct peer *peer, struct message *m)
{
	struct queue_conf conf;

	if (peer->role != ROLE_MASTER)
		return accept_message(peer, m);
	if (m->type != SUBMIT_CONF || !submit_read_conf(&m->body, &conf))
		return false;
	queue_role_renew(&conf);
	return true;
}

static const struct subject_ops submit_ops = {
	.message = submit_message,
	.up = accept_up,
	.down = accept_down,
};

void
queue_send_conf(struct channel *queue, const struct queue_conf *conf)
{
	submit_add_conf(channel_begin(queue, SUBMIT_CONF, 0), conf);
	channel_end(queue, -1);
}

/* --- start and stop --- */

/* Found by the store while it opens: the address book and the deliverers are not there yet, so
 * everything waits.  We may have ended between the last outcome of a message and its end. */
static void
recovered(struct envelope *env, void *arg)
{
	struct queue *q = arg;
	uint32_t i;

	if (envelope_finished(env)) {
		schedule_add(&q->schedule, 0, env->id, MESSAGE_FINISHED);
		return;
	}
	if (env->held)
		return;
	for (i = 0; i < env->recipients_n; i++)
		if (recipient_is_open(&env->recipients[i]))
			schedule_add(&q->schedule, env->recipients[i].due, env->id, i);
}

static void
open_store(struct queue *q)
{
	struct store_stats stats;
	char *why = NULL;

	q->store = store_open(peer_base(), q->conf->dir, recovered, q, &why);
	if (q->store == NULL) {
		log_error("queue.store", F_STR("error", why));
		free(why);
		role_exit(1);
	}
	store_stats(q->store, &stats);
	log_info("queue.open", F_U64("messages", stats.messages),
	    F_U64("recipients", stats.recipients), F_U64("segments", stats.segments));
}

void
queue_role_start(const struct queue_conf *conf)
{
	struct queue *q = &role.queue;

	queue_role_renew(conf);
	q->conf = &role.conf;
	RB_INIT(&q->works);
	TAILQ_INIT(&q->untold);
	q->tick = evtimer_new(peer_base(), on_tick, q);
	open_store(q);
	q->lanes = lanes_new(q);
	accept_init(q);
	peer_register(SUBJECT_SUBMIT, &submit_ops);
	peer_register(SUBJECT_DELIVERY, &delivery_ops);
	queue_ctl_init(q);
	pause_init(q);
	set_tick(q, 0, 0);
}

static void
leave(void)
{
	store_close(role.queue.store);
	role_exit(0);
}

static void
on_stop_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	leave();
}

void
queue_quiet(struct queue *q)
{
	const struct timeval now = { 0, 0 };

	/* not from inside whoever called: he has more to do with what the store would take away */
	if (q->stopping && q->lanes->out_n == 0)
		event_add(role.stop_tick, &now);
}

void
queue_role_stop(void)
{
	const struct timeval patience = { STOP_SECONDS, 0 };
	struct queue *q = &role.queue;

	if (q->stopping)
		return;
	q->stopping = true;
	role.stop_tick = evtimer_new(peer_base(), on_stop_tick, NULL);
	event_add(role.stop_tick, &patience);
	queue_quiet(q);
}
