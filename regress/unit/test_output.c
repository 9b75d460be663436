/*
 * What smtpctl prints for people: human units, tables, blocks; and that no stranger's text gets out of its cell.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/columns.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_units(void **state)
{
	static const struct {
		void (*add)(struct buf *, uint64_t);
		uint64_t value;
		const char *text;
	} t[] = {
		{ human_add_seconds, 0, "0s" }, { human_add_seconds, 119, "119s" }, { human_add_seconds, 120, "2m" },
		{ human_add_seconds, 7199, "119m" }, { human_add_seconds, 7200, "2h" },
		{ human_add_seconds, 172799, "47h" }, { human_add_seconds, 172800, "2d" },
		{ human_add_seconds, UINT64_MAX, "213503982334601d" },
		{ human_add_size, 0, "0" }, { human_add_size, 1023, "1023" }, { human_add_size, 1024, "1.0K" },
		{ human_add_size, 10239, "9.9K" }, { human_add_size, 10240, "10K" }, { human_add_size, 1048575, "1023K" },
		{ human_add_size, 1048576, "1.0M" }, { human_add_size, 52428800, "50M" },
		{ human_add_size, UINT64_MAX, "15E" },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		buf_clear(&b);
		t[i].add(&b, t[i].value);
		assert_string_equal(buf_str(&b), t[i].text);
	}
	buf_free(&b);
}

static void
test_when(void **state)
{
	static const struct {
		int64_t time, now;
		const char *text;
	} t[] = {
		{ 100, 100, "now" }, { 40, 100, "60s ago" }, { 400, 100, "in 5m" },
		{ INT64_MIN, INT64_MAX, "213503982334601d ago" }, { INT64_MAX, INT64_MIN, "in 213503982334601d" },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		buf_clear(&b);
		human_add_when(&b, t[i].time, t[i].now);
		assert_string_equal(buf_str(&b), t[i].text);
	}
	buf_free(&b);
}

static void
test_text(void **state)
{
	struct buf b = { 0 };

	(void)state;
	human_add_text(&b, "a\x1b[2Jb\r\n\x7f\xc2\x9b\xc3\x84 \xe7\x8e\x84");
	assert_string_equal(buf_str(&b), "a?[2Jb????\xc3\x84 \xe7\x8e\x84");
	buf_free(&b);
}

static void
test_table(void **state)
{
	struct columns *t = columns_new(1000);
	struct buf b = { 0 };

	(void)state;
	columns_add(t, FIELDS(F_STR("message", "A"), F_U64("size", 5), F_I64("due", 1060), F_STR("sender", "")), &b);
	columns_add(t, FIELDS(F_STR("message", "LONGER"), F_U64("size", 20480), F_I64("due", 990),
	    F_STR("sender", "a@b"), F_STR("reason", NULL), F_BOOL("held", true)), &b);
	/* a time's text for programs is not shown; a cell that is missing is blank */
	columns_add(t, FIELDS(F_STR("message", "C"), F_I64("due", 1000), F_STR("due_text", "1970"),
	    F_STR("sender", "x")), &b);
	assert_int_equal(b.len, 0);
	columns_end(t, &b);
	assert_string_equal(buf_str(&b), "MESSAGE  SIZE      DUE  SENDER  HELD\n"
	                                 "A           5   in 60s  <>\n"
	                                 "LONGER    20K  10s ago  a@b     yes\n"
	                                 "C                  now  x\n");
	columns_free(t);
	buf_free(&b);
}

/* Another first key is another table. */
static void
test_tables(void **state)
{
	struct columns *t = columns_new(0);
	struct buf b = { 0 };

	(void)state;
	columns_add(t, FIELDS(F_U64("messages", 3)), &b);
	columns_add(t, FIELDS(F_STR("domain", "a.example"), F_U64("recipients", 2)), &b);
	columns_add(t, FIELDS(F_STR("domain", "b"), F_U64("recipients", 10)), &b);
	columns_add(t, FIELDS(), &b);
	columns_end(t, &b);
	assert_string_equal(buf_str(&b), "MESSAGES\n       3\n\n"
	                                 "DOMAIN     RECIPIENTS\na.example           2\nb                  10\n");
	columns_free(t);
	buf_free(&b);
}

/* A long answer is printed as it comes, in the widths of its beginning; a key that is new then begins a table. */
static void
test_stream(void **state)
{
	struct columns *t = columns_new(0);
	struct buf b = { 0 };
	size_t before;
	int i;

	(void)state;
	for (i = 0; i < 500; i++)
		columns_add(t, FIELDS(F_STR("a", "x"), F_STR("b", "yyyy")), &b);
	assert_true(b.len > 0);
	before = b.len;
	columns_add(t, FIELDS(F_STR("a", "z"), F_STR("b", "w")), &b);
	assert_string_equal(b.data + before, "z  w\n");
	before = b.len;
	columns_add(t, FIELDS(F_STR("a", "z"), F_STR("c", "new")), &b);
	columns_end(t, &b);
	assert_string_equal(b.data + before, "\nA  C\nz  new\n");
	columns_free(t);
	buf_free(&b);
}

static void
test_wide_characters(void **state)
{
	struct columns *t = columns_new(0);
	struct buf b = { 0 };

	(void)state;
	columns_add(t, FIELDS(F_STR("a", "\xc3\x84\xc3\x96"), F_STR("b", "1")), &b);
	columns_add(t, FIELDS(F_STR("a", "abc"), F_STR("b", "2\n3")), &b);
	columns_end(t, &b);
	assert_string_equal(buf_str(&b), "A    B\n\xc3\x84\xc3\x96   1\nabc  2?3\n");
	columns_free(t);
	buf_free(&b);
}

static void
test_many_keys(void **state)
{
	struct columns *t = columns_new(0);
	struct buf b = { 0 };
	struct field f[101];
	char keys[100][16];
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		f[i] = F_U64(keys[i], (uint64_t)i);
	}
	f[100] = F_END;
	columns_add(t, f, &b);
	columns_add(t, FIELDS(F_U64("k0", 1), F_U64("k0", 2)), &b); /* twice the same: the last counts */
	columns_end(t, &b);
	assert_non_null(strstr(buf_str(&b), "\n 2\n"));
	columns_free(t);
	buf_free(&b);
}

static void
test_block(void **state)
{
	struct buf b = { 0 };

	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	columns_block(&b, FIELDS(F_STR("id", "X"), F_I64("time", 60), F_STR("time_text", "-"), F_U64("waited", 300),
	    F_BOOL("held", false), F_STR("sender", "")), 120);
	assert_string_equal(buf_str(&b), "id:     X\ntime:   1970-01-01 00:01:00 +0000 (60s ago)\nwaited: 5m\n"
	                                 "held:   no\nsender: <>\n");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_wide_characters),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_block),
	};

	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
