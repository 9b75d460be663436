/*
 * What sendmail makes of the input of programs: header fields, address lists, the message that is handed in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <cmocka.h>

#include "lib/compose.h"
#include "lib/content.h"
#include "lib/rfc5322.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- fields --- */

static void
test_field(void **state)
{
	static const struct {
		const char *in;
		size_t used; /* 0: no field */
		const char *name, *value;
	} t[] = {
		{ "To: a\r\nCc: b\r\n", 7, "To", " a" },
		{ "To: a\nCc: b\n", 6, "To", " a" },
		{ "To: a\r\n b\r\n\tc\r\nCc: d\r\n", 15, "To", " a\r\n b\r\n\tc" },
		{ "To:a", 4, "To", "a" },
		{ "To:", 3, "To", "" },
		{ "To:\r\n", 5, "To", "" },
		{ "To : a\r\n", 8, "To", " a" }, /* RFC 5322 4.5 */
		{ "X-a!#: b\r\n", 10, "X-a!#", " b" },
		{ "To\r\n: a\r\n", 0, NULL, NULL },
		{ ": a\r\n", 0, NULL, NULL },
		{ " To: a\r\n", 0, NULL, NULL },
		{ "\r\n", 0, NULL, NULL },
		{ "", 0, NULL, NULL },
		{ "hello world: x\r\n", 0, NULL, NULL },
		{ "T\xc3\xb6: a\r\n", 0, NULL, NULL },
		{ "To", 0, NULL, NULL },
	};
	struct header_field f;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		assert_int_equal(header_field_read(t[i].in, strlen(t[i].in), &f), t[i].used);
		if (t[i].used == 0)
			continue;
		assert_true(header_field_is(&f, t[i].name));
		assert_int_equal(f.value_len, strlen(t[i].value));
		assert_memory_equal(f.value, t[i].value, f.value_len);
	}
}

/* --- address lists --- */

static void
note_address(const struct header_address *a, void *arg)
{
	struct buf *b = arg;

	if (b->len > 0)
		buf_addc(b, '|');
	buf_addf(b, "%s%s", a->text, a->qualified ? "" : "!");
}

static void
test_addresses(void **state)
{
	/* found addresses, "!" behind those without a domain; WHY: a word of the complaint, NULL for none */
	static const struct {
		const char *in, *out, *why;
	} t[] = {
		{ "a@b", "a@b", NULL },
		{ " a@b , c@d ", "a@b|c@d", NULL },
		{ "root", "root!", NULL },
		{ "root (Cron Daemon)", "root!", NULL },
		{ "", "", NULL },
		{ ",, a@b,,", "a@b", NULL }, /* RFC 5322 4.4 obs-addr-list */
		{ "Alice <a@b>", "a@b", NULL },
		{ "\"Smith, J.\" <a@b>, c@d", "a@b|c@d", NULL },
		{ "John Q. Public <a@b>", "a@b", NULL }, /* obs-phrase */
		{ "x@y <a@b>", "a@b", NULL },
		{ "=?UTF-8?B?w4Q=?= <a@b>", "a@b", NULL },
		{ "\xc3\x84rger <a@b>", "a@b", NULL },
		{ "<a@b>", "a@b", NULL },
		{ "<@x,@y:a@b>", "a@b", NULL }, /* obs-route */
		{ "a@b (c@d, (nested) \\) e@f)", "a@b", NULL },
		{ "(c@d) a@b", "a@b", NULL },
		{ "a(x)@(y)b", "a@b", NULL },
		{ "a . b @ c . d", "a.b@c.d", NULL }, /* obs-local-part, obs-domain */
		{ "\"a b\"@c", "\"a b\"@c", NULL },
		{ "\"a,b\"@c, d@e", "\"a,b\"@c|d@e", NULL },
		{ "\"a\\\"@b\"@c", "\"a\\\"@b\"@c", NULL },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]", NULL },
		{ "a@[IPv6:2001:db8::1], b@c", "a@[IPv6:2001:db8::1]|b@c", NULL },
		{ "friends: a@b, C <c@d>;", "a@b|c@d", NULL },
		{ "undisclosed-recipients:;", "", NULL },
		{ "g: a@b;, c@d", "a@b|c@d", NULL },
		{ "My Friends: a@b; , h: ;", "a@b", NULL },
		{ "a@b,\r\n\tc@d", "a@b|c@d", NULL },
		{ "a@b\r\n (x)", "a@b", NULL },
		{ "<a@b> <c@d>", "a@b", "comma" },
		{ "<a@b> c", "a@b", "comma" },
		{ "<a@b> c, d@e", "a@b", "comma" },
		{ "alice bob", "", "comma" },
		{ "alice bob@c", "", "comma" },
		{ "a@b c@d", "", "comma" },
		{ "Alice, <a@b>", "Alice!|a@b", NULL },
		{ "a@b, Alice Smith", "a@b", "comma" },
		{ "<a@b, c@d>", "", "quoted" },
		{ "<a b@c>", "", "comma" },
		{ "<a@b", "", "\">\"" },
		{ "a@b>", "", "\"<\"" },
		{ "a@b)", "", "parenthesis" },
		{ "a@b (x", "", "comment" },
		{ "\"a@b", "", "quoted string" },
		{ "a@[b", "", "literal" },
		{ "a@b;", "", "semicolon" },
		{ "a:b:c;", "", "colon" },
		{ "a@b:c;", "", "colon" },
	};
	struct buf found = { 0 };
	const char *why;
	size_t i, at;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		buf_clear(&found);
		why = NULL;
		assert_int_equal(header_addresses(t[i].in, strlen(t[i].in), note_address, &found, &why, &at), t[i].why == NULL);
		assert_string_equal(buf_str(&found), t[i].out);
		if (t[i].why != NULL && strstr(why, t[i].why) == NULL)
			fail_msg("\"%s\": %s", t[i].in, why);
		assert_true(at <= strlen(t[i].in));
	}
	buf_free(&found);
}

static void
note_end(const struct header_address *a, void *arg)
{
	*(size_t *)arg = a->end;
}

/* Where a domain that is missing belongs. */
static void
test_address_end(void **state)
{
	static const struct {
		const char *in;
		size_t end;
	} t[] = { { "root", 4 }, { " root (x)", 5 }, { "R <root>", 7 }, { "\"a b\" (x)", 5 }, { "<root (x) >", 5 } };
	const char *why;
	size_t i, at, end;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		assert_true(header_addresses(t[i].in, strlen(t[i].in), note_end, &end, &why, &at));
		assert_int_equal(end, t[i].end);
	}
}

/* --- writing --- */

static void
test_phrase(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "Alice", "Alice" },
		{ "Alice B Smith", "Alice B Smith" },
		{ "Smith, J.", "\"Smith, J.\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "a\r\nBcc: x", "\"a  Bcc: x\"" },
		{ "\xc3\x84", "=?UTF-8?B?w4Q=?=" },
		{ "\xc3\x84rger", "=?UTF-8?B?w4RyZ2Vy?=" },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		buf_clear(&b);
		header_add_phrase(&b, t[i].in);
		assert_string_equal(buf_str(&b), t[i].out);
	}
	buf_free(&b);
}

/* RFC 2047 2: no encoded word longer than 75; 5: no character cut in two. */
static void
test_phrase_long(void **state)
{
	struct buf name = { 0 }, b = { 0 };
	const char *line, *end;
	int i;

	(void)state;
	for (i = 0; i < 50; i++)
		buf_adds(&name, i % 3 ? "\xe7\x8e\x84" : "x");
	header_add_phrase(&b, buf_str(&name));
	for (line = buf_str(&b); *line != '\0'; line = *end != '\0' ? end + 3 : end) {
		end = line + strcspn(line, "\r");
		assert_true(end - line <= 75);
		assert_memory_equal(line, "=?UTF-8?B?", 10);
		assert_memory_equal(end - 2, "?=", 2);
	}
	buf_free(&name);
	buf_free(&b);
}

static void
set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static void
test_date(void **state)
{
	struct buf b = { 0 };

	(void)state;
	set_zone("JST-9");
	header_add_date(&b, 1574363760);
	assert_string_equal(buf_str(&b), "Fri, 22 Nov 2019 04:16:00 +0900");
	buf_clear(&b);
	set_zone("TST+3:30");
	header_add_date(&b, 0);
	assert_string_equal(buf_str(&b), "Wed, 31 Dec 1969 20:30:00 -0330");
	buf_free(&b);
	set_zone("UTC0");
}

/* --- whole messages --- */

#define DATE "Date: Fri, 22 Nov 2019 04:16:00 +0000\r\n"
#define ID "Message-ID: <0000000000001@h.example>\r\n"
#define FROM "From: u@h.example\r\n"
#define NOBODY "To: undisclosed-recipients:;\r\n"

static struct compose_options
options(bool from_header)
{
	return (struct compose_options){ .from_header = from_header, .host = "h.example", .sender = "u@h.example", .id = 1,
		.now = 1574396160 };
}

static void
test_compose(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		/* all is missing */
		{ "hello\n", FROM DATE ID NOBODY "\r\nhello\r\n" },
		{ "", FROM DATE ID NOBODY "\r\n" },
		{ "\nhello\n", FROM DATE ID NOBODY "\r\nhello\r\n" },
		{ "two words: no field\n\nx\n", FROM DATE ID NOBODY "\r\ntwo words: no field\r\n\r\nx\r\n" },
		/* what is there stays as it is */
		{ "Subject: s\nTo: a@b\n\nhello\n", "Subject: s\r\nTo: a@b\r\n" FROM DATE ID "\r\nhello\r\n" },
		{ "Subject: s\r\nCc: a@b\r\n\r\nhello\r\n", "Subject: s\r\nCc: a@b\r\n" FROM DATE ID "\r\nhello\r\n" },
		{ "from: x@y\ndate: d\nmessage-id: i\nto: z@w\n\n", "from: x@y\r\ndate: d\r\nmessage-id: i\r\nto: z@w\r\n\r\n" },
		{ "Subject: a\n b\n\n", "Subject: a\r\n b\r\n" FROM DATE ID NOBODY "\r\n" },
		/* no end of line, no body */
		{ "Subject: s", "Subject: s\r\n" FROM DATE ID NOBODY "\r\n" },
		/* the body begins without an empty line */
		{ "Subject: s\nhello there\n", "Subject: s\r\n" FROM DATE ID NOBODY "\r\nhello there\r\n" },
		/* what must not go out */
		{ "Bcc: x@y\nTo: a@b\nBCC: z@w,\n q@r\n\n", "To: a@b\r\n" FROM DATE ID "\r\n" },
		{ "Return-Path: <x@y>\nContent-Length: 3\nResent-Bcc: x@y\nTo: a@b\n\n", "To: a@b\r\n" FROM DATE ID "\r\n" },
		{ "From alice Fri Nov 22 04:16:00 2019\nTo: a@b\n\nx\n", "To: a@b\r\n" FROM DATE ID "\r\nx\r\n" },
		/* addresses without a domain */
		{ "From: root (Cron Daemon)\nTo: root, a@b, Bob <bob>\n\n",
		    "From: root@h.example (Cron Daemon)\r\nTo: root@h.example, a@b, Bob <bob@h.example>\r\n" DATE ID "\r\n" },
		{ "To: a@b,\n root\n\n", "To: a@b,\r\n root@h.example\r\n" FROM DATE ID "\r\n" },
		{ "Subject: root\nTo: a@b\n\n", "Subject: root\r\nTo: a@b\r\n" FROM DATE ID "\r\n" },
		{ "To: root, broken words here\n\n", "To: root, broken words here\r\n" FROM DATE ID "\r\n" },
		/* lines */
		{ "To: a@b\n\none\r\ntwo\rthree\n.four\n..\n", "To: a@b\r\n" FROM DATE ID "\r\none\r\ntwo\r\nthree\r\n.four\r\n..\r\n" },
		{ "To: a@b\n\none\n.\ntwo\n", "To: a@b\r\n" FROM DATE ID "\r\none\r\n" },
		{ ".\n", FROM DATE ID NOBODY "\r\n" },
	};
	struct compose_options o = options(false);
	struct composed m;
	size_t i;

	(void)state;
	set_zone("UTC0");
	for (i = 0; i < COUNT(t); i++) {
		assert_null(compose(&o, t[i].in, strlen(t[i].in), &m));
		assert_string_equal(buf_str(&m.text), t[i].out);
		assert_int_equal(m.recipients_n, 0);
		composed_free(&m);
	}
}

static void
test_recipients(void **state)
{
	static const struct {
		const char *in, *out; /* "|" between */
	} t[] = {
		{ "To: a@b\nCc: c@d\nBcc: e@f\n\n", "a@b|c@d|e@f" },
		{ "To: A <a@b>, root\n\n", "a@b|root" },
		{ "To: undisclosed-recipients:;\nBcc: a@b\n\n", "a@b" },
		{ "Subject: x\n\nTo: not@this\n", "" },
		{ "To: old@b\nResent-To: new@b\nCc: old@c\nResent-Bcc: new@c\n\n", "new@b|new@c" },
		{ "bcc:a@b\n\n", "a@b" },
	};
	struct compose_options o = options(true);
	struct composed m;
	struct buf b = { 0 };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		assert_null(compose(&o, t[i].in, strlen(t[i].in), &m));
		buf_clear(&b);
		for (j = 0; j < m.recipients_n; j++)
			buf_addf(&b, "%s%s", j > 0 ? "|" : "", m.recipients[j]);
		assert_string_equal(buf_str(&b), t[i].out);
		assert_null(strstr(buf_str(&m.text), "cc: e@f"));
		composed_free(&m);
	}
	buf_free(&b);
}

/* Fewer would get it than it was meant for: better none. */
static void
test_recipients_broken(void **state)
{
	static const char in[] = "To: a@b, \"c@d\nBcc: e@f\n\n";
	struct compose_options o = options(true);
	struct composed m;
	char *why = compose(&o, in, sizeof(in) - 1, &m);

	(void)state;
	assert_non_null(why);
	assert_non_null(strstr(why, "\"To\""));
	free(why);
}

static void
test_from(void **state)
{
	struct compose_options o = options(false);
	struct composed m;

	(void)state;
	o.full_name = "Smith, J.";
	assert_null(compose(&o, "", 0, &m));
	assert_non_null(strstr(buf_str(&m.text), "From: \"Smith, J.\" <u@h.example>\r\n"));
	composed_free(&m);
	o.full_name = NULL;
	o.sender = "";
	assert_null(compose(&o, "", 0, &m));
	assert_non_null(strstr(buf_str(&m.text), "From: MAILER-DAEMON@h.example\r\n"));
	composed_free(&m);
}

static void
test_dot_is_text(void **state)
{
	static const char in[] = "To: a@b\n\none\n.\ntwo\n";
	struct compose_options o = options(false);
	struct composed m;

	(void)state;
	o.dot_is_text = true;
	assert_null(compose(&o, in, sizeof(in) - 1, &m));
	assert_non_null(strstr(buf_str(&m.text), "one\r\n.\r\ntwo\r\n"));
	composed_free(&m);
}

/* RFC 5322 2.1.1: no line longer than 998; UTF-8 is not cut.  And no NUL goes out. */
static void
test_long_lines(void **state)
{
	struct compose_options o = options(false);
	struct buf in = { 0 };
	struct composed m;
	const char *line, *end;
	int i;

	(void)state;
	buf_adds(&in, "To: a@b\n\nx");
	for (i = 0; i < 1500; i++)
		buf_adds(&in, "\xe7\x8e\x84");
	buf_add(&in, "a\0b\n", 4);
	assert_null(compose(&o, in.data, in.len, &m));
	assert_int_equal(strlen(buf_str(&m.text)), m.text.len);
	for (line = buf_str(&m.text); *line != '\0'; line = end + 2) {
		end = strstr(line, "\r\n");
		assert_non_null(end);
		assert_true(end - line <= 998);
		assert_true(((unsigned char)*line & 0xc0) != 0x80);
	}
	assert_memory_equal(m.text.data + m.text.len - 5, "a?b\r\n", 5);
	composed_free(&m);
	buf_free(&in);
}

/* --- what the control role sees --- */

static void
test_content(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		unsigned defects;
		bool whole, eight_bit;
		unsigned received;
	} t[] = {
		{ "a: b\r\n\r\nx\r\n", 11, 0, true, false, 0 },
		{ "a: b\r\n\r\nx", 9, 0, false, false, 0 },
		{ "", 0, 0, true, false, 0 },
		{ "a\nb\r\n", 5, CONTENT_BARE_LF, true, false, 0 },
		{ "a\rb\r\n", 5, CONTENT_BARE_CR, true, false, 0 },
		{ "a\r\r\n", 4, CONTENT_BARE_CR, true, false, 0 },
		{ "a\r", 2, CONTENT_BARE_CR, false, false, 0 },
		{ "a\0b\r\n", 5, CONTENT_NUL, true, false, 0 },
		{ "\xc3\x84\r\n", 4, 0, true, true, 0 },
		{ "Received: x\r\nRECEIVED: y\r\n\r\nReceived: z\r\n", 41, 0, true, false, 2 },
		{ "Received : x\r\nX-Received: y\r\n z\r\n Received: w\r\n\r\n", 49, 0, true, false, 0 },
		{ "\n.\r\n", 4, CONTENT_BARE_LF, true, false, 0 },
	};
	struct content c;
	size_t i, cut;

	(void)state;
	for (i = 0; i < COUNT(t); i++)
		for (cut = 0; cut <= t[i].len; cut++) {
			memset(&c, 0, sizeof(c));
			content_look(&c, t[i].in, cut);
			content_look(&c, t[i].in + cut, t[i].len - cut);
			assert_int_equal(content_end(&c), t[i].whole);
			assert_int_equal(c.defects, t[i].defects);
			assert_int_equal(c.eight_bit, t[i].eight_bit);
			assert_int_equal(c.received, t[i].received);
			assert_int_equal(c.size, t[i].len);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_end),
		cmocka_unit_test(test_phrase),
		cmocka_unit_test(test_phrase_long),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_compose),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_recipients_broken),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_dot_is_text),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_content),
	};

	return cmocka_run_group_tests_name("sendmail", tests, NULL, NULL);
}
