/*
 * The relay role in this process: the test is the queue at one end and the servers at the other, each with a way of
 * answering.  Which server is asked, over which connection, and what the queue is told.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/delivery.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/peer.h"

#define TEXT "A: 1\r\n\r\nbody\r\n"

/* --- servers --- */

struct server {
	struct evconnlistener *listener;
	uint16_t port;
	const char *banner;     /* NULL: closes at once */
	const char *rcpt;       /* reply to a recipient that begins with 'x' */
	const char *dot;        /* reply to the message; NULL: closes */
	bool leaves;            /* had enough after one message: closes without a word at the next */
	unsigned connections, messages, quits;
};

struct guest {
	struct server *server;
	bool in_data;
	unsigned messages;
};

static struct event_base *base;

static void
answer(struct bufferevent *bev, const char *text)
{
	bufferevent_write(bev, text, strlen(text));
	bufferevent_write(bev, "\r\n", 2);
}

static void
leave(struct bufferevent *bev)
{
	struct guest *guest;

	bufferevent_getcb(bev, NULL, NULL, NULL, (void **)&guest);
	free(guest);
	bufferevent_free(bev);
}

/* False: the connection is over. */
static bool
serve_line(struct bufferevent *bev, struct guest *guest, const char *line)
{
	struct server *server = guest->server;

	if (guest->in_data) {
		if (strcmp(line, ".") != 0)
			return true;
		guest->in_data = false;
		server->messages++;
		guest->messages++;
		if (server->dot != NULL)
			answer(bev, server->dot);
		else
			leave(bev);
		return server->dot != NULL;
	}
	if (server->leaves && guest->messages > 0) {
		leave(bev);
		return false;
	}
	if (strncmp(line, "DATA", 4) == 0) {
		guest->in_data = true;
		answer(bev, "354 go");
	} else if (strncmp(line, "RCPT TO:<x", 10) == 0) {
		answer(bev, server->rcpt);
	} else if (strncmp(line, "EHLO", 4) == 0) {
		answer(bev, "250-them.example\r\n250 PIPELINING");
	} else {
		server->quits += strcmp(line, "QUIT") == 0;
		answer(bev, "250 ok");
	}
	return true;
}

static void
on_line(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	bool on = true;
	char *line;

	while (on && (line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		on = serve_line(bev, arg, line);
		free(line);
	}
}

static void
on_gone(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	leave(bev);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct server *server = arg;
	struct bufferevent *bev;
	struct guest *guest;

	(void)listener;
	(void)sa;
	(void)len;
	server->connections++;
	if (server->banner == NULL) {
		close(fd);
		return;
	}
	guest = xcalloc(1, sizeof(*guest));
	guest->server = server;
	bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, on_line, NULL, on_gone, guest);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	answer(bev, server->banner);
}

static void
open_server(struct server *server)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	*server = (struct server){ .banner = "220 them.example", .rcpt = "550 5.1.1 who", .dot = "250 2.0.0 done" };
	server->listener = evconnlistener_new_bind(base, on_accept, server, LEV_OPT_CLOSE_ON_FREE, 16,
	    (struct sockaddr *)&sin, sizeof(sin));
	assert_non_null(server->listener);
	assert_int_equal(getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&sin, &len), 0);
	server->port = ntohs(sin.sin_port);
}

/* --- the queue --- */

static struct {
	struct channel *channel;
	struct buf log;
	unsigned done;
} queue;

static struct server servers[3];
static uint64_t last_job;

static const char *const status_names[] = { "ok", "temp", "perm", "host", "domain" };

/* "[127.0.0.1]:1234" with the number of the server instead of its port. */
static void
log_host(const char *host)
{
	const char *colon = strrchr(host, ':');
	unsigned i;

	for (i = 0; i < 3 && colon != NULL; i++) {
		if (atoi(colon + 1) == servers[i].port)
			buf_addf(&queue.log, " %u:", i);
	}
	if (colon == NULL)
		buf_addf(&queue.log, " \"%s\"", host);
}

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct delivery_result result;

	(void)ch;
	(void)arg;
	if (m->type == DELIVERY_DONE) {
		assert_int_equal(m->id, last_job);
		queue.done++;
		buf_adds(&queue.log, "done\n");
		return true;
	}
	assert_true(delivery_read_result(m, &result));
	assert_int_equal(result.job, last_job);
	buf_addf(&queue.log, "%u %s", result.index, status_names[result.status]);
	log_host(result.host);
	buf_addf(&queue.log, " %s\n", result.text);
	return true;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
}

static void
connect_queue(void)
{
	static const struct channel_ops ops = { on_message, on_closed };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	queue.channel = channel_new(base, pair[0], &ops, NULL);
	peer_connect(ROLE_QUEUE, 0, pair[1]);
}

/* To the servers whose numbers are in WHERE, "012". */
static void
submit(const char *where)
{
	static struct job_recipient to[] = { { .index = 7, .address = "a@them.example" },
		{ .index = 9, .address = "x@them.example" } };
	struct job job = { .id = ++last_job, .message = 1, .sender = "s@us.example", .size = sizeof(TEXT) - 1,
		.recipients_n = 2, .recipients = to };
	struct evbuffer *content = evbuffer_new();
	struct buf destination = { 0 };

	for (; *where != '\0'; where++)
		buf_addf(&destination, "%s[127.0.0.1]:%u", destination.len > 0 ? " " : "",
		    (unsigned)servers[*where - '0'].port);
	job.destination = buf_str(&destination);
	evbuffer_add(content, TEXT, sizeof(TEXT) - 1);
	delivery_send_job(queue.channel, &job, content, -1);
	evbuffer_free(content);
	buf_free(&destination);
}

static void
run_until_done(void)
{
	unsigned before = queue.done;

	while (queue.done == before)
		event_base_loop(base, EVLOOP_ONCE);
}

static void
expect(const char *where, const char *log)
{
	submit(where);
	run_until_done();
	if (strcmp(buf_str(&queue.log), log) != 0)
		fail_msg("to %s:\n%s\nnot:\n%s", where, buf_str(&queue.log), log);
	buf_clear(&queue.log);
}

static int
setup(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++)
		open_server(&servers[i]);
	return 0;
}

static int
teardown(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++)
		evconnlistener_free(servers[i].listener);
	return 0;
}

/* --- the tests --- */

#define REFUSED_X "9 perm 0: 550 5.1.1 who\n"
#define GOOD REFUSED_X "7 ok 0: 250 2.0.0 done\ndone\n"

static void
test_reuse(void **state)
{
	(void)state;
	expect("0", GOOD);
	expect("0", GOOD);
	expect("0", GOOD);
	/* three messages are what a connection may carry here */
	assert_int_equal(servers[0].connections, 1);
	expect("0", GOOD);
	assert_int_equal(servers[0].connections, 2);
	while (servers[0].quits == 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(servers[0].messages, 4);
}

/* A connection that the server closed while it waited says nothing about the server. */
static void
test_stale(void **state)
{
	(void)state;
	servers[0].leaves = true;
	expect("01", GOOD);
	expect("01", GOOD);
	expect("01", GOOD);
	assert_int_equal(servers[0].connections, 3);
	assert_int_equal(servers[0].messages, 3);
	assert_int_equal(servers[1].connections, 0);
}

static void
test_next_server(void **state)
{
	(void)state;
	servers[0].banner = NULL;
	servers[1].banner = "421 4.3.2 busy";
	expect("012", "9 perm 2: 550 5.1.1 who\n7 ok 2: 250 2.0.0 done\ndone\n");
	assert_int_equal(servers[0].connections, 1);
	assert_int_equal(servers[1].connections, 1);
	/* what just failed comes last: the third is asked at once, by its open connection */
	expect("012", "9 perm 2: 550 5.1.1 who\n7 ok 2: 250 2.0.0 done\ndone\n");
	assert_int_equal(servers[0].connections + servers[1].connections, 2);
	assert_int_equal(servers[2].connections, 1);
}

static void
test_no_server(void **state)
{
	(void)state;
	servers[0].banner = "554 5.7.1 never";
	servers[1].banner = "450 4.3.2 busy";
	/* a reason to try again goes before one to give up */
	expect("01", "7 host 1: 450 4.3.2 busy\n9 host 1: 450 4.3.2 busy\ndone\n");
	expect("10", "7 host 1: 450 4.3.2 busy\n9 host 1: 450 4.3.2 busy\ndone\n");
	expect("0", "7 perm 0: 554 5.7.1 never\n9 perm 0: 554 5.7.1 never\ndone\n");
}

/* The first server decides about one recipient and goes away; the second is asked for the other only. */
static void
test_goes_on_elsewhere(void **state)
{
	(void)state;
	servers[0].rcpt = "421 4.3.2 closing";
	servers[1].rcpt = "250 2.1.5 ok";
	expect("01", "7 ok 1: 250 2.0.0 done\n9 ok 1: 250 2.0.0 done\ndone\n");
	/* lost behind the dot: it may be there, nobody else is asked */
	servers[2].dot = NULL;
	expect("21", "9 perm 2: 550 5.1.1 who\n7 temp 2: 451 4.4.2 the server closed the connection after the whole "
	    "message was sent; the server may have it, so it may arrive twice\ndone\n");
}

static void
test_no_destination(void **state)
{
	(void)state;
	expect("", "7 domain \"\" 451 4.3.5 \"\" is no destination\n9 domain \"\" 451 4.3.5 \"\" is no destination\ndone\n");
}

/* The queue dies: nothing more is sent, and a new one is served. */
static void
test_queue_gone(void **state)
{
	(void)state;
	submit("0");
	while (servers[0].connections == 0)
		event_base_loop(base, EVLOOP_ONCE);
	channel_free(queue.channel);
	while (peer_find(ROLE_QUEUE, 0) != NULL)
		event_base_loop(base, EVLOOP_ONCE);
	connect_queue();
	expect("1", "9 perm 1: 550 5.1.1 who\n7 ok 1: 250 2.0.0 done\ndone\n");
	assert_int_equal(servers[0].messages, 0);
}

int
main(void)
{
	static const struct relay_conf conf = { .host = "us.example", .connect_timeout = 30, .idle_timeout = 300,
		.per_connection = 3 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_next_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goes_on_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_destination, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_gone, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	peer_set_base(base);
	relay_role_start(&conf);
	connect_queue();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
