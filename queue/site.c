/*
 * Sites: the servers that relay lanes lead to, one site for all destinations that have the same, or
 * the same provider's.
 *
 * Which site it is only the relay role can tell, since it has the DNS; it is asked when a lane has
 * something for the first time, and again when the answer is over, while mail goes on as before.  A
 * task goes out when both windows let it, the lane's and the site's.  Lanes that wait for room in the
 * site's take turns, a task each, so that a domain with thousands of messages holds up none of the
 * others there.  When a site dies, or asks to be left alone, all that leads there goes back to the
 * schedule, and one attempt finds out for all of them.
 *
 * Called by lanes.c and carriers.c.  Nothing here can fail.  What must never happen: a window that
 * counts a task as running which is not; every task that went out comes back by site_ended.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/delivery.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/carrier.h"
#include "queue/queue.h"
#include "queue/site.h"

/* So much for a site runs in one process before another has part of it. */
#define PROCESS_SHARE 8
/* Blocked lanes tried each time that a deliverer gets room. */
#define UNBLOCK_MAX 4
/* An answer is good for so many seconds at least. */
#define HOLDS_LEAST 10

static int
compare(const struct site *a, const struct site *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(site_tree, site, node, compare, __attribute__((unused)) static)

/* --- lists --- */

static void
stop_waiting(struct lane *lane)
{
	if (lane->waits == WAITS_TURN)
		TAILQ_REMOVE(&lane->site->turn, lane, entry);
	else if (lane->waits == WAITS_DELIVERER)
		TAILQ_REMOVE(&lane->lanes->blocked, lane, entry);
	lane->waits = WAITS_NOT;
}

static void
wait_for(struct lane *lane, enum lane_wait what)
{
	if (what == WAITS_TURN)
		TAILQ_INSERT_TAIL(&lane->site->turn, lane, entry);
	else
		TAILQ_INSERT_TAIL(&lane->lanes->blocked, lane, entry);
	lane->waits = what;
}

static struct site *
get(struct lanes *lanes, const char *name)
{
	struct site key = { .name = (char *)(uintptr_t)name };
	struct site *site = RB_FIND(site_tree, &lanes->sites, &key);

	if (site != NULL)
		return site;
	site = xcalloc(1, sizeof(*site));
	site->all = lanes;
	site->name = xstrdup(name);
	site->hash = lane_hash(name);
	window_init(&site->window, lanes->queue->conf->destination_most);
	TAILQ_INIT(&site->lanes);
	TAILQ_INIT(&site->turn);
	RB_INSERT(site_tree, &lanes->sites, site);
	return site;
}

void
site_release(struct site *site)
{
	if (--site->refs > 0)
		return;
	RB_REMOVE(site_tree, &site->all->sites, site);
	free(site->name);
	free(site->host);
	free(site->text);
	free(site);
}

static void
leave(struct lane *lane)
{
	struct site *site = lane->site;

	if (lane->waits == WAITS_TURN)
		stop_waiting(lane);
	lane->site = NULL;
	if (site == NULL)
		return;
	TAILQ_REMOVE(&site->lanes, lane, of_site);
	site_release(site);
}

static void
join(struct lane *lane, struct site *site)
{
	lane->site = site;
	site->refs++;
	TAILQ_INSERT_TAIL(&site->lanes, lane, of_site);
}

void
site_forget_lane(struct lane *lane)
{
	if (lane->kind != LANE_RELAY)
		return;
	stop_waiting(lane);
	leave(lane);
}

/* --- handing on --- */

static bool
can_go(const struct lane *lane, int64_t now)
{
	return lane_may_go(lane) && !TAILQ_EMPTY(&lane->waiting) && window_open(&lane->window, now);
}

/* False: no deliverer has room. */
static bool
hand_one(struct lane *lane)
{
	struct site *site = lane->site;
	struct task *task = TAILQ_FIRST(&lane->waiting);
	/* a busy site goes over to further processes, each of which has connections of its own */
	struct peer *peer = peer_for(ROLE_RELAY, site->hash + site->window.running / PROCESS_SHARE);

	if (peer == NULL || peer->data == NULL || !carrier_takes(peer->data, task))
		return false;
	task->site = site;
	task->ticket = window_begin(&lane->window);
	task->site_ticket = window_begin(&site->window);
	task->judged = false;
	site->refs++;
	if (carrier_hand(peer->data, task))
		return true;
	window_abandoned(&lane->window);
	window_abandoned(&site->window);
	site_release(site); /* the lane has one */
	return true;
}

void
site_pump(struct site *site)
{
	int64_t now = clock_now();
	struct lane *lane;

	while (window_open(&site->window, now) && (lane = TAILQ_FIRST(&site->turn)) != NULL) {
		stop_waiting(lane);
		if (!can_go(lane, now))
			continue;
		if (!hand_one(lane))
			wait_for(lane, WAITS_DELIVERER);
		else if (lane->waits == WAITS_NOT && lane->site == site && can_go(lane, now))
			wait_for(lane, WAITS_TURN);
	}
}

/* False: nobody can be asked now. */
static bool
ask(struct lane *lane)
{
	struct peer *peer = peer_for(ROLE_RELAY, lane->hash);

	return peer != NULL && peer->data != NULL && carrier_ask(peer->data, lane);
}

void
site_pump_lane(struct lane *lane)
{
	bool asked = lane->asked != NULL;

	if (lane->waits != WAITS_NOT || !can_go(lane, clock_now()))
		return;
	if (!asked && (lane->site == NULL || clock_ms() >= lane->site_until))
		asked = ask(lane);
	if (lane->site != NULL) {
		wait_for(lane, WAITS_TURN);
		site_pump(lane->site);
	} else if (!asked) {
		wait_for(lane, WAITS_DELIVERER);
	} /* else its answer comes */
}

void
site_unblock(struct lanes *lanes)
{
	struct lane *lane;
	unsigned n = 0;

	while (n < UNBLOCK_MAX && (lane = TAILQ_FIRST(&lanes->blocked)) != NULL) {
		stop_waiting(lane);
		/* one that has nothing any more makes no other wait */
		n += !TAILQ_EMPTY(&lane->waiting);
		site_pump_lane(lane);
	}
}

/* --- where it leads --- */

bool
site_answered(
    struct lanes *lanes, struct carrier *carrier, const struct delivery_site *answer)
{
	uint32_t holds = answer->holds > HOLDS_LEAST ? answer->holds : HOLDS_LEAST;
	uint32_t most = answer->most > 0 ? answer->most : lanes->queue->conf->destination_most;
	struct lane *lane = lane_find_relay(lanes, answer->destination);
	struct site *site;

	if (lane == NULL || lane->asked != carrier)
		return false;
	lane->asked = NULL;
	lane->site_until = clock_ms() + (uint64_t)holds * 1000;
	site = get(lanes, answer->site[0] != '\0' ? answer->site : lane->name);
	if (site != lane->site) {
		leave(lane);
		join(lane, site);
	}
	window_limit(&lane->window, most);
	window_limit(&site->window, most);
	if (lane_is_shut(lane, clock_now()))
		lane_empty(lane);
	site_pump_lane(lane);
	return true;
}

/* --- how it went --- */

static void
log_shut(const struct task *task, const struct window *window, const struct delivery_result *r,
    const char *site)
{
	log_notice("queue.destination", F_STR("destination", task->lane->name), F_STR("site", site),
	    F_STR("state", window->rests ? "rests" : "dead"), F_STR("host", r->host),
	    F_STR("reply", r->text), F_I64("retry_in", window->retry_at - clock_now()));
}

static void
site_shut(struct task *task, const struct delivery_result *result)
{
	struct site *site = task->site;
	struct lane *lane;

	envelope_set(&site->host, result->host);
	envelope_set(&site->text, result->text);
	log_shut(task, &site->window, result, site->name);
	TAILQ_FOREACH(lane, &site->lanes, of_site)
		lane_empty(lane);
}

static void
lane_shut(struct task *task, const struct delivery_result *result, bool with_site)
{
	struct lane *lane = task->lane;

	envelope_set(&lane->host, result->host);
	envelope_set(&lane->text, result->text);
	if (with_site)
		return;
	log_shut(task, &lane->window, result, NULL);
	lane_empty(lane);
}

/* Tells the windows; what is shut now is emptied. */
static void
judge(struct task *task, const struct delivery_result *result)
{
	struct lane *lane = task->lane;
	struct site *site = task->site;
	const struct retry_policy *retry = &lane->lanes->queue->retry;
	int64_t now = clock_now();
	bool lane_news = false, site_news = false;

	if (result->pause > 0) {
		window_abandoned(&lane->window);
		site_news = window_rest(&site->window, task->site_ticket, now, result->pause);
	} else {
		lane_news = window_failed(&lane->window, task->ticket, now, retry, lane->hash);
		if (result->status == DELIVERY_TEMP_HOST)
			site_news = window_failed(
			    &site->window, task->site_ticket, now, retry, site->hash);
		else
			window_abandoned(&site->window);
	}
	if (lane_news)
		lane_shut(task, result, site_news);
	if (site_news)
		site_shut(task, result);
}

int64_t
site_failed(struct task *task, const struct delivery_result *result)
{
	const struct window *site = &task->site->window, *lane = &task->lane->window;
	int64_t until = 0;

	if (!task->judged) {
		task->judged = true;
		judge(task, result);
	}
	if (site->dead)
		until = site->retry_at;
	if (lane->dead && lane->retry_at > until)
		until = lane->retry_at;
	return until;
}

struct site *
site_ended(struct task *task, bool answered)
{
	struct site *site = task->site;

	task->site = NULL;
	if (site == NULL || task->judged)
		return site;
	if (answered) {
		window_succeeded(&task->lane->window, task->ticket);
		window_succeeded(&site->window, task->site_ticket);
	} else {
		window_abandoned(&task->lane->window);
		window_abandoned(&site->window);
	}
	return site;
}
