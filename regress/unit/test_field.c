/*
 * Records for people and programs: text, JSON, and the way between roles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/field.h"
#include "lib/mem.h"
#include "regress/unit/exact.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- field --- */

static void
test_field_escaping(void **state)
{
	static const struct {
		const char *value, *text, *json;
	} cases[] = {
		{ "plain", "plain", "\"plain\"" },
		{ "", "\"\"", "\"\"" },
		{ "two words", "\"two words\"", "\"two words\"" },
		{ "<a@b.example>", "<a@b.example>", "\"<a@b.example>\"" },
		{ "a=b", "a=b", "\"a=b\"" },
		{ "a'b,c/d", "a'b,c/d", "\"a'b,c/d\"" },
		{ "\"q\"", "\"\\\"q\\\"\"", "\"\\\"q\\\"\"" },
		{ "b\\s", "\"b\\\\s\"", "\"b\\\\s\"" },
		{ "\r\n\t", "\"\\r\\n\\t\"", "\"\\r\\n\\t\"" },
		{ "\x01\x1b[2J", "\"\\x01\\x1b[2J\"", "\"\\u0001\\u001b[2J\"" },
		{ "\x1f\x7f", "\"\\x1f\\x7f\"", "\"\\u001f\\u007f\"" },
		/* well-formed UTF-8 of each length stands as it is */
		{ "\xc3\xa9", "\xc3\xa9", "\"\xc3\xa9\"" },
		{ "\xe7\x8e\x84\xe9\x96\xa2", "\xe7\x8e\x84\xe9\x96\xa2",
		    "\"\xe7\x8e\x84\xe9\x96\xa2\"" },
		{ "\xf0\x9f\x93\xac", "\xf0\x9f\x93\xac", "\"\xf0\x9f\x93\xac\"" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"" },
		/* C1 control, line separator, right-to-left override, byte order mark */
		{ "\xc2\x9b", "\"\\xc2\\x9b\"", "\"\\u009b\"" },
		{ "\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"", "\"\\u2028\"" },
		{ "\xe2\x80\xae", "\"\\xe2\\x80\\xae\"", "\"\\u202e\"" },
		{ "\xef\xbb\xbf", "\"\\xef\\xbb\\xbf\"", "\"\\ufeff\"" },
		/* no UTF-8: lone bytes, cut short, overlong, surrogate, above U+10FFFF */
		{ "a\377b", "\"a\\xffb\"", "\"a\357\277\275b\"" },
		{ "\x80", "\"\\x80\"", "\"\xef\xbf\xbd\"" },
		{ "\xe7\x8e", "\"\\xe7\\x8e\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc3(", "\"\\xc3(\"", "\"\xef\xbf\xbd(\"" },
		{ "\xc0\xaf", "\"\\xc0\\xaf\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\"",
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"",
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"",
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};
	struct buf text = { 0 }, json = { 0 };
	char *value, *expected;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_clear(&text);
		buf_clear(&json);
		/* on the heap, so that reading behind the NUL is seen */
		value = xstrdup(cases[i].value);
		field_text(&text, FIELDS(F_STR("k", value)));
		field_json_str(&json, value);
		expected = xasprintf("k=%s", cases[i].text);
		assert_string_equal(text.data, expected);
		assert_string_equal(json.data, cases[i].json);
		free(expected);
		free(value);
	}
	buf_free(&text);
	buf_free(&json);
}

static void
test_field_lists(void **state)
{
	static const struct {
		struct field list[6];
		const char *text, *json;
	} cases[] = {
		{ { { .type = FIELD_END } }, "", "{}" },
		{ { F_STR("a", NULL), F_END }, "", "{}" },
		{ { F_STR("a", NULL), F_STR("b", "x"), F_STR("c", NULL), F_STR("d", "y"), F_END },
		    "b=x d=y", "{\"b\":\"x\",\"d\":\"y\"}" },
		{ { F_U64("u", UINT64_MAX), F_I64("i", INT64_MIN), F_BOOL("t", true),
		      F_BOOL("f", false), F_END },
		    "u=18446744073709551615 i=-9223372036854775808 t=true f=false",
		    "{\"u\":18446744073709551615,\"i\":-9223372036854775808,\"t\":true,\"f\":"
		    "false}" },
		/* keys that came from another process */
		{ { F_STR("a=b", "x"), F_STR("", "y"), F_STR("c\nd", "z"), F_END },
		    "\"a=b\"=x \"\"=y \"c\\nd\"=z", "{\"a=b\":\"x\",\"\":\"y\",\"c\\nd\":\"z\"}" },
	};
	struct buf text = { 0 }, json = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_clear(&text);
		buf_clear(&json);
		field_text(&text, cases[i].list);
		field_json(&json, cases[i].list);
		assert_string_equal(buf_str(&text), cases[i].text);
		assert_string_equal(json.data, cases[i].json);
	}
	buf_free(&text);
	buf_free(&json);
}

static void
encode_sample(struct buf *b)
{
	field_encode(
	    b, FIELDS(F_STR("id", "0123456789ABC"), F_STR("none", NULL), F_U64("size", UINT64_MAX),
		   F_I64("due", -1), F_BOOL("held", true), F_STR("reason", "")));
}

static void
test_field_round_trip(void **state)
{
	struct buf b = { 0 }, json = { 0 };
	struct field *list;
	struct cursor c;

	(void)state;
	encode_sample(&b);
	c = cursor_init(b.data, b.len);
	list = field_decode(&c);
	assert_non_null(list);
	assert_true(cursor_done(&c));
	field_json(&json, list);
	assert_string_equal(json.data, "{\"id\":\"0123456789ABC\",\"size\":18446744073709551615,"
				       "\"due\":-1,\"held\":true,\"reason\":\"\"}");
	assert_string_equal(field_get(list, "id"), "0123456789ABC");
	assert_string_equal(field_get(list, "reason"), "");
	assert_null(field_get(list, "size"));
	assert_null(field_get(list, "none"));
	assert_null(field_get(list, "i"));
	field_free(list);

	/* two lists behind each other, the second empty */
	field_encode(&b, FIELDS());
	c = cursor_init(b.data, b.len);
	list = field_decode(&c);
	field_free(list);
	list = field_decode(&c);
	assert_int_equal(list->type, FIELD_END);
	assert_true(cursor_done(&c));
	field_free(list);
	buf_free(&b);
	buf_free(&json);
}

static void
test_field_many(void **state)
{
	struct field list[101];
	struct field *back;
	struct buf b = { 0 };
	struct cursor c;
	size_t i;

	(void)state;
	for (i = 0; i < 100; i++)
		list[i] = F_U64("n", i);
	list[100] = F_END;
	field_encode(&b, list);
	c = cursor_init(b.data, b.len);
	back = field_decode(&c);
	assert_non_null(back);
	for (i = 0; i < 100; i++)
		assert_int_equal(back[i].u64, i);
	assert_int_equal(back[100].type, FIELD_END);
	field_free(back);
	buf_free(&b);
}

static void
test_field_truncated(void **state)
{
	struct buf b = { 0 };
	struct cursor c;
	uint8_t *data;
	size_t len;

	(void)state;
	encode_sample(&b);
	for (len = 0; len < b.len; len++) {
		data = exact(b.data, len);
		c = cursor_init(data, len);
		assert_null(field_decode(&c));
		assert_true(c.bad);
		free(data);
	}
	buf_free(&b);
}

static void
test_field_bad(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "\x05\x01\0\0\0k\0\0", 8 }, /* no such type */
		{ "\xff\x01\0\0\0k\0\0", 8 },
		{ "\x04\x01\0\0\0k\0\x02\0", 9 },	   /* neither true nor false */
		{ "\x01\x02\0\0\0k\0\0\0\0\0\0\0\0", 14 }, /* NUL in the key */
	};
	struct cursor c;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		c = cursor_init(cases[i].bytes, cases[i].len);
		assert_null(field_decode(&c));
		assert_true(c.bad);
	}
	c = cursor_init("\x01\x02\x03", 3);
	cursor_u64(&c);
	assert_null(field_decode(&c));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_field_escaping),
		cmocka_unit_test(test_field_lists),
		cmocka_unit_test(test_field_round_trip),
		cmocka_unit_test(test_field_many),
		cmocka_unit_test(test_field_truncated),
		cmocka_unit_test(test_field_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
