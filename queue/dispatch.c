/*
 * From "due" to "on its way": asks where a recipient leads, and when all recipients of one message
 * that became due together have their answer, puts those with the same way into common tasks.
 *
 * Called with messages just accepted or recovered, and by the role's timer with what the schedule
 * has.  The address book answers from the loop, in any order, one recipient at a time; it may say
 * "later" or "never", which outcome.c deals with.  A recipient that stands for others (an alias, a
 * list) is replaced by them here, in one durable record, before any of them is tried: a crash sees
 * all of them or none.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/lookup.h"
#include "filters/ledger.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/addresses.h"
#include "queue/dispatch.h"
#include "queue/lane.h"
#include "queue/lanes.h"
#include "queue/notice.h"
#include "queue/outcome.h"
#include "queue/queue.h"
#include "queue/wake.h"
#include "queue/work.h"

/* Entries taken from the schedule in one turn of the loop. */
#define TURN_MAX 1000
/* Expansions of expansions. */
#define DEPTH_MAX 50
#define TEXT_LOOP "554 5.4.6 The address expands to itself in a circle"
#define TEXT_TOO_MANY "554 5.4.6 The address expands to more recipients than a message may have"
#define TEXT_DISCARDED "250 2.0.0 nobody wants it: its alias is /dev/null"

struct question {
	struct work *work;
	uint32_t index;
};

/* --- expansion --- */

static unsigned
depth(const struct envelope *env, uint32_t index)
{
	unsigned n = 0;

	for (; env->recipients[index].parent != UINT32_MAX; n++)
		index = env->recipients[index].parent;
	return n;
}

/* RFC 3461 5.2.7.2: one address that stands for another passes on what its sender asked for.
 * 5.2.7.3 (c): one that stands for several does not pass on SUCCESS; it is "expanded".  5.2.7.1:
 * what another one sends (OWNER) is another message. */
static uint8_t
notify_of_targets(uint8_t notify, unsigned targets_n, const char *owner)
{
	if (owner != NULL)
		return NOTIFY_DEFAULT;
	if (targets_n < 2 || (notify & NOTIFY_SUCCESS) == 0)
		return notify;
	notify &= (uint8_t)~NOTIFY_SUCCESS;
	return notify != NOTIFY_DEFAULT ? notify : NOTIFY_NEVER;
}

/* Adds the targets that are no recipients yet; returns how many. */
static uint32_t
add_targets(struct envelope *env, uint32_t index, const char *const *targets, unsigned targets_n,
    const char *owner)
{
	struct addresses known;
	uint32_t before = env->recipients_n, new;
	const char *original;
	unsigned i;

	addresses_init(&known, env->recipients_n + targets_n);
	for (i = 0; i < env->recipients_n; i++)
		addresses_add(&known, env->recipients[i].address);
	for (i = 0; i < targets_n; i++) {
		if (addresses_has(&known, targets[i]))
			continue;
		original = env->recipients[index].original;
		new = envelope_add_recipient(env, targets[i],
		    original != NULL ? original : env->recipients[index].address,
		    notify_of_targets(env->recipients[index].notify, targets_n, owner));
		env->recipients[new].parent = index;
		env->recipients[new].due = clock_now();
		addresses_add(&known, env->recipients[new].address);
	}
	addresses_free(&known);
	return env->recipients_n - before;
}

/* True when one of the targets is what led to them. */
static bool
comes_back(
    const struct envelope *env, uint32_t index, const char *const *targets, unsigned targets_n)
{
	unsigned i;

	for (; index != UINT32_MAX; index = env->recipients[index].parent)
		for (i = 0; i < targets_n; i++)
			if (strcmp(env->recipients[index].address, targets[i]) == 0)
				return true;
	return false;
}

static void ask(struct queue *, struct envelope *, uint32_t index);

void
dispatch_expand(struct work *work, uint32_t index, const char *const *targets, unsigned targets_n,
    const char *owner)
{
	struct queue *q = work->queue;
	struct envelope *env = work->env;
	uint32_t first = env->recipients_n, i, n = 0;

	if (targets_n > ENVELOPE_RECIPIENTS_MAX - env->recipients_n) {
		outcome_local(work, index, DELIVERY_PERM, TEXT_TOO_MANY);
		return;
	}
	if (depth(env, index) < DEPTH_MAX)
		n = add_targets(env, index, targets, targets_n, owner);
	if (n == 0 &&
	    (depth(env, index) >= DEPTH_MAX || comes_back(env, index, targets, targets_n))) {
		outcome_local(work, index, DELIVERY_PERM, TEXT_LOOP);
		return;
	}
	env->recipients[index].state = RECIPIENT_EXPANDED;
	env->recipients[index].owed =
	    (targets_n > 1 || owner != NULL) && notice_wanted(NOTICE_SUCCESS, env, index);
	if (owner != NULL)
		envelope_set(&env->recipients[index].sender, owner);
	store_update_all(q->store, env, NULL, NULL);
	for (i = first; i < first + n; i++)
		ask(q, env, i);
	outcome_expanded(work, index);
}

/* --- grouping --- */

static const char *
sender_of(const struct routed *routed)
{
	return routed->sender != NULL ? routed->sender : "";
}

/* Those with one sender together: they can share a transaction. */
static int
by_lane(const void *left, const void *right)
{
	const struct routed *a = left, *b = right;
	int order = strcmp(sender_of(a), sender_of(b));

	if (a->lane != b->lane)
		return (uintptr_t)a->lane < (uintptr_t)b->lane ? -1 : 1;
	if (order != 0)
		return order;
	return a->index < b->index ? -1 : a->index > b->index;
}

static struct task *
make_task(struct work *work, const struct routed *routed, uint32_t n)
{
	struct task *task = task_new(work, routed->lane, n);
	uint32_t i;

	for (i = 0; i < n; i++)
		task->parts[i] = (struct part){ .index = routed[i].index,
			.method = routed[i].method,
			.forward = routed[i].forward,
			.path = routed[i].path,
			.sender = routed[i].sender };
	return task;
}

/* Every question about this message is answered: those with the same way go together. */
static void
group(struct work *work)
{
	struct routed *routed = work->routed;
	uint32_t n = work->routed_n, i, k;

	if (n > 1)
		qsort(routed, n, sizeof(*routed), by_lane);
	work->routed = NULL;
	work->routed_n = work->routed_room = 0;
	/* the work lives on until its last task is given away: all in ROUTED are busy */
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && k - i < TASK_MAX && routed[k].lane == routed[i].lane; k++)
			;
		lanes_put(make_task(work, routed + i, k - i));
	}
	free(routed);
}

/* --- routing --- */

/* One of ours wrote to somebody elsewhere, who will not be greylisted when answering. */
static void
teach(const struct work *work, uint32_t index)
{
	const struct envelope *env = work->env;

	if (env->ours && env->sender[0] != '\0' && env->recipients[index].attempts == 0)
		ledger_correspondent(env->sender, env->recipients[index].address);
}

/* An address book that is away says nothing about the address: that was no attempt, and is repeated
 * when it is back. */
static void
defer(struct work *work, uint32_t index, const char *why)
{
	if (peer_for(ROLE_LOOKUP, 0) == NULL)
		outcome_postponed(work, index, clock_now());
	else
		outcome_local(work, index, DELIVERY_TEMP, why);
}

static void
take_answer(struct work *work, uint32_t index, const struct route_answer *answer)
{
	struct routed routed = { .index = index };

	if (answer->kind == ROUTE_RELAY && answer->sender != NULL)
		routed.sender = xstrdup(answer->sender);
	switch (answer->kind) {
	case ROUTE_LOCAL:
		routed.lane = lane_local(work->queue, answer);
		routed.method = (uint8_t)answer->method;
		routed.forward = answer->forward;
		routed.path = xstrdup(answer->path);
		work_add_routed(work, &routed);
		break;
	case ROUTE_RELAY:
		teach(work, index);
		routed.lane = lane_relay(work->queue, answer->destination);
		work_add_routed(work, &routed);
		break;
	case ROUTE_EXPAND:
		dispatch_expand(work, index, answer->targets, answer->targets_n, answer->owner);
		break;
	case ROUTE_DISCARD:
		outcome_local(work, index, DELIVERY_OK, TEXT_DISCARDED);
		break;
	case ROUTE_FAIL:
		outcome_local(work, index, DELIVERY_PERM, answer->why);
		break;
	case ROUTE_DEFER:
		defer(work, index, answer->why);
		break;
	}
}

/* RFC 2852 4.1.3: then no further attempt may be made. */
static bool
is_to_come_back(const struct envelope *env)
{
	return (env->by & BY_RETURN) && clock_now() >= env->deliver_by;
}

static void
on_route(const struct route_answer *answer, void *arg)
{
	struct question question = *(struct question *)arg;
	struct work *work = question.work;
	const struct recipient *r = &work->env->recipients[question.index];

	free(arg);
	work->asking--;
	work_pin(work);
	/* the operator may have been faster */
	if (r->state != RECIPIENT_WAITING || r->returned || work->env->held)
		outcome_postponed(work, question.index, r->due);
	else if (is_to_come_back(work->env))
		outcome_expired(work, question.index);
	else if (r->route != NULL)
		/* the operator has decided, whatever the address stands for */
		take_answer(work, question.index,
		    &(struct route_answer){ .kind = ROUTE_RELAY, .destination = r->route });
	else
		take_answer(work, question.index, answer);
	if (work->asking == 0 && work->routed_n > 0)
		group(work);
	work_unpin(work);
}

/* Whom the sender named, when INDEX is an expansion of that; else NULL. */
static const char *
first_of(const struct envelope *env, uint32_t index)
{
	if (env->recipients[index].parent == UINT32_MAX)
		return NULL;
	while (env->recipients[index].parent != UINT32_MAX)
		index = env->recipients[index].parent;
	return env->recipients[index].address;
}

static void
ask(struct queue *q, struct envelope *env, uint32_t index)
{
	struct work *work = work_begin(q, env, index);
	struct route_question asked = { .address = env->recipients[index].address };
	struct question *question;
	char *own = NULL;

	if (work == NULL)
		return;
	asked.sender = envelope_sender(env, index);
	asked.via = first_of(env, index);
	/* what we forward gets a return address that leads back to the recipient's own one */
	if (asked.via != NULL && envelope_has_own_path(env, index))
		asked.sender = own = envelope_return_path(env, index);
	question = xmalloc(sizeof(*question));
	*question = (struct question){ .work = work, .index = index };
	work->asking++;
	lookup_route(&asked, on_route, question);
	free(own);
}

/* A sender who asked for a notice of success was not told yet: we ended before that, or the disk
 * was full. */
static void
tell_owed(struct queue *q, struct envelope *env, uint32_t index)
{
	struct work *work = work_begin(q, env, index);

	if (work != NULL)
		outcome_owed(work, index);
}

static void
begin(struct queue *q, struct envelope *env, uint32_t index)
{
	if (env->recipients[index].state == RECIPIENT_WAITING)
		ask(q, env, index);
	else
		tell_owed(q, env, index);
}

/* --- who is due --- */

bool
dispatch_may_begin(const struct queue *q)
{
	return !(q->paused[LANE_RELAY] && q->paused[LANE_LOCAL]) && !q->stopping &&
	       q->busy < BUSY_MAX && peer_for(ROLE_LOOKUP, 0) != NULL;
}

void
dispatch_message(struct queue *q, struct envelope *env)
{
	int64_t now = clock_now();
	struct recipient *r;
	uint32_t i;

	if (env->held)
		return;
	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (!recipient_is_open(r))
			continue;
		if (r->due <= now && dispatch_may_begin(q))
			begin(q, env, i);
		else
			wake_for(q, env, i);
	}
}

/* An entry counts if it is about a recipient that waits, and was made for the time that this one
 * waits for. */
static void
dispatch_entry(struct queue *q, const struct schedule_entry *e)
{
	struct envelope *env = store_find(q->store, e->message);
	const struct recipient *r;

	if (env == NULL || env->held)
		return;
	if (e->recipient == MESSAGE_FINISHED && envelope_finished(env) && work_find(q, env) == NULL)
		store_finish(q->store, env);
	if (e->recipient >= env->recipients_n)
		return;
	r = &env->recipients[e->recipient];
	if (recipient_is_open(r) && schedule_entry_for(e, r->due))
		begin(q, env, e->recipient);
}

void
dispatch_due(struct queue *q, int64_t now)
{
	struct schedule_entry entry;
	unsigned n;

	for (n = 0;
	     n < TURN_MAX && dispatch_may_begin(q) && schedule_take(&q->schedule, now, &entry); n++)
		dispatch_entry(q, &entry);
	q->starved = q->busy >= BUSY_MAX;
}

static bool
schedule_again(struct envelope *env, void *arg)
{
	struct queue *q = arg;
	const struct work *work = work_find(q, env);
	uint32_t i;

	if (work == NULL && envelope_finished(env))
		schedule_add(&q->schedule, 0, env->id, MESSAGE_FINISHED);

	for (i = 0; i < env->recipients_n && !env->held; i++)
		if (recipient_is_open(&env->recipients[i]) &&
		    (work == NULL || !work_is_busy(work, i)))
			schedule_add(&q->schedule, env->recipients[i].due, env->id, i);
	return true;
}

void
dispatch_tidy(struct queue *q)
{
	struct store_stats stats;

	store_stats(q->store, &stats);
	if (q->schedule.n < 4096 || q->schedule.n / 3 < stats.recipients)
		return;
	schedule_clear(&q->schedule);
	store_each(q->store, schedule_again, q);
}
