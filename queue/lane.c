/*
 * Lanes: one for each destination of relayed mail and one for each owner of local mailboxes, with
 * the tasks that wait there.
 *
 * dispatch.c puts tasks in; carrier.c takes them when the lane's window (relay) or process (local)
 * lets it.  A relay lane whose destination is dead keeps nothing: its recipients go back to the
 * schedule until the time of the next probe.  What must never happen is a task that waits in a lane
 * which nothing will pump again, so every reason to wait has its event: a running task ends, a
 * deliverer comes or gets room, a process comes or ends, the operator resumes.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "deliver/lookup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/lane.h"
#include "queue/outcome.h"
#include "queue/queue.h"

/* No lane may fill all the places for busy recipients, and none that the operator has paused more
 * than a few; what comes beyond is put off, the longer the more waits. */
#define LANE_MAX (BUSY_MAX / 2)
#define PAUSED_LANE_MAX 100
#define PUT_OFF 5
#define PUT_OFF_PER_SECOND 1000
/* So much of a relay lane runs in one process before another has part of it. */
#define PROCESS_SHARE 8
/* Blocked lanes tried each time that a deliverer gets room. */
#define UNBLOCK_MAX 4
/* A lane that nobody used for so long is forgotten; a dead destination so long after its next probe
 * was due. */
#define KEEP_MS (10 * 60 * 1000)
#define KEEP_DEAD 3600

static int
compare(const struct lane *a, const struct lane *b)
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

RB_GENERATE_INTERNAL(lane_tree, lane, node, compare, __attribute__((unused)) static)

struct lanes *
lanes_new(struct queue *q)
{
	struct lanes *lanes = xcalloc(1, sizeof(*lanes));

	lanes->queue = q;
	RB_INIT(&lanes->tree);
	RB_INIT(&lanes->out);
	TAILQ_INIT(&lanes->blocked);
	TAILQ_INIT(&lanes->wanted);
	TAILQ_INIT(&lanes->asked);
	TAILQ_INIT(&lanes->idle);
	lanes->content = evbuffer_new();
	if (lanes->content == NULL)
		fatal("evbuffer_new: out of memory");
	process_init(lanes);
	return lanes;
}

/* FNV-1a */
static uint64_t
hash(const char *s)
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
lane_relay(struct queue *q, const char *destination)
{
	struct lane key = { .kind = LANE_RELAY, .name = (char *)(uintptr_t)destination }, *lane;
	bool is_new;

	lane = get(q->lanes, &key, &is_new);
	if (is_new) {
		lane->hash = hash(destination);
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

void
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

/* The task is given up without having been tried. */
static void
postpone(struct task *task, int64_t due)
{
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_postponed(task->work, task->parts[i].index, due);
	task_free(task);
}

static void
give_up_dead(struct task *task)
{
	const struct lane *lane = task->lane;
	uint32_t i;

	for (i = 0; i < task->parts_n; i++)
		if (!task->parts[i].reported)
			outcome_unreachable(task->work, task->parts[i].index, lane->host,
			    lane->text, lane->window.retry_at);
	task_free(task);
}

void
lane_take_out(struct task *task)
{
	TAILQ_REMOVE(&task->lane->waiting, task, entry);
	task->lane->waiting_n -= task->parts_n;
}

static bool
is_paused(const struct lane *lane)
{
	return lane->paused || lane->lanes->queue->paused[lane->kind];
}

void
lane_put(struct task *task)
{
	struct lane *lane = task->lane;
	int64_t now = clock_now();

	if (lane->kind == LANE_RELAY && window_shut(&lane->window, now)) {
		give_up_dead(task);
		return;
	}
	if (lane->waiting_n >= (is_paused(lane) ? PAUSED_LANE_MAX : LANE_MAX)) {
		size_t spread = lane->lanes->queue->schedule.n / PUT_OFF_PER_SECOND;

		postpone(task, now + PUT_OFF + (int64_t)(task->work->env->id % (spread + 1)));
		return;
	}
	TAILQ_INSERT_TAIL(&lane->waiting, task, entry);
	lane->waiting_n += task->parts_n;
	lane_pump(lane);
}

void
lane_put_back(struct task *task)
{
	struct lane *lane = task->lane;

	if (lane->kind == LANE_RELAY && window_shut(&lane->window, clock_now())) {
		give_up_dead(task);
		return;
	}
	TAILQ_INSERT_HEAD(&lane->waiting, task, entry);
	lane->waiting_n += task->parts_n;
}

/* --- pumping --- */

static void
block(struct lane *lane)
{
	if (lane->blocked)
		return;
	lane->blocked = true;
	TAILQ_INSERT_TAIL(&lane->lanes->blocked, lane, entry);
}

static void
relay_pump(struct lane *lane)
{
	int64_t now = clock_now();
	struct peer *peer;
	struct task *task;

	/* a busy lane goes over to further processes, each of which has connections of its own */
	while (!lane->blocked && (task = TAILQ_FIRST(&lane->waiting)) != NULL &&
	       window_open(&lane->window, now)) {
		peer = peer_for(ROLE_RELAY, lane->hash + lane->window.running / PROCESS_SHARE);
		if (peer == NULL || peer->data == NULL || !carrier_takes(peer->data, task)) {
			block(lane);
			return;
		}
		task->ticket = window_begin(&lane->window);
		task->judged = false;
		if (!carrier_hand(peer->data, task))
			window_abandoned(&lane->window);
	}
}

void
lane_pump(struct lane *lane)
{
	const struct queue *q = lane->lanes->queue;

	if (is_paused(lane) || q->stopping)
		return;
	if (lane->kind == LANE_RELAY)
		relay_pump(lane);
	else
		process_pump(lane);
}

void
lanes_pump_all(struct lanes *lanes)
{
	struct lane *lane;

	/* pumping never removes a lane */
	RB_FOREACH(lane, lane_tree, &lanes->tree)
		lane_pump(lane);
}

void
lanes_unblock(struct lanes *lanes)
{
	struct lane *lane;
	unsigned i;

	for (i = 0; i < UNBLOCK_MAX && (lane = TAILQ_FIRST(&lanes->blocked)) != NULL; i++) {
		TAILQ_REMOVE(&lanes->blocked, lane, entry);
		lane->blocked = false;
		lane_pump(lane);
	}
}

/* --- dead destinations --- */

/* All that waits goes back to the schedule. */
static void
empty(struct lane *lane)
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

int64_t
lane_failed(struct task *task, const char *host, const char *text)
{
	struct lane *lane = task->lane;
	struct queue *q = lane->lanes->queue;
	int64_t now = clock_now();
	bool judged = task->judged;

	task->judged = true;
	if (!judged && window_failed(&lane->window, task->ticket, now, &q->retry, lane->hash)) {
		envelope_set(&lane->host, host);
		envelope_set(&lane->text, text);
		log_notice("queue.destination", F_STR("destination", lane->name),
		    F_STR("state", "dead"), F_STR("host", host), F_STR("reply", text),
		    F_I64("retry_in", lane->window.retry_at - now),
		    F_U64("waiting", lane->waiting_n));
		empty(lane);
	}
	return lane->window.dead ? lane->window.retry_at : 0;
}

void
lanes_withdraw(struct work *work)
{
	struct task *task, *next;

	work_pin(work);
	for (task = TAILQ_FIRST(&work->tasks); task != NULL; task = next) {
		next = TAILQ_NEXT(task, of_work);
		if (task->carrier != NULL)
			continue;
		lane_take_out(task);
		postpone(task, clock_now());
	}
	work_unpin(work);
}

void
lanes_wake(struct lanes *lanes)
{
	struct lane *lane;

	RB_FOREACH(lane, lane_tree, &lanes->tree)
	if (lane->kind == LANE_RELAY && lane->window.dead && lane->window.retry_at > clock_now())
		lane->window.retry_at = clock_now();
}

void
lanes_wake_one(struct lanes *lanes, const char *destination)
{
	struct lane *lane;

	RB_FOREACH(lane, lane_tree, &lanes->tree)
		if (lane->kind == LANE_RELAY && lane->window.dead && strcmp(lane->name, destination) == 0 &&
		    lane->window.retry_at > clock_now())
			lane->window.retry_at = clock_now();
}

bool
lanes_pause(struct lanes *lanes, const char *destination, bool paused)
{
	struct lane key = { .kind = LANE_RELAY, .name = (char *)(uintptr_t)destination }, *lane;
	size_t i = paused_at(lanes, destination);

	if ((i < lanes->paused_n) == paused)
		return false;
	if (paused) {
		lanes->paused = xreallocarray(lanes->paused, i + 1, sizeof(*lanes->paused));
		lanes->paused[lanes->paused_n++] = xstrdup(destination);
	} else {
		free(lanes->paused[i]);
		lanes->paused[i] = lanes->paused[--lanes->paused_n];
	}
	lane = RB_FIND(lane_tree, &lanes->tree, &key);
	if (lane == NULL)
		return true;
	lane->paused = paused;
	lane_pump(lane);
	return true;
}

/* --- housekeeping --- */

static bool
is_forgettable(const struct lane *lane, uint64_t now_ms)
{
	if (lane->refs > 0 || lane->blocked || lane->process != PROCESS_NONE)
		return false;
	if (lane->kind == LANE_RELAY && lane->window.dead)
		return clock_now() > lane->window.retry_at + KEEP_DEAD;
	return now_ms - lane->used_ms > KEEP_MS;
}

void
lanes_sweep(struct lanes *lanes)
{
	uint64_t now = clock_ms();
	struct lane *lane, *next;

	for (lane = RB_MIN(lane_tree, &lanes->tree); lane != NULL; lane = next) {
		next = RB_NEXT(lane_tree, &lanes->tree, lane);
		if (!is_forgettable(lane, now))
			continue;
		RB_REMOVE(lane_tree, &lanes->tree, lane);
		free(lane->name);
		free(lane->account);
		free(lane->host);
		free(lane->text);
		free(lane);
	}
}
