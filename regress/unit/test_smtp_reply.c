/*
 * Replies of servers, cut at every octet; their texts; the limits.  And what goes the other way: dot-stuffing, cut at
 * every octet too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/dotstuff.h"
#include "deliver/smtp_reply.h"

static const struct {
	const char *in;
	enum smtp_reply_status status;
	size_t used; /* 0: all */
	const char *text;
	const char *lines;
} cases[] = {
	{ "250 ok\r\n", SMTP_REPLY_DONE, 0, "250 ok", "ok\n" },
	{ "250 ok\n", SMTP_REPLY_DONE, 0, "250 ok", "ok\n" },
	{ "250\r\n", SMTP_REPLY_DONE, 0, "250", "\n" },
	{ "250 \r\n", SMTP_REPLY_DONE, 0, "250", "\n" },
	{ "250-\r\n250\r\n", SMTP_REPLY_DONE, 0, "250", "\n\n" },
	{ "250-mx.example\r\n250-PIPELINING\r\n250 SIZE 100\r\n", SMTP_REPLY_DONE, 0,
	    "250 mx.example PIPELINING SIZE 100", "mx.example\nPIPELINING\nSIZE 100\n" },
	{ "550-5.1.1 who\r\n550-5.1.1   is\r\n550 5.1.1 that \r\n", SMTP_REPLY_DONE, 0, "550 5.1.1 who is that",
	    "5.1.1 who\n5.1.1   is\n5.1.1 that \n" },
	{ "550-5.1.1 who\r\n550 5.1.10 is that\r\n", SMTP_REPLY_DONE, 0, "550 5.1.1 who 5.1.10 is that",
	    "5.1.1 who\n5.1.10 is that\n" },
	{ "550-who\r\n550 5.1.1 is that\r\n", SMTP_REPLY_DONE, 0, "550 who 5.1.1 is that",
	    "who\n5.1.1 is that\n" },
	{ "450 4.2.1\r\n", SMTP_REPLY_DONE, 0, "450 4.2.1", "4.2.1\n" },
	{ "354 go\r\n250 done\r\n", SMTP_REPLY_DONE, 8, "354 go", "go\n" },
	{ "299 x\r\n", SMTP_REPLY_DONE, 0, "299 x", "x\n" },
	{ "554 a\tb\033[1mc\r\r\n", SMTP_REPLY_DONE, 0, "554 a b [1mc", "a b [1mc \n" },
	{ "220 \xe3\x81\x82\r\n", SMTP_REPLY_DONE, 0, "220 \xe3\x81\x82", "\xe3\x81\x82\n" },
	/* not whole */
	{ "", SMTP_REPLY_MORE, 0, NULL, NULL },
	{ "2", SMTP_REPLY_MORE, 0, NULL, NULL },
	{ "250 ok\r", SMTP_REPLY_MORE, 0, NULL, NULL },
	{ "250-ok\r\n", SMTP_REPLY_MORE, 0, NULL, NULL },
	/* no SMTP */
	{ "\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "25\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "150 x\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "650 x\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "25x ok\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "2500 ok\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ " 250 ok\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "SSH-2.0-OpenSSH_9.2\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	{ "HTTP/1.1 400 Bad Request\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
	/* which of them? */
	{ "250-ok\r\n550 no\r\n", SMTP_REPLY_BAD, 0, NULL, NULL },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* Feeds up to CUT, then the rest. */
static enum smtp_reply_status
feed(struct smtp_reply *reply, const char *in, size_t cut, size_t *used)
{
	enum smtp_reply_status status = smtp_reply_feed(reply, in, cut, used);
	size_t more;

	if (status != SMTP_REPLY_MORE)
		return status;
	assert_int_equal(*used, cut);
	status = smtp_reply_feed(reply, in + cut, strlen(in) - cut, &more);
	*used += more;
	return status;
}

static void
test_replies(void **state)
{
	struct smtp_reply reply = { .code = 0 };
	size_t i, cut, used;

	(void)state;
	for (i = 0; i < CASES; i++) {
		for (cut = 0; cut <= strlen(cases[i].in); cut++) {
			enum smtp_reply_status status = feed(&reply, cases[i].in, cut, &used);
			char *text;

			if (status != cases[i].status)
				fail_msg("\"%s\" cut at %zu: %d", cases[i].in, cut, status);
			if (status == SMTP_REPLY_DONE) {
				assert_int_equal(used, cases[i].used > 0 ? cases[i].used : strlen(cases[i].in));
				text = smtp_reply_text(&reply);
				assert_string_equal(text, cases[i].text);
				assert_string_equal(buf_str(&reply.lines), cases[i].lines);
				assert_int_equal(reply.code, atoi(cases[i].text));
				free(text);
			}
			smtp_reply_clear(&reply);
		}
	}
	smtp_reply_free(&reply);
}

static void
test_enhanced(void **state)
{
	static const struct {
		const char *in, *code;
		bool has;
	} enhanced[] = {
		{ "552 5.5.3 too many\r\n", "5.5.3", true }, { "552-5.5.3 too\r\n552 many\r\n", "5.5.3", true },
		{ "552 5.5.3\r\n", "5.5.3", true }, { "552 5.5.30 x\r\n", "5.5.3", false },
		{ "552 5.5 x\r\n", "5.5", false }, { "552 3.5.3 x\r\n", "3.5.3", false },
		{ "552 5.5.3x\r\n", "5.5.3", false }, { "552 5.1234.1 x\r\n", "5.1234.1", false },
		{ "552 x 5.5.3\r\n", "5.5.3", false }, { "552\r\n", "5.5.3", false },
		{ "552 5..3\r\n", "5..3", false },
	};
	struct smtp_reply reply = { .code = 0 };
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(enhanced) / sizeof(enhanced[0]); i++) {
		assert_int_equal(smtp_reply_feed(&reply, enhanced[i].in, strlen(enhanced[i].in), &used),
		    SMTP_REPLY_DONE);
		if (smtp_reply_has_enhanced(&reply, enhanced[i].code) != enhanced[i].has)
			fail_msg("%s", enhanced[i].in);
		smtp_reply_clear(&reply);
	}
	smtp_reply_free(&reply);
}

static void
test_limits(void **state)
{
	static const size_t sizes[] = { SMTP_REPLY_LINE_MAX + 1, SMTP_REPLY_LINE_MAX + 2, 5000, SMTP_REPLY_MAX };
	struct smtp_reply reply = { .code = 0 };
	struct buf in = { 0 };
	enum smtp_reply_status status;
	size_t used, i;
	char *text;

	(void)state;
	/* a line that is as long as it should be, longer ones, and the longest: what is too much is not kept */
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		buf_clear(&in);
		buf_adds(&in, "250 ");
		while (in.len < sizes[i] - 1)
			buf_addc(&in, 'x');
		buf_adds(&in, "\n550");
		status = smtp_reply_feed(&reply, in.data, in.len, &used);
		assert_int_equal(status, SMTP_REPLY_DONE);
		assert_int_equal(used, sizes[i]);
		assert_true(reply.lines.len <= SMTP_REPLY_LINE_MAX);
		text = smtp_reply_text(&reply);
		assert_int_equal(strlen(text), SMTP_REPLY_TEXT_MAX);
		free(text);
		smtp_reply_clear(&reply);
	}
	/* a line that never ends, and lines that never end */
	for (i = 0, status = SMTP_REPLY_MORE; status == SMTP_REPLY_MORE && i < 100000; i++)
		status = smtp_reply_feed(&reply, "2", 1, &used);
	assert_int_equal(i, SMTP_REPLY_MAX + 1);
	smtp_reply_clear(&reply);
	for (i = 0, status = SMTP_REPLY_MORE; status == SMTP_REPLY_MORE && i < 100000; i++)
		status = smtp_reply_feed(&reply, "250-\n", 5, &used);
	assert_true(i <= SMTP_REPLY_MAX / 5 + 1);
	buf_free(&in);
	smtp_reply_free(&reply);
}

static const struct {
	const char *in, *out; /* NULL: refused */
} contents[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ "..\r\n.a\r\na.\r\n", "...\r\n..a\r\na.\r\n.\r\n" },
	{ "\r\n.\r\n\r\n", "\r\n..\r\n\r\n.\r\n" },
	{ "a\n", NULL }, { "\n", NULL }, { "a\r", NULL }, { "a\rb\r\n", NULL }, { "a\r\r\n", NULL },
	{ "a\r\n\n", NULL }, { "a\r\n.\n.\r\n", NULL }, { "\r.\r\n", NULL }, { "a\r\nb\n", NULL },
};

static void
test_dotstuff(void **state)
{
	struct evbuffer *out = evbuffer_new();
	size_t i, a, b, len;
	int with_out;

	(void)state;
	for (i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		len = strlen(contents[i].in);
		for (a = 0; a <= len; a++) {
			for (b = a; b <= len; b++) {
				for (with_out = 0; with_out < 2; with_out++) {
					struct dotstuff stuff = { .cr = false };
					struct evbuffer *to = with_out ? out : NULL;
					bool ok = dotstuff_feed(&stuff, contents[i].in, a, to) &&
					    dotstuff_feed(&stuff, contents[i].in + a, b - a, to) &&
					    dotstuff_feed(&stuff, contents[i].in + b, len - b, to) &&
					    dotstuff_end(&stuff, to);

					assert_int_equal(ok, contents[i].out != NULL);
					if (!ok || !with_out)
						continue;
					assert_int_equal(evbuffer_get_length(out), strlen(contents[i].out));
					assert_memory_equal(evbuffer_pullup(out, -1), contents[i].out,
					    strlen(contents[i].out));
				}
				evbuffer_drain(out, evbuffer_get_length(out));
			}
		}
	}
	evbuffer_free(out);
}

static void
test_8bit(void **state)
{
	char text[40];
	size_t i, len;

	(void)state;
	memset(text, 0x7f, sizeof(text));
	for (len = 0; len <= sizeof(text); len++) {
		assert_false(dotstuff_has_8bit(text, len));
		for (i = 0; i < len; i++) {
			text[i] = (char)0x80;
			assert_true(dotstuff_has_8bit(text, len));
			text[i] = 0x7f;
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_enhanced),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_dotstuff),
		cmocka_unit_test(test_8bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
