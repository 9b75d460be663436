/*
 * The configuration's language: files of cases in regress/unit/conf.  A case is a text, "---", and
 * what comes of it; cases are parted by "====".  A text that names no host gets a line for it at
 * its end, because definitions stand in any order.
 *
 *   good.cases    parts of the printed configuration, whole lines in a row, each behind its "---"
 *   bad.cases     all errors, to the letter
 *   warned.cases  all warnings of a good one, to the letter
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/build.h"
#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/table.h"

#define NAME "smtpd.conf"
#define HOST "host mx.example.net\n"
#define CASES "regress/unit/conf/"

struct outcome {
	struct conf *conf;
	struct buf errors, warnings, printed;
};

static void
run(struct outcome *outcome, const char *text, size_t len)
{
	*outcome = (struct outcome){ .conf = NULL };
	outcome->conf = conf_parse(NAME, text, len, &outcome->errors, &outcome->warnings);
	if (outcome->conf != NULL)
		conf_print(&outcome->printed, outcome->conf);
}

static void
end(struct outcome *outcome)
{
	conf_free(outcome->conf);
	buf_free(&outcome->errors);
	buf_free(&outcome->warnings);
	buf_free(&outcome->printed);
}

/* Runs one with a host. */
static void
run_text(struct outcome *outcome, const char *text)
{
	const char *host = strstr(text, "host ");
	char *whole;

	if (host != NULL && (host == text || host[-1] == '\n'))
		host = "";
	else
		host = strncmp(text, "host\n", 5) == 0 ? "" : HOST;
	whole = xasprintf("%s%s", text, host);
	run(outcome, whole, strlen(whole));
	free(whole);
}

static char *
read_cases(const char *name)
{
	char *path = xasprintf("%s%s", CASES, name);
	struct buf text = { 0 };
	FILE *file = fopen(path, "r");
	size_t n;

	if (file == NULL)
		fail_msg("%s: run this from the top of the tree", path);
	do {
		n = fread(buf_reserve(&text, BUFSIZ), 1, BUFSIZ, file);
		text.len += n;
	} while (n > 0);
	fclose(file);
	free(path);
	return buf_take(&text);
}

/* Cuts at the next line that is MARK; returns what is behind it, or NULL. */
static char *
cut(char *text, const char *mark)
{
	size_t len = strlen(mark);
	char *s = text;

	while (s != NULL && strncmp(s, mark, len) != 0) {
		s = strchr(s, '\n');
		s += s != NULL;
	}
	if (s == NULL)
		return NULL;
	*s = '\0';
	return s + len;
}

static unsigned
each_case(const char *name, void (*check)(const char *text, char *expected))
{
	char *cases = read_cases(name), *text = cases, *next, *expected;
	unsigned n = 0;

	for (; text != NULL; text = next, n++) {
		next = cut(text, "====\n");
		expected = cut(text, "---\n");
		if (expected == NULL)
			fail_msg("%s: a case without ---:\n%s", name, text);
		check(text, expected);
	}
	free(cases);
	return n;
}

static void
check_bad(const char *text, char *expected)
{
	struct outcome outcome;

	run_text(&outcome, text);
	if (strcmp(buf_str(&outcome.errors), expected) != 0)
		fail_msg(
		    "\n%s--- expected:\n%s--- is:\n%s", text, expected, buf_str(&outcome.errors));
	assert_null(outcome.conf);
	end(&outcome);
}

static void
test_bad(void **state)
{
	unsigned n = each_case("bad.cases", check_bad);

	(void)state;
	assert_true(n >= 100);
}

static void
check_warned(const char *text, char *expected)
{
	struct outcome outcome;

	run_text(&outcome, text);
	if (strcmp(buf_str(&outcome.warnings), expected) != 0)
		fail_msg(
		    "\n%s--- expected:\n%s--- is:\n%s", text, expected, buf_str(&outcome.warnings));
	assert_string_equal(buf_str(&outcome.errors), "");
	assert_non_null(outcome.conf);
	end(&outcome);
}

static void
test_warned(void **state)
{
	(void)state;
	each_case("warned.cases", check_warned);
}

/* What was printed parses without an error and prints to the same. */
static void
assert_round_trip(const struct buf *printed)
{
	struct outcome again;

	run(&again, buf_str(printed), printed->len);
	assert_string_equal(buf_str(&again.errors), "");
	assert_string_equal(buf_str(&again.printed), buf_str(printed));
	end(&again);
}

static bool
has_lines(const char *text, const char *lines)
{
	const char *s = strstr(text, lines);

	while (s != NULL && s != text && s[-1] != '\n')
		s = strstr(s + 1, lines);
	return s != NULL;
}

static void
check_good(const char *text, char *expected)
{
	struct outcome outcome;
	char *next;

	run_text(&outcome, text);
	if (outcome.conf == NULL)
		fail_msg("\n%s--- has errors:\n%s", text, buf_str(&outcome.errors));
	for (; expected != NULL; expected = next) {
		next = cut(expected, "---\n");
		if (!has_lines(buf_str(&outcome.printed), expected))
			fail_msg("\n%s--- expected:\n%s--- is:\n%s", text, expected,
			    buf_str(&outcome.printed));
	}
	assert_round_trip(&outcome.printed);
	end(&outcome);
}

static void
test_good(void **state)
{
	(void)state;
	build_reads_files = false;
	each_case("good.cases", check_good);
	build_reads_files = true;
}

/* A mistake costs no more than its own statement, wherever the statement stands. */
static void
test_recovery(void **state)
{
	static const struct {
		const char *text, *lines; /* the lines that have an error */
	} cases[] = {
		{ "hots x\nspol y\nlog sylog\n", "1 2 3 " },
		{ "gat {\n\treject when client in { a, b }\n\tpause\n}\nlgo stderr\n", "1 5 " },
		{ "domain {\n\tusers\n\tdeliver\n}\nlgo stderr\n", "1 5 " },
		{ "domain a b {\n\tusers\n\taliases { c }\n}\nlgo stderr\n", "1 5 " },
		{ "domain a.example {\n\tuser system\n\tdeliver maildi \"/x\"\n\tlist\n}\nlgo "
		  "stderr\n",
		    "2 3 4 6 " },
		{ "gate {\n\treject whn s25r\n\tpause 4\n\treject when s25r\n\treject when "
		  "(tls\n\tpause x\n}\nlgo x\n",
		    "2 3 6 8 " },
		{ "gate { paus 4s }\nlgo x\n", "1 2 " },
		{ "gate { pause }\nlgo x\n", "1 2 " },
		{ "relay {\n\troute \"*\" mx\n\tform { a, b }\n}\nlgo x\n", "2 3 5 " },
		{ "relay { rout }\nlgo x\n", "1 2 " },
		{ "domain a.example { lists lists }\nlgo x\n", "1 2 " },
		{ "table x { a, = b }\ntable y { c, (d) }\nlgo x\n", "1 2 3 " },
		{ "host \"a\nspool \"b\nlgo x\n", "1 2 3 " },
		{ "listen on 0.0.0.0 xclient from { 1.2.3.4/99 }\nlisten on\nlgo x\n", "1 2 3 " },
		{ "resolver 1.2.3 port 53\r\nlog x\r\n", "1 2 " },
		{ "gate {\n\treject when client in { a\n\t\tb\n\t} or or\n\tpause\n}\nlgo\n",
		    "4 5 7 " },
	};
	struct outcome outcome;
	struct buf lines = { 0 };
	const char *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(&outcome, cases[i].text, strlen(cases[i].text));
		for (s = buf_str(&outcome.errors); *s != '\0'; s = strchr(s, '\n') + 1)
			buf_addf(&lines, "%d ", atoi(s + strlen(NAME ":")));
		if (strcmp(buf_str(&lines), cases[i].lines) != 0)
			fail_msg("\n%s--- expected lines %s; is:\n%s", cases[i].text,
			    cases[i].lines, buf_str(&outcome.errors));
		buf_clear(&lines);
		end(&outcome);
	}
	buf_free(&lines);
}

static unsigned
count_lines(const struct buf *text)
{
	const char *s;
	unsigned n = 0;

	for (s = buf_str(text); *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static void
test_many_errors(void **state)
{
	struct buf text = { 0 };
	struct outcome outcome;
	unsigned i;

	(void)state;
	for (i = 0; i < COMPLAINTS_MAX; i++)
		buf_adds(&text, "frob\n");
	run(&outcome, buf_str(&text), text.len);
	assert_int_equal(count_lines(&outcome.errors), COMPLAINTS_MAX);
	end(&outcome);
	for (i = 0; i < 5000; i++)
		buf_adds(&text, "frob\n");
	run(&outcome, buf_str(&text), text.len);
	assert_int_equal(count_lines(&outcome.errors), COMPLAINTS_MAX + 1);
	assert_non_null(strstr(buf_str(&outcome.errors), NAME ": there is more than these 20\n"));
	end(&outcome);
	buf_free(&text);
}

/* PIECE N times between BEFORE and AFTER. */
static void
run_repeated(
    struct outcome *outcome, const char *before, const char *piece, unsigned n, const char *after)
{
	struct buf text = { 0 };

	buf_adds(&text, HOST);
	buf_adds(&text, before);
	while (n-- > 0)
		buf_adds(&text, piece);
	buf_adds(&text, after);
	run(outcome, buf_str(&text), text.len);
	buf_free(&text);
}

/* Whatever is nested or strung together without end is refused before it can exhaust a stack. */
static void
test_depth(void **state)
{
	static const struct {
		const char *before, *piece, *after, *message;
	} cases[] = {
		{ "gate {\nreject when ", "(", "s25r", "parentheses or \"not\" nested too deep" },
		{ "gate {\nreject when ", "not ", "s25r\n}\n", "nested too deep" },
		{ "gate {\nreject when s25r", " and s25r", "\n}\n", "more than 500 questions" },
		{ "gate {\nreject when s25r", " or not tls", "\n}\n", "more than 500 questions" },
		{ "table x ", "{", "", "unexpected \"{\"" },
		{ "", "}", "", "unexpected \"}\"" },
	};
	struct outcome outcome;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_repeated(&outcome, cases[i].before, cases[i].piece, 50000, cases[i].after);
		assert_null(outcome.conf);
		if (strstr(buf_str(&outcome.errors), cases[i].message) == NULL)
			fail_msg("%s...: %s", cases[i].piece, buf_str(&outcome.errors));
		end(&outcome);
	}
	run_repeated(&outcome, "gate {\nreject when s25r", " or trapped", 240, "\n}\n");
	assert_non_null(outcome.conf);
	end(&outcome);
}

/* Bytes that have no place in a text, and ends where none should be. */
static void
test_bytes(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *errors;
	} cases[] = {
#define CASE(text, errors) { text, sizeof(text) - 1, errors }
		CASE(HOST "log syslog\0\n", NAME ":2:11: control character 0x00\n"),
		CASE("host \001x\n", NAME ":1:6: control character 0x01\n"),
		CASE("host \"a\002b\"\n", NAME ":1:8: control character in a string\n"),
		CASE(HOST "spool \"/\xe3\x81\x82\" \x7f\n", NAME ":2:12: control character 0x7f\n"),
		CASE("\xef\xbb\xbfhost \"a b\"", NAME ":1:6: \"a b\" is not a host name\n"),
		CASE("host \"abc", NAME ":1:6: the string is not closed on its line\n"),
		CASE("host \"abc\\", NAME ":1:10: in a string only \\\" and \\\\ are escapes\n"),
		CASE("host a.b\r\nlog\r\n",
		    NAME ":2:4: unexpected end of the line; expected \"syslog\" or "
			 "\"stderr\"\n"),
		CASE("host a\rb\n", NAME ":1:7: control character 0x0d\n"),
#undef CASE
	};
	struct outcome outcome;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(&outcome, cases[i].text, cases[i].len);
		assert_string_equal(buf_str(&outcome.errors), cases[i].errors);
		end(&outcome);
	}
}

/* Every byte of a file may be its last. */
static void
test_truncated(void **state)
{
	char *cases = read_cases("good.cases");
	size_t len = strlen(cases), i;
	struct outcome outcome;
	char *part;

	(void)state;
	build_reads_files = false;
	for (i = 0; i < len; i += 3) {
		/* its own memory, so that a read behind the end is one */
		part = xmalloc(i + 1);
		memcpy(part, cases, i);
		run(&outcome, part, i);
		assert_true((outcome.conf == NULL) == (outcome.errors.len > 0));
		end(&outcome);
		free(part);
	}
	build_reads_files = true;
	free(cases);
}

static void
write_file(const char *path, const char *content)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static void
test_files(void **state)
{
	char dir[] = "/tmp/genkan-conf-XXXXXX", *text, *table, *anchor, *path, *line;
	struct buf errors = { 0 }, warnings = { 0 };
	struct outcome outcome;
	struct conf *conf;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/smtpd.conf", dir);
	table = xasprintf("%s/aliases", dir);
	anchor = xasprintf("%s/anchor", dir);
	write_file(table, "root: alice\n");
	write_file(anchor,
	    "; a comment\n\n. 172800 IN DS 20326 8 2 E06D ; its end\n.\tIN\tDNSKEY 257 3 8 AwEA\n");
	text = xasprintf(HOST "table a file \"%s\"\nresolver anchor \"%s\"\n"
	    "domain a.example { aliases <a> }\n", table, anchor);
	write_file(path, text);

	conf = conf_load(path, &errors, &warnings);
	assert_string_equal(buf_str(&errors), "");
	assert_non_null(conf);
	assert_string_equal(table_get(conf->lookup.domains[0].aliases, "root"), "alice");
	assert_string_equal(conf->dns.anchors[0], ". 172800 IN DS 20326 8 2 E06D ");
	assert_string_equal(conf->dns.anchors[1], ".\tIN\tDNSKEY 257 3 8 AwEA");
	assert_null(conf->dns.anchors[2]);
	conf_free(conf);

	/* a slip of the pen in somebody's file is told, and nothing more */
	write_file(table, "root: alice\nroot: bob\nx: \"|/bin/cat\n");
	run(&outcome, text, strlen(text));
	assert_string_equal(buf_str(&outcome.errors), "");
	line = xasprintf(NAME ":2:7: %s:2: \"root\" is there already, in line 1, with another value; neither counts "
	    "(the other lines count)\n" NAME ":2:7: %s:3: a quote (\") is not closed (the other lines count)\n",
	    table, table);
	assert_string_equal(buf_str(&outcome.warnings), line);
	free(line);
	end(&outcome);

	write_file(anchor, "nonsense\n");
	run(&outcome, text, strlen(text));
	free(text);
	text = xasprintf(NAME ":3:10: %s: line 1 is no DS or DNSKEY record\n", anchor);
	assert_string_equal(buf_str(&outcome.errors), text);
	end(&outcome);
	unlink(table);
	free(text);
	text = xasprintf(HOST "table a file \"%s\"\ndomain a.example { aliases <a> }\n", table);
	run(&outcome, text, strlen(text));
	free(text);
	text = xasprintf(NAME ":2:7: %s: No such file or directory\n", table);
	assert_string_equal(buf_str(&outcome.errors), text);
	end(&outcome);

	unlink(path);
	assert_null(conf_load(path, &errors, &warnings));
	free(text);
	text = xasprintf("%s: No such file or directory\n", path);
	assert_string_equal(buf_str(&errors), text);
	buf_clear(&errors);
	assert_null(conf_load(dir, &errors, &warnings));
	assert_non_null(strstr(buf_str(&errors), ": Is a directory\n"));
	unlink(anchor);
	rmdir(dir);
	free(text);
	free(table);
	free(anchor);
	free(path);
	buf_free(&errors);
	buf_free(&warnings);
}

/* What the roles are started with. */
static void
test_roles(void **state)
{
	static const char text[] =
	    HOST "limit lifetime off\nlimit delay-notice off\nlimit destination 7\n";
	struct outcome outcome;
	const struct conf *conf;

	(void)state;
	run(&outcome, text, strlen(text));
	conf = outcome.conf;
	assert_non_null(conf);
	assert_string_equal(conf->lookup.host, "mx.example.net");
	assert_ptr_equal(conf->queue.host, conf->host);
	assert_ptr_equal(conf->relay.host, conf->host);
	assert_ptr_equal(conf->local.host, conf->host);
	assert_int_equal(conf->queue.retry_first, 300);
	assert_int_equal(conf->queue.retry_most, 4 * 3600);
	assert_int_equal(conf->queue.notice_lifetime, 86400);
	assert_true(conf->queue.lifetime == UINT32_MAX);
	assert_int_equal(conf->queue.delay_notice, 0);
	assert_int_equal(conf->queue.destination_most, 7);
	assert_int_equal(conf->limits[LIMIT_SIZE], 50 << 20);
	assert_true(conf->dns.validate);
	assert_true(conf->gate.built_in);
	assert_int_equal(conf->gate.meters_n, 1); /* it is numbered as one in the file is */
	end(&outcome);
}

/* The manual's check and messages go by these: no word twice, no limit that is a word with
 * another meaning. */
static void
test_words(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; conf_keywords[i] != NULL; i++) {
		for (j = 0; j < i; j++)
			assert_string_not_equal(conf_keywords[i], conf_keywords[j]);
	}
	for (i = 0; i < LIMIT_COUNT; i++) {
		assert_non_null(limit_specs[i].name);
		assert_non_null(limit_specs[i].meaning);
		for (j = 0; j < i; j++)
			assert_string_not_equal(limit_specs[i].name, limit_specs[j].name);
	}
}

/* The example that is installed is a good one. */
static void
test_example(void **state)
{
	struct buf errors = { 0 }, warnings = { 0 }, printed = { 0 };
	struct conf *conf;

	(void)state;
	build_reads_files = false;
	conf = conf_load("etc/smtpd.conf", &errors, &warnings);
	assert_string_equal(buf_str(&errors), "");
	assert_string_equal(buf_str(&warnings), "");
	conf_print(&printed, conf);
	assert_round_trip(&printed);
	build_reads_files = true;
	conf_free(conf);
	buf_free(&errors);
	buf_free(&warnings);
	buf_free(&printed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_warned),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
