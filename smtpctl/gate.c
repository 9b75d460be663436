/*
 * smtpctl gate report and rescued: what each rule stopped, delayed and let in.  The ledger counts; here it
 * becomes sentences, and in report_html.c a page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/columns.h"
#include "smtpctl/output.h"
#include "smtpctl/report_html.h"
#include "smtpctl/smtpctl.h"

static void
tell_period(const struct field *f, struct output *o)
{
	const char *since = field_get(f, "since_text"), *until = field_get(f, "until_text");
	struct buf b = { 0 };

	human_add_when(&b, (int64_t)field_u64(f, "since"), clock_now());
	output_note(o, "since %s (%s), until %s", since != NULL ? since : "?", buf_str(&b),
	    until != NULL ? until : "?");
	buf_free(&b);
}

static void
tell_rule(const struct field *f, struct output *o)
{
	output_record(f + 1, o);
}

static void
tell_let_in(const struct field *f, struct output *o)
{
	output_note(o, "let in: %llu messages; %llu at once, %llu after waiting",
	    (unsigned long long)field_u64(f, "messages"),
	    (unsigned long long)field_u64(f, "at_once"),
	    (unsigned long long)field_u64(f, "after_waiting"));
}

static void
tell_wait(const struct field *f, struct output *o)
{
	struct buf b = { 0 };

	if (field_u64(f, "count") == 0)
		return;
	buf_adds(&b, "waiting: half of it not over ");
	human_add_seconds(&b, field_u64(f, "median"));
	buf_adds(&b, ", nine of ten not over ");
	human_add_seconds(&b, field_u64(f, "p90"));
	buf_adds(&b, ", the longest ");
	human_add_seconds(&b, field_u64(f, "max"));
	output_note(o, "%s", buf_str(&b));
	buf_free(&b);
}

static void
tell_came_back(const struct field *f, struct output *o)
{
	if (field_u64(f, "rescued") > 0)
		output_note(o, "%llu came back and were let in: smtpctl gate rescued",
		    (unsigned long long)field_u64(f, "rescued"));
	if (field_u64(f, "proposed") > 0)
		output_note(o, "%llu still refused come back as a mail server does: smtpctl grey list state=proposed",
		    (unsigned long long)field_u64(f, "proposed"));
}

static const struct {
	const char *part;
	void (*tell)(const struct field *, struct output *);
} parts[] = {
	{ "period", tell_period },
	{ "rule", tell_rule },
	{ "let-in", tell_let_in },
	{ "wait", tell_wait },
	{ "came-back", tell_came_back },
};

static void
on_record(const struct field *f, void *arg)
{
	const char *part = field_get(f, "part");
	size_t i;

	for (i = 0; !options.json && part != NULL && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].part, part) == 0) {
			parts[i].tell(f, arg);
			return;
		}
	output_record(f, arg);
}

int
gate_report(int n, char **words)
{
	if (n > 2 && strcmp(words[2], "html") == 0)
		return report_html(n - 3, words + 3);
	return output_answer_by(OUTPUT_TABLE, n, words, on_record);
}

int
gate_rescued(int n, char **words)
{
	return output_answer(OUTPUT_BLOCKS, n, words);
}
