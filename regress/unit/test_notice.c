/*
 * Units of queue/notice.c: whole notices with a fixed id and time, byte for byte, and a reader of
 * its own that checks the structure of any notice (RFC 3464, RFC 6522, RFC 5322 line lengths).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "queue/notice.h"

#define NOTICE_ID 0x6553f10000000001 /* 6AMZH00000001 */
#define MESSAGE_ID 0x6553f0b400000002
#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 +0000 */

static const char header[] = "Received: by mx.example.net; Tue, 14 Nov 2023 22:12:04 +0000\r\n"
			     "From: Alice <alice@example.org>\r\n"
			     "Subject: Tea\r\n";
static const char content[] = "Received: by mx.example.net; Tue, 14 Nov 2023 22:12:04 +0000\r\n"
			      "From: Alice <alice@example.org>\r\n"
			      "Subject: Tea\r\n"
			      "\r\n"
			      "At five?\r\n";

/* What a test changes about the usual. */
struct world {
	struct envelope *env;
	struct notice_recipient recipients[4];
	struct notice notice;
	struct envelope *composed;
	struct buf text;
};

static void
begin(struct world *w, enum notice_kind kind)
{
	memset(w, 0, sizeof(*w));
	w->env = envelope_new();
	w->env->id = MESSAGE_ID;
	w->env->time = NOW - 76;
	w->env->expires = NOW + 5 * 86400;
	w->env->sender = xstrdup("alice@example.org");
	w->env->origin = xstrdup("");
	w->notice = (struct notice){ .kind = kind,
		.id = NOTICE_ID,
		.time = NOW,
		.host = "mx.example.net",
		.about = w->env,
		.to = "alice@example.org",
		.recipients = w->recipients,
		.content = content,
		.content_len = strlen(content),
		.whole = true };
}

static struct recipient *
add(struct world *w, const char *address, const char *original, const char *host,
    const char *reason)
{
	uint32_t i = envelope_add_recipient(w->env, address, original, NOTIFY_DEFAULT);
	struct recipient *r = &w->env->recipients[i];
	unsigned k;

	r->attempts = 1;
	envelope_set(&r->host, host);
	envelope_set(&r->reason, reason);
	/* adding may move them all */
	w->notice.recipients_n = i + 1;
	for (k = 0; k <= i; k++)
		w->recipients[k].recipient = &w->env->recipients[k];
	return r;
}

/* --- the reader --- */

static unsigned
count(const char *s, const char *what)
{
	unsigned n = 0;

	for (; (s = strstr(s, what)) != NULL; s += strlen(what))
		n++;
	return n;
}

/* Every line ends in CRLF, is no longer than 998 octets, and but for what is returned of the
 * message is ASCII without controls, where LIMIT is the longest line of our own. */
static void
check_lines(const char *text, size_t limit, bool may_be_8bit)
{
	const char *line = text, *end, *s;
	size_t longest = 0;

	for (; *line != '\0'; line = end + 2) {
		end = strstr(line, "\r\n");
		assert_non_null(end);
		assert_true(end - line <= 998);
		for (s = line; s < end; s++) {
			assert_true((unsigned char)*s >= ' ' || *s == '\t');
			assert_true(may_be_8bit || (*s & 0x80) == 0);
		}
		if ((size_t)(end - line) > longest)
			longest = (size_t)(end - line);
	}
	assert_true(longest <= limit);
}

/* The part number N (0: words, 1: status, 2: the message), cut out; the caller frees. */
static char *
part(const char *text, unsigned n)
{
	const char *s = text, *end, delimiter[] = "\r\n--=_6AMZH00000001";

	assert_int_equal(count(text, delimiter), 4);
	assert_non_null(strstr(text, "\r\n--=_6AMZH00000001--\r\n"));
	s = strstr(s, delimiter);
	for (; n > 0; n--)
		s = strstr(s + 2, delimiter);
	s += strlen(delimiter) + 2;
	end = strstr(s, delimiter);
	return xstrndup(s, (size_t)(end - s));
}

static void
compose(struct world *w)
{
	struct evbuffer *out = evbuffer_new();
	size_t len;

	w->composed = notice_compose(&w->notice, out);
	len = evbuffer_get_length(out);
	assert_int_equal(len, w->composed->size);
	buf_add(&w->text, evbuffer_pullup(out, -1), len);
	evbuffer_free(out);
	assert_int_equal(strlen(buf_str(&w->text)), len);
	assert_int_equal(w->composed->id, NOTICE_ID);
	assert_string_equal(w->composed->sender, "");
	assert_int_equal(w->composed->recipients_n, 1);
	assert_string_equal(w->composed->recipients[0].address, w->env->sender);
	w->composed->expires = NOW;
	assert_true(envelope_ok(w->composed));
}

static void
finish(struct world *w)
{
	envelope_free(w->env);
	envelope_free(w->composed);
	buf_free(&w->text);
}

static void
assert_part(const struct world *w, unsigned n, const char *expected)
{
	char *found = part(buf_str(&w->text), n);

	assert_string_equal(found, expected);
	free(found);
}

static void
assert_in_part(const struct world *w, unsigned n, const char *expected)
{
	char *found = part(buf_str(&w->text), n);

	if (strstr(found, expected) == NULL)
		fail_msg("not in part %u: %s\n%s", n, expected, found);
	free(found);
}

/* --- whole notices --- */

static void
failure(void **state)
{
	static const char expected[] =
	    "From: Mail Delivery System <MAILER-DAEMON@mx.example.net>\r\n"
	    "To: <alice@example.org>\r\n"
	    "Subject: Undeliverable: your message was not delivered to everybody\r\n"
	    "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	    "Message-ID: <6AMZH00000001@mx.example.net>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    " boundary=\"=_6AMZH00000001\"\r\n"
	    "\r\n"
	    "--=_6AMZH00000001\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "This is the mail server mx.example.net. Your message of Tue, 14 Nov 2023\r\n"
	    "22:12:04 +0000 could not be delivered to the recipients below. It will not\r\n"
	    "be tried again.\r\n"
	    "\r\n"
	    "  <bob@example.com>\r\n"
	    "    mail.example.com[192.0.2.7] said: 550 5.1.1 <bob@example.com>: no such\r\n"
	    "    user here\r\n"
	    "\r\n"
	    "  <carol@example.net> (for <team@example.net>)\r\n"
	    "    given up after many attempts; the last answer:\r\n"
	    "    451 4.2.2 The mailbox is full\r\n"
	    "\r\n"
	    "If you do not know what to do about this, forward this whole notice to your\r\n"
	    "own postmaster.\r\n"
	    "(Message 6AMZGPG000002; the next part says the same to programs.)\r\n"
	    "\r\n"
	    "--=_6AMZH00000001\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mx.example.net\r\n"
	    "Original-Envelope-Id: QQ314159\r\n"
	    "Arrival-Date: Tue, 14 Nov 2023 22:12:04 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; bob@example.com\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mail.example.com\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 <bob@example.com>: no such user here\r\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	    "\r\n"
	    "Original-Recipient: rfc822; team@example.net\r\n"
	    "Final-Recipient: rfc822; carol@example.net\r\n"
	    "Action: failed\r\n"
	    "Status: 4.4.7\r\n"
	    "Diagnostic-Code: x-genkan; 451 4.2.2 The mailbox is full\r\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	    "\r\n"
	    "--=_6AMZH00000001\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "\r\n"
	    "Received: by mx.example.net; Tue, 14 Nov 2023 22:12:04 +0000\r\n"
	    "From: Alice <alice@example.org>\r\n"
	    "Subject: Tea\r\n"
	    "\r\n"
	    "--=_6AMZH00000001--\r\n";
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	w.notice.envid = "QQ314159";
	add(&w, "bob@example.com", NULL, "mail.example.com[192.0.2.7]",
	    "550 5.1.1 <bob@example.com>: no such user here");
	add(&w, "carol@example.net", "team@example.net", NULL, "451 4.2.2 The mailbox is full");
	w.recipients[1].expired = true;
	compose(&w);
	check_lines(buf_str(&w.text), 78, false);
	assert_int_equal(w.composed->body, BODY_7BIT);
	assert_false(w.composed->utf8);
	assert_string_equal(buf_str(&w.text), expected);
	finish(&w);
}

/* ORCPT (RFC 3461 4.2) names its type. */
static void
original_recipient(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	add(&w, "bob@example.com", "rfc822;Bob@example.com", NULL, "550 5.1.1 No");
	compose(&w);
	assert_in_part(&w, 0, "  <bob@example.com> (for <Bob@example.com>)\r\n");
	assert_in_part(&w, 1,
	    "\r\nOriginal-Recipient: rfc822; Bob@example.com\r\nFinal-Recipient: rfc822; bob@");
	finish(&w);
}

static void
delay(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NOTICE_DELAY);
	w.env->ret = 1; /* full: only of failures */
	add(&w, "bob@example.com", NULL, "[192.0.2.7]", "451 4.7.1 Greylisted");
	compose(&w);
	check_lines(buf_str(&w.text), 78, false);
	assert_non_null(strstr(buf_str(&w.text),
	    "\r\nSubject: Delayed: your message was not yet delivered to everybody\r\n"));
	assert_part(&w, 0,
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "This is the mail server mx.example.net. Your message of Tue, 14 Nov 2023\r\n"
	    "22:12:04 +0000 could not yet be delivered to the recipients below. We go on\r\n"
	    "trying until Sun, 19 Nov 2023 22:13:20 +0000.\r\n"
	    "\r\n"
	    "  <bob@example.com>\r\n"
	    "    [192.0.2.7] said: 451 4.7.1 Greylisted\r\n"
	    "\r\n"
	    "You need not do anything: it is tried again and again. You will hear from us\r\n"
	    "if it fails.\r\n"
	    "(Message 6AMZGPG000002; the next part says the same to programs.)\r\n");
	assert_part(&w, 1,
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mx.example.net\r\n"
	    "Arrival-Date: Tue, 14 Nov 2023 22:12:04 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; bob@example.com\r\n"
	    "Action: delayed\r\n"
	    "Status: 4.7.1\r\n"
	    "Remote-MTA: dns; [192.0.2.7]\r\n"
	    "Diagnostic-Code: smtp; 451 4.7.1 Greylisted\r\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	    "Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000\r\n");
	assert_in_part(&w, 2, "Content-Type: text/rfc822-headers\r\n");
	finish(&w);
}

/* --- what is returned (RFC 3461 4.3) --- */

static void
returned(void **state)
{
	static const char eight[] = "Subject: Tee f\xc3\xbcr zwei\r\n\r\n\xc3\xa4\r\n";
	static const char body_of_8[] = "Subject: Tee\r\n\r\n\xc3\xa4\r\n";
	static const char unended[] = "Subject: x\r\nX-Cut: in the mid";
	static const struct {
		const char *content;
		uint8_t ret, body;
		bool whole;
		const char *part; /* all of it */
		uint8_t expected_body;
	} cases[] = {
		{ content, 0, BODY_7BIT, true, "Content-Type: text/rfc822-headers\r\n\r\nHEADER",
		    BODY_7BIT },
		{ content, 2, BODY_7BIT, true, "Content-Type: text/rfc822-headers\r\n\r\nHEADER",
		    BODY_7BIT },
		{ content, 1, BODY_7BIT, true, "Content-Type: message/rfc822\r\n\r\nCONTENT",
		    BODY_7BIT },
		{ content, 1, BODY_7BIT, false, "Content-Type: text/rfc822-headers\r\n\r\nHEADER",
		    BODY_7BIT },
		{ content, 1, BODY_BINARYMIME, true,
		    "Content-Type: text/rfc822-headers\r\n\r\nHEADER", BODY_7BIT },
		{ body_of_8, 1, BODY_8BITMIME, true,
		    "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		    "Subject: Tee\r\n\r\n\xc3\xa4\r\n",
		    BODY_8BITMIME },
		/* nobody could encode it for a server of 7 bits, and the notice would be lost there */
		{ eight, 1, BODY_8BITMIME, true,
		    "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		    "Subject: Tee f\xc3\xbcr zwei\r\n",
		    BODY_8BITMIME },
		{ eight, 2, BODY_8BITMIME, true,
		    "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		    "Subject: Tee f\xc3\xbcr zwei\r\n",
		    BODY_8BITMIME },
		{ unended, 0, BODY_7BIT, false,
		    "Content-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n", BODY_7BIT },
		{ unended, 1, BODY_7BIT, true,
		    "Content-Type: message/rfc822\r\n\r\nSubject: x\r\nX-Cut: in the mid\r\n",
		    BODY_7BIT },
		{ "", 0, BODY_7BIT, false, "Content-Type: text/rfc822-headers\r\n\r\n", BODY_7BIT },
	};
	struct buf expected = { 0 };
	struct world w;
	const char *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&w, NOTICE_FAILURE);
		w.env->ret = cases[i].ret;
		w.env->body = cases[i].body;
		w.notice.content = cases[i].content;
		w.notice.content_len = strlen(cases[i].content);
		w.notice.whole = cases[i].whole;
		add(&w, "bob@example.com", NULL, NULL, "550 5.0.0 No");
		compose(&w);
		buf_clear(&expected);
		s = strstr(cases[i].part, "HEADER");
		if (s == NULL)
			s = strstr(cases[i].part, "CONTENT");
		buf_add(&expected, cases[i].part,
		    s != NULL ? (size_t)(s - cases[i].part) : strlen(cases[i].part));
		if (s != NULL)
			buf_adds(&expected, *s == 'H' ? header : content);
		assert_part(&w, 2, buf_str(&expected));
		assert_int_equal(w.composed->body, cases[i].expected_body);
		assert_int_equal(
		    strstr(buf_str(&w.text),
			"boundary=\"=_6AMZH00000001\"\r\nContent-Transfer-Encoding: 8bit") != NULL,
		    cases[i].expected_body == BODY_8BITMIME);
		check_lines(buf_str(&w.text), 78, cases[i].expected_body == BODY_8BITMIME);
		finish(&w);
	}
	buf_free(&expected);
}

/* A header without end is cut at a line. */
static void
endless_header(void **state)
{
	struct buf long_header = { 0 };
	struct world w;
	char *found;

	(void)state;
	while (long_header.len < 200000)
		buf_adds(&long_header, "X-Again: and again and again\r\n");
	begin(&w, NOTICE_FAILURE);
	w.notice.content = long_header.data;
	w.notice.content_len = long_header.len;
	add(&w, "bob@example.com", NULL, NULL, "550 5.0.0 No");
	compose(&w);
	found = part(buf_str(&w.text), 2);
	assert_in_range(strlen(found), 65000, 65600);
	assert_string_equal(found + strlen(found) - 11, "and again\r\n");
	free(found);
	buf_free(&long_header);
	finish(&w);
}

/* --- strangers' text --- */

static void
status_codes(void **state)
{
	static const struct {
		enum notice_kind kind;
		const char *reason, *status;
	} cases[] = {
		{ NOTICE_FAILURE, "550 5.7.26 Unauthenticated", "Status: 5.7.26\r\n" },
		{ NOTICE_FAILURE, "550 No", "Status: 5.0.0\r\n" },
		{ NOTICE_FAILURE, "550-5.1.1 of two lines", "Status: 5.1.1\r\n" },
		{ NOTICE_FAILURE, "550 5.1.1", "Status: 5.1.1\r\n" },
		{ NOTICE_FAILURE, "550 4.2.1 of the wrong class", "Status: 5.0.0\r\n" },
		{ NOTICE_FAILURE, "550 5.1.1234 too long", "Status: 5.0.0\r\n" },
		{ NOTICE_FAILURE, "550 5.1. no number", "Status: 5.0.0\r\n" },
		{ NOTICE_FAILURE, "550 5.1.1x", "Status: 5.0.0\r\n" },
		{ NOTICE_FAILURE, "5", "Status: 5.0.0\r\n" },
		{ NOTICE_FAILURE, NULL, "Status: 5.0.0\r\n" },
		{ NOTICE_DELAY, "451 4.7.1 Greylisted", "Status: 4.7.1\r\n" },
		{ NOTICE_DELAY, NULL, "Status: 4.0.0\r\n" },
	};
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&w, cases[i].kind);
		add(&w, "bob@example.com", NULL, NULL, cases[i].reason);
		compose(&w);
		assert_in_part(&w, 1, cases[i].status);
		finish(&w);
	}
}

/* No reply can end its line, begin a header or a part, or leave ASCII where that is promised. */
static void
hostile_reasons(void **state)
{
	struct buf word = { 0 };
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	while (word.len < 2500)
		buf_addc(&word, 'x');
	add(&w, "a@example.com", NULL, "evil\r\nX-Injected: yes[192.0.2.1]",
	    "550 5.1.1 one\r\n\r\n--=_6AMZH00000001--\r\nX-Injected: yes\x01\x7f");
	add(&w, "b@example.com", NULL, "mx.example.com[192.0.2.1]",
	    "550 gesch\xc3\xbctzt = \xff\xfe \xe7\x8e\x84 zu");
	add(&w, "c@example.com", NULL, NULL, buf_str(&word));
	compose(&w);
	check_lines(buf_str(&w.text), 901, false);
	assert_int_equal(count(buf_str(&w.text), "\r\nX-Injected"), 0);
	assert_in_part(
	    &w, 1, "Diagnostic-Code: smtp; 550 5.1.1 one --=_6AMZH00000001-- X-Injected: yes\r\n");
	assert_in_part(
	    &w, 1, "Diagnostic-Code: smtp; 550 gesch\\x{FC}tzt = \\x{FF}\\x{FE} \\x{7384} zu\r\n");
	assert_in_part(&w, 0, "Content-Transfer-Encoding: quoted-printable\r\n");
	assert_in_part(&w, 0, "550 gesch=C3=BCtzt =3D =FF=FE =E7=8E=84=\r\n zu\r\n");
	buf_free(&word);
	finish(&w);
}

static void
long_reasons_are_folded(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	add(&w, "bob@example.com", NULL, "mx.example.com[192.0.2.1]",
	    "554 5.7.1 Your access to this mail system has been rejected due to the sending MTA's "
	    "poor reputation. If "
	    "you believe that this failure is in error, please contact the intended recipient via "
	    "alternate means.");
	compose(&w);
	check_lines(buf_str(&w.text), 78, false);
	assert_in_part(&w, 1,
	    "Diagnostic-Code: smtp; 554 5.7.1 Your access to this mail system has been\r\n"
	    " rejected due to the sending MTA's poor reputation. If you believe that this\r\n"
	    " failure is in error, please contact the intended recipient via alternate\r\n"
	    " means.\r\n");
	finish(&w);
}

/* A mailbox that the address book marked as itself is shown as the address that it is. */
static void
marked_mailbox(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	add(&w, "\\bob@example.com", "bob@example.com", NULL, "550 5.2.0 No");
	compose(&w);
	assert_in_part(&w, 0, "\r\n  <bob@example.com>\r\n");
	assert_in_part(&w, 1, "Final-Recipient: rfc822; bob@example.com\r\n");
	finish(&w);
}

/* RFC 6533 */
static void
internationalised(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	w.env->utf8 = true;
	w.env->ret = 1;
	add(&w, "j\xc3\xb6rg@example.com", NULL, NULL, "550 5.1.1 No");
	compose(&w);
	assert_true(w.composed->utf8);
	assert_int_equal(w.composed->body, BODY_8BITMIME);
	assert_in_part(&w, 1,
	    "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n");
	assert_in_part(&w, 1, "Final-Recipient: utf-8; j\xc3\xb6rg@example.com\r\n");
	assert_in_part(&w, 2, "Content-Type: message/global\r\n");
	check_lines(buf_str(&w.text), 78, true);
	finish(&w);
}

/* Names as RFC 3464 2.3 and RFC 6533 4.1 want them. */
static void
names(void **state)
{
	struct world w;

	(void)state;
	begin(&w, NOTICE_FAILURE);
	add(&w, "\"two  spaces\"@example.com", "rfc822;\"a  b\"@old.example", "[192.0.2.7]:2525", "550 5.1.1 No");
	add(&w, "c@example.com", "utf-8;j\\x{F6}rg@old.example", "mx.example.com[192.0.2.7]:2525", "550 5.1.1 No");
	add(&w, "d@example.com", NULL, "[IPv6:2001:db8::1]:2525", "550 5.1.1 No");
	compose(&w);
	assert_in_part(&w, 1, "Final-Recipient: rfc822; \"two  spaces\"@example.com\r\n");
	assert_in_part(&w, 1, "Original-Recipient: rfc822; \"a  b\"@old.example\r\n");
	assert_in_part(&w, 1, "Original-Recipient: utf-8; j\\x{F6}rg@old.example\r\n");
	assert_in_part(&w, 1, "Remote-MTA: dns; [192.0.2.7]\r\n");
	assert_in_part(&w, 1, "Remote-MTA: dns; mx.example.com\r\n");
	assert_in_part(&w, 1, "Remote-MTA: dns; [IPv6:2001:db8::1]\r\n");
	finish(&w);
	begin(&w, NOTICE_FAILURE);
	add(&w, "j\xc3\xb6rg@example.com", "utf-8;\\x{4F8B}@old.example", NULL, "550 5.1.1 No");
	compose(&w);
	assert_in_part(&w, 1, "Original-Recipient: utf-8; \xe4\xbe\x8b@old.example\r\n");
	finish(&w);
}

/* A subject promises no more than is true. */
static void
arrived_or_not(void **state)
{
	struct recipient *r;
	struct world w;

	(void)state;
	begin(&w, NOTICE_SUCCESS);
	add(&w, "a@example.com", NULL, NULL, "250 2.0.0 ok");
	compose(&w);
	assert_non_null(strstr(buf_str(&w.text), "Subject: Delivered: "));
	finish(&w);
	begin(&w, NOTICE_SUCCESS);
	add(&w, "a@example.com", NULL, NULL, "250 2.0.0 ok");
	r = add(&w, "b@example.com", NULL, "mx.example.com[192.0.2.7]", "250 2.0.0 ok");
	r->relayed = true;
	compose(&w);
	assert_non_null(strstr(buf_str(&w.text), "Subject: On its way: "));
	finish(&w);
}

/* --- whether to tell (RFC 3461 4.1) --- */

static void
wanted(void **state)
{
	static const struct {
		const char *sender;
		uint8_t notify;
		bool failure, delay, success, twice;
	} cases[] = {
		{ "a@example.org", NOTIFY_DEFAULT, true, true, false, false },
		{ "a@example.org", NOTIFY_NEVER, false, false, false, false },
		{ "a@example.org", NOTIFY_SUCCESS, false, false, true, false },
		{ "a@example.org", NOTIFY_FAILURE, true, false, false, false },
		{ "a@example.org", NOTIFY_DELAY, false, true, false, false },
		{ "a@example.org", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, true, true, true, false },
		{ "", NOTIFY_DEFAULT, false, false, false, true },
		{ "", NOTIFY_FAILURE | NOTIFY_DELAY, false, false, false, true },
		{ "", NOTIFY_NEVER, false, false, false, false },
	};
	struct world w;
	struct recipient *r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&w, NOTICE_FAILURE);
		r = add(&w, "bob@example.com", NULL, NULL, NULL);
		envelope_set(&w.env->sender, cases[i].sender);
		r->notify = cases[i].notify;
		assert_int_equal(notice_wanted(NOTICE_FAILURE, w.env, 0), cases[i].failure);
		assert_int_equal(notice_wanted(NOTICE_DELAY, w.env, 0), cases[i].delay);
		assert_int_equal(notice_wanted(NOTICE_SUCCESS, w.env, 0), cases[i].success);
		assert_int_equal(notice_wanted(NOTICE_DOUBLE, w.env, 0), cases[i].twice);
		envelope_set(&w.env->origin, NOTICE_ORIGIN_DOUBLE);
		assert_false(notice_wanted(NOTICE_DOUBLE, w.env, 0));
		finish(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure),
		cmocka_unit_test(original_recipient),
		cmocka_unit_test(delay),
		cmocka_unit_test(returned),
		cmocka_unit_test(endless_header),
		cmocka_unit_test(status_codes),
		cmocka_unit_test(hostile_reasons),
		cmocka_unit_test(names),
		cmocka_unit_test(arrived_or_not),
		cmocka_unit_test(long_reasons_are_folded),
		cmocka_unit_test(marked_mailbox),
		cmocka_unit_test(internationalised),
		cmocka_unit_test(wanted),
	};

	return cmocka_run_group_tests_name("notice", tests, NULL, NULL);
}
