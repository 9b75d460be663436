/*
 * What an operator does to messages: try, hold, release, remove, bounce, reroute.
 *
 * Called by queue_ctl.c for one message at a time.  Every change is recorded, so that it outlives
 * us.  What waits in a lane is taken out of it; of what is with a deliverer already, that which was
 * not begun is called back (DELIVERY_CANCEL), and the rest ends as it ends: a message that is being
 * sent cannot be held.  Who is given up meanwhile fails when he would have waited again.
 *
 * Whoever removes, returns or reroutes what goes to one domain means those recipients, and not the others
 * of a message that has ten thousand.
 */
#include <stdlib.h>

#include "lib/mem.h"
#include "queue/carrier.h"
#include "queue/dispatch.h"
#include "queue/lane.h"
#include "queue/outcome.h"
#include "queue/queue.h"
#include "queue/queue_act.h"
#include "queue/work.h"

/* Nothing more begins with what is under way now. */
static void
call_back(struct work *work)
{
	if (work == NULL)
		return;
	work_pin(work);
	carrier_cancel(work);
	tasks_withdraw(work);
	work_unpin(work);
}

void
act_flush(struct queue *q, struct envelope *env, const struct order *order)
{
	const struct work *work = work_find(q, env);
	struct recipient *r;
	uint32_t i;

	if (env->held)
		return;
	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (!recipient_is_open(r) || (work != NULL && work_is_busy(work, i)))
			continue;
		if (order->due <= order->now && r->due <= order->now)
			continue;
		r->due = order->due;
		/* what is tried at once leaves its trace by that */
		if (order->due > order->now)
			store_update(q->store, env, i);
	}
	dispatch_message(q, env);
}

void
act_hold(struct queue *q, struct envelope *env, const struct order *order)
{
	(void)order;
	if (env->held)
		return;
	env->held = true;
	store_update_all(q->store, env, NULL, NULL);
	call_back(work_find(q, env));
}

void
act_release(struct queue *q, struct envelope *env, const struct order *order)
{
	(void)order;
	if (!env->held)
		return;
	env->held = false;
	store_update_all(q->store, env, NULL, NULL);
	dispatch_message(q, env);
}

/* By the conditions on recipients; without such, everybody. */
static bool
is_meant(const struct order *order, const struct recipient *r)
{
	return !select_asks_recipients(order->selector) || select_recipient(order->selector, r);
}

void
act_remove(struct queue *q, struct envelope *env, const struct order *order)
{
	struct work *work = work_find(q, env);
	struct recipient *r;
	bool others = false;
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (!recipient_is_open(r))
			continue;
		if (!is_meant(order, r)) {
			others = true;
			continue;
		}
		if (r->state == RECIPIENT_WAITING)
			r->state = RECIPIENT_REMOVED;
		r->owed = false;
		store_update(q->store, env, i);
	}
	/* what is with a deliverer ends there, and the message with it */
	call_back(work);
	if (others)
		dispatch_message(q, env);
	else if (work == NULL)
		store_finish(q->store, env);
}

void
act_bounce(struct queue *q, struct envelope *env, const struct order *order)
{
	struct work *work = NULL, *begun;
	struct recipient *r;
	uint32_t *indexes, n = 0, i;
	uint64_t id = env->id;

	call_back(work_find(q, env));
	if ((env = store_find(q->store, id)) == NULL)
		return;
	indexes = xcalloc(env->recipients_n, sizeof(*indexes));
	/* all are begun before the first ends, so that one notice tells of all */
	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (r->state != RECIPIENT_WAITING || !is_meant(order, r))
			continue;
		begun = work_begin(q, env, i);
		r->returned = begun == NULL; /* asked about, or with a deliverer */
		if (begun == NULL)
			continue;
		work = begun;
		indexes[n++] = i;
	}
	for (i = 0; i < n; i++)
		outcome_returned(work, indexes[i]);
	free(indexes);
	/* with its last recipient the message may go */
	if ((env = store_find(q->store, id)) != NULL)
		dispatch_message(q, env);
}

void
act_reroute(struct queue *q, struct envelope *env, const struct order *order)
{
	struct work *work;
	struct recipient *r;
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (!select_recipient(order->selector, r))
			continue;
		envelope_set(&r->route, order->route);
		r->due = order->now;
		store_update(q->store, env, i);
	}
	work = work_find(q, env);
	call_back(work);
	dispatch_message(q, env);
}
