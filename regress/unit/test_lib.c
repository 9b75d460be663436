/*
 * Units of the lowest layer: buf and cursor, field, id, clock.
 *
 * What is decoded lies in memory of exactly its size, so that the sanitizer sees any read behind
 * it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/cursor.h"
#include "lib/field.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "regress/unit/child.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char err[CHILD_STDERR_MAX];

/* The sanitizer's own answer to an impossible allocation would hide ours. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* --- buf --- */

static void
test_buf_text(void **state)
{
	struct buf b = { 0 };
	char *s;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	buf_clear(&b);
	buf_add(&b, NULL, 0);
	assert_string_equal(b.data, "");
	buf_adds(&b, "mx");
	buf_addc(&b, '.');
	buf_addf(&b, "%s %d", "example", 25);
	buf_add(&b, "xyz", 1);
	assert_string_equal(b.data, "mx.example 25x");
	assert_int_equal(b.len, 14);
	buf_addf(&b, "%0*d", 5000, 7); /* far more than there is room for */
	assert_int_equal(b.len, 5014);
	assert_string_equal(b.data + 5010, "0007");
	b.len = 14;
	buf_addu(&b, 0);
	buf_addc(&b, ' ');
	buf_addu(&b, UINT64_MAX);
	assert_string_equal(b.data, "mx.example 25x0 18446744073709551615");
	b.data[b.len = 14] = '\0';

	s = buf_take(&b);
	assert_string_equal(s, "mx.example 25x");
	free(s);
	assert_null(b.data);
	assert_int_equal(b.len + b.cap, 0);
	s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
}

static void
test_buf_grows(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		buf_addc(&b, (char)('a' + i % 26));
		assert_true(b.len < b.cap);
		assert_int_equal(b.data[b.len], '\0');
	}
	for (i = 0; i < 5000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	assert_true(b.cap > 5000);
	buf_free(&b);
	assert_null(b.data);
}

static void
test_buf_reserve(void **state)
{
	struct buf b = { 0 };
	char *room;

	(void)state;
	/* What lay there before must not show behind the new end. */
	buf_adds(&b, "0123456789012345678901234567890123456789");
	buf_clear(&b);
	room = buf_reserve(&b, 30);
	assert_ptr_equal(room, b.data);
	memcpy(room, "abc", 3);
	b.len += 3;
	assert_string_equal(b.data, "abc");
	room = buf_reserve(&b, 100000);
	assert_ptr_equal(room, b.data + 3);
	memset(room, 'x', 100000);
	b.len += 100000;
	assert_int_equal(strlen(b.data), 100003);
	buf_free(&b);
}

static int
overflow_len(void *arg)
{
	struct buf b = { .len = SIZE_MAX - 4 };

	(void)arg;
	buf_reserve(&b, 4);
	return 0;
}

static int
overflow_nul(void *arg)
{
	struct buf b = { .len = SIZE_MAX - 4 };

	(void)arg;
	buf_add(&b, "1234", 4);
	return 0;
}

static int
overflow_array(void *arg)
{
	(void)arg;
	free(xreallocarray(NULL, SIZE_MAX / 2, 3));
	return 0;
}

static int
overflow_blob(void *arg)
{
	struct buf b = { 0 };

	(void)arg;
	buf_add_blob(&b, "", (size_t)UINT32_MAX + 1);
	return 0;
}

static void
test_overflow_is_fatal(void **state)
{
	static const struct {
		int (*fn)(void *);
		const char *says;
	} cases[] = {
		{ overflow_len, "cannot grow by 4" },
		{ overflow_nul, "cannot grow by 4" },
		{ overflow_array, "out of memory" },
		{ overflow_blob, "counted string" },
	};
	int status;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		status = child_run(cases[i].fn, NULL, err);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
		assert_non_null(strstr(err, "critical process.fatal reason="));
		assert_non_null(strstr(err, cases[i].says));
	}
}

static void
test_mem_zero(void **state)
{
	char *p;

	(void)state;
	p = xmalloc(0);
	p = xreallocarray(p, 0, 8);
	assert_non_null(p);
	free(p);
	p = xcalloc(0, 0);
	assert_non_null(p);
	free(p);
	p = xstrndup("mailbox", 4);
	assert_string_equal(p, "mail");
	free(p);
	p = xasprintf("%s-%d", "a", 7);
	assert_string_equal(p, "a-7");
	free(p);
}

/* --- cursor --- */

static void
add_record(struct buf *b)
{
	buf_add_u8(b, 0xfe);
	buf_add_u16(b, 0xfedc);
	buf_add_u32(b, 0xfedcba98);
	buf_add_u64(b, 0xfedcba9876543210);
	buf_add_str(b, "user@example.org");
	buf_add_str(b, NULL);
	buf_add_blob(b, "a\0b", 3);
	buf_add_blob(b, NULL, 0);
	buf_add(b, "raw", 3);
}

/* Reads it all; true when every value is right, and none but the right one or nothing ever came. */
static bool
read_record(struct cursor *c)
{
	const char *address, *empty, *blob, *none, *raw;
	size_t blob_len, none_len;
	bool integers;

	integers = cursor_u8(c) == 0xfe;
	integers = cursor_u16(c) == 0xfedc && integers;
	integers = cursor_u32(c) == 0xfedcba98 && integers;
	integers = cursor_u64(c) == 0xfedcba9876543210 && integers;
	address = cursor_str(c);
	empty = cursor_str(c);
	blob = cursor_blob(c, &blob_len);
	none = cursor_blob(c, &none_len);
	raw = cursor_bytes(c, 3);
	assert_true(*address == '\0' || strcmp(address, "user@example.org") == 0);
	assert_string_equal(empty, "");
	assert_true(blob != NULL ? blob_len == 3 && memcmp(blob, "a\0b", 3) == 0 : blob_len == 0);
	assert_int_equal(none_len, 0);
	return integers && *address != '\0' && blob != NULL && none != NULL && raw != NULL &&
	       memcmp(raw, "raw", 3) == 0;
}

/* LEN octets of B where nothing else is. */
static uint8_t *
exact(const struct buf *b, size_t len)
{
	uint8_t *copy;

	copy = malloc(len);
	assert_true(copy != NULL || len == 0);
	if (len > 0)
		memcpy(copy, b->data, len);
	return copy;
}

static void
test_cursor_truncated(void **state)
{
	struct buf b = { 0 };
	struct cursor c;
	uint8_t *data;
	size_t len;
	bool all;

	(void)state;
	add_record(&b);
	for (len = 0; len <= b.len; len++) {
		data = exact(&b, len);
		c = cursor_init(data, len);
		all = read_record(&c);
		assert_int_equal(all, len == b.len);
		assert_int_equal(c.bad, len != b.len);
		assert_int_equal(cursor_done(&c), len == b.len);
		free(data);
	}
	buf_addc(&b, 'x');
	c = cursor_init(b.data, b.len);
	assert_true(read_record(&c));
	assert_false(c.bad);
	assert_false(cursor_done(&c));
	buf_free(&b);
}

static void
test_cursor_layout(void **state)
{
	static const char expected[] = "\x01\x03\x02\x07\x06\x05\x04\x02\0\0\0ab\0\x01\0\0\0c";
	struct buf b = { 0 };

	(void)state;
	buf_add_u8(&b, 0x01);
	buf_add_u16(&b, 0x0203);
	buf_add_u32(&b, 0x04050607);
	buf_add_str(&b, "ab");
	buf_add_blob(&b, "c", 1);
	assert_int_equal(b.len, sizeof(expected) - 1);
	assert_memory_equal(b.data, expected, b.len);
	buf_free(&b);
}

static void
test_cursor_bad_strings(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "\x02\0\0\0ab", 6 },	       /* no NUL */
		{ "\x02\0\0\0abc", 7 },	       /* something else in its place */
		{ "\x03\0\0\0a\0b\0", 8 },     /* NUL inside */
		{ "\377\377\377\377ab\0", 7 }, /* longer than all there is */
		{ "\0\0\0", 3 },
		{ "\0\0\0\0", 4 },
		{ "", 0 },
	};
	struct buf b = { 0 };
	struct cursor c;
	uint8_t *data;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_clear(&b);
		buf_add(&b, cases[i].bytes, cases[i].len);
		data = exact(&b, b.len);
		c = cursor_init(data, b.len);
		assert_string_equal(cursor_str(&c), "");
		assert_true(c.bad);
		free(data);
	}
	buf_free(&b);
}

static void
test_cursor_stays_bad(void **state)
{
	struct cursor c;
	size_t len = 1;

	(void)state;
	c = cursor_init("\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	assert_null(cursor_bytes(&c, 9));
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_u16(&c), 0);
	assert_int_equal(cursor_u32(&c), 0);
	assert_int_equal(cursor_u64(&c), 0);
	assert_string_equal(cursor_str(&c), "");
	assert_null(cursor_blob(&c, &len));
	assert_int_equal(len, 0);
	assert_null(cursor_bytes(&c, 0));
	assert_true(c.bad);
	assert_false(cursor_done(&c));

	c = cursor_init(NULL, 0);
	assert_true(cursor_done(&c));
	assert_non_null(cursor_bytes(&c, 0));
	assert_int_equal(cursor_u8(&c), 0);
	assert_true(c.bad);
}

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
		data = exact(&b, len);
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

/* --- id --- */

static void
test_id_text(void **state)
{
	static const struct {
		uint64_t id;
		const char *text;
	} cases[] = {
		{ 1, "0000000000001" },
		{ 31, "000000000000Z" },
		{ 32, "0000000000010" },
		{ UINT64_MAX, "FZZZZZZZZZZZZ" },
		{ 0x8000000000000000, "8000000000000" },
		{ 0x0123456789abcdef, "028T5CY4TQKFF" },
	};
	uint64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_string_equal(id_text(cases[i].id).s, cases[i].text);
		assert_true(id_parse(cases[i].text, &id));
		assert_int_equal(id, cases[i].id);
	}
}

static void
test_id_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t id; /* 0: none */
	} cases[] = {
		{ "028t5cy4tqkff", 0x0123456789abcdef },
		{ "O28T5CY4TQKFF", 0x0123456789abcdef },
		{ "o000000000ILi", 1057 },
		{ "000000000000l", 1 },
		{ "", 0 },
		{ "0", 0 },
		{ "0000000000000", 0 },	 /* never an id */
		{ "028T5CY4TQKF", 0 },	 /* short */
		{ "028T5CY4TQKFF0", 0 }, /* long */
		{ "028T5CY4TQKFF ", 0 },
		{ " 28T5CY4TQKFF", 0 },
		{ "G000000000001", 0 }, /* the 65th bit */
		{ "028T5CY4TQKFU", 0 },
		{ "028T5CY4-QKFF", 0 },
		{ "028T5CY4\xc3\xa9KFF", 0 },
	};
	char *text;
	uint64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		text = xstrdup(cases[i].text);
		id = 0;
		assert_int_equal(id_parse(text, &id), cases[i].id != 0);
		assert_int_equal(id, cases[i].id);
		free(text);
	}
}

static void
test_id_new(void **state)
{
	int64_t before, after;
	uint64_t id, back;
	int i, repeated = 0;
	uint32_t last = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		before = clock_now();
		id = id_new();
		after = clock_now();
		assert_true((int64_t)(id >> 32) >= before && (int64_t)(id >> 32) <= after);
		repeated += (uint32_t)id == last;
		last = (uint32_t)id;
		assert_true(id_parse(id_text(id).s, &back));
		assert_int_equal(back, id);
	}
	assert_true(repeated < 2);
}

/* --- clock --- */

struct clock_case {
	const char *path; /* %s is replaced with the temporary file */
	const char *bytes;
	size_t len;
	bool as_root;
	bool is_test;
	int64_t offset;
	const char *says; /* NULL: nothing */
	/* filled in by the test */
	char *env;
	int fd;
};

/* Apart from the real one by OFFSET, give or take the seconds between two readings. */
static bool
is_off_by(int64_t offset)
{
	int64_t apart;

	apart = clock_now() - (int64_t)time(NULL);
	return apart >= offset - 1 && apart <= offset + 1;
}

/* Time that passes moves both clocks; what is set only the one on the wall. */
static int
clock_was_moved(int fd)
{
	static const uint8_t back[8] = { 0x80, 0xae, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff }, little[8] = { 0x81, 0xae, 0xfe, 0xff,
		0xff, 0xff, 0xff, 0xff }, none[8] = { 0 };
	struct clock_watch watch = { 0 };
	int64_t steady = clock_steady(), by;

	if (clock_was_set(&watch) != 0)
		return 20;
	if (pwrite(fd, back, sizeof(back), 8) != sizeof(back) || !is_off_by(0))
		return 21;
	by = clock_was_set(&watch);
	if (by < -86401 || by > -86399 || clock_was_set(&watch) != 0)
		return 22;
	if (clock_steady() < steady || clock_steady() > steady + 60)
		return 23;
	if (pwrite(fd, little, sizeof(little), 8) != sizeof(little) || clock_was_set(&watch) != 0)
		return 24;
	if (pwrite(fd, none, sizeof(none), 0) != sizeof(none) || clock_was_set(&watch) != 0)
		return 25;
	return clock_steady() > steady - 86400 + 60 ? 26 : 0;
}

static int
clock_child(void *arg)
{
	struct clock_case *k = arg;
	static const uint8_t later[8] = { 0x80, 0x51, 0x01, 0, 0, 0, 0, 0 };
	uint64_t start;

	if (!k->as_root && getuid() == 0 && setuid(65534) == -1)
		return 10;
	setenv("GENKAN_CLOCK", k->env, 1);
	clock_init();
	if (clock_is_test() != k->is_test)
		return 11;
	if (!is_off_by(k->offset))
		return 12;
	if (!k->is_test)
		return 0;
	start = clock_ms();
	if (pwrite(k->fd, later, sizeof(later), 0) != sizeof(later))
		return 13;
	if (!is_off_by(86400))
		return 14;
	if (k->len >= 16)
		return clock_was_moved(k->fd);
	return clock_ms() < start || clock_ms() - start > 3600 * 1000 ? 15 : 0;
}

static void
check_clock(struct clock_case *k)
{
	char path[] = "/tmp/genkan-clock-XXXXXX";
	int status;

	k->fd = mkstemp(path);
	assert_true(k->fd != -1);
	assert_int_equal(fchmod(k->fd, 0644), 0);
	assert_int_equal(write(k->fd, k->bytes, k->len), k->len);
	k->env = xstrdup(k->path != NULL ? k->path : path);
	status = child_run(clock_child, k, err);
	unlink(path);
	close(k->fd);
	if (k->says == NULL)
		assert_string_equal(err, "");
	else
		assert_true(strstr(err, k->says) != NULL && strstr(err, k->env) != NULL);
	free(k->env);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_clock(void **state)
{
	static struct clock_case cases[] = {
		{ .bytes = "\x10\x0e\0\0\0\0\0\0", .len = 8, .is_test = true, .offset = 3600 },
		{ .bytes = "\x10\x0e\0\0\0\0\0\0\0\0\0\0\0\0\0\0", .len = 16, .is_test = true, .offset = 3600 },
		{ .bytes = "\xf0\xf1\xff\xff\xff\xff\xff\xff more",
		    .len = 13,
		    .is_test = true,
		    .offset = -3600 },
		/* too far for any clock */
		{ .bytes = "\xff\xff\xff\xff\xff\xff\xff\x7f",
		    .len = 8,
		    .is_test = true,
		    .offset = 0 },
		{ .bytes = "\0\0\0\0\0\0\0", .len = 7, .says = "at least 8 octets" },
		{ .bytes = "", .len = 0, .says = "at least 8 octets" },
		{ .path = "/tmp", .bytes = "", .says = "at least 8 octets" },
		{ .path = "/nonexistent/clock", .bytes = "", .says = "No such file" },
		{ .path = "", .bytes = "", .says = "No such file" },
	};
	struct clock_case root = { .bytes = "\x10\x0e\0\0\0\0\0\0",
		.len = 8,
		.as_root = true,
		.says = "root has no test clock" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		check_clock(&cases[i]);
	if (getuid() == 0)
		check_clock(&root);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_text),
		cmocka_unit_test(test_buf_grows),
		cmocka_unit_test(test_buf_reserve),
		cmocka_unit_test(test_overflow_is_fatal),
		cmocka_unit_test(test_mem_zero),
		cmocka_unit_test(test_cursor_truncated),
		cmocka_unit_test(test_cursor_layout),
		cmocka_unit_test(test_cursor_bad_strings),
		cmocka_unit_test(test_cursor_stays_bad),
		cmocka_unit_test(test_field_escaping),
		cmocka_unit_test(test_field_lists),
		cmocka_unit_test(test_field_round_trip),
		cmocka_unit_test(test_field_many),
		cmocka_unit_test(test_field_truncated),
		cmocka_unit_test(test_field_bad),
		cmocka_unit_test(test_id_text),
		cmocka_unit_test(test_id_parse),
		cmocka_unit_test(test_id_new),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
