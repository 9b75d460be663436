/*
 * Memory, buffers, and the cursor that reads what a buffer wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/mem.h"
#include "regress/unit/child.h"
#include "regress/unit/exact.h"

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
		data = exact(b.data, len);
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
		data = exact(b.data, b.len);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
