/*
 * The last part of `smtpctl queue summary`: why mail waits that nothing is wrong with.
 *
 * Servers that are dead or asked to be left alone, what the operator has paused, and where messages stand in line behind
 * others.  What is shut is told first, servers once for all the domains that lead there; a queue has few of them, and no more
 * than SHOWN_MAX are told.  Nothing here changes anything.
 */
#include <string.h>

#include "lib/clock.h"
#include "lib/ctl.h"
#include "queue/lane.h"
#include "queue/queue.h"
#include "queue/queue_show.h"

#define SHOWN_MAX 50

struct telling {
	struct ctl *ctl;
	int64_t now;
	unsigned n;
};

struct row {
	const char *destination, *state;
	uint64_t domains; /* that lead there */
	const struct window *window;
	uint64_t waiting; /* recipients that are due */
	const char *host, *text;
};

static void
tell(struct telling *t, const struct row *row)
{
	static const struct window none;
	const struct window *w = row->window != NULL ? row->window : &none;

	if (t->n++ >= SHOWN_MAX)
		return;
	ctl_record(t->ctl,
	    FIELDS(F_STR("destination", row->destination), F_STR("state", row->state), F_U64("domains", row->domains),
		F_I64("next", window_shut(w, t->now) ? w->retry_at - t->now : 0), F_U64("running", w->running),
		F_U64("window", w->size), F_U64("waiting", row->waiting),
		F_STR("host", row->host != NULL ? row->host : ""), F_STR("reason", row->text != NULL ? row->text : "")));
}

static const char *
state_of(const struct window *w)
{
	return w->rests ? "rests" : "dead";
}

static void
tell_site(struct telling *t, const struct site *site)
{
	struct row row = { .destination = site->name, .state = state_of(&site->window), .window = &site->window,
		.host = site->host, .text = site->text };
	const struct lane *lane;

	TAILQ_FOREACH(lane, &site->lanes, of_site) {
		row.domains++;
		row.waiting += lane->waiting_n;
	}
	tell(t, &row);
}

static bool
site_is_shut(const struct lane *lane, int64_t now)
{
	return lane->site != NULL && window_shut(&lane->site->window, now);
}

static void
tell_shut(struct telling *t, const struct lane *lane)
{
	struct row row = { .destination = lane->name, .state = state_of(&lane->window), .domains = 1, .window = &lane->window,
		.waiting = lane->waiting_n, .host = lane->host, .text = lane->text };

	if (site_is_shut(lane, t->now)) {
		if (lane == TAILQ_FIRST(&lane->site->lanes))
			tell_site(t, lane->site);
	} else if (window_shut(&lane->window, t->now)) {
		tell(t, &row);
	}
}

static void
tell_busy(struct telling *t, const struct lane *lane)
{
	struct row row = { .destination = lane->name, .state = "open", .domains = 1, .window = &lane->window,
		.waiting = lane->waiting_n };

	if (lane->window.running + lane->waiting_n > 0 && !lane->paused && !site_is_shut(lane, t->now) &&
	    !window_shut(&lane->window, t->now))
		tell(t, &row);
}

static void
tell_paused(struct telling *t, const struct queue *q)
{
	struct row all[] = {
		{ .destination = "out", .state = "paused" }, { .destination = "local", .state = "paused" }
	};
	const struct lanes *lanes = q->lanes;
	const struct lane *lane;
	struct row row;
	size_t i;

	if (q->paused[LANE_RELAY])
		tell(t, &all[0]);
	if (q->paused[LANE_LOCAL])
		tell(t, &all[1]);
	for (i = 0; i < lanes->paused_n; i++) {
		lane = lane_find_relay(q->lanes, lanes->paused[i]);
		row = (struct row){ .destination = lanes->paused[i], .state = "paused", .domains = 1,
			.window = lane != NULL ? &lane->window : NULL,
			.waiting = lane != NULL ? lane->waiting_n : 0 };
		tell(t, &row);
	}
}

void
show_destinations(struct queue *q, struct ctl *ctl)
{
	struct telling t = { .ctl = ctl, .now = clock_now() };
	struct lane *lane;

	tell_paused(&t, q);
	RB_FOREACH(lane, lane_tree, &q->lanes->tree)
		if (lane->kind == LANE_RELAY)
			tell_shut(&t, lane);
	RB_FOREACH(lane, lane_tree, &q->lanes->tree)
		if (lane->kind == LANE_RELAY)
			tell_busy(&t, lane);
}
