/*
 * Lines of other servers' logs: what each says of a caller, to the letter; times of every form; and
 * lines joined to attempts.  The lines are our own, in the forms that those servers write.
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
#include "smtpctl/logbook.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
/* 2026-07-24T12:00:00Z */
#define REFERENCE 1784894400
#define TEN (REFERENCE - 7200)

static void
add(struct buf *b, const char *key, struct slice s)
{
	if (s.s != NULL)
		buf_addf(b, " %s=%.*s", key, (int)s.len, s.s);
}

/* "refused 450 192.0.2.1 verified mail.example.org helo=x from=a to=b", or "-" for nothing of interest. */
static char *
describe(const struct log_line *l)
{
	static const char *const whats[] = { "-", "early", "client", "queued", "sender", "recipient", "end", "refused",
		"accepted" };
	static const char *const names[] = { "untold", "none", "forged", "unverified", "verified" };
	struct buf b = { 0 };

	buf_adds(&b, whats[l->what]);
	if (l->what == LOG_NOTHING)
		return buf_take(&b);
	if (l->code != 0)
		buf_addf(&b, " %d", l->code);
	if (l->client.family != 0) {
		buf_addf(&b, " %s %s", ip_text(&l->client).s, names[l->name_is]);
		if (l->name.len > 0)
			buf_addf(&b, " %.*s", (int)l->name.len, l->name.s);
	}
	add(&b, "key", l->key);
	add(&b, "process", l->process);
	add(&b, "helo", l->helo);
	add(&b, "from", l->sender);
	add(&b, "to", l->recipient);
	if (l->further.len > 0)
		add(&b, "further", l->further);
	if (l->authenticated)
		buf_adds(&b, " authenticated");
	return buf_take(&b);
}

#define AT "Jul 24 10:00:00 mx "

static const struct {
	const char *format, *line;
	const char *expected; /* NULL: none of that server's */
} lines[] = {
	/* Postfix */
	{ "postfix", AT "postfix/smtpd[1]: 4ABC: client=mail.x.example[192.0.2.1]",
	    "client 192.0.2.1 verified mail.x.example key=4ABC" },
	{ "postfix", AT "postfix/smtpd[1]: 4ABC: client=unknown[2001:db8::1], sasl_method=PLAIN, sasl_username=bob",
	    "client 2001:db8::1 none unknown key=4ABC authenticated" },
	{ "postfix", AT "postfix/qmgr[2]: 4ABC: from=<a@x.example>, size=1, nrcpt=1 (queue active)",
	    "sender key=4ABC from=a@x.example" },
	{ "postfix", AT "postfix/qmgr[2]: 4ABC: from=<>, size=1, nrcpt=1 (queue active)", "sender key=4ABC from=" },
	{ "postfix", AT "postfix/local[3]: 4ABC: to=<b@o.example>, relay=local, delay=0.1, dsn=2.0.0, status=sent (ok)",
	    "recipient key=4ABC to=b@o.example" },
	{ "postfix", AT "postfix/local[3]: 4ABC: to=<bob@o.example>, orig_to=<sales@o.example>, relay=local, status=sent",
	    "recipient key=4ABC to=sales@o.example" },
	{ "postfix", AT "postfix/local[3]: 4ABC: to=<root@o.example>, orig_to=<root>, relay=local, status=sent",
	    "recipient key=4ABC to=root@o.example" },
	{ "postfix", AT "postfix/qmgr[2]: 4ABC: removed", "end key=4ABC" },
	{ "postfix", AT "postfix/smtpd[1]: NOQUEUE: reject: RCPT from h.x.example[192.0.2.1]: 450 4.7.1 <h>: Helo "
			"command rejected; from=<a@x.example> to=<b@o.example> proto=ESMTP helo=<h>",
	    "refused 450 192.0.2.1 verified h.x.example helo=h from=a@x.example to=b@o.example" },
	{ "postfix", AT "postfix/smtpd[1]: 4ABC: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 no; from=<> "
			"to=<b@o.example> proto=SMTP helo=<[192.0.2.1]>",
	    "refused 554 192.0.2.1 none unknown helo=[192.0.2.1] from= to=b@o.example" },
	{ "postfix", AT "postfix/smtpd[1]: NOQUEUE: reject: EHLO from h[192.0.2.1]: 504 5.5.2 <U>: no; proto=SMTP helo=<U>",
	    "refused 504 192.0.2.1 verified h helo=U" },
	{ "postfix", AT "postfix/postscreen[5]: PREGREET 11 after 0.1 from [192.0.2.1]:3456: EHLO x\\r\\n",
	    "early 192.0.2.1 untold" },
	{ "postfix", AT "postfix/postscreen[5]: NOQUEUE: reject: RCPT from [2001:db8::1]:3456: 550 5.7.1 Service "
			"unavailable; client [2001:db8::1] blocked using zen.example; from=<a@x.example>, "
			"to=<b@o.example>, proto=ESMTP, helo=<h>",
	    "refused 550 2001:db8::1 untold helo=h from=a@x.example to=b@o.example" },
	{ "postfix", AT "postfix/postscreen[5]: NOQUEUE: reject: CONNECT from [192.0.2.1]:3: too many connections", "-" },
	{ "postfix", AT "postfix/smtpd[1]: connect from h.x.example[192.0.2.1]", "-" },
	{ "postfix", "2026-07-24T10:00:00.123456+00:00 mx postfix/smtpd[1]: 4ABC: client=h.x.example[192.0.2.1]",
	    "client 192.0.2.1 verified h.x.example key=4ABC" },
	{ "postfix", AT "postfix/postgrey[1]: action=pass", NULL },
	{ "postfix", AT "dovecot: imap-login: x", NULL },
	{ "postfix", "", NULL },
	/* Sendmail */
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: from=<a@x.example>, size=1, class=0, nrcpts=1, msgid=<m>, "
			 "proto=ESMTP, daemon=MTA, relay=mail.x.example [192.0.2.1]",
	    "sender 192.0.2.1 verified mail.x.example key=k6OA00aa000001 from=a@x.example" },
	{ "sendmail", AT "sendmail[1]: k6OA00aa000001: from=<>, size=1, nrcpts=0, relay=h.x.example [192.0.2.1] (may be forged)",
	    "sender 192.0.2.1 forged h.x.example key=k6OA00aa000001 from=" },
	{ "sendmail", AT "sendmail[1]: k6OA00aa000001: from=root, size=1, nrcpts=1, relay=root@localhost",
	    "sender key=k6OA00aa000001 from=root" },
	{ "sendmail", AT "sendmail[1]: k6OA00aa000001: to=<b@o.example>, delay=00:00:01, mailer=local, stat=Sent",
	    "recipient key=k6OA00aa000001 to=b@o.example" },
	{ "sendmail", AT "sendmail[1]: k6OA00aa000001: to=<b@o.example>,<c@o.example>, delay=00:00:01, mailer=local, stat=Sent",
	    "recipient key=k6OA00aa000001 to=b@o.example further=<c@o.example>" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: from=<u@o.example>, size=1, nrcpts=1, proto=ESMTPSA, daemon=MSA, "
			 "relay=h.x.example [192.0.2.1]",
	    "sender 192.0.2.1 verified h.x.example key=k6OA00aa000001 from=u@o.example authenticated" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: ruleset=check_rcpt, arg1=<b@o.example>, relay=[IPv6:2001:db8::1], "
			 "reject=550 5.7.1 <b@o.example>... Relaying denied",
	    "refused 550 2001:db8::1 none key=k6OA00aa000001 to=b@o.example" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: ruleset=check_mail, arg1=<a@x.example>, relay=h [192.0.2.1], "
			 "reject=451 4.1.8 no",
	    "refused 451 192.0.2.1 verified h key=k6OA00aa000001 from=a@x.example" },
	{ "sendmail", AT "sm-mta[1]: ruleset=check_relay, arg1=h.x.example, arg2=192.0.2.1, relay=h.x.example [192.0.2.1], "
			 "reject=421 4.3.2 Connection rate limit exceeded.",
	    "refused 421 192.0.2.1 verified h.x.example" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: Milter: to=<b@o.example>, reject=451 4.7.1 Greylisting in action",
	    "refused 451 key=k6OA00aa000001 to=b@o.example" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: <b@o.example>... User unknown",
	    "refused 550 key=k6OA00aa000001 to=b@o.example" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: rejecting commands from h.x.example [192.0.2.1] due to pre-greeting "
			 "traffic after 0 seconds",
	    "early 554 192.0.2.1 verified h.x.example key=k6OA00aa000001" },
	{ "sendmail", AT "sm-mta[1]: k6OA00aa000001: rejecting commands from  [192.0.2.1] due to pre-greeting traffic",
	    "early 554 192.0.2.1 none key=k6OA00aa000001" },
	/* Exim */
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab <= a@x.example H=mail.x.example (helo.x) [192.0.2.1]:3456 P=esmtps "
		  "S=1 id=m for b@o.example",
	    "sender 192.0.2.1 verified mail.x.example key=1abcDE-0000xy-Ab helo=helo.x from=a@x.example" },
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab <= <> H=([192.0.2.9]) [192.0.2.1] P=smtp S=1",
	    "sender 192.0.2.1 none key=1abcDE-0000xy-Ab helo=[192.0.2.9] from=" },
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab <= bob@o.example U=bob P=local S=1",
	    "sender key=1abcDE-0000xy-Ab from=bob@o.example" },
	{ "exim", "2026-07-24 10:00:00 [12] 1abcDE-000000012yZ-AbCd <= a@x.example H=h [2001:db8::1]:1 P=esmtpsa A=plain:bob",
	    "sender 2001:db8::1 verified h key=1abcDE-000000012yZ-AbCd helo=h from=a@x.example authenticated" },
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab => bob <sales@o.example> R=local T=maildir",
	    "recipient key=1abcDE-0000xy-Ab to=sales@o.example" },
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab => b@o.example R=local T=maildir",
	    "recipient key=1abcDE-0000xy-Ab to=b@o.example" },
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab Completed", "end key=1abcDE-0000xy-Ab" },
	{ "exim", "2026-07-24 10:00:00 H=(h) [192.0.2.1]:3755 I=[192.0.2.99]:25 F=<a@x.example> rejected RCPT <b@o.example>: no",
	    "refused 550 192.0.2.1 none helo=h from=a@x.example to=b@o.example" },
	{ "exim", "2026-07-24 10:00:00 H=h.x.example [192.0.2.1] F=<> temporarily rejected RCPT b@o.example: greylisted",
	    "refused 451 192.0.2.1 verified h.x.example helo=h.x.example from= to=b@o.example" },
	{ "exim", "2026-07-24 10:00:00 SMTP protocol synchronization error (input sent without waiting for greeting): "
		  "rejected connection from H=[192.0.2.1]:25936 input=\"GET\"",
	    "early 554 192.0.2.1 none" },
	{ "exim", "2026-07-24 10:00:00 H=[192.0.2.1] rejected connection in \"connect\" ACL: listed", "refused 550 192.0.2.1 none" },
	{ "exim", "2026-07-24 10:00:00 H=(h) [192.0.2.1] F=<a@x.example> temporarily rejected MAIL <a@x.example>: no",
	    "refused 451 192.0.2.1 none helo=h from=a@x.example" },
	{ "exim", "2026-07-24 10:00:00 1abcDE-0000xy-Ab H=(h) [192.0.2.1] F=<a@x.example> rejected after DATA: spam", "-" },
	{ "exim", "2026-07-24 10:00:00 something else", NULL },
	/* qmail and its companions */
	{ "qmail", "@400000006a6337aa00000000 tcpserver: ok 1234 mx.o.example:192.0.2.99:25 mail.x.example:192.0.2.1::3456",
	    "client 192.0.2.1 unverified mail.x.example key=1234" },
	{ "qmail", "@400000006a6337aa00000000 tcpserver: ok 1234 mx.o.example:192.0.2.99:25 :192.0.2.1::3456",
	    "client 192.0.2.1 none key=1234" },
	{ "qmail", "@400000006a6337aa00000000 tcpserver: ok 1234 mx:::ffff:192.0.2.99:25 h:2001:db8::1::3456",
	    "client 2001:db8::1 unverified h key=1234" },
	{ "qmail", "@400000006a6337aa00000000 tcpserver: end 1234 status 0", "end key=1234" },
	{ "qmail", "@400000006a6337aa00000000 tcpserver: status: 1/40", "-" },
	{ "qmail", "@400000006a6337aa00000000 rblsmtpd: 192.0.2.1 pid 1234: 451 http://example/",
	    "refused 451 192.0.2.1 untold key=1234" },
	{ "qmail", "@400000006a6337aa00000000 mail recv: pid 1234 from <a@x.example> qp 1240",
	    "queued key=1234 process=1240" },
	{ "qmail", "@400000006a6337aa00000000 info msg 77: bytes 99 from <a@x.example> qp 1240 uid 89",
	    "sender key=77 process=1240 from=a@x.example" },
	{ "qmail", "@400000006a6337aa00000000 starting delivery 5: msg 77 to local b@o.example",
	    "recipient key=77 to=b@o.example" },
	{ "qmail", "@400000006a6337aa00000000 end msg 77", "end key=77" },
	{ "qmail", AT "qmail: 1700000000.123456 new msg 77", "-" },
	{ "qmail", AT "qmail: 1700000000.123456 end msg 77", "end key=77" },
	{ "qmail", AT "spamdyke[9]: DENIED_RDNS_MISSING from: a@x.example to: b@o.example origin_ip: 192.0.2.1 "
		      "origin_rdns: (unknown) auth: (unknown) encryption: (none) reason: (empty)",
	    "refused 554 192.0.2.1 none from=a@x.example to=b@o.example" },
	{ "qmail", AT "spamdyke[9]: ALLOWED from: a@x.example to: b@o.example origin_ip: 192.0.2.1 origin_rdns: h.x.example "
		      "auth: (unknown) encryption: (none)",
	    "accepted 192.0.2.1 unverified h.x.example from=a@x.example to=b@o.example" },
	{ "qmail", AT "cron[1]: x", NULL },
	/* OpenSMTPD */
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp connected address=192.0.2.1 host=mail.x.example",
	    "client 192.0.2.1 unverified mail.x.example key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp connected address=[2001:db8::1] host=<unknown>",
	    "client 2001:db8::1 none <unknown> key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp connected address=local host=mx", "-" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp envelope evpid=77 from=<a@x.example> to=<b@o.example>",
	    "recipient key=1a2b3c4d5e6f7a8b from=a@x.example to=b@o.example" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp message msgid=7 size=1 nrcpt=1 proto=ESMTP", "-" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp failed-command command=\"RCPT TO:<b@o.example> \" "
			  "result=\"550 Invalid recipient: <b@o.example>\"",
	    "refused 550 key=1a2b3c4d5e6f7a8b to=b@o.example" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp disconnected reason=quit", "end key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp event=connected address=192.0.2.1 host=h.x.example",
	    "client 192.0.2.1 unverified h.x.example key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: 1a2b3c4d5e6f7a8b smtp event=message address=192.0.2.1 host=h msgid=7 "
			  "from=<a@x.example> to=<b@o.example> size=1 ndest=1 proto=ESMTP",
	    "recipient key=1a2b3c4d5e6f7a8b from=a@x.example to=b@o.example" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: New session 1a2b3c4d5e6f7a8b from host h.x.example [192.0.2.1]",
	    "client 192.0.2.1 unverified h.x.example key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: New session 1a2b3c4d5e6f7a8b from host <unknown> [2001:db8::1]",
	    "client 2001:db8::1 none <unknown> key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: New session 1a2b3c4d5e6f7a8b from host mx.o.example [local]", "-" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: Accepted message 1234abcd on session 1a2b3c4d5e6f7a8b: from=<a@x.example>, "
			  "to=<b@o.example>, size=1, ndest=1, proto=ESMTP",
	    "recipient key=1a2b3c4d5e6f7a8b from=a@x.example to=b@o.example" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: Failed command on session 1a2b3c4d5e6f7a8b: \"RCPT TO:<b@o.example>  \" => 550 no",
	    "refused 550 key=1a2b3c4d5e6f7a8b to=b@o.example" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: Failed command on session 1a2b3c4d5e6f7a8b: \"MAIL FROM:<>\" => 421 later",
	    "refused 421 key=1a2b3c4d5e6f7a8b from=" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: Closing session 1a2b3c4d5e6f7a8b", "end key=1a2b3c4d5e6f7a8b" },
	{ "opensmtpd", AT "smtpd[1]: smtp-in: session 1a", "-" },
	/* postgrey */
	{ "postgrey", AT "postgrey[1]: action=greylist, reason=new, client_name=unknown, client_address=192.0.2.1, "
			 "sender=a@x.example, recipient=b@o.example",
	    "refused 450 192.0.2.1 none unknown from=a@x.example to=b@o.example" },
	{ "postgrey", AT "postgrey[1]: action=pass, reason=triplet found, delay=301, client_name=h.x.example, "
			 "client_address=192.0.2.1/32, recipient=b@o.example",
	    "accepted 192.0.2.1 verified h.x.example from= to=b@o.example" },
	{ "postgrey", AT "postgrey[1]: 4Rgkq62Qzkz: action=pass, reason=client AWL, client_name=h.x.example, "
			 "client_address=192.0.2.1, sender=a@x.example, recipient=c@o.example",
	    "accepted 192.0.2.1 verified h.x.example from=a@x.example to=c@o.example" },
	{ "postgrey", AT "postgrey[1]: cleaning up old logs...", "-" },
};

static void
test_lines(void **state)
{
	struct log_clock clock = { .reference = REFERENCE };
	const struct log_format *format;
	struct log_line line;
	char *is;
	size_t i;
	bool ok;

	(void)state;
	for (i = 0; i < N(lines); i++) {
		format = log_format_by_name(lines[i].format);
		ok = format->read(&clock, lines[i].line, strlen(lines[i].line), &line);
		if (ok != (lines[i].expected != NULL))
			fail_msg("%s: %s", lines[i].line, ok ? "taken" : "not taken");
		if (!ok)
			continue;
		is = describe(&line);
		if (strcmp(is, lines[i].expected) != 0)
			fail_msg("%s\n is       %s\n expected %s", lines[i].line, is, lines[i].expected);
		assert_true(line.what == LOG_NOTHING || line.time == TEN);
		free(is);
	}
}

/* Whatever is cut off a line, nothing is read behind its end (sanitizers). */
static void
test_cut_lines(void **state)
{
	struct log_clock clock = { .reference = REFERENCE };
	struct log_line line;
	size_t i, k, len;
	char *copy;

	(void)state;
	for (i = 0; i < N(lines); i++)
		for (len = 0; len <= strlen(lines[i].line); len++) {
			copy = malloc(len + (len == 0));
			memcpy(copy, lines[i].line, len);
			for (k = 0; k < log_formats_n; k++)
				if (log_formats[k].read(&clock, copy, len, &line))
					free(describe(&line));
			free(copy);
		}
}

static void
test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t time;
		const char *rest;
	} cases[] = {
		{ "Jul 24 10:00:00 x", TEN, "x" },
		{ "Jul  4 10:00:00 x", TEN - 20 * 86400, "x" },
		{ "Dec 31 23:59:59 x", 1767225599, "x" }, /* of the year before */
		{ "2026-07-24T10:00:00Z x", TEN, "x" },
		{ "2026-07-24T10:00:00.123456+02:00 x", TEN - 7200, "x" },
		{ "2026-07-24T10:00:00-0330 x", TEN + 12600, "x" },
		{ "2026-07-24 10:00:00 x", TEN, "x" },
		{ "2026-07-24 10:00:00.5 +0900 x", TEN - 32400, "x" },
		{ "@400000006a6337aa075bcd15 x", TEN, "x" },
		{ "Xyz 24 10:00:00 x", -1, NULL },
		{ "Jul 24 25:00:00 x", -1, NULL },
		{ "Jul 41 10:00:00 x", -1, NULL },
		{ "2026-13-24T10:00:00Z", -1, NULL },
		{ "@4000000000000000", -1, NULL },
		{ "@zz00000065b0000000000000 x", -1, NULL },
		{ "", -1, NULL },
		{ "Jul", -1, NULL },
	};
	struct log_clock clock = { .reference = REFERENCE };
	const char *s;
	int64_t time;
	size_t i, len;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		s = cases[i].text;
		len = strlen(s);
		time = log_time_any(&clock, &s, &len);
		if (time != cases[i].time)
			fail_msg("%s: %lld", cases[i].text, (long long)time);
		if (cases[i].rest != NULL)
			assert_string_equal(s, cases[i].rest);
	}
}

static void
test_detection(void **state)
{
	struct buf text = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < log_formats_n; i++) {
		buf_clear(&text);
		buf_adds(&text, AT "kernel: something else\n\n");
		for (k = 0; k < N(lines); k++)
			if (strcmp(lines[k].format, log_formats[i].name) == 0 && lines[k].expected != NULL)
				buf_addf(&text, "%s\n", lines[k].line);
		assert_ptr_equal(log_detect(text.data, text.len, REFERENCE), &log_formats[i]);
	}
	assert_null(log_detect("hello\nworld\n", 12, REFERENCE));
	assert_null(log_detect("", 0, REFERENCE));
	assert_null(log_format_by_name("exchange"));
	buf_free(&text);
}

/* --- joining --- */

static void
on_attempt(const struct attempt *a, void *arg)
{
	struct buf *b = arg;

	buf_addf(b, "%lld %s %s <%s> <%s>%s%s%s%s\n", (long long)(a->time - TEN), ip_text(&a->client).s,
	    a->name != NULL ? a->name : "-", a->sender != NULL ? a->sender : "?",
	    a->recipient != NULL ? a->recipient : "?", a->accepted ? " accepted" : " refused",
	    a->early ? " early" : "", a->authenticated ? " authenticated" : "", a->helo != NULL ? " helo" : "");
}

static void
assert_attempts(const char *format, const char *const *text, size_t n, const char *expected)
{
	const struct log_format *f = log_format_by_name(format);
	struct log_clock clock = { .reference = REFERENCE };
	struct buf told = { 0 };
	struct logbook *book = logbook_new(on_attempt, &told);
	struct log_line line;
	size_t i;

	for (i = 0; i < n; i++)
		if (f->read(&clock, text[i], strlen(text[i]), &line))
			logbook_line(book, &line);
	logbook_end(book);
	if (strcmp(buf_str(&told), expected) != 0)
		fail_msg("%s: is\n%s--- expected\n%s", format, buf_str(&told), expected);
	logbook_free(book);
	buf_free(&told);
}
#define ASSERT_ATTEMPTS(format, expected, ...)                                        \
	assert_attempts(format, (const char *const[]){ __VA_ARGS__ },                 \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *), expected)

#define P "Jul 24 10:00:0"

static void
test_postfix_attempts(void **state)
{
	(void)state;
	ASSERT_ATTEMPTS("postfix",
	    "1 192.0.2.1 h.x <a@x> <b@o> accepted\n"
	    "1 192.0.2.1 h.x <a@x> <c@o> accepted\n"
	    "4 192.0.2.2 - <> <b@o> refused helo\n"
	    "6 192.0.2.3 - <q@x> <b@o> refused early helo\n"
	    "7 192.0.2.4 h <u@x> <b@o> accepted authenticated\n",
	    P "1 mx postfix/smtpd[1]: A1: client=h.x[192.0.2.1]",
	    P "2 mx postfix/qmgr[2]: A1: from=<a@x>, size=1, nrcpt=2 (queue active)",
	    P "2 mx postfix/local[3]: A1: to=<b@o>, relay=local, status=sent",
	    P "3 mx postfix/smtp[3]: A1: to=<c@o>, relay=none, status=deferred",
	    P "4 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.2]: 450 4.7.1 x; from=<> to=<b@o> proto=SMTP helo=<h>",
	    P "5 mx postfix/smtp[3]: A1: to=<c@o>, relay=none, status=deferred", /* the same attempt */
	    P "5 mx postfix/qmgr[2]: A1: removed",
	    P "5 mx postfix/postscreen[5]: PREGREET 1 after 0 from [192.0.2.3]:1: x",
	    P "6 mx postfix/postscreen[5]: NOQUEUE: reject: RCPT from [192.0.2.3]:1: 550 5.5.1 x; from=<q@x>, to=<b@o>, proto=SMTP, helo=<h>",
	    P "6 mx postfix/local[3]: A1: to=<late@o>, relay=local, status=sent", /* of nothing that is known */
	    P "6 mx postfix/pickup[3]: A2: uid=0 from=<root>",
	    P "6 mx postfix/qmgr[2]: A2: from=<root@o>, size=1, nrcpt=1 (queue active)",
	    P "6 mx postfix/local[3]: A2: to=<b@o>, relay=local, status=sent", /* no client: handed in here */
	    P "7 mx postfix/smtpd[1]: A1: client=h[192.0.2.4], sasl_method=PLAIN, sasl_username=u", /* the id again */
	    P "7 mx postfix/qmgr[2]: A1: from=<u@x>, size=1, nrcpt=1 (queue active)",
	    P "7 mx postfix/local[3]: A1: to=<b@o>, relay=local, status=sent");
}

/* The sender of a refusal stands in a line that comes later, or never. */
static void
test_sendmail_attempts(void **state)
{
	(void)state;
	ASSERT_ATTEMPTS("sendmail",
	    "1 192.0.2.1 h.x <a@x> <b@o> refused\n"
	    "2 192.0.2.1 h.x <a@x> <c@o> refused\n"
	    "3 192.0.2.1 h.x <a@x> <d@o> accepted\n"
	    "3 192.0.2.1 h.x <a@x> <e@o> accepted\n"
	    "3 192.0.2.1 h.x <a@x> <f@o> accepted\n"
	    "4 192.0.2.2 - <?> <?> refused early\n"
	    "5 192.0.2.2 - <?> <b@o> refused early\n",
	    P "1 mx sm-mta[1]: k6OA00aa000001: ruleset=check_rcpt, arg1=<b@o>, relay=h.x [192.0.2.1], reject=450 4.7.1 later",
	    P "2 mx sm-mta[1]: k6OA00aa000001: <c@o>... User unknown",
	    P "3 mx sm-mta[1]: k6OA00aa000001: from=<a@x>, size=1, nrcpts=3, relay=h.x [192.0.2.1]",
	    P "3 mx sm-mta[2]: k6OA00aa000001: to=<d@o>,<e@o>,f@o, mailer=local, stat=Sent",
	    P "4 mx sm-mta[1]: k6OA00aa000002: rejecting commands from  [192.0.2.2] due to pre-greeting traffic after 0 seconds",
	    P "5 mx sm-mta[1]: k6OA00aa000003: ruleset=check_rcpt, arg1=<b@o>, relay=[192.0.2.2], reject=450 4.7.1 later",
	    /* handed in here, and then a milter minds: of no caller */
	    P "6 mx sm-mta[1]: k6OA00aa000004: from=root, size=1, nrcpts=1, relay=root@localhost",
	    P "6 mx sm-mta[1]: k6OA00aa000004: Milter: to=<b@o>, reject=451 4.7.1 later");
}

static void
test_other_attempts(void **state)
{
	(void)state;
	ASSERT_ATTEMPTS("exim",
	    "1 192.0.2.1 h.x <a@x> <b@o> accepted helo\n"
	    "2 192.0.2.2 - <s@x> <b@o> refused helo\n",
	    "2026-07-24 10:00:01 1abcDE-0000xy-Ab <= a@x H=h.x (h) [192.0.2.1] P=esmtp S=1",
	    "2026-07-24 10:00:01 1abcDE-0000xy-Ab => b <b@o> R=local T=maildir",
	    "2026-07-24 10:00:01 1abcDE-0000xy-Ab Completed",
	    "2026-07-24 10:00:02 H=(h) [192.0.2.2] F=<s@x> rejected RCPT <b@o>: no");
	ASSERT_ATTEMPTS("opensmtpd",
	    "1 192.0.2.1 h.x <a@x> <bad@o> refused\n"
	    "1 192.0.2.1 h.x <a@x> <b@o> accepted\n"
	    "1 192.0.2.1 h.x <a2@x> <b@o> accepted\n"
	    "4 192.0.2.2 - <?> <b@o> refused\n",
	    P "1 mx smtpd[1]: 1a2b3c4d5e6f7a8b smtp connected address=192.0.2.1 host=h.x",
	    P "1 mx smtpd[1]: 1a2b3c4d5e6f7a8b smtp failed-command command=\"RCPT TO:<bad@o>\" result=\"550 Invalid recipient\"",
	    P "2 mx smtpd[1]: 1a2b3c4d5e6f7a8b smtp envelope evpid=1 from=<a@x> to=<b@o>",
	    P "3 mx smtpd[1]: 1a2b3c4d5e6f7a8b smtp envelope evpid=2 from=<a2@x> to=<b@o>",
	    P "3 mx smtpd[1]: 1a2b3c4d5e6f7a8b smtp disconnected reason=quit",
	    P "3 mx smtpd[1]: 2a2b3c4d5e6f7a8b smtp connected address=192.0.2.2 host=<unknown>",
	    P "4 mx smtpd[1]: 2a2b3c4d5e6f7a8b smtp failed-command command=\"RCPT TO:<b@o>\" result=\"451 later\"",
	    P "5 mx smtpd[1]: 2a2b3c4d5e6f7a8b smtp disconnected reason=quit");
	ASSERT_ATTEMPTS("postgrey",
	    "1 192.0.2.1 - <a@x> <b@o> refused\n"
	    "2 192.0.2.1 h <a@x> <b@o> accepted\n",
	    P "1 mx postgrey[1]: action=greylist, reason=new, client_name=unknown, client_address=192.0.2.1, sender=a@x, recipient=b@o",
	    P "2 mx postgrey[1]: action=pass, reason=triplet found, client_name=h, client_address=192.0.2.1, sender=a@x, recipient=b@o");
}

/* A message belongs to the connection whose process queued it, or could have. */
static void
test_qmail_attempts(void **state)
{
	(void)state;
	ASSERT_ATTEMPTS("qmail",
	    "0 192.0.2.1 h1 <a@x> <b@o> accepted\n"
	    "0 192.0.2.2 h2 <c@x> <d@o> accepted\n"
	    "0 192.0.2.2 h2 <e@x> <d@o> accepted\n"
	    "0 192.0.2.3 - <?> <?> refused\n",
	    "@400000006a6337aa00000000 tcpserver: ok 100 mx:192.0.2.99:25 h1:192.0.2.1::1",
	    "@400000006a6337aa00000000 tcpserver: ok 200 mx:192.0.2.99:25 h2:192.0.2.2::1",
	    "@400000006a6337aa00000000 info msg 7: bytes 1 from <a@x> qp 105 uid 89",
	    "@400000006a6337aa00000000 starting delivery 1: msg 7 to local b@o",
	    "@400000006a6337aa00000000 tcpserver: end 100 status 0",
	    "@400000006a6337aa00000000 mail recv: pid 200 from <c@x> qp 150",
	    "@400000006a6337aa00000000 info msg 8: bytes 1 from <c@x> qp 150 uid 89",
	    "@400000006a6337aa00000000 end msg 7",
	    "@400000006a6337aa00000000 starting delivery 2: msg 8 to local d@o",
	    "@400000006a6337aa00000000 starting delivery 3: msg 8 to local d@o",
	    "@400000006a6337aa00000000 end msg 8",
	    "@400000006a6337aa00000000 info msg 8: bytes 1 from <e@x> qp 230 uid 89", /* the number again */
	    "@400000006a6337aa00000000 starting delivery 4: msg 8 to local d@o",
	    "@400000006a6337aa00000000 tcpserver: end 200 status 0",
	    "@400000006a6337aa00000000 info msg 9: bytes 1 from <root@o> qp 300 uid 0", /* nobody is connected */
	    "@400000006a6337aa00000000 starting delivery 5: msg 9 to local d@o",
	    "@400000006a6337aa00000000 rblsmtpd: 192.0.2.3 pid 301: 451 no");
}

/* Entries move from one generation to the next, and are forgotten when they are old. */
static void
test_generations(void **state)
{
	struct log_clock clock = { .reference = REFERENCE };
	struct buf told = { 0 };
	struct logbook *book = logbook_new(on_attempt, &told);
	struct log_line line;
	char text[128];
	unsigned i;

	(void)state;
	for (i = 0; i < 350000; i++) {
		if (i % 90000 == 0) { /* used from time to time: never forgotten */
			snprintf(text, sizeof(text), "%spostfix/%s", AT,
			    i == 0 ? "smtpd[1]: KEEP: client=h.x[192.0.2.1]"
				   : "qmgr[1]: KEEP: from=<a@x>, size=1 (queue active)");
			assert_true(log_read_postfix(&clock, text, strlen(text), &line));
			logbook_line(book, &line);
		}
		snprintf(text, sizeof(text), AT "postfix/smtpd[1]: %X: client=h.y[192.0.2.2]", i);
		assert_true(log_read_postfix(&clock, text, strlen(text), &line));
		logbook_line(book, &line);
	}
	snprintf(text, sizeof(text), AT "postfix/local[1]: KEEP: to=<b@o>, status=sent");
	assert_true(log_read_postfix(&clock, text, strlen(text), &line));
	logbook_line(book, &line);
	snprintf(text, sizeof(text), AT "postfix/local[1]: 5: to=<b@o>, status=sent");
	assert_true(log_read_postfix(&clock, text, strlen(text), &line));
	logbook_line(book, &line);
	assert_string_equal(buf_str(&told), "0 192.0.2.1 h.x <a@x> <b@o> accepted\n");
	logbook_free(book);
	buf_free(&told);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_cut_lines),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_detection),
		cmocka_unit_test(test_postfix_attempts),
		cmocka_unit_test(test_sendmail_attempts),
		cmocka_unit_test(test_other_attempts),
		cmocka_unit_test(test_qmail_attempts),
		cmocka_unit_test(test_generations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
