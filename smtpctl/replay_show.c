/*
 * What `smtpctl gate replay` prints (replay.h): what each rule would have done, what would have become
 * of the mail that the old server took and of what it refused, and whom that concerns.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/dict.h"
#include "lib/mem.h"
#include "smtpctl/output.h"
#include "smtpctl/replay.h"
#include "smtpctl/smtpctl.h"

static unsigned long long
ull(uint64_t n)
{
	return (unsigned long long)n;
}

static uint64_t
sum(const uint64_t counts[REPLAY_OUTCOMES])
{
	return counts[REPLAY_IN] + counts[REPLAY_WAITS] + counts[REPLAY_PUT_OFF] + counts[REPLAY_REFUSED];
}

/* For people a row, whose kind the line above has told. */
static void
show_record(struct output *o, const struct field *fields)
{
	output_record(options.json ? fields : fields + 1, o);
}

/* --- rules --- */

static void
show_rule(struct output *o, const struct rule *rule, const struct replay_rule *counts)
{
	struct buf text = { 0 };

	rule_print(&text, rule);
	show_record(o, FIELDS(F_STR("part", "rule"), F_U64("rule", rule->number), F_U64("line", rule->place.line),
			   F_U64("of_refused", counts->refused), F_U64("of_accepted", counts->accepted),
			   F_U64("made_wait", counts->waits), F_U64("observed", counts->observed),
			   F_STR("text", buf_str(&text))));
	buf_free(&text);
}

static void
show_rules(struct replay *r, struct output *o)
{
	const struct gate *gate = &r->conf->gate;
	unsigned i;

	output_note(o, "what the rules would have decided, of recipients that the old server refused and accepted:");
	for (i = 0; i < gate->n; i++)
		show_rule(o, &gate->rules[i], &r->rules[i]);
}

/* --- sums --- */

static void
show_outcomes(struct output *o, const char *part, const char *who, const uint64_t counts[REPLAY_OUTCOMES])
{
	if (options.json)
		output_record(FIELDS(F_STR("part", part), F_U64("recipients", sum(counts)), F_U64("let_in", counts[REPLAY_IN]),
				  F_U64("greylisted", counts[REPLAY_WAITS]), F_U64("put_off", counts[REPLAY_PUT_OFF]),
				  F_U64("refused", counts[REPLAY_REFUSED])), o);
	else
		output_note(o, "%s: %llu recipients; %llu let in, %llu greylisted, %llu put off, %llu refused", who,
		    ull(sum(counts)), ull(counts[REPLAY_IN]), ull(counts[REPLAY_WAITS]), ull(counts[REPLAY_PUT_OFF]),
		    ull(counts[REPLAY_REFUSED]));
}

static void
show_waits(struct replay *r, struct output *o)
{
	uint32_t median = report_waits_percentile(&r->waits, 50), p90 = report_waits_percentile(&r->waits, 90);
	struct buf b = { 0 };

	if (options.json) {
		output_record(FIELDS(F_STR("part", "waits"), F_U64("measured", r->waits.count), F_U64("median", median),
				  F_U64("p90", p90), F_U64("max", r->waits.max),
				  F_U64("unknown", r->accepted[REPLAY_WAITS]), F_U64("unknown_at_least", r->least_wait)), o);
		return;
	}
	if (r->waits.count > 0) {
		buf_adds(&b, "half of it not over ");
		human_add_seconds(&b, median);
		buf_adds(&b, ", nine of ten not over ");
		human_add_seconds(&b, p90);
		buf_adds(&b, ", the longest ");
		human_add_seconds(&b, r->waits.max);
		output_note(o, "  %llu of these had waited, as their retries in the log show: %s", ull(r->waits.count),
		    buf_str(&b));
	}
	if (r->accepted[REPLAY_WAITS] > 0) {
		buf_clear(&b);
		human_add_seconds(&b, r->least_wait);
		output_note(o, "  %llu would wait once, %s or until their server comes again: "
			       "the old server took them at once, so the log does not tell when",
		    ull(r->accepted[REPLAY_WAITS]), buf_str(&b));
	}
	buf_free(&b);
}

/* --- callers --- */

struct row {
	const char *identity;
	const struct replay_identity *id;
	uint64_t troubled;
};

struct rows {
	struct row *list;
	size_t n, max;
};

static uint64_t
troubled(const struct replay_identity *id)
{
	return sum(id->accepted) - id->accepted[REPLAY_IN];
}

static void
add_row(const void *key, size_t len, void *value, void *arg)
{
	const struct replay_identity *id = value;
	struct rows *rows = arg;

	(void)len;
	if (troubled(id) == 0)
		return;
	if (rows->n == rows->max) {
		rows->max = rows->max > 0 ? 2 * rows->max : 256;
		rows->list = xreallocarray(rows->list, rows->max, sizeof(*rows->list));
	}
	rows->list[rows->n++] = (struct row){ key, id, troubled(id) };
}

/* Refused before put off before made to wait; of those the more frequent first. */
static int
compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	static const enum replay_outcome order[] = { REPLAY_REFUSED, REPLAY_PUT_OFF, REPLAY_WAITS };
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (x->id->accepted[order[i]] != y->id->accepted[order[i]])
			return x->id->accepted[order[i]] > y->id->accepted[order[i]] ? -1 : 1;
	return strcmp(x->identity, y->identity);
}

static void
show_row(struct output *o, const struct row *row)
{
	const struct replay_identity *id = row->id;

	show_record(o, FIELDS(F_STR("part", "caller"), F_STR("identity", row->identity), F_U64("mails", sum(id->accepted)),
			   F_U64("greylisted", id->accepted[REPLAY_WAITS]), F_U64("put_off", id->accepted[REPLAY_PUT_OFF]),
			   F_U64("refused", id->accepted[REPLAY_REFUSED]), F_U64("rule", id->rule),
			   F_STR("example", id->example)));
}

static void
show_callers(struct replay *r, struct output *o, unsigned limit)
{
	struct rows rows = { .list = NULL };
	size_t i;

	dict_each(r->identities, add_row, &rows);
	if (rows.n > 0)
		qsort(rows.list, rows.n, sizeof(*rows.list), compare);
	if (rows.n > 0)
		output_note(o, "callers whom the old server accepted and this gate would not at once:");
	for (i = 0; i < rows.n && (limit == 0 || i < limit); i++)
		show_row(o, &rows.list[i]);
	if (i < rows.n)
		output_note(o, "and %llu more; limit=%llu shows them", ull(rows.n - i), ull(rows.n));
	if (options.json)
		output_record(FIELDS(F_STR("part", "callers"), F_U64("identities", dict_count(r->identities)),
				  F_U64("troubled", rows.n)), o);
	else
		output_note(o, "%llu callers in all, by the greylist's reckoning; %llu of them not let in at once",
		    ull(dict_count(r->identities)), ull(rows.n));
	free(rows.list);
}

/* --- what to know of it --- */

static void
show_doubts(struct replay *r, struct output *o)
{
	struct buf facts = { 0 };
	unsigned i;

	for (i = 0; i < FACT_COUNT; i++)
		if (r->missing & FACT_BIT(i))
			buf_addf(&facts, "%s%s", facts.len > 0 ? ", " : "", fact_name((enum fact)i));
	if (options.json)
		output_record(FIELDS(F_STR("part", "doubts"), F_STR("unknown_facts", buf_str(&facts)),
				  F_U64("unverified_names", r->unverified), F_U64("untold_names", r->untold),
				  F_U64("without_recipient", r->without_recipient), F_U64("own", r->own),
				  F_U64("retries", r->retries), F_U64("early_talkers", r->early)), o);
	if (facts.len > 0)
		output_note(o, "not told by the log, so rules that ask for it did not act: %s", buf_str(&facts));
	if (r->unverified > 0)
		output_note(o, "%llu names were taken as the log has them, and nobody had verified them; `lookup` asks DNS",
		    ull(r->unverified));
	if (r->untold > 0)
		output_note(o, "%llu recipients came from clients whose names the log does not tell; `lookup` asks DNS",
		    ull(r->untold));
	if (r->own > 0)
		output_note(o, "%llu recipients of the server's own users were left out", ull(r->own));
	if (r->without_recipient > 0)
		output_note(o, "%llu callers were refused before they named a recipient, and left out",
		    ull(r->without_recipient));
	buf_free(&facts);
}

void
replay_show(struct replay *r, struct output *o, unsigned limit)
{
	show_rules(r, o);
	output_note(o, "%s", "");
	show_outcomes(o, "accepted", "accepted by the old server", r->accepted);
	show_waits(r, o);
	show_outcomes(o, "refused", "refused by the old server for good", r->refused);
	output_note(o, "%s", "");
	show_callers(r, o, limit);
	show_doubts(r, o);
}
