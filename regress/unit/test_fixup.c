/*
 * What submission does to a message (fixup.h), in one piece and split at every octet: the same comes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/buffer.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpd/fixup.h"

#define FROM "From: a@example.org\r\n"
#define DATE "Date: Sun, 22 Nov 2026 10:00:00 +0900\r\n"
#define ID "Message-ID: <1@example.org>\r\n"
#define NEW_ID "Message-ID: <0000000000005@mx.example.org>\r\n"

/* What comes out, or "! FAULT"; SPLIT: the octets of the first piece. */
static char *
fix(const char *text, size_t len, size_t split, bool binary)
{
	struct fixup_options o = { .host = "mx.example.org", .sender = "s@example.org", .id = 5, .now = 0,
		.binary = binary };
	struct fixup *f = fixup_new(&o);
	struct evbuffer *b = evbuffer_new(), *out = evbuffer_new();
	struct buf result = { 0 };
	const char *fault;
	size_t n;

	evbuffer_add(b, text, split);
	fixup_text(f, b);
	evbuffer_add_buffer(out, b);
	evbuffer_add(b, text + split, len - split);
	fault = fixup_end(f, b);
	evbuffer_add_buffer(out, b);
	n = evbuffer_get_length(out);
	if (fault != NULL)
		buf_addf(&result, "! %s", fault);
	else
		buf_add(&result, (const char *)evbuffer_pullup(out, -1), n);
	buf_adds(&result, "");
	evbuffer_free(b);
	evbuffer_free(out);
	fixup_free(f);
	return buf_take(&result);
}

static const struct {
	const char *in, *out;
} rows[] = {
	{ FROM DATE ID "\r\nhello\r\n", FROM DATE ID "\r\nhello\r\n" },
	{ FROM DATE ID "\r\n", FROM DATE ID "\r\n" },
	{ FROM DATE ID, FROM DATE ID },
	{ FROM DATE ID "Bcc: x@y\r\n\tz@y\r\nX: y\r\n\r\nBcc: stays\r\n", FROM DATE ID "X: y\r\n\r\nBcc: stays\r\n" },
	{ FROM DATE ID "bCC :x@y\r\n\r\n", FROM DATE ID "\r\n" },
	{ FROM DATE ID "To: bob,\r\n carol\r\n\r\n", FROM DATE ID "To: bob@mx.example.org,\r\n carol@mx.example.org\r\n\r\n" },
	{ FROM DATE ID "To: unclosed <\r\n\r\n", FROM DATE ID "To: unclosed <\r\n\r\n" },
	{ "From: a, b\r\n" DATE ID "\r\n", "From: a@mx.example.org, b@mx.example.org\r\n" DATE ID "Sender: s@example.org\r\n\r\n" },
	{ "From: a, b\r\nSender: c@d\r\n" DATE ID "\r\n", "From: a@mx.example.org, b@mx.example.org\r\nSender: c@d\r\n" DATE ID "\r\n" },
	{ FROM DATE "Message-ID: <a b@c>\r\n\r\n", FROM DATE NEW_ID "\r\n" },
	{ FROM DATE "Message-ID: (c) <a@b> (d)\r\n\r\n", FROM DATE "Message-ID: (c) <a@b> (d)\r\n\r\n" },
	{ FROM ID "Date: 1 jan 70 1:00 GMT (x)\r\n\r\n", FROM ID "Date: 1 jan 70 1:00 GMT (x)\r\n\r\n" },
	/* RFC 5322 3.3, 4.3: white space and comments are where one likes */
	{ FROM ID "Date: Sun,22 Nov 2026 10:00:00 +0900\r\n\r\n", FROM ID "Date: Sun,22 Nov 2026 10:00:00 +0900\r\n\r\n" },
	{ FROM ID "Date: Sun (x) , 22\r\n Nov 2026 10 : 00 : 60 -0959\r\n\r\n",
	    FROM ID "Date: Sun (x) , 22\r\n Nov 2026 10 : 00 : 60 -0959\r\n\r\n" },
	{ FROM ID "Date: (a) Tue, 29 Feb 2028 23:59 Z\r\n\r\n", FROM ID "Date: (a) Tue, 29 Feb 2028 23:59 Z\r\n\r\n" },
	{ FROM DATE ID "X: y", FROM DATE ID "X: y\r\n" }, /* BDAT ends anywhere */
	{ "", "! there is no From field; receivers refuse that (RFC 5322 3.6)" },
	{ "\r\n", "! there is no From field; receivers refuse that (RFC 5322 3.6)" },
	{ FROM FROM "\r\n", "! From is there twice; receivers refuse that (RFC 5322 3.6)" },
	{ FROM "References: a\r\nreferences: b\r\n\r\n", "! References is there twice; receivers refuse that (RFC 5322 3.6)" },
	{ FROM " folded@x\r\n\r\n", "! From cannot be read: " },
	{ FROM "hello\r\n\r\n", "! line 2 is no header field: \"hello\"" },
	{ ": x\r\n" FROM "\r\n", "! line 1 is no header field: \": x\"" },
};

static void
test_rows(void **state)
{
	char *out;
	size_t i, split, len;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		len = strlen(rows[i].in);
		for (split = 0; split <= len; split++) {
			out = fix(rows[i].in, len, split, false);
			if (strncmp(rows[i].out, "! From cannot", 13) == 0)
				assert_memory_equal(out, rows[i].out, strlen(rows[i].out));
			else
				assert_string_equal(out, rows[i].out);
			free(out);
		}
	}
}

/* Whatever the zone of this machine is. */
static void
test_missing(void **state)
{
	char *out = fix(FROM "\r\n", strlen(FROM) + 2, 3, false);

	(void)state;
	assert_non_null(strstr(out, FROM "Date: Thu, 1 Jan 1970 "));
	assert_non_null(strstr(out, "\r\nMessage-ID: <"));
	assert_non_null(strstr(out, "@mx.example.org>\r\n\r\n"));
	free(out);
}

/* What receivers cannot read is replaced. */
static void
test_no_dates(void **state)
{
	static const char *const dates[] = { "", "yesterday", "22 Nov 2026", "22 Nov 2026 10:00:00", "2026-11-22T10:00:00Z",
		"Sun 22 Nov 2026 10:00:00 +0900", "Xxx, 22 Nov 2026 10:00:00 +0900", "0 Nov 2026 10:00:00 +0900",
		"31 Nov 2026 10:00:00 +0900", "29 Feb 2026 10:00:00 +0900", "32 Jan 2026 10:00:00 +0900", "22 Nov 2026 24:00:00 +0900",
		"22 Nov 2026 10:60:00 +0900", "22 Nov 2026 10:00:61 +0900", "22 Nov 2026 10:00:00 +0960", "22 Nov 2026 10:00:00 +090",
		"22 Nov 2026 10:00:00 +09:00", "22 Nov 2026 10:00:00 +0900 x", "22 Nov 6 10:00:00 +0900", "22 Nov 2026 10 +0900" };
	char *text, *out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		text = xasprintf("%sDate: %s\r\n\r\n", FROM ID, dates[i]);
		out = fix(text, strlen(text), 7, false);
		if (strstr(out, "Date: Thu, 1 Jan 1970 ") == NULL)
			fail_msg("\"%s\" passes for a date", dates[i]);
		free(out);
		free(text);
	}
}

static void
test_long_lines(void **state)
{
	struct buf b = { 0 };
	char *out, *line = calloc(1, 1001);
	size_t n;

	(void)state;
	memset(line, 'x', 1000);
	for (n = 997; n <= 1000; n++) {
		buf_clear(&b);
		buf_addf(&b, "%s\r\nok\r\n%.*s\r\n", FROM DATE ID, (int)n, line);
		out = fix(b.data, b.len, b.len / 2, false);
		assert_int_equal(out[0] == '!', n > 998);
		free(out);
		out = fix(b.data, b.len, b.len / 2, true); /* binary: it has no lines */
		assert_memory_equal(out, b.data, b.len);
		free(out);
		buf_clear(&b);
		buf_addf(&b, "%s%.*s\r\n\r\n", FROM DATE ID "S: ", (int)n - 3, line);
		out = fix(b.data, b.len, b.len / 2, false);
		assert_int_equal(out[0] == '!', n > 998);
		free(out);
	}
	free(line);
	buf_free(&b);
}

static void
test_authors(void **state)
{
	static const char text[] = "From: \"A, B\" <A@Example.ORG>, b (x@y)\r\nSender: <c@d.example>\r\n\r\n";
	struct fixup *f = fixup_new(&(struct fixup_options){ .host = "mx.example.org", .sender = "" });
	struct evbuffer *b = evbuffer_new();
	const char *const *authors;

	(void)state;
	evbuffer_add(b, text, sizeof(text) - 1);
	assert_null(fixup_end(f, b));
	assert_int_equal(fixup_authors(f, &authors), 3);
	assert_string_equal(authors[0], "A@example.org");
	assert_string_equal(authors[1], "b@mx.example.org");
	assert_string_equal(authors[2], "c@d.example");
	evbuffer_free(b);
	fixup_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_no_dates),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_authors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
