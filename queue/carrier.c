/*
 * Deliverers and what they hold: every relay role and every local delivery process that is
 * connected has a carrier, which lists the tasks it was given and has not finished.
 *
 * A task leaves a carrier in one of two ways: DELIVERY_DONE, or the carrier's end.  A deliverer
 * that dies takes nothing with it: what it had not reported is tried again soon by another.  As one
 * message of those it held may be what killed it, each of them is from then on given out alone; one
 * that was there at the third death is deferred like any other temporary failure, so that it cannot
 * stop the rest.  A deliverer that reports on what it was not given talks nonsense, and loses its
 * connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "deliver/delivery.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/lane.h"
#include "queue/outcome.h"
#include "queue/queue.h"

#define DEATHS_MAX 3
#define TEXT_DIED "451 4.3.0 The delivery process ended without a result, several times"
#define TEXT_SILENT "451 4.3.0 The delivery process gave no result"
#define TEXT_CONTENT "451 4.3.0 The message content cannot be read"
/* When descriptors are short, a moment later they may not be. */
#define DESCRIPTORS_WAIT 5

/* What one deliverer may hold. */
static const struct limit {
	uint32_t tasks;
	uint64_t octets;
} limits[] = {
	[LANE_RELAY] = { 1000, 32 * 1024 * 1024 },
	[LANE_LOCAL] = { 64, 4 * 1024 * 1024 },
};

struct carrier {
	struct peer *peer; /* NULL: it is going */
	enum lane_kind kind;
	struct lane *lane; /* local: whose process it is */
	struct task_list tasks;
	uint32_t tasks_n;
	uint32_t asked_n; /* relay: lanes that it was asked about, and has not answered */
	uint64_t octets;
	bool has_suspect;           /* its only task was there when a deliverer died */
	const struct lane *drained_for; /* such a task waits here until the carrier is empty */
};

static int
compare(const struct task *a, const struct task *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(task_tree, task, by_id, compare, __attribute__((unused)) static)

bool
carrier_is_idle(const struct carrier *carrier)
{
	return carrier->tasks_n == 0;
}

bool
carrier_takes(struct carrier *carrier, const struct task *task)
{
	const struct limit *limit = &limits[carrier->kind];

	if (carrier->peer == NULL)
		return false;
	if (carrier->tasks_n == 0)
		return true;
	if (task->deaths > 0 && carrier->drained_for == NULL)
		carrier->drained_for = task->lane;
	if (carrier->has_suspect || carrier->drained_for != NULL)
		return false;
	return carrier->tasks_n < limit->tasks && carrier->octets < limit->octets &&
	    channel_backlog(carrier->peer->channel) < limit->octets;
}

bool
carrier_ask(struct carrier *carrier, struct lane *lane)
{
	if (carrier->peer == NULL || carrier->asked_n >= limits[LANE_RELAY].tasks)
		return false;
	carrier->asked_n++;
	lane->asked = carrier;
	delivery_send_way(carrier->peer->channel, lane->name);
	return true;
}

/* --- handing over --- */

static void
hold(struct carrier *carrier, struct task *task)
{
	struct lanes *lanes = task->lane->lanes;

	lane_take_out(task);
	task->id = ++lanes->last_id;
	task->carrier = carrier;
	TAILQ_INSERT_TAIL(&carrier->tasks, task, entry);
	RB_INSERT(task_tree, &lanes->out, task);
	lanes->out_n++;
	carrier->tasks_n++;
	carrier->octets += task->work->env->size;
	carrier->has_suspect = task->deaths > 0;
	carrier->drained_for = NULL;
}

static void
let_go(struct task *task)
{
	struct carrier *carrier = task->carrier;
	struct lanes *lanes = task->lane->lanes;

	TAILQ_REMOVE(&carrier->tasks, task, entry);
	RB_REMOVE(task_tree, &lanes->out, task);
	lanes->out_n--;
	carrier->tasks_n--;
	carrier->octets -= task->work->env->size;
	task->carrier = NULL;
	if (carrier->tasks_n == 0) {
		carrier->has_suspect = false;
		carrier->drained_for = NULL;
	}
}

/* What is left of the task ends in our own words; so does the task. */
static void
give_up(struct task *task, const char *text)
{
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_local(task->work, task->parts[i].index, DELIVERY_TEMP, text);
	task_free(task);
}

static bool
no_content(struct task *task, int error)
{
	uint32_t i;

	lane_take_out(task);
	if (error != -EMFILE && error != -ENFILE) {
		log_error("queue.content", F_STR("message", id_text(task->work->env->id).s),
		    F_STR("error", strerror(-error)));
		give_up(task, TEXT_CONTENT);
		return false;
	}
	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_postponed(
			    task->work, task->parts[i].index, clock_now() + DESCRIPTORS_WAIT);
	task_free(task);
	return false;
}

/* Under whose name it goes to one recipient, when that is not the message's sender; the caller
 * frees. */
static char *
own_sender(const struct envelope *env, const struct part *part)
{
	char *path;

	if (part->sender != NULL)
		return xstrdup(part->sender);
	if (env->verp[0] == '\0' && env->recipients[part->index].parent == UINT32_MAX)
		return NULL;
	path = envelope_return_path(env, part->index);
	if (strcmp(path, env->sender) != 0)
		return path;
	free(path);
	return NULL;
}

static void
send_job(struct carrier *carrier, const struct task *task, struct evbuffer *content, int fd)
{
	const struct envelope *env = task->work->env;
	struct job_recipient recipients[TASK_MAX];
	char *senders[TASK_MAX];
	struct job job = { .id = task->id,
		.message = env->id,
		.sender = env->sender,
		.envid = env->envid,
		.body = env->body,
		.ret = env->ret,
		.utf8 = env->utf8,
		.requiretls = env->requiretls,
		.by = env->by,
		.deliver_by = env->deliver_by,
		.size = env->size,
		.destination = task->lane->kind == LANE_RELAY ? task->lane->name : NULL,
		.recipients = recipients };
	const struct recipient *r;
	uint32_t i;

	for (i = 0; i < task->parts_n; i++) {
		if (task->parts[i].reported)
			continue;
		r = &env->recipients[task->parts[i].index];
		senders[job.recipients_n] = own_sender(env, &task->parts[i]);
		recipients[job.recipients_n] =
		    (struct job_recipient){ .index = task->parts[i].index,
			    .address = r->address,
			    .sender = senders[job.recipients_n],
			    .original = r->original,
			    .notify = r->notify,
			    .path = task->parts[i].path,
			    .forward = task->parts[i].forward,
			    .method = task->parts[i].method };
		job.recipients_n++;
	}
	delivery_send_job(carrier->peer->channel, &job, content, fd);
	for (i = 0; i < job.recipients_n; i++)
		free(senders[i]);
}

bool
carrier_hand(struct carrier *carrier, struct task *task)
{
	struct lanes *lanes = task->lane->lanes;
	int fd = -1, error;

	error = store_content(lanes->queue->store, task->work->env, lanes->content, &fd);
	if (error < 0)
		return no_content(task, error);
	hold(carrier, task);
	send_job(carrier, task, fd < 0 ? lanes->content : NULL, fd);
	evbuffer_drain(lanes->content, evbuffer_get_length(lanes->content));
	return true;
}

void
carrier_cancel(struct work *work)
{
	struct task *task;

	TAILQ_FOREACH(task, &work->tasks, of_work) {
		if (task->carrier == NULL || task->carrier->peer == NULL || task->cancelled)
			continue;
		task->cancelled = true;
		channel_send(task->carrier->peer->channel, DELIVERY_CANCEL, task->id);
	}
}

/* --- the word back --- */

static struct task *
find(struct lanes *lanes, const struct peer *peer, uint64_t id)
{
	struct task key = { .id = id }, *task = RB_FIND(task_tree, &lanes->out, &key);

	return task != NULL && task->carrier == peer->data ? task : NULL;
}

static void
report(struct task *task, struct part *part, const struct delivery_result *result)
{
	int64_t not_before = 0;
	bool shuts = result->pause > 0 || result->status == DELIVERY_TEMP_HOST ||
	    result->status == DELIVERY_TEMP_DOMAIN;

	part->reported = true;
	task->left--;
	task->work->env->recipients[part->index].relayed = result->status == DELIVERY_OK &&
	    task->lane->kind == LANE_RELAY && !result->dsn;
	if (task->site != NULL && shuts)
		not_before = site_failed(task, result);
	outcome_report(task->work, part->index, result, not_before);
}

static bool
on_result(struct lanes *lanes, struct peer *peer, struct message *m)
{
	struct delivery_result result;
	struct task *task;
	bool found = false;
	uint32_t i;

	if (!delivery_read_result(m, &result) || (task = find(lanes, peer, result.job)) == NULL)
		return false;
	for (i = 0; i < task->parts_n; i++) {
		if (task->parts[i].reported ||
		    (result.index != UINT32_MAX && result.index != task->parts[i].index))
			continue;
		found = true;
		report(task, &task->parts[i], &result);
	}
	return found || result.index == UINT32_MAX;
}

/* The mailbox's owner wants it elsewhere. */
static bool
on_expansion(struct lanes *lanes, struct peer *peer, struct message *m)
{
	struct delivery_expansion expansion;
	struct task *task;
	uint32_t i;

	if (!delivery_read_expansion(m, &expansion))
		return false;
	task = find(lanes, peer, expansion.job);
	for (i = 0; task != NULL && i < task->parts_n; i++)
		if (!task->parts[i].reported && task->parts[i].index == expansion.index)
			break;
	if (task == NULL || i == task->parts_n || task->lane->kind != LANE_LOCAL) {
		free(expansion.targets);
		return false;
	}
	task->parts[i].reported = true;
	task->left--;
	dispatch_expand(
	    task->work, expansion.index, expansion.targets, expansion.targets_n, NULL);
	free(expansion.targets);
	return true;
}

/* As we asked: what has no result waits as if nothing had happened. */
static void
was_not_tried(struct task *task)
{
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_postponed(task->work, task->parts[i].index, clock_now());
	task_free(task);
}

static bool
on_done(struct lanes *lanes, struct peer *peer, struct message *m)
{
	struct task *task = find(lanes, peer, m->id);
	struct lane *lane;
	struct site *site;
	bool was_tried;

	if (task == NULL)
		return false;
	lane = task->lane;
	was_tried = !task->cancelled || task->left == 0;
	let_go(task);
	site = site_ended(task, was_tried);
	if (was_tried)
		give_up(task, TEXT_SILENT); /* usually nothing is left of it */
	else
		was_not_tried(task);
	lane_pump(lane);
	if (site != NULL) {
		site_pump(site);
		site_release(site);
		lanes_unblock(lanes);
	}
	queue_quiet(lanes->queue);
	return true;
}

static bool
on_site(struct lanes *lanes, struct peer *peer, struct message *m)
{
	struct carrier *carrier = peer->data;
	struct delivery_site answer;

	if (!delivery_read_site(m, &answer) || carrier->asked_n == 0)
		return false;
	carrier->asked_n--;
	if (!site_answered(lanes, carrier, &answer))
		return false;
	lanes_unblock(lanes);
	return true;
}

bool
carrier_message(struct lanes *lanes, struct peer *peer, struct message *m)
{
	if (peer->data == NULL || (peer->role != ROLE_RELAY && peer->role != ROLE_LOCAL))
		return false;
	switch (m->type) {
	case DELIVERY_RESULT:
		return on_result(lanes, peer, m);
	case DELIVERY_EXPANSION:
		return on_expansion(lanes, peer, m);
	case DELIVERY_DONE:
		return on_done(lanes, peer, m);
	case DELIVERY_SITE:
		return on_site(lanes, peer, m);
	}
	return false;
}

/* --- they come and go --- */

void
carrier_up(struct lanes *lanes, struct peer *peer)
{
	struct carrier *carrier;

	if (peer->role != ROLE_RELAY && peer->role != ROLE_LOCAL)
		return;
	carrier = xcalloc(1, sizeof(*carrier));
	carrier->peer = peer;
	carrier->kind = peer->role == ROLE_RELAY ? LANE_RELAY : LANE_LOCAL;
	TAILQ_INIT(&carrier->tasks);
	peer->data = carrier;
	if (carrier->kind == LANE_RELAY) {
		lanes_ask_anew(lanes);
		lanes_unblock(lanes);
	} else if ((carrier->lane = process_up(lanes, peer, carrier)) != NULL)
		lane_pump(carrier->lane);
}

/* A deliverer died with it. */
static void
take_back(struct task *task)
{
	struct site *site;

	let_go(task);
	site = site_ended(task, false);
	if (site != NULL)
		site_release(site); /* the lane, or nobody, waits for it now */
	task->deaths++;
	if (task->left > 0 && task->cancelled)
		was_not_tried(task);
	else if (task->left > 0 && task->deaths < DEATHS_MAX)
		lane_put_back(task);
	else
		give_up(task, TEXT_DIED);
}

void
carrier_down(struct lanes *lanes, struct peer *peer)
{
	struct carrier *carrier = peer->data;
	struct task *task;

	if (carrier == NULL || (peer->role != ROLE_RELAY && peer->role != ROLE_LOCAL))
		return;
	peer->data = NULL;
	carrier->peer = NULL;
	if (carrier->tasks_n > 0)
		log_warning("queue.deliverer", F_STR("state", "died"),
		    F_STR("kind", carrier->kind == LANE_RELAY ? "relay" : "local"),
		    F_U64("instance", peer->instance), F_U64("tasks", carrier->tasks_n));
	/* from the last, as each goes to the head of its lane */
	while ((task = TAILQ_LAST(&carrier->tasks, task_list)) != NULL)
		take_back(task);
	if (carrier->kind == LANE_RELAY) {
		lanes_unanswered(lanes, carrier);
		lanes_pump_all(lanes);
	} else {
		process_down(lanes, peer->instance, carrier->lane);
	}
	free(carrier);
	queue_quiet(lanes->queue);
}
