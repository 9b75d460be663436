/*
 * The control role, in this process: real clients on its socket, and roles behind it that are one end of a socketpair.
 * Who may ask what, where requests go, what comes back when roles or callers go away, and mail handed in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/mem.h"
#include "lib/unix_socket.h"
#include "queue/submit_wire.h"
#include "smtpd/control.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define STRANGER 65534

static struct event_base *base;
static char *folder, *path;
static struct conf conf;

/* --- clients --- */

struct client {
	struct channel *channel; /* NULL: the server closed it */
	struct buf got;          /* "record key=value|text 5|end 0 why" */
};

static bool
on_answer(struct channel *ch, struct message *m, void *arg)
{
	struct client *c = arg;
	struct field *fields;
	const char *why;
	size_t len;
	int status;

	(void)ch;
	if (c->got.len > 0)
		buf_addc(&c->got, '|');
	if (m->type == CTL_RECORD) {
		fields = field_decode(&m->body);
		assert_non_null(fields);
		buf_adds(&c->got, "record ");
		field_text(&c->got, fields);
		field_free(fields);
	} else if (m->type == CTL_TEXT) {
		(void)cursor_blob(&m->body, &len);
		buf_addf(&c->got, "text %zu", len);
	} else {
		assert_int_equal(m->type, CTL_END);
		assert_true(ctl_end_read(&m->body, &status, &why));
		buf_addf(&c->got, "end %d %s", status, why);
	}
	return true;
}

static void
on_lost(struct channel *ch, void *arg)
{
	(void)ch;
	((struct client *)arg)->channel = NULL;
}

static const struct channel_ops client_ops = { on_answer, on_lost };

static void
turn(void)
{
	int i;

	for (i = 0; i < 50; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The kernel notes who is asking when he connects. */
static struct client *
connect_as(uid_t uid)
{
	struct client *c = xcalloc(1, sizeof(*c));
	int fd;

	if (uid != geteuid())
		assert_int_equal(seteuid(uid), 0);
	fd = unix_socket_connect(path);
	if (uid != getuid())
		assert_int_equal(seteuid(getuid()), 0);
	assert_true(fd >= 0);
	c->channel = channel_new(base, fd, &client_ops, c);
	turn();
	return c;
}

static struct client *
connect_own(void)
{
	return connect_as(geteuid());
}

static void
leave(struct client *c)
{
	channel_free(c->channel);
	turn();
	buf_free(&c->got);
	free(c);
}

static void
ask_words(struct client *c, unsigned n, const char *const *words)
{
	struct buf *b = channel_begin(c->channel, CTL_REQUEST, 7);

	buf_add_u32(b, 12345); /* a lie */
	ctl_words_write(b, n, words);
	channel_end(c->channel, -1);
}

/* LINE's words. */
static void
ask(struct client *c, const char *line)
{
	char *copy = xstrdup(line), *word, *rest = copy;
	const char *words[32];
	unsigned n = 0;

	while ((word = strsep(&rest, " ")) != NULL)
		words[n++] = word;
	ask_words(c, n, words);
	turn();
	free(copy);
}

static void
send_content(struct client *c, const void *p, size_t len)
{
	buf_add_blob(channel_begin(c->channel, CTL_CONTENT, 7), p, len);
	channel_end(c->channel, -1);
}

static void
expect(struct client *c, const char *want)
{
	turn();
	assert_string_equal(buf_str(&c->got), want);
	buf_clear(&c->got);
}

static void
expect_begin(struct client *c, const char *want)
{
	turn();
	if (strncmp(buf_str(&c->got), want, strlen(want)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", buf_str(&c->got), want);
	buf_clear(&c->got);
}

/* --- roles --- */

struct role_end {
	struct channel *channel;
	enum role role;
	unsigned instance;
	struct buf heard;           /* "request ID uid words|cancel ID" */
	uint64_t id;                /* of the last request */
	bool refuse_mail, keep_mail;
	struct envelope *env;       /* the last message handed in */
	struct buf mail;
};

static bool
on_request(struct role_end *r, struct message *m)
{
	const char *words[CTL_WORDS_MAX];
	uint32_t uid = cursor_u32(&m->body);
	unsigned n = ctl_words_read(&m->body, words, CTL_WORDS_MAX), i;

	assert_int_equal(uid, geteuid());
	r->id = m->id;
	buf_adds(&r->heard, "request");
	for (i = 0; i < n; i++)
		buf_addf(&r->heard, " %s", words[i]);
	return n > 0;
}

static bool
on_mail(struct role_end *r, struct message *m)
{
	struct submit_answer answer = { SUBMIT_OK, "" };
	struct submit_message message;

	assert_true(submit_read_message(&m->body, &message));
	assert_false(message.in_file);
	envelope_free(r->env);
	r->env = message.envelope;
	buf_clear(&r->mail);
	buf_add(&r->mail, message.content, message.content_len);
	if (r->keep_mail)
		return true;
	if (r->refuse_mail)
		answer = (struct submit_answer){ SUBMIT_TEMP, "452 4.3.1 disk full" };
	submit_add_answer(channel_begin(r->channel, SUBMIT_ANSWER, m->id), &answer);
	channel_end(r->channel, -1);
	return true;
}

static bool
on_role_message(struct channel *ch, struct message *m, void *arg)
{
	struct role_end *r = arg;

	(void)ch;
	if (m->type == SUBMIT_MESSAGE)
		return on_mail(r, m);
	if (r->heard.len > 0)
		buf_addc(&r->heard, '|');
	switch (m->type) {
	case CTL_REQUEST:
		return on_request(r, m);
	case CTL_CANCEL:
		buf_adds(&r->heard, "cancel");
		return true;
	case CTL_PAUSE:
		buf_adds(&r->heard, "pause");
		return true;
	case CTL_RESUME:
		buf_adds(&r->heard, "resume");
		return true;
	}
	fail_msg("type %u", m->type);
	return false;
}

static void
on_role_lost(struct channel *ch, void *arg)
{
	(void)ch;
	((struct role_end *)arg)->channel = NULL;
}

static const struct channel_ops role_ops = { on_role_message, on_role_lost };

static struct role_end *
connect_role(enum role role, unsigned instance)
{
	struct role_end *r = xcalloc(1, sizeof(*r));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer_connect(role, instance, pair[0]);
	r->channel = channel_new(base, pair[1], &role_ops, r);
	r->role = role;
	r->instance = instance;
	return r;
}

static void
role_dies(struct role_end *r)
{
	channel_free(r->channel);
	turn();
	buf_free(&r->heard);
	buf_free(&r->mail);
	envelope_free(r->env);
	free(r);
}

static void
answer_record(struct role_end *r, const struct field *fields)
{
	field_encode(channel_begin(r->channel, CTL_RECORD, r->id), fields);
	channel_end(r->channel, -1);
}

static void
answer_end(struct role_end *r, int status, const char *why)
{
	ctl_end_write(channel_begin(r->channel, CTL_END, r->id), status, why);
	channel_end(r->channel, -1);
	turn();
}

static void
expect_heard(struct role_end *r, const char *want)
{
	turn();
	assert_string_equal(buf_str(&r->heard), want);
	buf_clear(&r->heard);
}

/* --- forwarding --- */

static void
test_version(void **state)
{
	struct client *c = connect_own();

	(void)state;
	ask(c, "version");
	expect_begin(c, "record version=");
	ask(c, "version"); /* one after the other is fine */
	expect_begin(c, "record version=");
	leave(c);
}

static void
test_forward(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();

	(void)state;
	ask(c, "queue list from=a@b");
	expect_heard(q, "request queue list from=a@b");
	answer_record(q, FIELDS(F_STR("message", "X")));
	buf_add_blob(channel_begin(q->channel, CTL_TEXT, q->id), "hello", 5);
	channel_end(q->channel, -1);
	answer_end(q, 1, "oh");
	expect(c, "record message=X|text 5|end 1 oh");
	leave(c);
	role_dies(q);
}

static void
test_nonsense_words(void **state)
{
	static const struct {
		const char *line, *answer;
	} t[] = {
		{ "frob", "end 2 the server knows no such request" },
		{ "pause everything", "end 2 this object has no such verb" },
		{ "", "end 2 the server knows no such request" },
		{ "queue list", "end 1 the part of the server that knows is down; it is being restarted, ask again" },
	};
	struct client *c = connect_own();
	const char *many[CTL_WORDS_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		ask(c, t[i].line);
		expect(c, t[i].answer);
	}
	for (i = 0; i < COUNT(many); i++)
		many[i] = "queue";
	ask_words(c, COUNT(many), many);
	expect(c, "end 2 a request of so many words is not taken");
	leave(c);
}

/* Every instance is asked; the worst end is the end. */
static void
test_fan_out(void **state)
{
	struct role_end *s0 = connect_role(ROLE_SESSION, 0), *s1 = connect_role(ROLE_SESSION, 1);
	struct client *c = connect_own();

	(void)state;
	ask(c, "pause in");
	expect_heard(s0, "request pause in");
	expect_heard(s1, "request pause in");
	answer_end(s1, 0, "");
	expect(c, "");
	answer_end(s0, 1, "cannot");
	expect(c, "end 1 session: cannot");

	ask(c, "pause"); /* the queue is asked, too, and is down */
	answer_end(s0, 0, "");
	answer_end(s1, 0, "");
	expect(c, "end 1 queue: is down; it is being restarted, ask again");
	leave(c);
	role_dies(s0);
	role_dies(s1);
}

static void
test_stats(void **state)
{
	struct role_end *s = connect_role(ROLE_SESSION, 1), *q = connect_role(ROLE_QUEUE, 0);
	struct role_end *l = connect_role(ROLE_LEDGER, 0), *m = connect_role(ROLE_MASTER, 0);
	struct role_end *k = connect_role(ROLE_LOOKUP, 0);
	struct role_end *r = connect_role(ROLE_RESOLVER, 0), *y = connect_role(ROLE_RELAY, 0);
	struct role_end *v = connect_role(ROLE_VAULT, 0);
	struct client *c = connect_own();

	(void)state;
	ask(c, "stats");
	expect(c, "record role=control instance=0 clients=1");
	answer_record(s, FIELDS(F_U64("sessions", 3)));
	answer_end(s, 0, "");
	answer_end(l, 2, "this part of the server knows no such request"); /* it counts nothing */
	answer_end(m, 0, "");
	answer_end(k, 0, "");
	answer_end(r, 0, "");
	answer_end(v, 0, "");
	answer_end(y, 0, "");
	expect(c, "record role=session instance=1 sessions=3");
	answer_end(q, 0, "");
	expect(c, "end 0 ");
	leave(c);
	role_dies(s);
	role_dies(q);
	role_dies(l);
	role_dies(m);
	role_dies(v);
	role_dies(k);
	role_dies(r);
	role_dies(y);
}

static void
test_role_dies(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();

	(void)state;
	ask(c, "queue list");
	answer_record(q, FIELDS(F_STR("message", "X")));
	turn();
	role_dies(q);
	expect(c, "record message=X|end 1 went down over this request; it is being restarted, ask again");
	leave(c);
}

static void
test_client_leaves(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own(), *other = connect_own();

	(void)state;
	ask(c, "queue list");
	expect_heard(q, "request queue list");
	leave(c);
	expect_heard(q, "cancel");
	answer_record(q, FIELDS(F_STR("message", "X"))); /* too late */
	answer_end(q, 0, "");
	ask(other, "queue summary");
	expect_heard(q, "request queue summary");
	answer_end(q, 0, "");
	expect(other, "end 0 ");
	leave(other);
	role_dies(q);
}

/* A caller that does not read makes the role wait; a role that does not costs the caller his connection. */
static void
test_slow_client(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();
	char *piece = xcalloc(1, 65536);
	int i;

	(void)state;
	ask(c, "queue cat X");
	expect_heard(q, "request queue cat X");
	channel_pause(c->channel, true);
	for (i = 0; i < 40; i++) {
		buf_add_blob(channel_begin(q->channel, CTL_TEXT, q->id), piece, 65536);
		channel_end(q->channel, -1);
		turn();
	}
	expect_heard(q, "pause");
	channel_pause(c->channel, false);
	expect_heard(q, "resume");
	buf_clear(&c->got);
	channel_pause(c->channel, true);
	for (i = 0; i < 400; i++) {
		buf_add_blob(channel_begin(q->channel, CTL_TEXT, q->id), piece, 65536);
		channel_end(q->channel, -1);
		turn();
	}
	expect_heard(q, "pause|cancel");
	channel_pause(c->channel, false);
	turn();
	assert_null(c->channel);
	leave(c);
	role_dies(q);
	free(piece);
}

/* --- who --- */

static void
test_stranger(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c;

	(void)state;
	if (geteuid() != 0) {
		print_message("skip: another user can be had by the superuser only\n");
		role_dies(q);
		skip();
	}
	c = connect_as(STRANGER);
	ask(c, "queue list");
	expect(c, "end 1 only the superuser, and the account that the server runs as, may ask this");
	expect_heard(q, "");
	ask(c, "version");
	expect_begin(c, "record version=");
	ask(c, "submit from=a@b.example to=c@d.example");
	send_content(c, "x: y\r\n\r\n", 8);
	channel_send(c->channel, CTL_CONTENT_END, 7);
	expect_begin(c, "record message=");
	assert_non_null(strstr(q->env->origin, "local uid 65534"));
	leave(c);
	role_dies(q);
}

/* Strangers have places of their own, each not too many; whoever runs the server finds one all the same. */
static void
test_places(void **state)
{
	struct client *many[21], *own;
	size_t i;

	(void)state;
	if (geteuid() != 0) {
		print_message("skip: another user can be had by the superuser only\n");
		skip();
	}
	for (i = 0; i < COUNT(many); i++)
		many[i] = connect_as(STRANGER);
	ask(many[0], "version");
	expect_begin(many[0], "record version=");
	assert_null(many[20]->channel);
	expect(many[20], "end 1 451 4.3.2 too many submissions at once; try again");
	own = connect_own();
	ask(own, "version");
	expect_begin(own, "record version=");
	leave(own);
	for (i = 0; i < COUNT(many); i++)
		leave(many[i]);
}

/* --- octets that no smtpctl sends --- */

static void
test_nonsense_octets(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
	} t[] = {
#define HEADER(len, type) len "\0\0\0" type "\0\0" "\7\0\0\0\0\0\0\0"
		{ HEADER("\0", "\1\7"), 16 },                            /* a request without anything */
		{ HEADER("\x8", "\1\7") "\0\0\0\0\0\0\0\0", 24 },        /* no words */
		{ HEADER("\x8", "\1\7") "\0\0\0\0\xff\xff\xff\xff", 24 }, /* too many */
		{ HEADER("\xc", "\1\7") "\0\0\0\0\1\0\0\0\xff\0\0\0", 28 }, /* a word that is longer than the message */
		{ HEADER("\0", "\4\7"), 16 },                            /* CTL_END */
		{ HEADER("\0", "\1\1"), 16 },                            /* another subject */
		{ HEADER("\4", "\x8\7") "\0\0\0\0", 20 },                /* content without submit */
		{ HEADER("\0", "\x9\7"), 16 },                           /* its end */
		{ "\0\0\0\1\1\7\0\0\7\0\0\0\0\0\0\0", 16 },              /* 16 MiB */
		{ "\0\0\0\0\1\7\2\0\7\0\0\0\0\0\0\0", 16 },              /* an unknown flag */
		{ "\0\0\0\0\1\7\1\0\7\0\0\0\0\0\0\0", 16 },              /* a descriptor that is not there */
	};
	struct client *other = connect_own();
	char octet;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		fd = unix_socket_connect(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, t[i].octets, t[i].len), t[i].len);
		turn();
		if (recv(fd, &octet, 1, MSG_DONTWAIT) != 0)
			fail_msg("case %zu is still connected", i);
		close(fd);
	}
	ask(other, "version");
	expect_begin(other, "record version=");
	leave(other);
}

static void
test_two_requests(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();

	(void)state;
	ask(c, "queue list");
	ask(c, "queue list");
	assert_null(c->channel);
	expect_heard(q, "request queue list|cancel");
	leave(c);
	role_dies(q);
}

/* --- mail --- */

static void
submit(struct client *c, const char *line, const void *content, size_t len)
{
	ask(c, line);
	send_content(c, content, len);
	channel_send(c->channel, CTL_CONTENT_END, 7);
	turn();
}

static void
test_submit(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();

	(void)state;
	submit(c, "submit from=\"a\"@B.example to=c@d.example to=e@f.example envid=E ret=hdrs verp=-= notify=success,delay",
	    "x: y\r\n\r\nbody \xc3\x84", 15);
	expect_begin(c, "record message=");
	assert_string_equal(q->env->sender, "a@b.example");
	assert_int_equal(q->env->recipients_n, 2);
	assert_string_equal(q->env->recipients[1].address, "e@f.example");
	assert_int_equal(q->env->recipients[1].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_string_equal(q->env->envid, "E");
	assert_int_equal(q->env->ret, 2);
	assert_string_equal(q->env->verp, "-=");
	assert_int_equal(q->env->body, BODY_8BITMIME);
	assert_true(q->env->ours);
	assert_int_equal(q->env->size, q->mail.len);
	assert_memory_equal(buf_str(&q->mail), "Received: from ", 15);
	assert_non_null(strstr(buf_str(&q->mail), "by h.example with local id "));
	/* what was missing at the end is there */
	assert_memory_equal(q->mail.data + q->mail.len - 17, "x: y\r\n\r\nbody \xc3\x84\r\n", 17);
	leave(c);
	role_dies(q);
}

static void
test_submit_refused(void **state)
{
	static const struct {
		const char *words, *content, *answer;
		size_t len;
	} t[] = {
		{ "submit", "", "end 1 501 5.5.4 from= is missing", 0 },
		{ "submit from=a@b", "", "end 1 554 5.5.1 no recipients", 0 },
		{ "submit from=a to=c@d", "", "end 1 553 5.1.7 sender \"a\"", 0 },
		{ "submit from=a@b to=c", "", "end 1 553 5.1.3 recipient \"c\"", 0 },
		{ "submit from=a@b to=", "", "end 1 553 5.1.3 recipient \"\"", 0 },
		{ "submit from=a@b from=c@d to=c@d", "", "end 1 501 5.5.4 more than one", 0 },
		{ "submit from=a@b to=c@d more=x", "", "end 1 501 5.5.4 submit does not know", 0 },
		{ "submit from=a@b to=c@d verp=ab", "", "end 1 501 5.5.4 verp=", 0 },
		{ "submit from= to=c@d verp=+=", "", "end 1 501 5.5.4 verp=", 0 },
		{ "submit from=a@b to=c@d ret=x", "", "end 1 501 5.5.4 ret=", 0 },
		{ "submit from=a@b to=c@d notify=never,delay", "", "end 1 501 5.5.4 notify=never", 0 },
		{ "submit from=a@b to=c@d notify=x", "", "end 1 501 5.5.4 notify=", 0 },
		{ "submit from=a@b to=c@d", "a: b\n\r\n", "end 1 554 5.6.0", 7 },
		{ "submit from=a@b to=c@d", "a: b\r\r\n\r\n", "end 1 554 5.6.0", 9 },
		{ "submit from=a@b to=c@d", "a: b\r", "end 1 554 5.6.0", 5 },
		{ "submit from=a@b to=c@d", "a: \0b\r\n\r\n", "end 1 554 5.6.0", 9 },
		{ "submit from=a@b to=c@d", "Received: 1\r\nReceived: 2\r\nReceived: 3\r\n\r\n", "end 1 554 5.4.6", 41 },
		{ "submit from=a@b to=c@d", "0123456789012345678901234567890123456789012345678901234567890", "end 1 552 5.3.4", 61 },
	};
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		submit(c, t[i].words, t[i].content, t[i].len);
		expect_begin(c, t[i].answer);
		assert_null(q->env);
	}
	submit(c, "submit from= to=c@d.example", "\r\n", 2); /* and goes on after all that; the null sender is one */
	expect_begin(c, "record message=");
	assert_string_equal(q->env->sender, "");
	leave(c);
	role_dies(q);
}

/* "Done" is the queue's word only. */
static void
test_submit_not_stored(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();

	(void)state;
	q->refuse_mail = true;
	submit(c, "submit from=a@b to=c@d", "\r\n", 2);
	expect(c, "end 1 452 4.3.1 disk full");
	q->keep_mail = true;
	submit(c, "submit from=a@b to=c@d", "\r\n", 2);
	expect(c, "");
	role_dies(q);
	expect_begin(c, "end 1 451 4.3.0");
	submit(c, "submit from=a@b to=c@d", "\r\n", 2);
	expect_begin(c, "end 1 451 4.3.0");
	leave(c);
}

/* Half a message is none; a whole one is, whoever waits for the answer. */
static void
test_submit_leaves(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct client *c = connect_own();

	(void)state;
	ask(c, "submit from=a@b to=c@d");
	send_content(c, "a: b\r\n", 6);
	turn();
	leave(c);
	assert_null(q->env);
	c = connect_own();
	q->keep_mail = true;
	submit(c, "submit from=a@b to=c@d", "a: b\r\n", 6);
	assert_non_null(q->env);
	leave(c);
	submit_add_answer(channel_begin(q->channel, SUBMIT_ANSWER, q->env->id), &(struct submit_answer){ SUBMIT_OK, "" });
	channel_end(q->channel, -1);
	turn();
	role_dies(q);
}

/* --- the socket --- */

static void
test_listen(void **state)
{
	char *deep = xasprintf("%s/%0150d", folder, 1), *socket_path, *why = NULL;
	struct stat st;
	int fd, client;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(control_listen(path, &why), -1); /* ours answers there */
	assert_non_null(strstr(why, "somebody answers"));
	free(why);
	/* longer than a sockaddr_un holds; left behind by a process that is gone */
	assert_int_equal(mkdir(deep, 0755), 0);
	socket_path = xasprintf("%s/control", deep);
	fd = control_listen(socket_path, &why);
	assert_true(fd >= 0);
	close(fd);
	fd = control_listen(socket_path, &why);
	assert_true(fd >= 0);
	client = unix_socket_connect(socket_path);
	assert_true(client >= 0);
	close(client);
	close(fd);
	unlink(socket_path);
	/* what is no socket stays */
	fd = creat(socket_path, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(control_listen(socket_path, &why), -1);
	free(why);
	assert_int_equal(access(socket_path, F_OK), 0);
	unlink(socket_path);
	rmdir(deep);
	free(socket_path);
	free(deep);
}

/* --- all of it --- */

static char host[] = "h.example";

static int
set_up(void **state)
{
	char template[] = "/tmp/genkan-control-XXXXXX", *why = NULL;
	int fd;

	(void)state;
	folder = xstrdup(mkdtemp(template));
	if (chmod(folder, 0755) < 0)
		return -1;
	path = xasprintf("%s/control", folder);
	base = event_base_new();
	peer_set_base(base);
	conf.host = host;
	conf.limits[LIMIT_SIZE] = 60;
	conf.limits[LIMIT_HOPS] = 3;
	fd = control_listen(path, &why);
	if (fd < 0)
		return -1;
	submit_client_init();
	control_role_start(fd, &conf);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	rmdir(folder);
	free(path);
	free(folder);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_nonsense_words),
		cmocka_unit_test(test_fan_out),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_role_dies),
		cmocka_unit_test(test_client_leaves),
		cmocka_unit_test(test_slow_client),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_nonsense_octets),
		cmocka_unit_test(test_two_requests),
		cmocka_unit_test(test_submit),
		cmocka_unit_test(test_submit_refused),
		cmocka_unit_test(test_submit_not_stored),
		cmocka_unit_test(test_submit_leaves),
		cmocka_unit_test(test_listen),
	};

	return cmocka_run_group_tests_name("control", tests, set_up, tear_down);
}
