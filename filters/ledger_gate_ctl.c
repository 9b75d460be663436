/*
 * `smtpctl gate report [since=1d]`, `gate rescued` and `gate explain session=ID` (ledger_gate_ctl.h).
 *
 * The report adds up the counters of the hours asked for, rule by rule, in the order of the file,
 * and then says what an operator asks first: how much was let in, how much of it had to wait, and
 * for how long.  The last decisions are kept in full, so that one session can be explained
 * afterwards.  Both stream from walks; memory is bounded by the rules of a gate.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/ledger_fields.h"
#include "filters/ledger_gate_ctl.h"
#include "filters/ledger_role.h"
#include "filters/ledger_stats.h"
#include "filters/ledger_walk.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "lib/quantity.h"

#define SINCE_DEFAULT 86400
#define RULES_MAX 4096

#define DOWN "the ledger's database is down; its log says why"

static struct ledger *ledger;

/* One line of the report: all hours of a KEY. */
struct line {
	struct report_key key;
	struct report_counts counts;
	uint64_t waiting, stopped;
};

struct report {
	struct ctl *ctl;
	int64_t now, since;
	struct line *lines;
	unsigned n;
	struct report_waits waits;
};

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

static enum kv_step
counts_visit(const struct ledger_item *item, void *arg)
{
	struct report *r = arg;
	struct line *line;
	uint64_t waiting, stopped;

	if (item->type != ITEM_COUNTS)
		return KV_STOP;
	line = line_of(r, &item->key);
	if (line == NULL)
		return KV_NEXT;
	report_counts_add(&line->counts, &item->counts);
	report_unreturned(&item->counts, item->key.hour, r->now, &waiting, &stopped);
	line->waiting += waiting;
	line->stopped += stopped;
	return KV_NEXT;
}

static enum kv_step
waits_visit(const struct ledger_item *item, void *arg)
{
	struct report *r = arg;

	if (item->type != ITEM_WAITS)
		return KV_STOP;
	report_waits_merge(&r->waits, &item->waits);
	return KV_NEXT;
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

/*
 * Answering
 */

/* What a rule did, in the words of its kind. */
static void
answer_rule(struct report *r, const struct line *line)
{
	const struct report_counts *c = &line->counts;
	struct field f[16];
	unsigned n = 0;

	f[n++] = F_STR("part", "rule");
	f[n++] = F_U64("rule", line->key.rule);
	f[n++] = F_U64("line", line->key.line);
	f[n++] = F_STR("action", action_name((enum action)line->key.action));
	if (line->key.observe)
		f[n++] = F_BOOL("observe", true);
	f[n++] = F_U64("sessions", c->sessions);
	switch (line->key.action) {
	case ACTION_GREYLIST:
		f[n++] = F_U64("refusals", c->recipients);
		f[n++] = F_U64("triplets", c->triplets);
		f[n++] = F_U64("came_back", c->returned);
		f[n++] = F_U64("waiting", line->waiting);
		f[n++] = F_U64("stopped", line->stopped);
		break;
	case ACTION_TEMPFAIL:
	case ACTION_REJECT:
	case ACTION_DROP:
		f[n++] =
		    F_U64("refusals", c->recipients > c->sessions ? c->recipients : c->sessions);
		break;
	case ACTION_PAUSE:
	case ACTION_TARPIT:
		f[n++] = F_U64("seconds", c->seconds);
		break;
	default:
		f[n++] = F_U64("recipients", c->recipients);
		break;
	}
	f[n] = F_END;
	ctl_record(r->ctl, f);
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
report_answer(struct report *r)
{
	struct ledger_time_text since = ledger_time_text(r->since),
				until = ledger_time_text(r->now);
	const struct line *let_in = NULL;
	unsigned i;

	if (r->n > 0)
		qsort(r->lines, r->n, sizeof(*r->lines), line_compare);
	ctl_record(r->ctl,
	    FIELDS(F_STR("part", "period"), F_I64("since", r->since), F_STR("since_text", since.s),
		F_I64("until", r->now), F_STR("until_text", until.s)));
	for (i = 0; i < r->n; i++) {
		if (r->lines[i].key.action == ACTION_COUNT)
			let_in = &r->lines[i];
		else
			answer_rule(r, &r->lines[i]);
	}
	answer_let_in(r, let_in);
	ctl_record(r->ctl,
	    FIELDS(F_STR("part", "wait"), F_U64("count", r->waits.count),
		F_U64("median", report_waits_percentile(&r->waits, 50)),
		F_U64("p90", report_waits_percentile(&r->waits, 90)), F_U64("max", r->waits.max)));
}

static void
report_end(struct report *r, int status, const char *why)
{
	ctl_end(r->ctl, status, why);
	free(r->lines);
	free(r);
}

static void
report_waits_done(int rc, void *arg)
{
	struct report *r = arg;

	if (rc == -1) {
		report_end(r, 1, DOWN);
		return;
	}
	report_answer(r);
	report_end(r, 0, "");
}

static void
report_walk(struct report *r, enum ledger_item_type type,
    enum kv_step (*visit)(const struct ledger_item *, void *), void (*done)(int, void *))
{
	struct ledger_walk w = { .store = ledger->store,
		.table = TABLE_COUNTER,
		.ctl = r->ctl,
		.visit = visit,
		.done = done,
		.arg = r };

	ledger_key_hour(&w.from, type, report_hour(r->since));
	ledger_walk(&w);
}

static void
report_counts_done(int rc, void *arg)
{
	struct report *r = arg;

	if (rc == -1)
		report_end(r, 1, DOWN);
	else
		report_walk(r, ITEM_WAITS, waits_visit, report_waits_done);
}

static bool
read_since(unsigned n, const char *const *words, uint64_t *seconds)
{
	*seconds = SINCE_DEFAULT;
	return n == 0 ||
	       (n == 1 && strncmp(words[0], "since=", 6) == 0 &&
		   quantity_parse(words[0] + 6, strlen(words[0] + 6), seconds) == QUANTITY_TIME);
}

static void
start_report(struct ctl *ctl, unsigned n, const char *const *words)
{
	uint64_t seconds;
	struct report *r;

	if (!read_since(n, words, &seconds)) {
		ctl_end(ctl, 2, "gate report [since=TIME]; a time is 1d, 12h, 30m");
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->ctl = ctl;
	r->now = clock_now();
	r->since = (int64_t)seconds < r->now ? r->now - (int64_t)seconds : 0;
	(void)ledger_count_flush(ledger->count, ledger->store);
	report_walk(r, ITEM_COUNTS, counts_visit, report_counts_done);
}

/*
 * Who came back
 */

struct rescued {
	struct ctl *ctl;
	int64_t now, since;
};

static enum kv_step
rescued_visit(const struct ledger_item *item, void *arg)
{
	struct rescued *r = arg;

	if (item->tries.let_in != 0 && item->tries.let_in >= r->since)
		ledger_answer_item(r->ctl, item, r->now, true);
	return KV_NEXT;
}

static void
rescued_done(int rc, void *arg)
{
	struct rescued *r = arg;

	ctl_end(r->ctl, rc == -1, rc == -1 ? DOWN : "");
	free(r);
}

static void
start_rescued(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct ledger_walk w = { .store = ledger->store,
		.table = TABLE_TRIES,
		.ctl = ctl,
		.visit = rescued_visit,
		.done = rescued_done };
	struct rescued *r;
	uint64_t seconds;

	if (!read_since(n, words, &seconds)) {
		ctl_end(ctl, 2, "gate rescued [since=TIME]; a time is 1d, 12h, 30m");
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->ctl = ctl;
	r->now = clock_now();
	r->since = r->now - (int64_t)seconds;
	w.arg = r;
	ledger_walk(&w);
}

/*
 * One session
 */

struct explain {
	struct ctl *ctl;
	uint64_t session;
	unsigned n;
};

static enum kv_step
explain_visit(const struct ledger_item *item, void *arg)
{
	struct explain *x = arg;

	if (item->event.session == x->session) {
		ledger_answer_event(x->ctl, &item->event);
		x->n++;
	}
	return KV_NEXT;
}

static void
explain_done(int rc, void *arg)
{
	struct explain *x = arg;

	if (rc == -1)
		ctl_end(x->ctl, 1, DOWN);
	else if (x->n == 0)
		ctl_end(
		    x->ctl, 1, "not among the last decisions of the gate; the log has older ones");
	else
		ctl_end(x->ctl, 0, "");
	free(x);
}

static void
start_explain(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct ledger_walk w = { .store = ledger->store,
		.table = TABLE_EVENT,
		.ctl = ctl,
		.visit = explain_visit,
		.done = explain_done };
	struct explain *x;
	uint64_t session;

	if (n != 1 || strncmp(words[0], "session=", 8) != 0 || !id_parse(words[0] + 8, &session)) {
		ctl_end(ctl, 2, "gate explain session=ID, as replies and the log give it");
		return;
	}
	x = xcalloc(1, sizeof(*x));
	x->ctl = ctl;
	x->session = session;
	w.arg = x;
	ledger_walk(&w);
}

static void
on_gate(struct ctl *ctl, unsigned n, const char *const *words)
{
	if (n > 1 && strcmp(words[1], "report") == 0)
		start_report(ctl, n - 2, words + 2);
	else if (n > 1 && strcmp(words[1], "rescued") == 0)
		start_rescued(ctl, n - 2, words + 2);
	else if (n > 1 && strcmp(words[1], "explain") == 0)
		start_explain(ctl, n - 2, words + 2);
	else
		ctl_end(ctl, 2, "gate report [since=TIME], gate rescued [since=TIME], gate explain session=ID");
}

void
ledger_gate_ctl_init(struct ledger *l)
{
	ledger = l;
	ctl_register("gate", on_gate);
	ledger_stats_init(l);
}
