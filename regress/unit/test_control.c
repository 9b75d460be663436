/*
 * The control role, in this process: who may ask what, where requests go, what comes back when roles or callers go away
 * (control_world.h).
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

#include "lib/buf.h"
#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/mem.h"
#include "lib/unix_socket.h"
#include "regress/unit/control_world.h"
#include "smtpd/control.h"

/* --- roles --- */

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
	run_turn();
}

static void
expect_heard(struct role_end *r, const char *want)
{
	run_turn();
	assert_string_equal(buf_str(&r->heard), want);
	buf_clear(&r->heard);
}

/* --- forwarding --- */

static void
test_version(void **state)
{
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "version");
	expect_begin(c, "record version=");
	ask_line(c, "version"); /* one after the other is fine */
	expect_begin(c, "record version=");
	leave(c);
}

static void
test_forward(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "queue list from=a@b");
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
	struct asker *c = connect_own();
	const char *many[CTL_WORDS_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		ask_line(c, t[i].line);
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
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "pause in");
	expect_heard(s0, "request pause in");
	expect_heard(s1, "request pause in");
	answer_end(s1, 0, "");
	expect(c, "");
	answer_end(s0, 1, "cannot");
	expect(c, "end 1 session: cannot");

	ask_line(c, "pause"); /* the queue is asked, too, and is down */
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
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "stats");
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
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "queue list");
	answer_record(q, FIELDS(F_STR("message", "X")));
	run_turn();
	role_dies(q);
	expect(c, "record message=X|end 1 went down over this request; it is being restarted, ask again");
	leave(c);
}

static void
test_client_leaves(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own(), *other = connect_own();

	(void)state;
	ask_line(c, "queue list");
	expect_heard(q, "request queue list");
	leave(c);
	expect_heard(q, "cancel");
	answer_record(q, FIELDS(F_STR("message", "X"))); /* too late */
	answer_end(q, 0, "");
	ask_line(other, "queue summary");
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
	struct asker *c = connect_own();
	char *piece = xcalloc(1, 65536);
	int i;

	(void)state;
	ask_line(c, "queue cat X");
	expect_heard(q, "request queue cat X");
	channel_pause(c->channel, true);
	for (i = 0; i < 40; i++) {
		buf_add_blob(channel_begin(q->channel, CTL_TEXT, q->id), piece, 65536);
		channel_end(q->channel, -1);
		run_turn();
	}
	expect_heard(q, "pause");
	channel_pause(c->channel, false);
	expect_heard(q, "resume");
	buf_clear(&c->got);
	channel_pause(c->channel, true);
	for (i = 0; i < 400; i++) {
		buf_add_blob(channel_begin(q->channel, CTL_TEXT, q->id), piece, 65536);
		channel_end(q->channel, -1);
		run_turn();
	}
	expect_heard(q, "pause|cancel");
	channel_pause(c->channel, false);
	run_turn();
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
	struct asker *c;

	(void)state;
	if (geteuid() != 0) {
		print_message("skip: another user can be had by the superuser only\n");
		role_dies(q);
		skip();
	}
	c = connect_as(STRANGER);
	ask_line(c, "queue list");
	expect(c, "end 1 only the superuser, and the account that the server runs as, may ask this");
	expect_heard(q, "");
	ask_line(c, "version");
	expect_begin(c, "record version=");
	ask_line(c, "submit from=a@b.example to=c@d.example");
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
	struct asker *many[21], *own;
	size_t i;

	(void)state;
	if (geteuid() != 0) {
		print_message("skip: another user can be had by the superuser only\n");
		skip();
	}
	for (i = 0; i < COUNT(many); i++)
		many[i] = connect_as(STRANGER);
	ask_line(many[0], "version");
	expect_begin(many[0], "record version=");
	assert_null(many[20]->channel);
	expect(many[20], "end 1 451 4.3.2 too many submissions at once; try again");
	own = connect_own();
	ask_line(own, "version");
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
	struct asker *other = connect_own();
	char octet;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		fd = unix_socket_connect(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, t[i].octets, t[i].len), t[i].len);
		run_turn();
		if (recv(fd, &octet, 1, MSG_DONTWAIT) != 0)
			fail_msg("case %zu is still connected", i);
		close(fd);
	}
	ask_line(other, "version");
	expect_begin(other, "record version=");
	leave(other);
}

static void
test_two_requests(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "queue list");
	ask_line(c, "queue list");
	assert_null(c->channel);
	expect_heard(q, "request queue list|cancel");
	leave(c);
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
		cmocka_unit_test(test_listen),
	};

	return cmocka_run_group_tests_name("control", tests, set_up, tear_down);
}
