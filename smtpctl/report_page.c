/*
 * The report's page (report_page.h).
 *
 * One style sheet, no script, no request to anybody: the page says so to the browser as well (Content-Security-Policy).  It
 * is made of what report_data.h holds; all of that goes through html_add().  Nothing can fail.
 */
#include <string.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/version.h"
#include "smtpctl/html.h"
#include "smtpctl/report_page.h"
#include "smtpctl/report_plot.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#232a35;--soft:#667080;--line:#dfe3e8;--paper:#f7f6f2;--card:#fff;"
    "--in:#3a8f85;--delay:#d7a24a;--wait:#c6ccd5;--stop:#6f7f9b}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#98a3b3;--line:#303844;--paper:#14181d;"
    "--card:#1b2027;--in:#55b0a4;--delay:#dcb066;--wait:#4b5563;--stop:#8394b4}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.6 system-ui,\"Hiragino Sans\",\"Noto Sans JP\",\"Noto Sans CJK JP\",\"Yu Gothic\",sans-serif}\n"
    "main{max-width:60rem;margin:0 auto;padding:3rem 1.25rem 4rem}"
    "header p{margin:0;color:var(--soft)}h1{font-size:2rem;font-weight:600;line-height:1.25;margin:.15rem 0 .3rem;"
    "letter-spacing:-.01em}h2{font-size:1.2rem;font-weight:600;margin:3rem 0 .9rem}"
    "h3{font:500 .82rem/1.5 ui-monospace,Menlo,Consolas,monospace;margin:0;overflow-wrap:anywhere}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.9rem;margin:2rem 0 0;"
    "padding:0}.tiles div,figure,.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem}"
    ".tiles div{padding:.9rem 1.1rem .8rem;border-top:3px solid var(--c)}dt{color:var(--soft);font-size:.86rem}"
    "dd{margin:0;font-size:1.75rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}\n"
    "figure{margin:0;padding:1.1rem 1.2rem .8rem;break-inside:avoid}svg{display:block;width:100%;height:auto;"
    "margin:.4rem 0}svg text{font-size:11px;fill:var(--soft);font-variant-numeric:tabular-nums}"
    ".y{text-anchor:end}.x{text-anchor:middle}.grid{stroke:var(--line)}.base{stroke:var(--soft);stroke-opacity:.6}"
    "rect.in{fill:var(--in)}rect.delay{fill:var(--delay)}rect.wait{fill:var(--wait)}rect.stop{fill:var(--stop)}"
    ".would rect{fill-opacity:.6}\n"
    ".rules{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));gap:.9rem}"
    ".note,.where{color:var(--soft);font-size:.88rem;margin:.1rem 0 .6rem}.where{margin:.1rem 0 0}"
    ".key{display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;list-style:none;margin:0;padding:0;font-size:.86rem;"
    "color:var(--soft)}.key li::before{content:\"\";display:inline-block;width:.75em;height:.75em;"
    "border-radius:.15em;margin-right:.45em;background:var(--c)}.key b{color:var(--ink);font-weight:600;"
    "font-variant-numeric:tabular-nums}.in{--c:var(--in)}.delay{--c:var(--delay)}.wait{--c:var(--wait)}"
    ".stop{--c:var(--stop)}\n"
    "details{font-size:.86rem;margin:.5rem 0 .2rem}summary{color:var(--soft);cursor:pointer}"
    ".scroll{overflow-x:auto;max-height:24rem}table{border-collapse:collapse;width:100%;"
    "font-variant-numeric:tabular-nums}caption{text-align:left;color:var(--soft);padding:.3rem 0;"
    "overflow-wrap:anywhere}th,td{padding:.28rem .7rem .28rem 0;text-align:right;border-bottom:1px solid var(--line);"
    "font-weight:400;white-space:nowrap}thead th{color:var(--soft)}th:first-child{text-align:left}"
    ".list{padding:.4rem 1.2rem .8rem;font-size:.86rem;break-inside:auto}.list th,.list td{text-align:left;"
    "vertical-align:top}.list .wide{white-space:normal;overflow-wrap:anywhere;min-width:14rem}"
    ".list .address{white-space:normal;overflow-wrap:anywhere;min-width:8rem}code{font:.92em ui-monospace,Menlo,"
    "Consolas,monospace}footer{margin-top:3rem;color:var(--soft);font-size:.86rem}footer h2{font-size:1rem;"
    "margin-bottom:.3rem;color:var(--ink)}\n"
    "@media screen and (max-width:40rem){figure{overflow-x:auto}svg.large{min-width:34rem}}\n"
    "@media print{:root{--ink:#000;--soft:#444;--line:#ccc;--paper:#fff;--card:#fff;--in:#3a8f85;--delay:#d7a24a;"
    "--wait:#c6ccd5;--stop:#6f7f9b}body{font-size:10.5pt}main{max-width:none;padding:0}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.rules{grid-template-columns:1fr 1fr}"
    ".tiles{grid-template-columns:repeat(4,1fr)}dd{font-size:1.4rem}h2,.note{break-after:avoid}tr{break-inside:avoid}"
    "details:not([open]){display:none}.scroll{max-height:none;overflow:visible}.list{font-size:7.5pt}"
    ".list .wide{min-width:0}.list .address{min-width:9em}.list th{white-space:normal}}\n";

struct page {
	struct buf *b;
	enum report_lang lang;
	const struct report_data *data;
	unsigned plots;
};

static const char *
say(const struct page *p, enum report_text text)
{
	return report_text(p->lang, text);
}

/* "<h2>Text</h2>" */
static void
add_element(struct page *p, const char *tag, const char *class, const char *text)
{
	buf_addf(p->b, "<%s", tag);
	if (class != NULL)
		buf_addf(p->b, " class=\"%s\"", class);
	buf_addc(p->b, '>');
	html_add(p->b, text);
	buf_addf(p->b, "</%s>", tag);
}

static void
add_time(struct buf *b, int64_t time)
{
	time_t seconds = (time_t)time;
	char text[40];
	struct tm tm;

	if (localtime_r(&seconds, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm) > 0)
		buf_adds(b, text);
}

static void
add_period(struct page *p)
{
	struct buf since = { 0 }, until = { 0 };

	add_time(&since, p->data->since);
	add_time(&until, p->data->until);
	buf_adds(p->b, "<p>");
	report_text_add(p->b, p->lang, TEXT_PERIOD, buf_str(&since), buf_str(&until));
	buf_adds(p->b, "</p>\n");
	buf_free(&since);
	buf_free(&until);
}

static void
add_head(struct page *p, const char *host)
{
	const char *title = say(p, TEXT_TITLE);

	buf_addf(p->b, "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">\n",
	    report_lang_code(p->lang));
	buf_adds(p->b, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		       "style-src 'unsafe-inline'\">\n<meta name=\"robots\" content=\"noindex\">\n<title>");
	html_add(p->b, title);
	if (host != NULL) {
		buf_adds(p->b, " \xc2\xb7 ");
		html_add(p->b, host);
	}
	buf_addf(p->b, "</title>\n<style>\n%s</style></head>\n<body><main>\n<header>", style);
	add_element(p, "p", NULL, host != NULL ? host : "Genkan");
	add_element(p, "h1", NULL, title);
	add_period(p);
	buf_adds(p->b, "</header>\n");
}

static void
add_tile(struct page *p, enum plot_part part, enum report_text text, uint64_t n)
{
	buf_addf(p->b, "<div class=\"%s\">", plot_part_class(part));
	add_element(p, "dt", NULL, say(p, text));
	buf_adds(p->b, "<dd>");
	report_number_add(p->b, n);
	buf_adds(p->b, "</dd></div>\n");
}

/* The parts of a bar with their colours, and with their numbers when there is a SUM. */
static void
add_key(struct page *p, const enum report_text parts[PART_COUNT], const struct report_cell *sum)
{
	int part;

	buf_adds(p->b, "<ul class=\"key\">");
	for (part = PART_COUNT - 1; part >= 0; part--) {
		if (sum != NULL && plot_part_of(sum, (enum plot_part)part) == 0)
			continue;
		buf_addf(p->b, "<li class=\"%s\">", plot_part_class((enum plot_part)part));
		html_add(p->b, say(p, parts[part]));
		if (sum != NULL) {
			buf_adds(p->b, " <b>");
			report_number_add(p->b, plot_part_of(sum, (enum plot_part)part));
			buf_adds(p->b, "</b>");
		}
		buf_adds(p->b, "</li>");
	}
	buf_adds(p->b, "</ul>\n");
}

/*
 * Day by day
 */

static const enum report_text day_parts[PART_COUNT] = { TEXT_AT_ONCE, TEXT_AFTER_WAITING, TEXT_WAITING,
	TEXT_STOPPED };
static const enum report_text rule_parts[PART_COUNT] = { TEXT_LET_IN, TEXT_DELAYED, TEXT_WAITING, TEXT_STOPPED };
static const enum report_text would_parts[PART_COUNT] = { TEXT_WOULD_LET_IN, TEXT_WOULD_DELAY, TEXT_WAITING,
	TEXT_WOULD_STOP };

static void
add_days(struct page *p)
{
	struct report_cell cells[REPORT_DAYS_MAX], sum = { .stopped = 0 };
	struct plot plot = { .lang = p->lang,
		.id = ++p->plots,
		.title = say(p, TEXT_BY_DAY),
		.description = TEXT_BY_DAY_DESC,
		.days = p->data->days,
		.cells = cells,
		.n = p->data->days_n };
	unsigned i;
	int part;

	memcpy(plot.parts, day_parts, sizeof(day_parts));
	for (i = 0; i < plot.n; i++) {
		cells[i] = report_data_day(p->data, i);
		sum.stopped += cells[i].stopped;
		sum.delayed += cells[i].delayed;
		sum.waiting += cells[i].waiting;
		sum.let_in += cells[i].let_in;
	}
	buf_adds(p->b, "<dl class=\"tiles\">\n");
	for (part = PART_COUNT - 1; part >= 0; part--)
		add_tile(p, (enum plot_part)part, day_parts[part], plot_part_of(&sum, (enum plot_part)part));
	buf_adds(p->b, "</dl>\n");
	add_element(p, "h2", NULL, plot.title);
	buf_adds(p->b, "<figure>");
	add_key(p, day_parts, NULL);
	plot_days(p->b, &plot);
	plot_days_table(p->b, &plot);
	buf_adds(p->b, "</figure>\n");
}

/*
 * Rule by rule
 */

static void
add_rule(struct page *p, const struct report_rule *r)
{
	const enum report_text *parts = r->observe ? would_parts : rule_parts;
	struct report_cell sum = report_rule_sum(r, p->data->days_n);
	struct plot plot = { .lang = p->lang,
		.id = ++p->plots,
		.title = r->label,
		.description = TEXT_RULE_DESC,
		.days = p->data->days,
		.cells = r->days,
		.n = p->data->days_n,
		.small = true };
	struct buf line = { 0 };

	memcpy(plot.parts, parts, sizeof(plot.parts));
	buf_addf(p->b, "<figure%s>", r->observe ? " class=\"would\"" : "");
	add_element(p, "h3", NULL, r->label);
	report_number_add(&line, r->line);
	buf_adds(p->b, "<p class=\"where\">");
	report_text_add(p->b, p->lang, TEXT_LINE, buf_str(&line), NULL);
	if (r->gone) {
		buf_adds(p->b, ", ");
		html_add(p->b, say(p, TEXT_GONE));
	}
	buf_adds(p->b, "</p>");
	plot_days(p->b, &plot);
	add_key(p, parts, &sum);
	plot_days_table(p->b, &plot);
	buf_adds(p->b, "</figure>\n");
	buf_free(&line);
}

/* A rule that only marks, or traps, has nothing to show here. */
static bool
is_shown(const struct page *p, const struct report_rule *r, bool observe)
{
	struct report_cell sum = report_rule_sum(r, p->data->days_n);

	return r->observe == observe && sum.stopped + sum.delayed + sum.waiting + sum.let_in > 0;
}

static void
add_rules(struct page *p, bool observe, enum report_text title, bool noted)
{
	unsigned i, n = 0;

	for (i = 0; i < p->data->rules_n; i++)
		n += is_shown(p, &p->data->rules[i], observe);
	if (n == 0)
		return;
	add_element(p, "h2", NULL, say(p, title));
	if (noted)
		add_element(p, "p", "note", say(p, TEXT_OBSERVED_NOTE));
	buf_adds(p->b, "<div class=\"rules\">\n");
	for (i = 0; i < p->data->rules_n; i++)
		if (is_shown(p, &p->data->rules[i], observe))
			add_rule(p, &p->data->rules[i]);
	buf_adds(p->b, "</div>\n");
}

/*
 * Waiting
 */

static void
add_percentile(struct page *p, enum report_text text, uint64_t seconds)
{
	buf_adds(p->b, "<li class=\"delay\">");
	html_add(p->b, say(p, text));
	buf_adds(p->b, " <b>");
	report_time_add(p->b, p->lang, seconds);
	buf_adds(p->b, "</b></li>");
}

static void
add_waits(struct page *p)
{
	const struct report_data *d = p->data;
	struct buf messages = { 0 }, at_once = { 0 };

	add_element(p, "h2", NULL, say(p, TEXT_WAITS));
	report_number_add(&messages, d->messages_sum);
	report_number_add(&at_once, d->at_once);
	buf_adds(p->b, "<p class=\"note\">");
	if (d->after_waiting == 0)
		html_add(p->b, say(p, TEXT_WAITS_NONE));
	else
		report_text_add(p->b, p->lang, TEXT_WAITS_NOTE, buf_str(&messages), buf_str(&at_once));
	buf_adds(p->b, "</p>\n");
	if (d->after_waiting > 0) {
		buf_adds(p->b, "<figure><ul class=\"key\">");
		add_percentile(p, TEXT_MEDIAN, d->median);
		add_percentile(p, TEXT_P90, d->p90);
		add_percentile(p, TEXT_LONGEST, d->max);
		buf_adds(p->b, "</ul>\n");
		plot_waits(p->b, p->lang, ++p->plots, d->bins);
		plot_waits_table(p->b, p->lang, d->bins);
		buf_adds(p->b, "</figure>\n");
	}
	buf_free(&messages);
	buf_free(&at_once);
}

/*
 * Lists
 */

static void
add_row(struct page *p, const struct report_row *r, bool proposed)
{
	buf_adds(p->b, "<tr><td>");
	add_time(p->b, r->time);
	buf_adds(p->b, "</td>");
	add_element(p, "td", "address", r->caller);
	add_element(p, "td", "address", r->from);
	add_element(p, "td", "address", r->to);
	buf_adds(p->b, "<td>");
	report_number_add(p->b, r->tries);
	buf_adds(p->b, "</td><td>");
	report_time_add(p->b, p->lang, r->waited);
	buf_adds(p->b, "</td>");
	add_element(p, "td", "wide", r->evidence);
	if (proposed) {
		buf_adds(p->b, "<td class=\"wide\"><code>smtpctl grey allow ");
		html_add(p->b, r->command);
		buf_adds(p->b, "</code></td>");
	}
	buf_adds(p->b, "</tr>\n");
}

static void
add_column(struct page *p, const char *text)
{
	buf_adds(p->b, "<th scope=\"col\">");
	html_add(p->b, text);
	buf_adds(p->b, "</th>");
}

static void
add_list(struct page *p, const struct report_list *l, enum report_text title, enum report_text note, bool proposed)
{
	static const enum report_text heads[] = { TEXT_DAY, TEXT_CALLER, TEXT_FROM, TEXT_TO, TEXT_TRIES, TEXT_WAITED,
		TEXT_EVIDENCE, TEXT_COMMAND };
	struct buf more = { 0 };
	size_t i;

	if (l->n == 0)
		return;
	add_element(p, "h2", NULL, say(p, title));
	add_element(p, "p", "note", say(p, note));
	buf_adds(p->b, "<div class=\"card list\"><div class=\"scroll\"><table><thead><tr>");
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]) - !proposed; i++)
		add_column(p, say(p, heads[i]));
	buf_adds(p->b, "</tr></thead><tbody>\n");
	for (i = 0; i < l->n; i++)
		add_row(p, &l->rows[i], proposed);
	buf_adds(p->b, "</tbody></table></div>");
	if (l->more > 0) {
		report_number_add(&more, l->more);
		buf_adds(p->b, "<p class=\"note\">");
		report_text_add(p->b, p->lang, TEXT_MORE, buf_str(&more), NULL);
		buf_adds(p->b, "</p>");
	}
	buf_adds(p->b, "</div>\n");
	buf_free(&more);
}

void
report_page(struct buf *b, enum report_lang lang, const char *host, const struct report_data *data)
{
	struct page p = { .b = b, .lang = lang, .data = data };

	add_head(&p, host);
	if (data->rules_n == 0 && data->messages_sum == 0) {
		add_element(&p, "p", "note", say(&p, TEXT_NOTHING));
	} else {
		add_days(&p);
		add_list(&p, &data->proposed, TEXT_PROPOSED, TEXT_PROPOSED_NOTE, true);
		add_waits(&p);
		add_rules(&p, false, TEXT_BY_RULE, false);
		add_rules(&p, true, TEXT_OBSERVED, true);
		add_list(&p, &data->rescued, TEXT_RESCUED, TEXT_RESCUED_NOTE, false);
	}
	buf_adds(b, "<footer>");
	add_element(&p, "h2", NULL, say(&p, TEXT_COUNTING));
	add_element(&p, "p", NULL, say(&p, TEXT_COUNTING_NOTE));
	buf_adds(b, "<p>Genkan " GENKAN_VERSION "</p></footer>\n</main></body></html>\n");
}
