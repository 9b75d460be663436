/*
 * The SMTP client against a scripted server: golden dialogues, each with the server's words in one piece and octet by
 * octet.  What the client sends must be what the script expects, to the last octet; what it tells its owner is compared
 * as text.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/smtp_client.h"
#include "lib/mem.h"

#define US "us.example"
#define FROM "s@us.example"
#define CLOSE "close" /* instead of a reply */

/* The server says SEND when it has read EXPECT. */
struct line {
	const char *expect, *send;
};

struct play {
	struct event_base *base;
	struct smtp_client *client;
	const struct smtp_client_message *messages;
	unsigned messages_n, next;
	bool octets; /* the server writes them one by one */
	bool quit;   /* after the messages */
	const struct line *lines;
	unsigned lines_n, at;
	int fd;
	struct buf in, log;
	bool over;
};

static void
on_ready(struct smtp_client *c, void *arg)
{
	struct play *play = arg;

	buf_adds(&play->log, "ready\n");
	if (play->next < play->messages_n) {
		smtp_client_send(c, &play->messages[play->next++]);
	} else if (play->quit) {
		smtp_client_quit(c);
		play->client = NULL;
	}
}

static const char *const status_names[] = { "ok", "temp", "perm", "host" };

static void
on_result(struct smtp_client *c, unsigned i, enum delivery_status status, const char *text, void *arg)
{
	struct play *play = arg;

	(void)c;
	buf_addf(&play->log, "%u %s %s\n", i, status_names[status], text);
}

static void
on_ended(struct smtp_client *c, const struct smtp_client_end *end, void *arg)
{
	struct play *play = arg;

	assert_ptr_equal(c, play->client);
	buf_addf(&play->log, "end %s %s%s%s\n", status_names[end->status], end->try_elsewhere ? "elsewhere " : "",
	    end->answered ? "answered " : "", end->text);
	play->client = NULL;
}

static const struct smtp_client_ops ops = { on_ready, on_result, on_ended };

static void
turn(struct play *play)
{
	int i;

	/* what is deferred in one turn is done in the next */
	for (i = 0; i < 4; i++)
		event_base_loop(play->base, EVLOOP_NONBLOCK);
}

static void
say(struct play *play, const char *s)
{
	size_t len = strlen(s), n = play->octets ? 1 : len;

	if (strcmp(s, CLOSE) == 0) {
		shutdown(play->fd, SHUT_WR);
		return;
	}
	for (; len > 0; s += n, len -= n) {
		assert_int_equal(write(play->fd, s, n), n);
		if (play->octets)
			turn(play);
	}
}

/* True while the script goes on. */
static bool
hear(struct play *play)
{
	char piece[65536];
	ssize_t n = recv(play->fd, piece, sizeof(piece), MSG_DONTWAIT);
	size_t len;

	if (n > 0)
		buf_add(&play->in, piece, (size_t)n);
	if (play->at == play->lines_n)
		return false;
	len = strlen(play->lines[play->at].expect);
	if (play->in.len < len)
		return n > 0 || play->client != NULL;
	if (memcmp(buf_str(&play->in), play->lines[play->at].expect, len) != 0)
		fail_msg("expected:\n%s\ngot:\n%s", play->lines[play->at].expect, play->in.data);
	if (len > 0) {
		memmove(play->in.data, play->in.data + len, play->in.len - len + 1);
		play->in.len -= len;
	}
	say(play, play->lines[play->at++].send);
	return true;
}

struct scene {
	const char *name;
	const struct smtp_client_message *messages;
	unsigned messages_n;
	bool no_quit;
	struct line lines[24];
	const char *log;
	struct smtp_client_conf conf;
};

/* With MORE the client may have sent more than the script hears. */
static void
perform_with(const struct scene *scene, bool octets, bool more)
{
	struct smtp_client_conf conf = scene->conf;
	struct play play = { .base = event_base_new(), .messages = scene->messages, .octets = octets,
		.messages_n = scene->messages_n, .quit = !scene->no_quit, .lines = scene->lines };
	int pair[2], idle = 0;

	while (play.lines_n < 24 && scene->lines[play.lines_n].expect != NULL)
		play.lines_n++;
	if (conf.host == NULL)
		conf = (struct smtp_client_conf){ US, 30, 300, false };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	play.fd = pair[1];
	play.client = smtp_client_new(play.base, &conf, &ops, &play);
	smtp_client_use(play.client, pair[0]);
	while (idle < 3) {
		size_t before = play.log.len + play.in.len + play.at;

		turn(&play);
		hear(&play);
		idle = before == play.log.len + play.in.len + play.at ? idle + 1 : 0;
	}
	if (play.at < play.lines_n || (play.in.len > 0 && !more))
		fail_msg("%s%s: stopped before\n%s\nwith\n%s\nlog:\n%s", scene->name, octets ? " (octets)" : "",
		    play.at < play.lines_n ? play.lines[play.at].expect : "the end", buf_str(&play.in),
		    buf_str(&play.log));
	if (strcmp(buf_str(&play.log), scene->log) != 0)
		fail_msg("%s%s:\n%s\nnot:\n%s", scene->name, octets ? " (octets)" : "", buf_str(&play.log), scene->log);
	close(play.fd);
	if (play.client != NULL)
		smtp_client_free(play.client);
	turn(&play);
	event_base_free(play.base);
	buf_free(&play.in);
	buf_free(&play.log);
}

static void
perform(const struct scene *scene, bool octets)
{
	perform_with(scene, octets, false);
}

/* --- messages --- */

#define TEXT "A: 1\r\n\r\n.body\r\n"
#define CAFE_7BIT "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" \
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nmorning caf=C3=A9\r\n.\r\n"
#define STUFFED "A: 1\r\n\r\n..body\r\n.\r\n"

static const struct job_recipient three[] = {
	{ 0, "a@them.example", NULL, 0, NULL, 0, false, NULL },
	{ 1, "b@them.example", NULL, 0, NULL, 0, false, NULL },
	{ 2, "c@them.example", NULL, 0, NULL, 0, false, NULL },
};
static const struct job_recipient odd[] = { { 0, "a\r\nRSET@them.example", NULL, 0, NULL, 0, false, NULL } };
static const struct job_recipient told[] = {
	{ 0, "a@them.example", "rfc822;a+b@us.example", 1, NULL, 0, false, NULL },
	{ 1, "\\b@them.example", "b=c@us.example", 6 | 8, NULL, 0, false, NULL },
};

#define MESSAGE(text, to, n) \
	{ .sender = FROM, .size = sizeof(text) - 1, .recipients_n = (n), .recipients = (to), .content = (text), \
		.content_len = sizeof(text) - 1, .fd = -1 }

static const struct smtp_client_message one[] = { MESSAGE(TEXT, three, 1), MESSAGE(TEXT, three, 1) };
static const struct smtp_client_message all[] = { MESSAGE(TEXT, three, 3), MESSAGE(TEXT, three, 1) };
static const struct smtp_client_message bare_lf[] = { MESSAGE("a\nb\r\n", three, 2) };
static const struct smtp_client_message bare_cr[] = { MESSAGE("a\rb\r\n", three, 1) };
static const struct smtp_client_message odd_address[] = { MESSAGE(TEXT, odd, 1) };
static const struct smtp_client_message eight[] = { MESSAGE("\xe3\x81\x82\r\n", three, 1) };
static struct smtp_client_message utf8[] = { MESSAGE("Subject: \xc3\xa9\r\n\r\n", three, 1) };
static struct smtp_client_message utf8_plain[] = { MESSAGE(TEXT, three, 1) };
static const struct job_recipient accented[] = { { 0, "\xc3\xa9@them.example", NULL, 0, NULL, 0, false, NULL } };
static const struct smtp_client_message utf8_address[] = { MESSAGE(TEXT, accented, 1) };
static struct smtp_client_message binary[] = { MESSAGE("Content-Type: x/y\r\n\r\na\n\rb.\r\n", three, 1) };
static const struct smtp_client_message cafe[] = { MESSAGE("Subject: s\r\n\r\nmorning caf\xc3\xa9\r\n", three, 1) };
static const struct smtp_client_message cafe_two[] = { MESSAGE("Subject: s\r\n\r\nmorning caf\xc3\xa9\r\n", three, 2) };
static const struct job_recipient two_domains[] = {
	{ 0, "a@them.example", NULL, 0, NULL, 0, false, NULL },
	{ 1, "b@those.example", NULL, 0, NULL, 0, false, NULL },
	{ 2, "c@them.example", NULL, 0, NULL, 0, false, NULL },
};
static const struct job_recipient verp[] = {
	{ 0, "a@them.example", NULL, 0, NULL, 0, false, "s+a@us.example" },
	{ 1, "b@them.example", NULL, 0, NULL, 0, false, "s+b@us.example" },
	{ 2, "c@them.example", NULL, 0, NULL, 0, false, "s+c@us.example" },
	{ 3, "d@them.example", NULL, 0, NULL, 0, false, "s+b@us.example" },
};
static const struct smtp_client_message senders[] = { MESSAGE(TEXT, verp, 3) };
static const struct smtp_client_message some_senders[] = { MESSAGE(TEXT, verp, 4) };
static const struct smtp_client_message domains[] = { MESSAGE(TEXT, two_domains, 3) };
static struct smtp_client_message declared[] = { MESSAGE(TEXT, told, 2) };
static struct smtp_client_message null_sender[] = { MESSAGE("a", three, 1) };

/* --- scenes --- */

#define BANNER { "", "220 them.example ESMTP\r\n" }
#define PLAIN BANNER, { "EHLO " US "\r\n", "250 them.example\r\n" }
#define PIPE BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250 PIPELINING\r\n" }
#define MAIL "MAIL FROM:<" FROM ">\r\n"
#define VERP(x) "MAIL FROM:<s+" x "@us.example>\r\n"
#define RCPT(x) "RCPT TO:<" x "@them.example>\r\n"
#define DATA "DATA\r\n"
#define QUIT { "QUIT\r\n", "221 bye\r\n" }

static const struct scene scenes[] = {
	{ "plain", one, 1, false,
	    { PLAIN, { MAIL, "250 2.1.0 ok\r\n" }, { RCPT("a"), "250 2.1.5 ok\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "250-2.0.0 queued\r\n250 2.0.0 as 1\r\n" }, QUIT },
	    "ready\n0 ok 250 2.0.0 queued as 1\nready\n", { 0 } },
	{ "pipelining", all, 1, false,
	    { PIPE, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA,
		"250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\n1 ok 250 done\n2 ok 250 done\nready\n", { 0 } },
	{ "pipelining, replies one by one", one, 1, false,
	    { PIPE, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "two messages on one connection", one, 2, false,
	    { PIPE, { MAIL RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" }, { STUFFED, "250 first\r\n" },
		{ MAIL RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" }, { STUFFED, "250 second\r\n" }, QUIT },
	    "ready\n0 ok 250 first\nready\n0 ok 250 second\nready\n", { 0 } },
	{ "HELO", one, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "502 what?\r\n" }, { "HELO " US "\r\n", "250 hello\r\n" },
		{ MAIL, "250 ok\r\n" }, { RCPT("a"), "250 ok\r\n" }, { DATA, "354 go\r\n" }, { STUFFED, "250 done\r\n" },
		QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "extensions", declared, 1, false,
	    { BANNER, { "EHLO " US "\r\n",
		"250-them.example\r\n250-SIZE 100\r\n250-8BITMIME\r\n250-smtputf8\r\n250-DSN\r\n250-X\r\n250 PIPELINING\r\n" },
		{ "MAIL FROM:<" FROM "> SIZE=15 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b+2Bc\r\n"
		  "RCPT TO:<a@them.example> NOTIFY=NEVER ORCPT=rfc822;a+2Bb@us.example\r\n"
		  "RCPT TO:<b@them.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;b+3Dc@us.example\r\n" DATA,
		"250 ok\r\n250 a\r\n250 b\r\n354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\n1 ok 250 done\nready\n", { 0 } },
	{ "null sender, no last line end", null_sender, 1, false,
	    { PLAIN, { "MAIL FROM:<>\r\n", "250 ok\r\n" }, { RCPT("a"), "250 ok\r\n" }, { DATA, "354 go\r\n" },
		{ "a\r\n.\r\n", "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	/* recipients one by one */
	{ "some recipients", all, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "550-5.1.1 who\r\n550 5.1.1 is that\r\n" },
		{ RCPT("b"), "250 ok\r\n" }, { RCPT("c"), "450 4.2.0 greylisted\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 perm 550 5.1.1 who is that\n2 temp 450 4.2.0 greylisted\n1 ok 250 done\nready\n", { 0 } },
	{ "some recipients, pipelining", all, 1, false,
	    { PIPE, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA,
		"250 ok\r\n550 who\r\n250 ok\r\n450 later\r\n354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 perm 550 who\n2 temp 450 later\n1 ok 250 done\nready\n", { 0 } },
	{ "no recipient", one, 2, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "550 who\r\n" }, { "RSET\r\n", "250 ok\r\n" },
		{ MAIL, "250 ok\r\n" }, { RCPT("a"), "250 ok\r\n" }, { DATA, "354 go\r\n" }, { STUFFED, "250 done\r\n" },
		QUIT },
	    "ready\n0 perm 550 who\nready\n0 ok 250 done\nready\n", { 0 } },
	{ "no recipient, pipelining", one, 2, false,
	    { PIPE, { MAIL RCPT("a") DATA, "250 ok\r\n550 who\r\n503 no recipients\r\n" }, { "RSET\r\n", "250 ok\r\n" },
		{ MAIL RCPT("a") DATA, "250 ok\r\n250 ok\r\n354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 perm 550 who\nready\n0 ok 250 done\nready\n", { 0 } },
	/* RFC 2920 3.1: a server that wants the data all the same gets none */
	{ "no recipient, and 354", one, 2, false,
	    { PIPE, { MAIL RCPT("a") DATA, "250 ok\r\n550 who\r\n354 go\r\n" }, { ".\r\n", "554 no recipients\r\n" },
		{ MAIL RCPT("a") DATA, "250 ok\r\n250 ok\r\n354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 perm 550 who\nready\n0 ok 250 done\nready\n", { 0 } },
	{ "no recipient, and 250 for nothing", one, 1, false,
	    { PIPE, { MAIL RCPT("a") DATA, "250 ok\r\n450 later\r\n354 go\r\n" }, { ".\r\n", "250 done\r\n" }, QUIT },
	    "ready\n0 temp 450 later\nready\n", { 0 } },
	{ "sender refused", all, 2, false,
	    { PLAIN, { MAIL, "550 5.7.1 not you\r\n" }, { MAIL, "450 4.7.1 not now\r\n" }, QUIT },
	    "ready\n0 perm 550 5.7.1 not you\n1 perm 550 5.7.1 not you\n2 perm 550 5.7.1 not you\nready\n"
	    "0 temp 450 4.7.1 not now\nready\n", { 0 } },
	{ "sender refused, pipelining", one, 1, false,
	    { PIPE, { MAIL RCPT("a") DATA, "550 not you\r\n503 MAIL first\r\n503 RCPT first\r\n" }, QUIT },
	    "ready\n0 perm 550 not you\nready\n", { 0 } },
	/* RFC 5321 4.5.3.1.10 */
	{ "too many recipients", all, 1, false,
	    { PIPE, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA,
		"250 ok\r\n250 a\r\n452 too many\r\n552 5.5.3 too many\r\n354 go\r\n" }, { STUFFED, "250 one\r\n" },
		{ MAIL RCPT("b") RCPT("c") DATA, "250 ok\r\n250 b\r\n452 too many\r\n354 go\r\n" },
		{ STUFFED, "250 two\r\n" },
		{ MAIL RCPT("c") DATA, "250 ok\r\n452 4.3.1 disk full\r\n554 no\r\n" }, { "RSET\r\n", "250 ok\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 ok 250 two\n2 temp 452 4.3.1 disk full\nready\n", { 0 } },
	{ "mailbox full is not too many", all, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { RCPT("b"), "552 5.2.2 full\r\n" },
		{ RCPT("c"), "250 c\r\n" }, { DATA, "354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n1 perm 552 5.2.2 full\n0 ok 250 done\n2 ok 250 done\nready\n", { 0 } },
	/* the data */
	{ "DATA refused", one, 2, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "451 4.3.0 not now\r\n" },
		{ "RSET\r\n", "250 ok\r\n" }, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" },
		{ DATA, "250 eh?\r\n" }, { "RSET\r\n", "250 ok\r\n" }, QUIT },
	    "ready\n0 temp 451 4.3.0 not now\nready\n"
	    "0 temp 451 4.5.0 the server answered what makes no sense: 250 eh?\nready\n", { 0 } },
	{ "message refused", one, 2, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "554 5.7.1 spam\r\n" }, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "451 4.3.0 disk\r\n" }, QUIT },
	    "ready\n0 perm 554 5.7.1 spam\nready\n0 temp 451 4.3.0 disk\nready\n", { 0 } },
	/* what we do not send */
	{ "a bare LF", bare_lf, 1, false, { PIPE, QUIT },
	    "ready\n0 perm 554 5.6.0 the message has a CR or LF that is no line end\n"
	    "1 perm 554 5.6.0 the message has a CR or LF that is no line end\nready\n", { 0 } },
	{ "a bare CR", bare_cr, 1, false, { PIPE, QUIT },
	    "ready\n0 perm 554 5.6.0 the message has a CR or LF that is no line end\nready\n", { 0 } },
	{ "a command in an address", odd_address, 1, false, { PIPE, QUIT },
	    "ready\n0 perm 553 5.1.3 an address has a control character\nready\n", { 0 } },
	{ "8-bit text", eight, 1, false, { PIPE, QUIT },
	    "ready\n0 perm 554 5.6.3 the server does not offer 8BITMIME, and the message cannot be converted: a header of "
	    "it is damaged\nready\n", { 0 } },
	{ "8-bit text, converted", cafe, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250 SIZE\r\n" },
		{ "MAIL FROM:<" FROM "> SIZE=138\r\n", "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ CAFE_7BIT, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "8-bit text, converted, in two transactions", cafe_two, 1, false,
	    { PIPE, { MAIL RCPT("a") RCPT("b") DATA, "250 ok\r\n250 a\r\n452 too many\r\n354 go\r\n" },
		{ CAFE_7BIT, "250 one\r\n" }, { MAIL RCPT("b") DATA, "250 ok\r\n250 b\r\n354 go\r\n" },
		{ CAFE_7BIT, "250 two\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 ok 250 two\nready\n", { 0 } },
	{ "too large when it is converted", cafe, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250 SIZE 50\r\n" }, QUIT },
	    "ready\n0 perm 552 5.3.4 the message has 138 octets, and the server takes 50\nready\n", { 0 } },
	{ "8-bit text that is welcome", eight, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250 8BITMIME\r\n" },
		{ "MAIL FROM:<" FROM "> BODY=8BITMIME\r\n", "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" },
		{ DATA, "354 go\r\n" }, { "\xe3\x81\x82\r\n.\r\n", "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "SMTPUTF8 that is not needed", utf8_plain, 1, false,
	    { PIPE, { MAIL RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "SMTPUTF8 in an address", utf8_address, 1, false, { PIPE, QUIT },
	    "ready\n0 perm 550 5.6.7 the message needs SMTPUTF8, which the server does not offer\nready\n", { 0 } },
	{ "SMTPUTF8 in a header", utf8, 1, false, { PIPE, QUIT },
	    "ready\n0 perm 550 5.6.7 the message needs SMTPUTF8, which the server does not offer\nready\n", { 0 } },
	{ "binary, converted", binary, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250-BINARYMIME\r\n250 8BITMIME\r\n" },
		{ MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ "Content-Type: x/y\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		  "YQoNYi4NCg==\r\n.\r\n", "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "binary", binary, 1, false,
	    { BANNER, { "EHLO " US "\r\n",
		"250-them.example\r\n250-BINARYMIME\r\n250-PIPELINING\r\n250-SIZE\r\n250 CHUNKING\r\n" },
		{ "MAIL FROM:<" FROM "> SIZE=28 BODY=BINARYMIME\r\n" RCPT("a"), "250 ok\r\n250 a\r\n" },
		{ "BDAT 28 LAST\r\nContent-Type: x/y\r\n\r\na\n\rb.\r\n", "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	{ "binary for nobody", binary, 1, false,
	    { BANNER, { "EHLO " US "\r\n",
		"250-them.example\r\n250-BINARYMIME\r\n250-PIPELINING\r\n250 CHUNKING\r\n" },
		{ "MAIL FROM:<" FROM "> BODY=BINARYMIME\r\n" RCPT("a"), "250 ok\r\n550 who\r\n" },
		{ "RSET\r\n", "250 ok\r\n" }, QUIT },
	    "ready\n0 perm 550 who\nready\n", { 0 } },
	/* a sender for each: the next transaction stands behind the text of the one before (RFC 2920 3.1) */
	{ "senders", senders, 1, false,
	    { PLAIN, { VERP("a"), "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "250 one\r\n" }, { VERP("b"), "250 ok\r\n" }, { RCPT("b"), "550 who\r\n" },
		{ "RSET\r\n", "250 ok\r\n" }, { VERP("c"), "250 ok\r\n" }, { RCPT("c"), "250 c\r\n" },
		{ DATA, "354 go\r\n" }, { STUFFED, "250 three\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 perm 550 who\n2 ok 250 three\nready\n", { 0 } },
	{ "senders, pipelining", senders, 1, false,
	    { PIPE, { VERP("a") RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" },
		{ STUFFED VERP("b") RCPT("b") DATA, "250 one\r\n250 ok\r\n250 b\r\n354 go\r\n" },
		{ STUFFED VERP("c") RCPT("c") DATA, "451 later\r\n250 ok\r\n250 c\r\n354 go\r\n" },
		{ STUFFED, "250 three\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 temp 451 later\n2 ok 250 three\nready\n", { 0 } },
	{ "senders, refused on the way", senders, 1, false,
	    { PIPE, { VERP("a") RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" },
		{ STUFFED VERP("b") RCPT("b") DATA, "250 one\r\n250 ok\r\n550 who\r\n354 go\r\n" },
		{ ".\r\n", "554 nobody\r\n" }, { VERP("c") RCPT("c") DATA, "250 ok\r\n250 c\r\n354 go\r\n" },
		{ STUFFED, "250 three\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 perm 550 who\n2 ok 250 three\nready\n", { 0 } },
	{ "one of the senders refused", some_senders, 1, false,
	    { PIPE, { VERP("a") RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" },
		{ STUFFED VERP("b") RCPT("b") RCPT("d") DATA,
		    "250 one\r\n550 not you\r\n503 no\r\n503 no\r\n503 no\r\n" },
		{ VERP("c") RCPT("c") DATA, "250 ok\r\n250 c\r\n354 go\r\n" }, { STUFFED, "250 three\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 perm 550 not you\n3 perm 550 not you\n2 ok 250 three\nready\n", { 0 } },
	{ "lost after the first of them", senders, 1, false,
	    { PIPE, { VERP("a") RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" },
		{ STUFFED VERP("b") RCPT("b") DATA, CLOSE } },
	    "ready\n0 temp 451 4.4.2 the server closed the connection after the whole message was sent; the server may "
	    "have it, so it may arrive twice\nend host elsewhere answered 451 4.4.2 the server closed the connection "
	    "while waiting for the reply to the message\n", { 0 } },
	{ "MAILMAX and senders", senders, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250-LIMITS MAILMAX=2\r\n250 PIPELINING\r\n" },
		{ VERP("a") RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" },
		{ STUFFED VERP("b") RCPT("b") DATA, "250 one\r\n250 ok\r\n250 b\r\n354 go\r\n" },
		{ STUFFED, "250 two\r\n" } },
	    "ready\n0 ok 250 one\n1 ok 250 two\n"
	    "end temp answered 451 4.5.3 the server takes no more messages on one connection\n", { 0 } },
	/* RFC 9422 */
	{ "RCPTMAX", all, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250-LIMITS X=1  RCPTMAX=2 Y\r\n250 PIPELINING\r\n" },
		{ MAIL RCPT("a") RCPT("b") DATA, "250 ok\r\n250 a\r\n250 b\r\n354 go\r\n" },
		{ STUFFED MAIL RCPT("c") DATA, "250 one\r\n250 ok\r\n250 c\r\n354 go\r\n" },
		{ STUFFED, "250 two\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n1 ok 250 one\n2 ok 250 two\nready\n", { 0 } },
	{ "RCPTDOMAINMAX", domains, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250-limits rcptdomainmax=1\r\n250 PIPELINING\r\n" },
		{ MAIL RCPT("a") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 c\r\n354 go\r\n" },
		{ STUFFED MAIL "RCPT TO:<b@those.example>\r\n" DATA, "250 one\r\n250 ok\r\n250 b\r\n354 go\r\n" },
		{ STUFFED, "250 two\r\n" }, QUIT },
	    "ready\n0 ok 250 one\n2 ok 250 one\n1 ok 250 two\nready\n", { 0 } },
	{ "MAILMAX", one, 2, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250-LIMITS MAILMAX=1\r\n250 PIPELINING\r\n" },
		{ MAIL RCPT("a") DATA, "250 ok\r\n250 a\r\n354 go\r\n" }, { STUFFED, "250 one\r\n" } },
	    "ready\n0 ok 250 one\nready\n"
	    "end temp 451 4.5.3 the server takes no more messages on one connection\n", { 0 } },
	{ "too large", one, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250 SIZE 14\r\n" }, QUIT },
	    "ready\n0 perm 552 5.3.4 the message has 15 octets, and the server takes 14\nready\n", { 0 } },
	{ "no limit", one, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250-them.example\r\n250 SIZE 0\r\n" },
		{ "MAIL FROM:<" FROM "> SIZE=15\r\n", "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { 0 } },
	/* the server goes */
	{ "banner 4xx", one, 1, false, { { "", "421 4.3.2 too busy\r\n" } }, "end host elsewhere 421 4.3.2 too busy\n",
	    { 0 } },
	{ "banner 450", one, 1, false, { { "", "450 later\r\n" } }, "end host elsewhere 450 later\n", { 0 } },
	{ "banner 5xx", one, 1, false, { { "", "554-no\r\n554 mail here\r\n" } },
	    "end perm elsewhere 554 no mail here\n", { 0 } },
	{ "no banner", one, 1, false, { { "", CLOSE } },
	    "end host elsewhere 451 4.4.2 the server closed the connection while waiting for the greeting\n", { 0 } },
	{ "no SMTP", one, 1, false, { { "", "SSH-2.0-x\r\n" } },
	    "end host elsewhere 451 4.5.0 the server does not speak SMTP\n", { 0 } },
	{ "EHLO 4xx", one, 1, false, { BANNER, { "EHLO " US "\r\n", "450 later\r\n" } },
	    "end host elsewhere 450 later\n", { 0 } },
	{ "HELO 5xx", one, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "500 no\r\n" }, { "HELO " US "\r\n", "550 never\r\n" } },
	    "end perm elsewhere 550 never\n", { 0 } },
	{ "421 to MAIL", one, 1, false, { PLAIN, { MAIL, "421 closing\r\n" } },
	    "ready\nend host elsewhere 421 closing\n", { 0 } },
	{ "421 to RCPT", all, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "550 who\r\n" }, { RCPT("b"), "421 closing\r\n" } },
	    "ready\n0 perm 550 who\nend host elsewhere answered 421 closing\n", { 0 } },
	{ "421 to the message", one, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "421 closing\r\n" } },
	    "ready\nend host elsewhere answered 421 closing\n", { 0 } },
	{ "421 while idle", one, 0, true, { PLAIN, { "", "421 closing\r\n" } },
	    "ready\nend host elsewhere 421 closing\n", { 0 } },
	{ "lost at MAIL", one, 1, false, { PLAIN, { MAIL, CLOSE } },
	    "ready\nend host elsewhere 451 4.4.2 the server closed the connection while waiting for the reply to "
	    "MAIL\n", { 0 } },
	{ "lost after the message", one, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" }, { STUFFED, CLOSE } },
	    "ready\nend temp answered 451 4.4.2 the server closed the connection after the whole message was sent; "
	    "the server may have it, so it may arrive twice\n", { 0 } },
	{ "no SMTP after the message", one, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" },
		{ STUFFED, "250-ok\r\n550 no\r\n" } },
	    "ready\nend temp answered 451 4.4.2 the server ceased to speak SMTP after the whole message was sent; "
	    "the server may have it, so it may arrive twice\n", { 0 } },
	{ "RSET refused", one, 1, false,
	    { PLAIN, { MAIL, "250 ok\r\n" }, { RCPT("a"), "550 who\r\n" }, { "RSET\r\n", "500 what?\r\n" } },
	    "ready\n0 perm 550 who\nend perm answered 500 what?\n", { 0 } },
	{ "a reply too many", one, 0, true, { PLAIN, { "", "250 and another\r\n" } },
	    "ready\nend host elsewhere 451 4.5.0 the server answered what nobody asked\n", { 0 } },
	/* ourselves */
	{ "a loop", one, 1, false, { BANNER, { "EHLO " US "\r\n", "250 US.example hello\r\n" } },
	    "end perm 554 5.4.6 the mail loops: that server is this one, " US "\n", { US, 30, 300, true } },
	{ "a namesake behind the door", one, 1, false,
	    { BANNER, { "EHLO " US "\r\n", "250 us.example\r\n" }, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" },
		{ DATA, "354 go\r\n" }, { STUFFED, "250 done\r\n" }, QUIT },
	    "ready\n0 ok 250 done\nready\n", { US, 30, 300, false } },
	/* nothing to do: idle_timeout is 0 */
	{ "idle", one, 0, true, { PLAIN, QUIT }, "ready\nend temp \n", { US, 30, 0, false } },
};

static void
test_scenes(void **state)
{
	size_t i;

	(void)state;
	utf8[0].utf8 = true;
	binary[0].body = BODY_BINARYMIME;
	null_sender[0].sender = "";
	declared[0].body = BODY_8BITMIME;
	declared[0].utf8 = true;
	declared[0].ret = 2;
	declared[0].envid = "a b+c";
	utf8_plain[0].utf8 = true;
	for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		perform(&scenes[i], false);
		perform(&scenes[i], true);
	}
}

/* More recipients than a transaction takes. */
static void
test_many_recipients(void **state)
{
	static struct job_recipient many[101];
	static char addresses[101][24];
	struct smtp_client_message message[] = { MESSAGE(TEXT, many, 101) };
	struct buf first = { 0 }, replies = { 0 }, log = { 0 };
	struct scene scene = { .name = "101 recipients", .messages = message, .messages_n = 1, .lines = { PIPE } };
	unsigned i;

	(void)state;
	buf_adds(&first, MAIL);
	buf_adds(&replies, "250 ok\r\n");
	buf_adds(&log, "ready\n");
	for (i = 0; i < 101; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "u%u@them.example", i);
		many[i] = (struct job_recipient){ .index = i, .address = addresses[i] };
		if (i < 100) {
			buf_addf(&first, "RCPT TO:<%s>\r\n", addresses[i]);
			buf_adds(&replies, "250 ok\r\n");
			buf_addf(&log, "%u ok 250 one\n", i);
		}
	}
	buf_adds(&first, DATA);
	buf_adds(&replies, "354 go\r\n");
	buf_adds(&log, "100 ok 250 two\nready\n");
	scene.lines[2] = (struct line){ buf_str(&first), buf_str(&replies) };
	scene.lines[3] = (struct line){ STUFFED MAIL RCPT("u100") DATA,
		"250 one\r\n250 ok\r\n250 ok\r\n354 go\r\n" };
	scene.lines[4] = (struct line){ STUFFED, "250 two\r\n" };
	scene.lines[5] = (struct line)QUIT;
	scene.log = buf_str(&log);
	perform(&scene, false);
	buf_free(&first);
	buf_free(&replies);
	buf_free(&log);
}

/* A content in a file, larger than any buffer on the way, that is sound or goes wrong at its end. */
static void
test_file(void **state)
{
	struct smtp_client_message message[] = { MESSAGE(TEXT, three, 1) };
	struct scene scene = { .name = "a file", .messages = message, .messages_n = 1, .lines = { PLAIN,
		{ MAIL, "250 ok\r\n" }, { RCPT("a"), "250 a\r\n" }, { DATA, "354 go\r\n" } } };
	struct buf text = { 0 }, stuffed = { 0 };
	FILE *f = tmpfile();
	unsigned i;

	(void)state;
	for (i = 0; text.len < 2000000; i++) {
		buf_addf(&text, "%s%u\r\n", i % 3 == 0 ? "." : "line ", i);
		buf_addf(&stuffed, "%s%u\r\n", i % 3 == 0 ? ".." : "line ", i);
	}
	fwrite(text.data, 1, text.len, f);
	fflush(f);
	message[0].content = NULL;
	message[0].content_len = 0;
	message[0].fd = fileno(f);
	buf_adds(&stuffed, ".\r\n");
	scene.lines[5] = (struct line){ buf_str(&stuffed), "250 done\r\n" };
	scene.lines[6] = (struct line)QUIT;
	scene.log = "ready\n0 ok 250 done\nready\n";
	perform(&scene, false);
	/* a server that refuses early gets no commands out of the rest of the data */
	scene.lines[3] = (struct line){ RCPT("a"), "250 a\r\n" };
	scene.lines[4] = (struct line){ DATA, "354 go\r\n552 too much\r\n" };
	scene.lines[5] = scene.lines[6] = (struct line){ NULL, NULL };
	scene.log = "ready\n0 perm 552 too much\nend host answered 451 4.5.0 the server answered before it had the whole "
	    "message\n";
	perform_with(&scene, false, true);
	/* the last line end is none */
	fputs("x\n", f);
	fflush(f);
	scene.lines[4] = (struct line){ DATA, "354 go\r\n" };
	scene.log = "ready\nend perm answered 554 5.6.0 the message has a CR or LF that is no line end\n";
	scene.no_quit = true;
	perform_with(&scene, false, true);
	scene.no_quit = false;
	/* and 8-bit octets are looked for in all of it */
	fseek(f, -2, SEEK_END);
	fputs("\xff\r\n", f);
	fflush(f);
	scene.lines[2] = (struct line)QUIT;
	scene.lines[3] = (struct line){ NULL, NULL };
	scene.log = "ready\n0 perm 554 5.6.3 the server does not offer 8BITMIME, and the message cannot be "
	    "converted: a header of it is damaged\nready\n";
	perform(&scene, false);
	fclose(f);
	buf_free(&text);
	buf_free(&stuffed);
}

static void
test_connect(void **state)
{
	struct smtp_client_conf conf = { US, 30, 300, false };
	struct play play = { .base = event_base_new() };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct ip ip;

	(void)state;
	/* bound and not listening: nobody else will */
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	assert_true(ip_parse("127.0.0.1", &ip));
	play.client = smtp_client_new(play.base, &conf, &ops, &play);
	smtp_client_connect(play.client, &ip, ntohs(sin.sin_port));
	event_base_dispatch(play.base);
	assert_string_equal(buf_str(&play.log), "end host elsewhere 451 4.4.1 cannot connect: Connection refused\n");
	buf_clear(&play.log);
	/* and nobody answers at all: the time is up at once */
	conf.connect_timeout = 0;
	assert_int_equal(listen(fd, 0), 0);
	play.client = smtp_client_new(play.base, &conf, &ops, &play);
	ip_parse("192.0.2.1", &ip);
	smtp_client_connect(play.client, &ip, 25);
	event_base_dispatch(play.base);
	assert_non_null(strstr(buf_str(&play.log), "end host elsewhere 451 4.4.1 cannot connect: "));
	close(fd);
	event_base_free(play.base);
	buf_free(&play.log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scenes),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_connect),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
