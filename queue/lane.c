/*
 * Lanes: one for each destination of relayed mail and one for each owner of local mailboxes, with
 * the tasks that wait there.
 *
 * dispatch.c puts tasks in, by way of lanes.c, which hands them on.  A relay lane whose destination
 * is dead keeps nothing: its recipients go back to the schedule until the time of the next probe.
 * Nothing here fails, or hands anything on.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "deliver/delivery.h"
#include "deliver/lookup.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/mem.h"
#include "queue/lane.h"
#include "queue/outcome.h"
#include "queue/queue.h"
#include "queue/work.h"

/* No lane may fill all the places for busy recipients, and none that the operator has paused more
 * than a few; what comes beyond is put off, the longer the more waits. */
#define LANE_MAX (BUSY_MAX / 2)
#define PAUSED_LANE_MAX 100
#define PUT_OFF 5
#define PUT_OFF_PER_SECOND 1000

static int
lane_compare(const struct lane *a, const struct lane *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	if (a->gid != b->gid)
		return a->gid < b->gid ? -1 : 1;
	if (a->method != b->method)
		return a->method < b->method ? -1 : 1;
	return strcmp(a->name, b->name);
}

RB_GENERATE(lane_tree, lane, node, lane_compare)

struct lanes *
lanes_new(struct queue *q)
{
	struct lanes *lanes = xcalloc(1, sizeof(*lanes));

	lanes->queue = q;
	RB_INIT(&lanes->tree);
	RB_INIT(&lanes->sites);
	RB_INIT(&lanes->out);
	TAILQ_INIT(&lanes->blocked);
	TAILQ_INIT(&lanes->wanted);
	TAILQ_INIT(&lanes->asked);
	TAILQ_INIT(&lanes->idle);
	lanes->content = evbuffer_new();
	if (lanes->content == NULL)
		fatal("evbuffer_new: out of memory");
	return lanes;
}

/* FNV-1a */
uint64_t
lane_hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

static struct lane *
new_lane(struct lanes *lanes, const struct lane *key)
{
	struct lane *lane = xcalloc(1, sizeof(*lane));

	lane->lanes = lanes;
	lane->kind = key->kind;
	lane->uid = key->uid;
	lane->gid = key->gid;
	lane->method = key->method;
	lane->name = xstrdup(key->name);
	TAILQ_INIT(&lane->waiting);
	RB_INSERT(lane_tree, &lanes->tree, lane);
	return lane;
}

static struct lane *
get(struct lanes *lanes, struct lane *key, bool *is_new)
{
	struct lane *lane = RB_FIND(lane_tree, &lanes->tree, key);

	*is_new = lane == NULL;
	if (lane == NULL)
		lane = new_lane(lanes, key);
	lane->refs++;
	return lane;
}

/* Its place in PAUSED, or PAUSED_N. */
static size_t
paused_at(const struct lanes *lanes, const char *destination)
{
	size_t i;

	for (i = 0; i < lanes->paused_n; i++)
		if (strcmp(lanes->paused[i], destination) == 0)
			break;
	return i;
}

struct lane *
lane_find_relay(struct lanes *lanes, const char *destination)
{
	struct lane key = { .kind = LANE_RELAY, .name = (char *)(uintptr_t)destination };

	return RB_FIND(lane_tree, &lanes->tree, &key);
}

struct lane *
lane_relay(struct queue *q, const char *destination)
{
	struct lane key = { .kind = LANE_RELAY, .name = (char *)(uintptr_t)destination }, *lane;
	bool is_new;

	lane = get(q->lanes, &key, &is_new);
	if (is_new) {
		lane->hash = lane_hash(destination);
		window_init(&lane->window, q->conf->destination_most);
		lane->paused = paused_at(q->lanes, destination) < q->lanes->paused_n;
	}
	return lane;
}

struct lane *
lane_local(struct queue *q, const struct route_answer *to)
{
	struct lane key = { .kind = LANE_LOCAL,
		.uid = to->uid,
		.gid = to->gid,
		.method = (uint8_t)to->method,
		.name = (char *)(uintptr_t)to->root };
	struct lane *lane;
	bool is_new;

	lane = get(q->lanes, &key, &is_new);
	if (is_new)
		lane->account = xstrdup(to->account);
	return lane;
}

void
lane_release(struct lane *lane)
{
	lane->refs--;
	lane->used_ms = clock_ms();
}

void
lane_free(struct lane *lane)
{
	RB_REMOVE(lane_tree, &lane->lanes->tree, lane);
	free(lane->name);
	free(lane->account);
	free(lane->host);
	free(lane->text);
	free(lane);
}

/* --- tasks --- */

struct task *
task_new(struct work *work, struct lane *lane, uint32_t n)
{
	struct task *task = xcalloc(1, sizeof(*task) + n * sizeof(struct part));

	task->work = work;
	task->lane = lane;
	task->left = task->parts_n = n;
	TAILQ_INSERT_TAIL(&work->tasks, task, of_work);
	/* the work is there as long as one of its tasks */
	work_pin(work);
	return task;
}

static void
task_free(struct task *task)
{
	struct work *work = task->work;
	uint32_t i;

	TAILQ_REMOVE(&work->tasks, task, of_work);
	for (i = 0; i < task->parts_n; i++) {
		free(task->parts[i].path);
		free(task->parts[i].sender);
		lane_release(task->lane);
	}
	free(task);
	work_unpin(work);
}

void
task_postpone(struct task *task, int64_t due)
{
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_postponed(task->work, task->parts[i].index, due);
	task_free(task);
}

void
task_defer(struct task *task, const char *text)
{
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_local(task->work, task->parts[i].index, DELIVERY_TEMP, text);
	task_free(task);
}

static void
give_up_dead(struct task *task)
{
	const struct lane *lane = task->lane;
	const struct site *site = lane->site;
	bool by_site = site != NULL && window_shut(&site->window, clock_now());
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_unreachable(task->work, task->parts[i].index,
			    by_site ? site->host : lane->host, by_site ? site->text : lane->text,
			    by_site ? site->window.retry_at : lane->window.retry_at);
	task_free(task);
}

void
task_take_out(struct task *task)
{
	TAILQ_REMOVE(&task->lane->waiting, task, entry);
	task->lane->waiting_n -= task->parts_n;
}

bool
lane_is_shut(const struct lane *lane, int64_t now)
{
	return lane->kind == LANE_RELAY && (window_shut(&lane->window, now) ||
	    (lane->site != NULL && window_shut(&lane->site->window, now)));
}

static bool
is_paused(const struct lane *lane)
{
	return lane->paused || lane->lanes->queue->paused[lane->kind];
}

bool
lane_may_go(const struct lane *lane)
{
	return !is_paused(lane) && !lane->lanes->queue->stopping;
}

bool
task_wait(struct task *task)
{
	struct lane *lane = task->lane;
	int64_t now = clock_now();

	if (lane_is_shut(lane, now)) {
		give_up_dead(task);
		return false;
	}
	if (lane->waiting_n >= (is_paused(lane) ? PAUSED_LANE_MAX : LANE_MAX)) {
		size_t spread = lane->lanes->queue->schedule.n / PUT_OFF_PER_SECOND;

		task_postpone(task, now + PUT_OFF + (int64_t)(task->work->env->id % (spread + 1)));
		return false;
	}
	TAILQ_INSERT_TAIL(&lane->waiting, task, entry);
	lane->waiting_n += task->parts_n;
	return true;
}

void
task_wait_again(struct task *task)
{
	struct lane *lane = task->lane;

	if (lane_is_shut(lane, clock_now())) {
		give_up_dead(task);
		return;
	}
	TAILQ_INSERT_HEAD(&lane->waiting, task, entry);
	lane->waiting_n += task->parts_n;
}

/* --- dead destinations --- */

void
lane_empty(struct lane *lane)
{
	struct task_list waiting = TAILQ_HEAD_INITIALIZER(waiting);
	struct task *task;

	/* giving up a task can bring others here: those see a dead lane, not this list */
	TAILQ_CONCAT(&waiting, &lane->waiting, entry);
	lane->waiting_n = 0;
	while ((task = TAILQ_FIRST(&waiting)) != NULL) {
		TAILQ_REMOVE(&waiting, task, entry);
		give_up_dead(task);
	}
}

void
tasks_withdraw(struct work *work)
{
	struct task *task, *next;

	work_pin(work);
	for (task = TAILQ_FIRST(&work->tasks); task != NULL; task = next) {
		next = TAILQ_NEXT(task, of_work);
		if (task->carrier != NULL)
			continue;
		task_take_out(task);
		task_postpone(task, clock_now());
	}
	work_unpin(work);
}

static void
try_now(struct window *window)
{
	if (window->dead && window->retry_at > clock_now())
		window->retry_at = clock_now();
}

void
lane_wake(struct lane *lane)
{
	if (lane->kind != LANE_RELAY)
		return;
	try_now(&lane->window);
	if (lane->site != NULL)
		try_now(&lane->site->window);
}

bool
lanes_pause(struct lanes *lanes, const char *destination, bool paused)
{
	size_t i = paused_at(lanes, destination);
	struct lane *lane;

	if ((i < lanes->paused_n) == paused)
		return false;
	if (paused) {
		lanes->paused = xreallocarray(lanes->paused, i + 1, sizeof(*lanes->paused));
		lanes->paused[lanes->paused_n++] = xstrdup(destination);
	} else {
		free(lanes->paused[i]);
		lanes->paused[i] = lanes->paused[--lanes->paused_n];
	}
	lane = lane_find_relay(lanes, destination);
	if (lane != NULL)
		lane->paused = paused;
	return true;
}
