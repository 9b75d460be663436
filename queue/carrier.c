/*
 * What a deliverer is given: how much at once, and each task as a job (deliver/delivery.h).
 *
 * site.c and process.c hand tasks over, carriers.c takes them back.  A task whose content cannot be
 * read does not go out: its recipients are deferred.  One that was with a deliverer when it died may
 * be what killed it, and is given out alone.
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
#include "queue/carrier.h"
#include "queue/queue.h"
#include "queue/work.h"

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

static int
compare(const struct task *a, const struct task *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(task_tree, task, by_id, compare, __attribute__((unused)) static)

struct carrier *
carrier_new(struct peer *peer, enum lane_kind kind)
{
	struct carrier *carrier = xcalloc(1, sizeof(*carrier));

	carrier->peer = peer;
	carrier->kind = kind;
	TAILQ_INIT(&carrier->tasks);
	return carrier;
}

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

	task_take_out(task);
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

void
carrier_let_go(struct task *task)
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

static void
no_content(struct task *task, int error)
{
	task_take_out(task);
	if (error == -EMFILE || error == -ENFILE) {
		task_postpone(task, clock_now() + DESCRIPTORS_WAIT);
		return;
	}
	log_error("queue.content", F_STR("message", id_text(task->work->env->id).s),
	    F_STR("error", strerror(-error)));
	task_defer(task, TEXT_CONTENT);
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

struct task *
carrier_find(const struct carrier *carrier, struct lanes *lanes, uint64_t id)
{
	struct task key = { .id = id }, *task = RB_FIND(task_tree, &lanes->out, &key);

	return task != NULL && task->carrier == carrier ? task : NULL;
}

bool
carrier_hand(struct carrier *carrier, struct task *task)
{
	struct lanes *lanes = task->lane->lanes;
	int fd = -1, error;

	error = store_content(lanes->queue->store, task->work->env, lanes->content, &fd);
	if (error < 0) {
		no_content(task, error);
		return false;
	}
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
