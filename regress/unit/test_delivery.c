/*
 * The delivery messages: what is written comes back, over a real channel; cut short anywhere it is no message; and what
 * no queue would write is refused.
 */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/delivery.h"
#include "deliver/domain.h"

static const char text[] = "Received: from a by b\r\n\r\nbody\r\n";

/* What arrived at the other end. */
struct got {
	struct event_base *base;
	uint16_t type;
	uint64_t id;
	struct buf body;
	int fd;
};

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct got *got = arg;

	(void)ch;
	got->type = m->type;
	got->id = m->id;
	got->fd = message_take_fd(m);
	buf_add(&got->body, m->body.pos, (size_t)(m->body.end - m->body.pos));
	message_skip(m);
	event_base_loopbreak(got->base);
	return true;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	event_base_loopbreak(((struct got *)arg)->base);
}

/* Sends what WRITE writes through a channel and returns the message's bytes. */
static struct got
pass(void (*write_it)(struct channel *, void *), void *arg)
{
	static const struct channel_ops ops = { on_message, on_closed };
	struct got got = { .base = event_base_new(), .fd = -1 };
	struct channel *a, *b;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	a = channel_new(got.base, pair[0], &ops, &got);
	b = channel_new(got.base, pair[1], &ops, &got);
	write_it(a, arg);
	event_base_dispatch(got.base);
	channel_free(a);
	channel_free(b);
	event_base_loop(got.base, EVLOOP_NONBLOCK);
	event_base_free(got.base);
	return got;
}

static struct message
message_of(const struct got *got, size_t len)
{
	return (struct message){ .type = got->type, .id = got->id, .fd = got->fd,
		.body = cursor_init(got->body.data, len) };
}

struct job_case {
	struct job job;
	struct evbuffer *content;
	int fd;
};

static void
write_job(struct channel *ch, void *arg)
{
	struct job_case *c = arg;

	delivery_send_job(ch, &c->job, c->content, c->fd);
}

static struct job_recipient two[] = {
	{ 3, "alice@example.net", NULL, 0, "/home/alice/Maildir", MAILBOX_MAILDIR, true, NULL },
	{ 70000, "bob+x@example.net", "rfc822;b@example.org", 6, NULL, MAILBOX_PIPE, false, "s+bob=example.net@example.org" },
};

static struct job
sample(void)
{
	return (struct job){ .id = 1ULL << 60, .message = 77, .sender = "s@example.org", .envid = "e v",
		.body = BODY_8BITMIME, .ret = 2, .utf8 = true, .size = sizeof(text) - 1,
		.destination = "mx example.net", .recipients_n = 2, .recipients = two };
}

static void
assert_same_string(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static void
assert_same_job(const struct job *a, const struct job *b)
{
	unsigned i;

	assert_int_equal(a->id, b->id);
	assert_int_equal(a->message, b->message);
	assert_same_string(a->sender, b->sender);
	assert_same_string(a->envid, b->envid);
	assert_int_equal(a->body, b->body);
	assert_int_equal(a->ret, b->ret);
	assert_int_equal(a->utf8, b->utf8);
	assert_int_equal(a->size, b->size);
	assert_same_string(a->destination, b->destination);
	assert_int_equal(a->recipients_n, b->recipients_n);
	for (i = 0; i < a->recipients_n; i++) {
		assert_int_equal(a->recipients[i].index, b->recipients[i].index);
		assert_same_string(a->recipients[i].address, b->recipients[i].address);
		assert_same_string(a->recipients[i].original, b->recipients[i].original);
		assert_int_equal(a->recipients[i].notify, b->recipients[i].notify);
		assert_same_string(a->recipients[i].path, b->recipients[i].path);
		assert_int_equal(a->recipients[i].method, b->recipients[i].method);
		assert_int_equal(a->recipients[i].forward, b->recipients[i].forward);
		assert_same_string(a->recipients[i].sender, b->recipients[i].sender);
	}
}

static void
test_job_inline(void **state)
{
	struct job_case c = { .job = sample(), .fd = -1 };
	struct message m;
	struct got got;
	struct job job;

	(void)state;
	c.content = evbuffer_new();
	evbuffer_add(c.content, text, sizeof(text) - 1);
	got = pass(write_job, &c);
	assert_int_equal(got.type, DELIVERY_JOB);
	assert_int_equal(evbuffer_get_length(c.content), 0);
	m = message_of(&got, got.body.len);
	assert_true(delivery_read_job(&m, &job));
	assert_same_job(&job, &c.job);
	assert_int_equal(job.content_len, sizeof(text) - 1);
	assert_memory_equal(job.content, text, sizeof(text) - 1);
	delivery_free_job(&job);
	evbuffer_free(c.content);
	buf_free(&got.body);
}

/* All that may be absent is absent; the content is a file. */
static void
test_job_descriptor(void **state)
{
	struct job_case c = { .job = { .id = 1, .sender = "", .recipients_n = 1, .recipients = two } };
	struct message m;
	struct got got;
	struct job job;
	char byte;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	c.fd = pipe_fds[0];
	got = pass(write_job, &c);
	m = message_of(&got, got.body.len);
	assert_true(delivery_read_job(&m, &job));
	assert_same_job(&job, &c.job);
	assert_null(job.content);
	assert_true(m.fd >= 0);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(read(m.fd, &byte, 1), 1);
	/* that was the only copy: the sender's is closed */
	close(m.fd);
	assert_int_equal(write(pipe_fds[1], "x", 1), -1);
	close(pipe_fds[1]);
	delivery_free_job(&job);
	/* a job that announces a descriptor and has none */
	m = message_of(&got, got.body.len);
	m.fd = -1;
	assert_false(delivery_read_job(&m, &job));
	buf_free(&got.body);
}

/* An empty content is a content: no descriptor is meant. */
static void
test_job_empty_content(void **state)
{
	struct job_case c = { .job = { .id = 1, .sender = "", .recipients_n = 1, .recipients = two }, .fd = -1 };
	struct got got = pass(write_job, &c);
	struct message m = message_of(&got, got.body.len);
	struct job job;

	(void)state;
	assert_true(delivery_read_job(&m, &job));
	assert_non_null(job.content);
	assert_int_equal(job.content_len, 0);
	delivery_free_job(&job);
	/* a descriptor that nobody announced */
	m = message_of(&got, got.body.len);
	m.fd = 0;
	assert_false(delivery_read_job(&m, &job));
	buf_free(&got.body);
}

static void
test_job_damaged(void **state)
{
	struct job_case c = { .job = sample(), .fd = -1 };
	struct message m;
	struct got got;
	struct job job;
	size_t len;

	(void)state;
	got = pass(write_job, &c);
	for (len = 0; len < got.body.len; len++) {
		m = message_of(&got, len);
		assert_false(delivery_read_job(&m, &job));
		assert_null(job.recipients);
	}
	buf_addc(&got.body, '\0');
	m = message_of(&got, got.body.len);
	assert_false(delivery_read_job(&m, &job));
	got.body.len--;
	m = message_of(&got, got.body.len);
	m.type = DELIVERY_RESULT;
	assert_false(delivery_read_job(&m, &job));
	buf_free(&got.body);
}

static void
test_job_impossible(void **state)
{
	struct job_case cases[4];
	struct job_recipient odd = two[0];
	struct message m;
	struct got got;
	struct job job;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		cases[i] = (struct job_case){ .job = sample(), .fd = -1 };
	cases[1].job.body = BODY_BINARYMIME + 1;
	cases[2].job.recipients_n = 0;
	odd.method = MAILBOX_METHODS;
	cases[3].job.recipients_n = 1;
	cases[3].job.recipients = &odd;
	for (i = 0; i < 4; i++) {
		got = pass(write_job, &cases[i]);
		m = message_of(&got, got.body.len);
		assert_int_equal(delivery_read_job(&m, &job), i == 0);
		delivery_free_job(&job);
		buf_free(&got.body);
	}
}

/* A count that there is no room for must not become an allocation. */
static void
test_job_count(void **state)
{
	struct job_case c = { .job = { .id = 1, .sender = "", .recipients_n = 1, .recipients = two }, .fd = -1 };
	struct got got = pass(write_job, &c), more;
	struct message m;
	struct job job;
	size_t at;

	(void)state;
	c.job.recipients_n = 2;
	more = pass(write_job, &c);
	for (at = 0; got.body.data[at] == more.body.data[at]; at++)
		; /* the count is the first that differs */
	buf_free(&more.body);
	assert_int_equal(got.body.data[at], 1);
	memset(got.body.data + at, 0xff, 4);
	m = message_of(&got, got.body.len);
	assert_false(delivery_read_job(&m, &job));
	buf_free(&got.body);
}

static void
write_result(struct channel *ch, void *arg)
{
	delivery_send_result(ch, arg);
}

static void
test_result(void **state)
{
	struct delivery_result in = { 9, UINT32_MAX, DELIVERY_TEMP_HOST, "mx.example.net[192.0.2.1]",
		"421 4.3.2 closing", NULL, true, 600 };
	struct got got = pass(write_result, &in);
	struct message m = message_of(&got, got.body.len);
	struct delivery_result out;
	size_t len;

	(void)state;
	assert_int_equal(got.id, 9);
	assert_true(delivery_read_result(&m, &out));
	assert_int_equal(out.job, 9);
	assert_int_equal(out.index, UINT32_MAX);
	assert_int_equal(out.status, DELIVERY_TEMP_HOST);
	assert_string_equal(out.host, in.host);
	assert_string_equal(out.text, in.text);
	assert_string_equal(out.detail, "");
	assert_true(out.dsn);
	assert_int_equal(out.pause, 600);
	for (len = 0; len < got.body.len; len++) {
		m = message_of(&got, len);
		assert_false(delivery_read_result(&m, &out));
	}
	/* the status stands behind u64 and u32 */
	got.body.data[12] = DELIVERY_TEMP_DOMAIN + 1;
	m = message_of(&got, got.body.len);
	assert_false(delivery_read_result(&m, &out));
	buf_free(&got.body);
}

static void
write_site(struct channel *ch, void *arg)
{
	delivery_send_site(ch, arg);
}

static void
write_way(struct channel *ch, void *arg)
{
	delivery_send_way(ch, arg);
}

static void
test_site(void **state)
{
	struct delivery_site in = { "mx example.net", "a.example b.example:587", 12, 300 }, out;
	struct got got = pass(write_site, &in);
	struct message m = message_of(&got, got.body.len);
	size_t len;

	(void)state;
	assert_true(delivery_read_site(&m, &out));
	assert_string_equal(out.destination, in.destination);
	assert_string_equal(out.site, in.site);
	assert_int_equal(out.most, 12);
	assert_int_equal(out.holds, 300);
	for (len = 0; len < got.body.len; len++) {
		m = message_of(&got, len);
		assert_false(delivery_read_site(&m, &out));
	}
	buf_free(&got.body);
	got = pass(write_way, (void *)(uintptr_t)in.destination);
	m = message_of(&got, got.body.len);
	assert_string_equal(delivery_read_way(&m), in.destination);
	m = message_of(&got, got.body.len - 1);
	assert_null(delivery_read_way(&m));
	buf_free(&got.body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_job_inline),
		cmocka_unit_test(test_job_descriptor),
		cmocka_unit_test(test_job_empty_content),
		cmocka_unit_test(test_job_damaged),
		cmocka_unit_test(test_job_impossible),
		cmocka_unit_test(test_job_count),
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_site),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
