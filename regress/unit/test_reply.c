/*
 * Replies of the server: their form (RFC 5321 4.2), their length (4.5.3.1.5), and that nothing in a
 * text can begin another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "smtpd/reply.h"

static const struct {
	int code;
	const char *status, *text, *want;
} rows[] = {
	{ 250, "2.1.0", "ok", "250 2.1.0 ok\r\n" },
	{ 220, NULL, "mx.example.org ESMTP", "220 mx.example.org ESMTP\r\n" },
	{ 354, NULL, "", "354 \r\n" },
	{ 550, "5.7.1", "100% <a@b> \\n", "550 5.7.1 100% <a@b> \\n\r\n" },
	/* what a name, a path or a remote text might bring along */
	{ 550, "5.1.1", "a\r\n250 ok", "550 5.1.1 a??250 ok\r\n" },
	{ 550, "5.1.1", "\xc3\xa9\x7f\t\x01", "550 5.1.1 ?????\r\n" },
};

static void
test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = { 0 };

		reply_format(&b, rows[i].code, rows[i].status, "%s", rows[i].text);
		assert_string_equal(buf_str(&b), rows[i].want);
		buf_free(&b);
	}
}

static void
test_appends(void **state)
{
	struct buf b = { 0 };

	(void)state;
	reply_format(&b, 250, NULL, "%d %s", 1, "one");
	reply_format(&b, 250, "2.0.0", "two");
	assert_string_equal(buf_str(&b), "250 1 one\r\n250 2.0.0 two\r\n");
	buf_free(&b);
}

/* Reads the lines of a reply back; returns its text. */
static char *
read_back(const char *reply, const char *code, const char *status)
{
	struct buf text = { 0 };
	const char *end;
	size_t head = strlen(code) + 1 + strlen(status) + 1;

	for (;; reply = end + 2) {
		end = strstr(reply, "\r\n");
		assert_non_null(end);
		assert_true(end + 2 - reply <= 512);
		assert_memory_equal(reply, code, 3);
		assert_int_equal(reply[3], end[2] == '\0' ? ' ' : '-');
		assert_memory_equal(reply + 4, status, strlen(status));
		assert_int_equal(reply[head - 1], ' ');
		if (text.len > 0)
			buf_addc(&text, ' ');
		buf_add(&text, reply + head, (size_t)(end - reply) - head);
		if (end[2] == '\0')
			return buf_take(&text);
	}
}

/* Words of every length up to a line's, so that every place of a break comes up. */
static void
test_long(void **state)
{
	size_t word, i;

	(void)state;
	for (word = 1; word < 230; word++) {
		struct buf text = { 0 }, b = { 0 };
		char *back;

		while (text.len < 2000) {
			for (i = 0; i < word; i++)
				buf_addc(&text, (char)('a' + i % 26));
			buf_addc(&text, ' ');
		}
		buf_addc(&text, '.');
		reply_format(&b, 550, "5.7.1", "%s", buf_str(&text));
		back = read_back(buf_str(&b), "550", "5.7.1");
		assert_string_equal(back, buf_str(&text));
		free(back);
		buf_free(&text);
		buf_free(&b);
	}
}

/* Without a space it is cut all the same. */
static void
test_long_word(void **state)
{
	struct buf text = { 0 }, b = { 0 };
	char *back;
	size_t i;

	(void)state;
	for (i = 0; i < 1500; i++)
		buf_addc(&text, 'x');
	reply_format(&b, 450, "4.0.0", "%s", buf_str(&text));
	back = read_back(buf_str(&b), "450", "4.0.0");
	assert_int_equal(strspn(back, "x "), strlen(back));
	assert_int_equal(strlen(back), 1500 + 3); /* four lines */
	free(back);
	buf_free(&text);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_long_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
