/*
 * The report's figures by day (report_data.h).
 *
 * smtpctl feeds it with what the server answers; the page reads it.  What the server says is checked as data is: a time that
 * lies in none of the days, or a rule too many, is left out.  Days are those of this machine's time zone; an hour
 * belongs to the day in which it begins.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filters/gate.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/report_data.h"

#define RULES_MAX 500

const uint32_t report_bin_ends[REPORT_BINS - 1] = { 60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86400 };

static struct report_day
day_of(int64_t time)
{
	time_t seconds = (time_t)time;
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	return (struct report_day){ tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday };
}

static bool
is_same(const struct report_day *a, const struct report_day *b)
{
	return a->year == b->year && a->month == b->month && a->day == b->day;
}

int64_t
report_midnight(int64_t time)
{
	time_t seconds = (time_t)time;
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL)
		return time;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm);
}

/* From noon to noon, so that a day of 23 or 25 hours is one as well. */
void
report_data_init(struct report_data *d, int64_t since, int64_t until)
{
	int64_t noon = report_midnight(since) + 43200;

	memset(d, 0, sizeof(*d));
	d->since = since;
	d->until = until;
	while (noon < until - (int64_t)(REPORT_DAYS_MAX - 1) * 86400)
		noon += 86400;
	for (; d->days_n < REPORT_DAYS_MAX && report_midnight(noon) <= until; noon += 86400)
		d->days[d->days_n++] = day_of(noon);
}

static void
row_clear(struct report_row *r)
{
	free(r->from);
	free(r->to);
	free(r->caller);
	free(r->evidence);
	free(r->command);
}

static void
list_clear(struct report_list *l)
{
	unsigned i;

	for (i = 0; i < l->n; i++)
		row_clear(&l->rows[i]);
	free(l->rows);
}

void
report_data_clear(struct report_data *d)
{
	unsigned i;

	for (i = 0; i < d->rules_n; i++) {
		free(d->rules[i].action);
		free(d->rules[i].label);
	}
	free(d->rules);
	list_clear(&d->proposed);
	list_clear(&d->rescued);
	memset(d, 0, sizeof(*d));
}

/*
 * Records
 */

static bool
flag(const struct field *f, const char *key)
{
	for (; f->type != FIELD_END; f++)
		if (f->type == FIELD_BOOL && strcmp(f->key, key) == 0)
			return f->b;
	return false;
}

static const char *
text(const struct field *f, const char *key)
{
	const char *s = field_get(f, key);

	return s != NULL ? s : "";
}

/* The rule of a record; a new one when there is none yet, or NULL when there are too many. */
static struct report_rule *
rule_of(struct report_data *d, const struct field *f)
{
	unsigned rule = (unsigned)field_u64(f, "rule"), line = (unsigned)field_u64(f, "line"), i;
	bool observe = flag(f, "observe");
	struct report_rule *r;

	for (i = 0; i < d->rules_n; i++) {
		r = &d->rules[i];
		if (r->rule == rule && r->line == line && r->observe == observe &&
		    strcmp(r->action, text(f, "action")) == 0)
			return r;
	}
	if (d->rules_n == RULES_MAX)
		return NULL;
	d->rules = xreallocarray(d->rules, d->rules_n + 1, sizeof(*d->rules));
	r = &d->rules[d->rules_n++];
	memset(r, 0, sizeof(*r));
	r->rule = rule;
	r->line = line;
	r->observe = observe;
	r->action = xstrdup(text(f, "action"));
	return r;
}

static void
take_hour(struct report_data *d, const struct field *f)
{
	struct report_day day = day_of((int64_t)field_u64(f, "time"));
	struct report_rule *r;
	struct report_cell *c;
	unsigned i;

	for (i = 0; i < d->days_n && !is_same(&d->days[i], &day); i++)
		;
	if (i == d->days_n)
		return;
	if (strcmp(text(f, "action"), "let in") == 0) {
		d->messages[i] += field_u64(f, "let_in");
		return;
	}
	r = rule_of(d, f);
	if (r == NULL)
		return;
	c = &r->days[i];
	c->stopped += field_u64(f, "stopped");
	c->delayed += field_u64(f, "delayed");
	c->waiting += field_u64(f, "waiting");
	c->let_in += field_u64(f, "let_in");
}

static void
take_let_in(struct report_data *d, const struct field *f)
{
	d->messages_sum = field_u64(f, "messages");
	d->at_once = field_u64(f, "at_once");
	d->after_waiting = field_u64(f, "after_waiting");
}

static void
take_wait(struct report_data *d, const struct field *f)
{
	d->median = field_u64(f, "median");
	d->p90 = field_u64(f, "p90");
	d->max = field_u64(f, "max");
}

static void
take_waited(struct report_data *d, const struct field *f)
{
	uint64_t seconds = field_u64(f, "up_to");
	unsigned i;

	for (i = 0; i < REPORT_BINS - 1 && seconds > report_bin_ends[i]; i++)
		;
	d->bins[i] += field_u64(f, "count");
}

void
report_data_record(const struct field *f, void *data)
{
	static const struct {
		const char *part;
		void (*take)(struct report_data *, const struct field *);
	} parts[] = {
		{ "hour", take_hour },
		{ "let-in", take_let_in },
		{ "wait", take_wait },
		{ "waited", take_waited },
	};
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].part, text(f, "part")) == 0)
			parts[i].take(data, f);
}

/* A place for what happened at TIME; when all are taken, that of the oldest, or NULL when it is older than all. */
static struct report_row *
new_row(struct report_list *l, int64_t time)
{
	struct report_row *oldest;
	unsigned i;

	if (l->n < REPORT_ROWS_MAX) {
		l->rows = xreallocarray(l->rows, l->n + 1, sizeof(*l->rows));
		return &l->rows[l->n++];
	}
	l->more++;
	oldest = &l->rows[0];
	for (i = 1; i < l->n; i++)
		if (l->rows[i].time < oldest->time)
			oldest = &l->rows[i];
	if (oldest->time >= time)
		return NULL;
	row_clear(oldest);
	return oldest;
}

static void
take_row(struct report_list *l, const struct field *f, int64_t time)
{
	struct report_row *r = new_row(l, time);

	if (r == NULL)
		return;
	*r = (struct report_row){ .from = xstrdup(*text(f, "from") != '\0' ? text(f, "from") : "<>"),
		.to = xstrdup(text(f, "to")),
		.caller = xstrdup(text(f, "identity")),
		.evidence = xstrdup(text(f, "evidence")),
		.command = xstrdup(text(f, "allow")),
		.tries = field_u64(f, "tries"),
		.waited = field_u64(f, "waited"),
		.time = time };
}

void
report_data_proposed(const struct field *f, void *data)
{
	struct report_data *d = data;

	take_row(&d->proposed, f, (int64_t)field_u64(f, "last"));
}

void
report_data_rescued(const struct field *f, void *data)
{
	struct report_data *d = data;
	int64_t time = (int64_t)field_u64(f, "passed");

	if (time <= d->until)
		take_row(&d->rescued, f, time);
}

/*
 * When all is there
 */

static int
rule_compare(const void *a, const void *b)
{
	const struct report_rule *ra = a, *rb = b;

	if (ra->rule != rb->rule)
		return ra->rule < rb->rule ? -1 : 1;
	if (ra->line != rb->line)
		return ra->line < rb->line ? -1 : 1;
	return strcmp(ra->action, rb->action);
}

/* The latest first. */
static int
row_compare(const void *a, const void *b)
{
	const struct report_row *ra = a, *rb = b;

	return ra->time < rb->time ? 1 : ra->time > rb->time ? -1 : 0;
}

/* A `tarpit ... else greylist` counts under both. */
static void
label(struct report_rule *r, const struct gate *gate)
{
	const struct rule *rule = NULL;
	struct buf b = { 0 };

	if (gate != NULL && r->rule > 0 && r->rule <= gate->n)
		rule = &gate->rules[r->rule - 1];
	if (rule != NULL && rule->place.line == r->line && rule->observe == r->observe) {
		rule_print(&b, rule);
		if (strcmp(action_name(rule->action), r->action) != 0)
			buf_addf(&b, " (%s)", r->action);
	} else {
		r->gone = gate != NULL;
		buf_addf(&b, "%s%s#%u", r->observe ? "observe " : "", r->action, r->rule);
	}
	r->label = buf_take(&b);
}

void
report_data_finish(struct report_data *d, const struct gate *gate)
{
	unsigned i;

	if (d->rules_n > 0)
		qsort(d->rules, d->rules_n, sizeof(*d->rules), rule_compare);
	for (i = 0; i < d->rules_n; i++)
		label(&d->rules[i], gate);
	if (d->proposed.n > 0)
		qsort(d->proposed.rows, d->proposed.n, sizeof(*d->proposed.rows), row_compare);
	if (d->rescued.n > 0)
		qsort(d->rescued.rows, d->rescued.n, sizeof(*d->rescued.rows), row_compare);
}

static void
cell_add(struct report_cell *to, const struct report_cell *from)
{
	to->stopped += from->stopped;
	to->delayed += from->delayed;
	to->waiting += from->waiting;
	to->let_in += from->let_in;
}

/* What came back is part of the messages that were let in. */
struct report_cell
report_data_day(const struct report_data *d, unsigned day)
{
	struct report_cell sum = { .stopped = 0 };
	bool waits;
	unsigned i;

	for (i = 0; i < d->rules_n; i++) {
		if (d->rules[i].observe)
			continue;
		waits = strcmp(d->rules[i].action, "pause") == 0 || strcmp(d->rules[i].action, "tarpit") == 0;
		sum.stopped += d->rules[i].days[day].stopped;
		sum.waiting += d->rules[i].days[day].waiting;
		sum.delayed += waits ? 0 : d->rules[i].days[day].delayed;
	}
	sum.let_in = d->messages[day] > sum.delayed ? d->messages[day] - sum.delayed : 0;
	return sum;
}

struct report_cell
report_rule_sum(const struct report_rule *r, unsigned days)
{
	struct report_cell sum = { .stopped = 0 };
	unsigned i;

	for (i = 0; i < days; i++)
		cell_add(&sum, &r->days[i]);
	return sum;
}
