/*
 * Asking the resolver role from another process: answers, cancelling, the role's death, and a role
 * that talks nonsense.  The role runs in a child with a small DNS server beside it; the test is a
 * session's side of the socketpair.
 */
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/dns.h"
#include "lib/log.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "lib/resolver_wire.h"
#include "lib/sandbox.h"
#include "regress/unit/responder.h"
#include "regress/unit/until.h"

static struct event_base *base;
static pid_t child;

struct asked {
	unsigned calls;
	enum dns_status status;
	unsigned records;
	struct ip ip;
};

static void
take(const struct dns_answer *answer, void *arg)
{
	struct asked *asked = arg;

	asked->calls++;
	asked->status = answer->status;
	asked->records = answer->records_n;
	if (answer->records_n > 0)
		asked->ip = answer->records[0].ip;
	assert_true((answer->status == DNS_TEMP) <= (answer->why != NULL));
}

/* As the role is confined: no files, internet sockets only; as root an empty chroot besides. */
static void
confine(void)
{
	char empty[] = "/tmp/genkan-test-XXXXXX";

	/* a directory that is there only for us */
	if (geteuid() == 0 && (mkdtemp(empty) == NULL || chdir(empty) == -1 || rmdir(empty) == -1 ||
				  chroot(".") == -1))
		abort();
	if (sandbox_apply(MAY_CONNECT) == -1)
		abort();
}

/* The child: the role and its DNS server, until it is killed. */
static void
role_main(int fd)
{
	struct event_base *own = event_base_new();
	struct responder *server = responder_new(own);
	struct dns_server where = { .port = server->port };
	struct dns_conf conf = { .servers = &where, .servers_n = 1 };

	responder_add(server, "mail.example.org", DNS_A, 300, "127.0.0.5");
	responder_behave(server, "slow.example.org", RESPONDS_NEVER);
	ip_parse("127.0.0.1", &where.ip);
	peer_set_base(own);
	resolver_role_prepare(&conf);
	confine();
	resolver_role_start(&conf);
	peer_connect(ROLE_SESSION, 0, fd);
	event_base_dispatch(own);
	_exit(0);
}

/* The child of nonsense: answers the first octets that come with an answer that is none. */
static void
nonsense_main(int fd)
{
	static const uint8_t header[16] = {
		[0] = 3, [4] = RESOLVER_ANSWER & 0xff, [5] = RESOLVER_ANSWER >> 8, [8] = 1
	};
	uint8_t in[64];

	if (read(fd, in, sizeof(in)) > 0 && write(fd, header, sizeof(header)) > 0 &&
	    write(fd, "abc", 3) > 0)
		pause();
	_exit(0);
}

static void
start_role(void (*role)(int))
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child = fork();
	if (child == 0) {
		close(fds[0]);
		peer_forget_inherited();
		role(fds[1]);
	}
	close(fds[1]);
	peer_connect(ROLE_RESOLVER, 0, fds[0]);
}

static void
kill_role(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	child = 0;
}

static int
setup_group(void **state)
{
	static const struct log_conf to_stderr = { .to_stderr = true };

	(void)state;
	log_init(&to_stderr, "test");
	base = event_base_new();
	peer_set_base(base);
	resolver_client_init();
	return 0;
}

static int
teardown(void **state)
{
	struct peer *peer = peer_find(ROLE_RESOLVER, 0);

	(void)state;
	kill_role();
	if (peer != NULL)
		peer_disconnect(peer);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}

static void
test_answers(void **state)
{
	struct asked good = { 0 }, none = { 0 }, impossible = { 0 };
	struct ip expect;

	(void)state;
	start_role(role_main);
	resolver_ask("mail.example.org", DNS_A, take, &good);
	resolver_ask("nowhere.example.org", DNS_MX, take, &none);
	resolver_ask("a..b", DNS_MX, take, &impossible);
	assert_int_equal(good.calls, 0);
	run_until(base, &good.calls, 1);
	run_until(base, &none.calls, 1);
	run_until(base, &impossible.calls, 1);
	ip_parse("127.0.0.5", &expect);
	assert_int_equal(good.status, DNS_OK);
	assert_true(ip_equal(&good.ip, &expect));
	assert_int_equal(none.status, DNS_NXDOMAIN);
	assert_int_equal(impossible.status, DNS_NXDOMAIN);
}

static void
test_cancel(void **state)
{
	struct asked cancelled = { 0 }, crossed = { 0 }, good = { 0 };
	struct resolver_query *query;

	(void)state;
	start_role(role_main);
	/* before it is sent; when it was; and with the answer on its way */
	resolver_cancel(resolver_ask("mail.example.org", DNS_A, take, &cancelled));
	query = resolver_ask("slow.example.org", DNS_A, take, &cancelled);
	resolver_ask("mail.example.org", DNS_A, take, &good);
	run_until(base, &good.calls, 1);
	resolver_cancel(query);
	query = resolver_ask("mail.example.org", DNS_A, take, &crossed);
	resolver_ask("mail.example.org", DNS_A, take, &good);
	event_base_loop(base, EVLOOP_NONBLOCK);
	if (crossed.calls == 0)
		resolver_cancel(query);
	run_until(base, &good.calls, 2);
	assert_int_equal(good.status, DNS_OK);
	assert_int_equal(cancelled.calls, 0);
}

/* Its death answers what was asked, and what is asked while it is away. */
static void
test_role_dies(void **state)
{
	struct asked before[3] = { 0 }, cancelled = { 0 }, away = { 0 }, again = { 0 };
	struct resolver_query *query;
	unsigned i;

	(void)state;
	start_role(role_main);
	for (i = 0; i < 3; i++)
		resolver_ask("slow.example.org", DNS_A, take, &before[i]);
	query = resolver_ask("slow.example.org", DNS_A, take, &cancelled);
	resolver_ask("mail.example.org", DNS_A, take, &again);
	run_until(base, &again.calls, 1);
	kill_role();
	for (i = 0; i < 3; i++) {
		run_until(base, &before[i].calls, 1);
		assert_int_equal(before[i].status, DNS_TEMP);
		if (i == 0 && cancelled.calls == 0)
			resolver_cancel(query);
	}
	assert_null(peer_find(ROLE_RESOLVER, 0));
	resolver_ask("mail.example.org", DNS_A, take, &away);
	assert_int_equal(away.calls, 0);
	run_until(base, &away.calls, 1);
	assert_int_equal(away.status, DNS_TEMP);
	resolver_cancel(resolver_ask("mail.example.org", DNS_A, take, &cancelled));
	start_role(role_main);
	resolver_ask("mail.example.org", DNS_A, take, &again);
	run_until(base, &again.calls, 2);
	assert_int_equal(again.status, DNS_OK);
}

/* An answer that makes no sense ends the channel, not this process; what was asked is answered. */
static void
test_nonsense(void **state)
{
	struct asked asked = { 0 };

	(void)state;
	start_role(nonsense_main);
	resolver_ask("mail.example.org", DNS_A, take, &asked);
	run_until(base, &asked.calls, 1);
	assert_int_equal(asked.status, DNS_TEMP);
	assert_null(peer_find(ROLE_RESOLVER, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_answers, teardown),
		cmocka_unit_test_teardown(test_cancel, teardown),
		cmocka_unit_test_teardown(test_role_dies, teardown),
		cmocka_unit_test_teardown(test_nonsense, teardown),
	};

	return cmocka_run_group_tests(tests, setup_group, NULL);
}
