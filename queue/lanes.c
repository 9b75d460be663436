/*
 * All lanes together: what may go is handed on, by site.c to deliverers of relayed mail, by process.c
 * to the processes of owners of mailboxes.
 *
 * What must never happen is a task that waits in a lane which nothing will pump again, so every
 * reason to wait has its event: a running task ends, a deliverer comes or gets room, it says where
 * the lane leads, a process comes or ends, the operator resumes.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "queue/lanes.h"
#include "queue/process.h"
#include "queue/queue.h"
#include "queue/site.h"

/* A lane that nobody used for so long is forgotten; a dead destination so long after its next probe
 * was due. */
#define KEEP_MS (10 * 60 * 1000)
#define KEEP_DEAD 3600

void
lanes_put(struct task *task)
{
	struct lane *lane = task->lane;

	if (task_wait(task))
		lanes_pump(lane);
}

void
lanes_pump(struct lane *lane)
{
	if (lane->kind == LANE_RELAY)
		site_pump_lane(lane);
	else
		process_pump(lane);
}

void
lanes_pump_all(struct lanes *lanes)
{
	struct lane *lane;

	/* pumping never removes a lane */
	RB_FOREACH(lane, lane_tree, &lanes->tree) {
		lanes_pump(lane);
		if (lane->waits == WAITS_TURN)
			site_pump(lane->site);
	}
}

void
lanes_wake(struct lanes *lanes)
{
	struct lane *lane;

	RB_FOREACH(lane, lane_tree, &lanes->tree)
		lane_wake(lane);
}

void
lanes_wake_one(struct lanes *lanes, const char *destination)
{
	struct lane *lane = lane_find_relay(lanes, destination);

	if (lane != NULL)
		lane_wake(lane);
}

static bool
died_of(const char *text, const char *reason)
{
	return text != NULL && strncmp(text, reason, strlen(reason)) == 0;
}

void
lanes_wake_healed(struct lanes *lanes, const char *reason)
{
	struct lane *lane;

	RB_FOREACH(lane, lane_tree, &lanes->tree)
		if (died_of(lane->text, reason) || (lane->site != NULL && died_of(lane->site->text, reason)))
			lane_wake(lane);
}

void
lanes_unanswered(struct lanes *lanes, const struct carrier *carrier)
{
	struct lane *lane;

	RB_FOREACH(lane, lane_tree, &lanes->tree)
		if (lane->asked == carrier)
			lane->asked = NULL;
}

void
lanes_ask_anew(struct lanes *lanes)
{
	struct lane *lane;

	RB_FOREACH(lane, lane_tree, &lanes->tree)
		lane->site_until = 0;
}

/* --- forgetting --- */

static bool
is_forgettable(const struct lane *lane, uint64_t now_ms)
{
	const struct site *site = lane->site;

	if (lane->refs > 0 || lane->asked != NULL || lane->process != PROCESS_NONE)
		return false;
	if (lane->window.dead && clock_now() <= lane->window.retry_at + KEEP_DEAD)
		return false;
	if (site != NULL && site->window.dead && clock_now() <= site->window.retry_at + KEEP_DEAD)
		return false;
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
		site_forget_lane(lane);
		lane_free(lane);
	}
}
