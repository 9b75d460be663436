/*
 * The report's page: that no language lacks a text, that nothing from outside becomes markup, how hours become days, and that
 * the page needs nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "filters/gate.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/html.h"
#include "smtpctl/report_data.h"
#include "smtpctl/report_page.h"
#include "smtpctl/report_plot.h"
#include "smtpctl/report_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DAY 86400
#define T0 1793404800 /* 2026-10-31T00:00:00Z */

static unsigned
places(const char *text)
{
	unsigned n = 0;
	const char *p;

	for (p = text; (p = strchr(p, '%')) != NULL; p++) {
		assert_int_equal(p[1], 's');
		n++;
	}
	return n;
}

static void
test_texts(void **state)
{
	enum report_lang found;
	int text, lang;

	(void)state;
	for (text = 0; text < TEXT_COUNT; text++) {
		for (lang = 0; lang < LANG_COUNT; lang++) {
			if (report_text((enum report_lang)lang, (enum report_text)text) == NULL ||
			    *report_text((enum report_lang)lang, (enum report_text)text) == '\0')
				fail_msg("%s lacks text %d", report_lang_code((enum report_lang)lang), text);
			assert_int_equal(places(report_text((enum report_lang)lang, (enum report_text)text)),
			    places(report_text(LANG_EN, (enum report_text)text)));
		}
	}
	for (lang = 0; lang < LANG_COUNT; lang++) {
		assert_true(report_lang_by_code(report_lang_code((enum report_lang)lang), &found));
		assert_int_equal(found, lang);
	}
	assert_false(report_lang_by_code("xx", &found));
}

static void
test_environment(void **state)
{
	(void)state;
	unsetenv("LC_ALL");
	unsetenv("LC_MESSAGES");
	unsetenv("LANG");
	assert_int_equal(report_lang_of_environment(), LANG_EN);
	setenv("LANG", "ja_JP.UTF-8", 1);
	assert_int_equal(report_lang_of_environment(), LANG_JA);
	setenv("LC_ALL", "C.UTF-8", 1);
	assert_int_equal(report_lang_of_environment(), LANG_EN);
	unsetenv("LC_ALL");
	unsetenv("LANG");
}

static void
assert_html(const char *text, const char *wanted)
{
	struct buf b = { 0 };

	html_add(&b, text);
	assert_string_equal(buf_str(&b), wanted);
	buf_free(&b);
}

#define U "\xef\xbf\xbd"

static void
test_escaping(void **state)
{
	(void)state;
	assert_html("a<b>\"&'", "a&lt;b&gt;&quot;&amp;&#39;");
	assert_html("</script><img src=x onerror=alert(1)>", "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;");
	assert_html("&amp;", "&amp;amp;");
	assert_html("玄関 é", "玄関 é");
	assert_html("a\nb\t\x1b\x7f", "a" U "b" U U U);
	/* no UTF-8: alone, overlong, too large, a surrogate, cut off before markup */
	assert_html("\x80", U);
	assert_html("\xc0\xbc", U U);
	assert_html("\xf5\x80\x80\x80", U U U U);
	assert_html("\xed\xa0\x80", U U U);
	assert_html("\xe3\x81<b>", U U "&lt;b&gt;");
	assert_html("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
	/* what turns the writing around */
	assert_html("moc\xe2\x80\xae.example", "moc" U ".example");
	assert_html("\xe2\x81\xa6\xd8\x9c\xc2\x85", U U U);
}

static void
test_numbers(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *en;
	} times[] = { { 0, "0 s" }, { 59, "59 s" }, { 60, "1 min" }, { 3599, "59 min" }, { 3600, "1 h" },
		{ 3700, "61 min" }, { 7200, "2 h" }, { 86400, "24 h" }, { 3 * 86400, "3 d" } };
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(times); i++) {
		buf_clear(&b);
		report_time_add(&b, LANG_EN, times[i].seconds);
		assert_string_equal(buf_str(&b), times[i].en);
	}
	buf_clear(&b);
	report_number_add(&b, 999);
	buf_addc(&b, ' ');
	report_number_add(&b, 1234567);
	assert_string_equal(buf_str(&b), "999 1,234,567");
	buf_free(&b);
	assert_int_equal(plot_axis_end(0), 1);
	assert_int_equal(plot_axis_end(3), 4);
	assert_int_equal(plot_axis_end(9), 12);
	assert_int_equal(plot_axis_end(129), 160);
	assert_true(plot_axis_end(UINT64_MAX) > 0);
	for (i = 1; i < 100000; i += i / 3 + 1)
		assert_true(plot_axis_end(i) >= i && plot_axis_end(i) <= 2 * i + 2);
}

static void
hour(struct report_data *d, int64_t time, unsigned rule, const char *action, bool observe, const struct report_cell *c)
{
	report_data_record(FIELDS(F_STR("part", "hour"), F_I64("time", time), F_U64("rule", rule),
			       F_U64("line", 10 + rule), F_STR("action", action), F_BOOL("observe", observe),
			       F_U64("stopped", c->stopped), F_U64("delayed", c->delayed),
			       F_U64("waiting", c->waiting), F_U64("let_in", c->let_in)),
	    d);
}

static void
test_days(void **state)
{
	struct report_cell one = { .stopped = 1 }, c = { .stopped = 2, .delayed = 3, .waiting = 1 },
			   in = { .let_in = 10 }, pause = { .stopped = 4, .delayed = 500 };
	struct report_data d;

	(void)state;
	report_data_init(&d, T0, T0 + 2 * DAY + 3600);
	assert_int_equal(d.days_n, 3);
	assert_true(d.days[0].year == 2026 && d.days[0].month == 10 && d.days[0].day == 31);
	assert_true(d.days[1].month == 11 && d.days[1].day == 1);
	hour(&d, T0 + 23 * 3600, 2, "greylist", false, &c);
	hour(&d, T0 + DAY - 3600, 2, "greylist", false, &c);
	hour(&d, T0 + DAY, 2, "greylist", false, &one);
	hour(&d, T0, 1, "pause", false, &pause);
	hour(&d, T0, 3, "reject", true, &one);
	hour(&d, T0, 0, "let in", false, &in);
	hour(&d, T0 - 1, 2, "greylist", false, &one); /* in none of the days */
	hour(&d, T0 + 3 * DAY, 2, "greylist", false, &one);
	report_data_finish(&d, NULL);
	assert_int_equal(d.rules_n, 3);
	assert_string_equal(d.rules[1].label, "greylist#2");
	assert_string_equal(d.rules[2].label, "observe reject#3");
	assert_true(d.rules[1].days[0].stopped == 4 && d.rules[1].days[1].stopped == 1 && d.rules[1].days[2].stopped == 0);
	assert_int_equal(report_rule_sum(&d.rules[1], d.days_n).stopped, 5);
	/* observers and what a pause delayed are in no sum; what came back is part of what was let in */
	c = report_data_day(&d, 0);
	assert_true(c.stopped == 8 && c.delayed == 6 && c.waiting == 2 && c.let_in == 4);
	report_data_clear(&d);
	/* more days than fit: the last ones */
	report_data_init(&d, T0 - 200 * DAY, T0);
	assert_int_equal(d.days_n, REPORT_DAYS_MAX);
	assert_true(d.days[REPORT_DAYS_MAX - 1].month == 10 && d.days[REPORT_DAYS_MAX - 1].day == 31);
	report_data_clear(&d);
}

/* Summer time ends: a day of 25 hours is one day, and the next is another. */
static void
test_long_day(void **state)
{
	struct report_data d;

	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	report_data_init(&d, 1792792800 /* 2026-10-24 00:00 +2 */, 1792792800 + 3 * DAY);
	assert_int_equal(d.days_n, 3);
	assert_int_equal(d.days[1].day, 25);
	assert_int_equal(d.days[2].day, 26);
	assert_int_equal(report_midnight(1792792800 + DAY + 20 * 3600), 1792792800 + DAY);
	report_data_clear(&d);
	setenv("TZ", "UTC0", 1);
	tzset();
}

/* The latest rows are kept, whatever the order they come in. */
static void
test_rows(void **state)
{
	struct report_data d;
	int64_t i;

	(void)state;
	report_data_init(&d, T0, T0 + DAY);
	for (i = 0; i < REPORT_ROWS_MAX + 50; i++)
		report_data_rescued(FIELDS(F_STR("from", ""), F_I64("passed", T0 + i * 7 % 150)), &d);
	report_data_rescued(FIELDS(F_I64("passed", T0 + DAY + 1)), &d); /* after the time that is asked for */
	report_data_finish(&d, NULL);
	assert_int_equal(d.rescued.n, REPORT_ROWS_MAX);
	assert_int_equal(d.rescued.more, 50);
	assert_int_equal(d.rescued.rows[0].time, T0 + 149);
	assert_int_equal(d.rescued.rows[REPORT_ROWS_MAX - 1].time, T0 + 50);
	assert_string_equal(d.rescued.rows[0].from, "<>");
	report_data_clear(&d);
}

static void
fill(struct report_data *d)
{
	struct report_cell c = { .stopped = 2, .delayed = 3, .waiting = 1 }, in = { .let_in = 10 };

	report_data_init(d, T0, T0 + 2 * DAY);
	hour(d, T0, 2, "greylist", false, &c);
	hour(d, T0, 3, "<i>", true, &c);
	hour(d, T0, 0, "let in", false, &in);
	report_data_record(FIELDS(F_STR("part", "let-in"), F_U64("messages", 10), F_U64("at_once", 7),
			       F_U64("after_waiting", 3)), d);
	report_data_record(FIELDS(F_STR("part", "wait"), F_U64("median", 300), F_U64("p90", 3600), F_U64("max", 7200)), d);
	report_data_record(FIELDS(F_STR("part", "waited"), F_U64("up_to", 319), F_U64("count", 3)), d);
	report_data_proposed(FIELDS(F_STR("from", "<script>x</script>@a.example"), F_STR("to", "b@y.net"),
				 F_STR("identity", "spf:\" onload=\"x"), F_STR("allow", "identity=<b>"),
				 F_STR("evidence", "HELO <svg/onload=x>")), d);
	report_data_rescued(FIELDS(F_STR("from", "a&b@a.example"), F_I64("passed", T0 + 60),
				F_STR("evidence", "HELO 'x'")), d);
	report_data_finish(d, NULL);
}

static unsigned
count(const char *page, const char *what)
{
	unsigned n = 0;

	for (; (page = strstr(page, what)) != NULL; page++)
		n++;
	return n;
}

/* Every "<" of the page begins one of the tags that the program writes. */
static void
assert_only_own_tags(const char *page)
{
	static const char *const tags[] = { "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main",
		"header", "h1", "h2", "h3", "p", "dl", "div", "dt", "dd", "figure", "ul", "li", "b", "svg", "desc",
		"line", "text", "g", "rect", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th",
		"td", "code", "footer" };
	const char *p;
	size_t i, len;

	for (p = page; (p = strchr(p, '<')) != NULL; p++) {
		const char *name = p[1] == '/' ? p + 2 : p + 1;

		len = strcspn(name, " >");
		for (i = 0; i < COUNT(tags); i++)
			if (strlen(tags[i]) == len && strncmp(tags[i], name, len) == 0)
				break;
		if (i == COUNT(tags))
			fail_msg("%.40s", p);
	}
}

static void
test_page(void **state)
{
	struct report_data d;
	struct buf b = { 0 };
	const char *page;
	int lang;

	(void)state;
	fill(&d);
	for (lang = 0; lang < LANG_COUNT; lang++) {
		buf_clear(&b);
		report_page(&b, (enum report_lang)lang, "mx.<example>.org", &d);
		page = buf_str(&b);
		assert_only_own_tags(page);
		assert_non_null(strstr(page, "mx.&lt;example&gt;.org"));
		assert_non_null(strstr(page, "&lt;script&gt;x&lt;/script&gt;@a.example"));
		assert_non_null(strstr(page, "spf:&quot; onload=&quot;x"));
		assert_non_null(strstr(page, "smtpctl grey allow identity=&lt;b&gt;"));
		assert_non_null(strstr(page, report_text((enum report_lang)lang, TEXT_PROPOSED)));
		/* alone in the world */
		assert_null(strstr(page, "http:"));
		assert_null(strstr(page, "https:"));
		assert_null(strstr(page, "url("));
		assert_null(strstr(page, "@import"));
		assert_null(strstr(page, "src="));
		assert_null(strstr(page, "href="));
		assert_non_null(strstr(page, "default-src 'none'"));
		/* each plot says what it is, and has its table: days, waits, two rules */
		assert_int_equal(count(page, "<svg "), 4);
		assert_int_equal(count(page, "role=\"img\" aria-labelledby="), 4);
		assert_int_equal(count(page, "<desc id="), 4);
		assert_int_equal(count(page, "<details>"), 4);
		assert_int_equal(count(page, "id=\"t1\""), 1);
	}
	report_data_clear(&d);
	report_data_init(&d, T0, T0 + DAY);
	report_data_finish(&d, NULL);
	buf_clear(&b);
	report_page(&b, LANG_EN, NULL, &d);
	assert_non_null(strstr(buf_str(&b), report_text(LANG_EN, TEXT_NOTHING)));
	assert_null(strstr(buf_str(&b), "<svg"));
	report_data_clear(&d);
	buf_free(&b);
}

/* A rule is shown as the configuration has it, while it has it. */
static void
test_labels(void **state)
{
	struct rule rules[] = { { .place = { .line = 11 }, .number = 1, .action = ACTION_REJECT, .at = PHASE_RCPT },
		{ .place = { .line = 12 }, .number = 2, .action = ACTION_TARPIT, .seconds = 60, .else_greylist = true,
		    .at = PHASE_RCPT } };
	struct gate gate = { .rules = rules, .n = COUNT(rules) };
	struct report_cell one = { .stopped = 1 };
	struct report_data d;

	(void)state;
	report_data_init(&d, T0, T0 + DAY);
	hour(&d, T0, 1, "reject", false, &one);
	hour(&d, T0, 2, "greylist", false, &one);
	hour(&d, T0, 3, "drop", false, &one);
	report_data_finish(&d, &gate);
	assert_string_equal(d.rules[0].label, "reject at rcpt");
	assert_string_equal(d.rules[1].label, "tarpit 1m else greylist at rcpt (greylist)");
	assert_string_equal(d.rules[2].label, "drop#3");
	assert_true(d.rules[2].gone && !d.rules[0].gone);
	report_data_clear(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_long_day),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_labels),
	};

	setenv("TZ", "UTC0", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
