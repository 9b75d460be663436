/*
 * `smtpctl gate report [since=1d] [until=0s] [by=hour]` (ledger_report.h).
 *
 * Adds up the counters of the hours asked for, rule by rule, in the order of the file, and then says what an operator asks
 * first: how much was let in, how much of it had to wait, and for how long; and what of the operator's there is to do.
 * Counters, waits and tries are walked one after another, in small steps (ledger_walk.h); memory is bounded by the
 * rules of a gate.  What can fail is the store, and then the request says so.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/ledger_fields.h"
#include "filters/ledger_report.h"
#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "filters/ledger_walk.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/quantity.h"

#define SINCE_DEFAULT 86400
#define RULES_MAX 4096

#define DOWN "the ledger's database is down; its log says why"

/* One line of the report: all hours of a KEY. */
struct line {
	struct report_key key;
	struct report_counts counts;
	struct report_effect effect;
};

struct report {
	struct ledger *ledger;
	struct ctl *ctl;
	int64_t now, since, until;
	bool by_hour;
	unsigned stage;
	struct line *lines;
	unsigned n;
	struct report_waits waits;
	uint64_t proposed, rescued;
};

/*
 * Answering
 */

/* What a rule did: the same words for all, and those of its kind. */
static void
answer_rule(struct ctl *ctl, const struct line *line, bool by_hour)
{
	const struct report_counts *c = &line->counts;
	int64_t time = (int64_t)line->key.hour * 3600;
	struct ledger_time_text text = ledger_time_text(time);
	struct field f[24];
	unsigned n = 0;

	f[n++] = F_STR("part", by_hour ? "hour" : "rule");
	if (by_hour) {
		f[n++] = F_I64("time", time);
		f[n++] = F_STR("time_text", text.s);
	}
	f[n++] = F_U64("rule", line->key.rule);
	f[n++] = F_U64("line", line->key.line);
	f[n++] = F_STR("action", line->key.action == ACTION_COUNT ? "let in"
								  : action_name((enum action)line->key.action));
	if (line->key.observe)
		f[n++] = F_BOOL("observe", true);
	f[n++] = F_U64("sessions", c->sessions);
	f[n++] = F_U64("recipients", c->recipients);
	f[n++] = F_U64("stopped", line->effect.stopped);
	f[n++] = F_U64("delayed", line->effect.delayed);
	f[n++] = F_U64("waiting", line->effect.waiting);
	f[n++] = F_U64("let_in", line->effect.let_in);
	if (line->key.action == ACTION_GREYLIST || line->key.action == ACTION_TEMPFAIL) {
		f[n++] = F_U64("triplets", c->triplets);
		f[n++] = F_U64("came_back", c->returned);
	} else if (line->key.action == ACTION_PAUSE || line->key.action == ACTION_TARPIT) {
		f[n++] = F_U64("seconds", c->seconds);
	}
	f[n] = F_END;
	ctl_record(ctl, f);
}

/* Where nothing was let in at all, the line says so.  One event of this kind is one message. */
static void
answer_let_in(struct report *r, const struct line *line)
{
	uint64_t messages = line == NULL ? 0 : line->counts.recipients;

	ctl_record(
	    r->ctl, FIELDS(F_STR("part", "let-in"),
			F_U64("sessions", line == NULL ? 0 : line->counts.sessions),
			F_U64("messages", messages),
			F_U64("at_once", messages > r->waits.count ? messages - r->waits.count : 0),
			F_U64("after_waiting", r->waits.count)));
}

static void
answer_buckets(struct report *r)
{
	unsigned i;

	for (i = 0; i < REPORT_BUCKETS; i++)
		if (r->waits.bucket[i] != 0)
			ctl_record(r->ctl, FIELDS(F_STR("part", "waited"),
					       F_U64("up_to", report_bucket_end(i)),
					       F_U64("count", r->waits.bucket[i])));
}

/* In the order of the file; what was let in belongs to no rule and comes last. */
static int
line_compare(const void *a, const void *b)
{
	const struct report_key *ka = &((const struct line *)a)->key,
				*kb = &((const struct line *)b)->key;

	if ((ka->action == ACTION_COUNT) != (kb->action == ACTION_COUNT))
		return ka->action == ACTION_COUNT ? 1 : -1;
	if (ka->rule != kb->rule)
		return ka->rule < kb->rule ? -1 : 1;
	if (ka->line != kb->line)
		return ka->line < kb->line ? -1 : 1;
	if (ka->action != kb->action)
		return ka->action < kb->action ? -1 : 1;
	return (int)ka->observe - (int)kb->observe;
}

static void
answer_period(struct report *r)
{
	struct ledger_time_text since = ledger_time_text(r->since), until = ledger_time_text(r->until);

	ctl_record(r->ctl,
	    FIELDS(F_STR("part", "period"), F_I64("since", r->since), F_STR("since_text", since.s),
		F_I64("until", r->until), F_STR("until_text", until.s)));
}

static void
answer(struct report *r)
{
	const struct line *let_in = NULL;
	unsigned i;

	if (r->n > 0)
		qsort(r->lines, r->n, sizeof(*r->lines), line_compare);
	for (i = 0; i < r->n; i++) {
		if (r->lines[i].key.action == ACTION_COUNT)
			let_in = &r->lines[i];
		else if (!r->by_hour)
			answer_rule(r->ctl, &r->lines[i], false);
	}
	answer_let_in(r, let_in);
	ctl_record(r->ctl,
	    FIELDS(F_STR("part", "wait"), F_U64("count", r->waits.count),
		F_U64("median", report_waits_percentile(&r->waits, 50)),
		F_U64("p90", report_waits_percentile(&r->waits, 90)), F_U64("max", r->waits.max)));
	if (r->by_hour)
		answer_buckets(r);
	ctl_record(r->ctl,
	    FIELDS(F_STR("part", "came-back"), F_U64("rescued", r->rescued),
		F_U64("proposed", r->proposed)));
}

/*
 * Adding up
 */

static struct line *
line_of(struct report *r, const struct report_key *key)
{
	const struct report_key *k;
	unsigned i;

	for (i = 0; i < r->n; i++) {
		k = &r->lines[i].key;
		if (k->rule == key->rule && k->line == key->line && k->action == key->action &&
		    k->observe == key->observe)
			return &r->lines[i];
	}
	if (r->n == RULES_MAX)
		return NULL;
	r->lines = xreallocarray(r->lines, r->n + 1, sizeof(*r->lines));
	memset(&r->lines[r->n], 0, sizeof(*r->lines));
	r->lines[r->n].key = *key;
	return &r->lines[r->n++];
}

static bool
is_asked(const struct report *r, uint32_t hour)
{
	return (int64_t)hour * 3600 <= r->until;
}

static enum kv_step
counts_visit(const struct ledger_item *item, void *arg)
{
	struct report *r = arg;
	struct line own = { .key = item->key, .counts = item->counts }, *line;

	if (item->type != ITEM_COUNTS || !is_asked(r, item->key.hour))
		return KV_STOP;
	report_effect(&own.key, &own.counts, r->now, &own.effect);
	if (r->by_hour)
		answer_rule(r->ctl, &own, true);
	line = line_of(r, &item->key);
	if (line == NULL)
		return KV_NEXT;
	report_counts_add(&line->counts, &own.counts);
	line->effect.stopped += own.effect.stopped;
	line->effect.delayed += own.effect.delayed;
	line->effect.waiting += own.effect.waiting;
	line->effect.let_in += own.effect.let_in;
	return KV_NEXT;
}

static enum kv_step
waits_visit(const struct ledger_item *item, void *arg)
{
	struct report *r = arg;

	if (item->type != ITEM_WAITS || !is_asked(r, item->key.hour))
		return KV_STOP;
	report_waits_merge(&r->waits, &item->waits);
	return KV_NEXT;
}

static enum kv_step
tries_visit(const struct ledger_item *item, void *arg)
{
	struct report *r = arg;
	int64_t let_in = item->tries.let_in;

	if (let_in != 0)
		r->rescued += let_in >= r->since && let_in <= r->until;
	else if (item->tries.proposed)
		r->proposed += ledger_tries_are_open(r->ledger, item, r->now);
	return KV_NEXT;
}

static const struct stage {
	enum ledger_table table;
	enum ledger_item_type type;
	enum kv_step (*visit)(const struct ledger_item *, void *);
} stages[] = {
	{ TABLE_COUNTER, ITEM_COUNTS, counts_visit },
	{ TABLE_COUNTER, ITEM_WAITS, waits_visit },
	{ TABLE_TRIES, ITEM_TRIES, tries_visit },
};
#define STAGES (sizeof(stages) / sizeof(stages[0]))

static void
end(struct report *r, int status, const char *why)
{
	ctl_end(r->ctl, status, why);
	free(r->lines);
	free(r);
}

static void stage_done(int, void *);

static void
next_stage(struct report *r)
{
	const struct stage *s = &stages[r->stage];
	struct ledger_walk w = { .store = r->ledger->store,
		.table = s->table,
		.ctl = r->ctl,
		.visit = s->visit,
		.done = stage_done,
		.arg = r };

	if (s->table == TABLE_COUNTER)
		ledger_key_hour(&w.from, s->type, report_hour(r->since));
	ledger_walk(&w);
}

static void
stage_done(int rc, void *arg)
{
	struct report *r = arg;

	if (rc == -1) {
		end(r, 1, DOWN);
	} else if (++r->stage < STAGES) {
		next_stage(r);
	} else {
		answer(r);
		end(r, 0, "");
	}
}

/* "since=7d": a time that long before NOW. */
static bool
read_time(const char *word, const char *key, int64_t now, int64_t *time)
{
	size_t len = strlen(key);
	uint64_t seconds;

	if (strncmp(word, key, len) != 0 ||
	    quantity_parse(word + len, strlen(word + len), &seconds) != QUANTITY_TIME)
		return false;
	*time = (int64_t)seconds < now ? now - (int64_t)seconds : 0;
	return true;
}

void
ledger_report(struct ledger *l, struct ctl *ctl, unsigned n, const char *const *words)
{
	struct report *r = xcalloc(1, sizeof(*r));
	char *why;
	bool ok = true;
	unsigned i;

	r->ledger = l;
	r->ctl = ctl;
	r->now = r->until = clock_now();
	r->since = r->now - SINCE_DEFAULT;
	for (i = 0; i < n && ok; i++) {
		r->by_hour = r->by_hour || strcmp(words[i], "by=hour") == 0;
		ok = strcmp(words[i], "by=hour") == 0 || read_time(words[i], "since=", r->now, &r->since) ||
		     read_time(words[i], "until=", r->now, &r->until);
	}
	if (!ok || r->since > r->until) {
		why = ok ? xstrdup("until= is longer ago than since=")
			 : xasprintf("%s: since=TIME or until=TIME is expected; a time ago is 1d, 12h, 30m", words[i - 1]);
		end(r, 2, why);
		free(why);
		return;
	}
	(void)ledger_count_flush(l->count, l->store);
	answer_period(r);
	next_stage(r);
}
