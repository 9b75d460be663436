/*
 * The registry of peers: who hears of whom, in which order, and what becomes of a peer that is
 * replaced, goes, or talks of what nobody knows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/peer.h"
#include "lib/role.h"

static struct event_base *base;
static struct buf events; /* "resolver:up ledger:message ..." of both subjects */
static struct peer *unwanted; /* who is disconnected as soon as he is up */

static void
note(const char *subject, const char *what, const struct peer *peer)
{
	buf_addf(&events, "%s.%s(%s/%u) ", subject, what, role_name(peer->role), peer->instance);
}

static bool
on_message(struct peer *peer, struct message *m)
{
	note("resolver", "message", peer);
	message_skip(m);
	return true;
}

static void
on_up(struct peer *peer)
{
	note("resolver", "up", peer);
	peer->data = &events;
	if (peer->role == ROLE_LOCAL) {
		unwanted = peer;
		peer_disconnect(peer);
	}
}

static void
on_down(struct peer *peer)
{
	note("resolver", "down", peer);
	assert_ptr_equal(peer->data, &events);
	assert_true(peer_find(peer->role, peer->instance) != peer);
	peer_disconnect(peer); /* owners may: it is on its way out already */
}

static void
other_up(struct peer *peer)
{
	note("ledger", "up", peer);
}

static void
other_down(struct peer *peer)
{
	note("ledger", "down", peer);
}

static const struct subject_ops first = { on_message, on_up, on_down };
static const struct subject_ops other = { NULL, other_up, other_down }; /* says something, hears nothing */

static void
turn(void)
{
	int i;

	for (i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Returns the other end. */
static int
connect_peer(enum role role, unsigned instance, struct peer **peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*peer = peer_connect(role, instance, pair[0]);
	return pair[1];
}

static void
send_type(int fd, uint16_t type)
{
	struct buf b = { 0 };

	buf_add_u32(&b, 0);
	buf_add_u16(&b, type);
	buf_add_u16(&b, 0);
	buf_add_u64(&b, 0);
	assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
	buf_free(&b);
}

static void
expect(const char *want)
{
	turn();
	assert_string_equal(buf_str(&events), want);
	buf_clear(&events);
}

static int
setup(void **state)
{
	(void)state;
	base = event_base_new();
	peer_set_base(base);
	assert_ptr_equal(peer_base(), base);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	turn();
	buf_free(&events);
	peer_forget_inherited(); /* frees the loop */
	assert_null(peer_base());
	return 0;
}

static void
test_up_and_down(void **state)
{
	struct peer *p;
	uint64_t generation;
	int fd = connect_peer(ROLE_LEDGER, 0, &p), again;

	(void)state;
	assert_ptr_equal(peer_find(ROLE_LEDGER, 0), p);
	/* who registers late hears of those who are there; twice is once */
	peer_register(SUBJECT_RESOLVER, &first);
	peer_register(SUBJECT_RESOLVER, &first);
	expect("resolver.up(ledger/0) ");
	peer_register(SUBJECT_LEDGER, &other);
	expect("ledger.up(ledger/0) ");
	/* the other side goes */
	generation = p->generation;
	close(fd);
	expect("resolver.down(ledger/0) ledger.down(ledger/0) ");
	assert_null(peer_find(ROLE_LEDGER, 0));
	/* it comes again, and its successor comes before it is gone: the first goes then */
	fd = connect_peer(ROLE_LEDGER, 0, &p);
	assert_true(p->generation > generation);
	expect("resolver.up(ledger/0) ledger.up(ledger/0) ");
	again = connect_peer(ROLE_LEDGER, 0, &p);
	assert_ptr_equal(peer_find(ROLE_LEDGER, 0), p);
	expect("resolver.down(ledger/0) ledger.down(ledger/0) resolver.up(ledger/0) ledger.up(ledger/0) ");
	assert_int_equal(recv(fd, &generation, 1, MSG_DONTWAIT), 0);
	close(fd);
	/* we drop it */
	peer_disconnect(p);
	peer_disconnect(p);
	expect("resolver.down(ledger/0) ledger.down(ledger/0) ");
	assert_int_equal(recv(again, &generation, 1, MSG_DONTWAIT), 0);
	close(again);
}

/* A module that will have nothing to do with a peer: the others see it go and never see it come. */
static void
test_dropped_while_coming(void **state)
{
	struct peer *p;
	int fd;

	(void)state;
	peer_register(SUBJECT_RESOLVER, &first);
	peer_register(SUBJECT_LEDGER, &other);
	fd = connect_peer(ROLE_LOCAL, 3, &p);
	assert_ptr_equal(p, unwanted);
	assert_null(peer_find(ROLE_LOCAL, 3));
	expect("resolver.up(local/3) resolver.down(local/3) ledger.down(local/3) ");
	close(fd);
}

static void
test_messages(void **state)
{
	static const struct {
		uint16_t type;
		const char *want;
	} rows[] = {
		{ MESSAGE_TYPE(SUBJECT_RESOLVER, 1), "resolver.message(queue/0) " },
		{ MESSAGE_TYPE(SUBJECT_RESOLVER, 255), "resolver.message(queue/0) " },
		/* nobody serves this subject, or it says nothing; there is none of this number */
		{ MESSAGE_TYPE(SUBJECT_SUBMIT, 1), "resolver.down(queue/0) ledger.down(queue/0) " },
		{ MESSAGE_TYPE(SUBJECT_LEDGER, 1), "resolver.down(queue/0) ledger.down(queue/0) " },
		{ MESSAGE_TYPE(SUBJECT_COUNT, 1), "resolver.down(queue/0) ledger.down(queue/0) " },
		{ MESSAGE_TYPE(0, 1), "resolver.down(queue/0) ledger.down(queue/0) " },
		{ UINT16_MAX, "resolver.down(queue/0) ledger.down(queue/0) " },
	};
	struct peer *p;
	size_t i;
	int fd;

	(void)state;
	peer_register(SUBJECT_RESOLVER, &first);
	peer_register(SUBJECT_LEDGER, &other);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fd = connect_peer(ROLE_QUEUE, 0, &p);
		expect("resolver.up(queue/0) ledger.up(queue/0) ");
		send_type(fd, rows[i].type);
		expect(rows[i].want);
		if ((p = peer_find(ROLE_QUEUE, 0)) != NULL)
			peer_disconnect(p);
		turn();
		buf_clear(&events);
		close(fd);
	}
}

static void
count_peer(struct peer *peer, void *arg)
{
	(void)peer;
	++*(unsigned *)arg;
}

/* Of several instances, the one for a key stays the same while it lives. */
static void
test_instances(void **state)
{
	struct peer *p[4];
	unsigned visited = 0;
	int fd[4], i;

	(void)state;
	assert_null(peer_for(ROLE_SESSION, 5));
	assert_int_equal(peer_count(ROLE_SESSION), 0);
	for (i = 3; i >= 0; i--)
		fd[i] = connect_peer(ROLE_SESSION, (unsigned)i, &p[i]);
	assert_int_equal(peer_count(ROLE_SESSION), 4);
	assert_null(peer_find(ROLE_SESSION, 4));
	assert_null(peer_find(ROLE_RELAY, 0));
	for (i = 0; i < 16; i++)
		assert_ptr_equal(peer_for(ROLE_SESSION, (uint64_t)i), p[i % 4]);
	assert_ptr_equal(peer_for(ROLE_SESSION, UINT64_MAX), p[3]);
	peer_disconnect(p[2]);
	assert_int_equal(peer_count(ROLE_SESSION), 3);
	assert_ptr_equal(peer_for(ROLE_SESSION, 2), p[3]);
	assert_ptr_equal(peer_for(ROLE_SESSION, 1), p[1]);
	peer_each(ROLE_SESSION, count_peer, &visited);
	assert_int_equal(visited, 3);
	for (i = 0; i < 4; i++) {
		peer_disconnect(p[i]);
		close(fd[i]);
	}
	assert_null(peer_for(ROLE_SESSION, 1));
}

int
main(void)
{
	static const struct log_conf quiet = { .to_stderr = true };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_up_and_down, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped_while_coming, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_instances, setup, teardown),
	};

	log_init(&quiet, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
