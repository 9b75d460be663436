/*
 * The queue role: opens the store, connects its parts with their peers, has them look at what is
 * due, and ends in order.
 *
 * A store that cannot be opened ends the role with a reason that the operator can act on; the master
 * starts it again, less and less often.  On the way out nothing new begins, and what deliverers hold
 * has some seconds to end, for each result that is not waited for is a message delivered twice.
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
#include "queue/calendar.h"
#include "queue/carriers.h"
#include "queue/dispatch.h"
#include "queue/flush.h"
#include "queue/lanes.h"
#include "queue/outcome.h"
#include "queue/pause.h"
#include "queue/queue.h"
#include "queue/queue_ctl.h"
#include "queue/submit_wire.h"
#include "queue/wake.h"

#define SWEEP_MS 60000
/* Reasons of ours that begin so are the operator's to put right: a password, an alias, a home. */
#define NO_LOGIN "451 4.7.8 "
#define MISCONFIGURED "451 4.3.5 "
#define STOP_SECONDS 10

static struct {
	struct queue queue;
	struct queue_conf conf; /* texts are its own */
	uint64_t swept_ms;
	struct event *stop_tick;
} role;

/* --- time --- */

/* When something is to be done next, as far as anything can be done at all. */
static int64_t
next_time(const struct queue *q)
{
	int64_t next = INT64_MAX, due;

	if (dispatch_may_begin(q) && schedule_next(&q->schedule, &due) && due < next)
		next = due;
	if (!TAILQ_EMPTY(&q->untold) && TAILQ_FIRST(&q->untold)->tell_at < next)
		next = TAILQ_FIRST(&q->untold)->tell_at;
	return next;
}

static int64_t
look(struct queue *q, int64_t now)
{
	if (calendar_look(q))
		lanes_wake(q->lanes);
	outcome_tell_due(q, now);
	dispatch_due(q, now);
	if (clock_ms() - role.swept_ms > SWEEP_MS) {
		role.swept_ms = clock_ms();
		lanes_sweep(q->lanes);
		dispatch_tidy(q);
	}
	return next_time(q);
}

/* --- peers --- */

/* Nothing is under way any more, and that was all we waited for. */
static void
leave_if_quiet(void)
{
	const struct timeval now = { 0, 0 };

	/* not from inside whoever called: he has more to do with what the store would take away */
	if (role.queue.stopping && role.queue.lanes->out_n == 0)
		event_add(role.stop_tick, &now);
}

static bool
delivery_message(struct peer *peer, struct message *m)
{
	bool ok = carriers_message(role.queue.lanes, peer, m);

	leave_if_quiet();
	return ok;
}

/* Who comes after a reload knows of what the operator has put right. */
static void
try_what_is_healed(enum role by)
{
	if (by == ROLE_RELAY)
		flush_healed(&role.queue, NO_LOGIN);
	else if (by == ROLE_LOOKUP)
		flush_healed(&role.queue, MISCONFIGURED);
}

static void
delivery_up(struct peer *peer)
{
	carriers_up(role.queue.lanes, peer);
	try_what_is_healed(peer->role);
	if (peer->role == ROLE_LOOKUP)
		wake_by(&role.queue, clock_now());
}

static void
delivery_down(struct peer *peer)
{
	carriers_down(role.queue.lanes, peer);
	/* what its successor's coming brought out may have been given to this one, who did not know yet */
	if (peer->retired && !role.queue.stopping)
		try_what_is_healed(peer->role);
	leave_if_quiet();
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

	calendar_recovered(q, env);
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
	calendar_begin(q);
	store_stats(q->store, &stats);
	log_info("queue.open", F_U64("messages", stats.messages),
	    F_U64("recipients", stats.recipients), F_U64("segments", stats.segments));
}

void
queue_role_start(const struct queue_conf *conf)
{
	struct queue *q = &role.queue;

	queue_role_renew(conf);
	(void)clock_was_set(&q->clock);
	q->conf = &role.conf;
	RB_INIT(&q->works);
	TAILQ_INIT(&q->untold);
	wake_init(q, look);
	open_store(q);
	q->lanes = lanes_new(q);
	accept_init(q);
	peer_register(SUBJECT_SUBMIT, &submit_ops);
	peer_register(SUBJECT_DELIVERY, &delivery_ops);
	queue_ctl_init(q);
	pause_init(q);
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
queue_role_stop(void)
{
	const struct timeval patience = { STOP_SECONDS, 0 };
	struct queue *q = &role.queue;

	if (q->stopping)
		return;
	q->stopping = true;
	role.stop_tick = evtimer_new(peer_base(), on_stop_tick, NULL);
	event_add(role.stop_tick, &patience);
	leave_if_quiet();
}
