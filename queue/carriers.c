/*
 * Deliverers come, report, and go.
 *
 * A task leaves its carrier in one of two ways: DELIVERY_DONE, or the carrier's end.  A deliverer
 * that dies takes nothing with it: what it had not reported is tried again soon by another.  As one
 * message of those it held may be what killed it, each of them is from then on given out alone; one
 * that was there at the third death is deferred like any other temporary failure, so that it cannot
 * stop the rest.  A deliverer that reports on what it was not given talks nonsense, and loses its
 * connection.
 */
#include <stdlib.h>

#include "deliver/delivery.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "queue/carrier.h"
#include "queue/carriers.h"
#include "queue/dispatch.h"
#include "queue/lanes.h"
#include "queue/outcome.h"
#include "queue/process.h"
#include "queue/queue.h"
#include "queue/site.h"
#include "queue/work.h"

#define DEATHS_MAX 3
#define TEXT_DIED "451 4.3.0 The delivery process ended without a result, several times"
#define TEXT_SILENT "451 4.3.0 The delivery process gave no result"

/* --- the word back --- */

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

	if (!delivery_read_result(m, &result) || (task = carrier_find(peer->data, lanes, result.job)) == NULL)
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
	task = carrier_find(peer->data, lanes, expansion.job);
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

static bool
on_done(struct lanes *lanes, struct peer *peer, struct message *m)
{
	struct task *task = carrier_find(peer->data, lanes, m->id);
	struct lane *lane;
	struct site *site;
	bool was_tried;

	if (task == NULL)
		return false;
	lane = task->lane;
	was_tried = !task->cancelled || task->left == 0;
	carrier_let_go(task);
	site = site_ended(task, was_tried);
	if (was_tried)
		task_defer(task, TEXT_SILENT); /* usually nothing is left of it */
	else
		task_postpone(task, clock_now());
	lanes_pump(lane);
	if (site != NULL) {
		site_pump(site);
		site_release(site);
		site_unblock(lanes);
	}
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
	site_unblock(lanes);
	return true;
}

bool
carriers_message(struct lanes *lanes, struct peer *peer, struct message *m)
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
carriers_up(struct lanes *lanes, struct peer *peer)
{
	struct carrier *carrier;

	if (peer->role != ROLE_RELAY && peer->role != ROLE_LOCAL)
		return;
	carrier = carrier_new(peer, peer->role == ROLE_RELAY ? LANE_RELAY : LANE_LOCAL);
	peer->data = carrier;
	if (carrier->kind == LANE_RELAY) {
		lanes_ask_anew(lanes);
		site_unblock(lanes);
	} else if ((carrier->lane = process_up(lanes, peer, carrier)) != NULL)
		lanes_pump(carrier->lane);
}

/* A deliverer died with it. */
static void
take_back(struct task *task)
{
	struct site *site;

	carrier_let_go(task);
	site = site_ended(task, false);
	if (site != NULL)
		site_release(site); /* the lane, or nobody, waits for it now */
	task->deaths++;
	if (task->left > 0 && task->cancelled)
		task_postpone(task, clock_now());
	else if (task->left > 0 && task->deaths < DEATHS_MAX)
		task_wait_again(task);
	else
		task_defer(task, TEXT_DIED);
}

void
carriers_down(struct lanes *lanes, struct peer *peer)
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
}
