/*
 * Channels: what goes in at one end comes out at the other, however the octets are cut; and
 * whatever the other side does, the owner hears of the end once and keeps no descriptor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/buf.h"
#include "lib/channel.h"
#include "lib/log.h"
#include "lib/mem.h"

enum policy { READ_ALL, LEAVE_REST, SKIP_REST, REFUSE, FREE_ITSELF, KEEP_FD, PAUSE_AFTER };

/* The end under test. */
static struct {
	struct event_base *base;
	struct channel *channel;
	enum policy policy;
	struct buf got; /* "TYPE:ID:BODY " for each message */
	unsigned closed;
	bool faulty;
	int fds[128];
	unsigned fds_n;
	unsigned drained;
} here;

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	size_t len = (size_t)(m->body.end - m->body.pos);

	assert_ptr_equal(arg, &here);
	assert_ptr_equal(ch, here.channel);
	buf_addf(&here.got, "%u:%llu:%.*s%s ", m->type, (unsigned long long)m->id, len < 100 ? (int)len : 0,
	    (const char *)m->body.pos, m->fd >= 0 ? "+fd" : "");
	switch (here.policy) {
	case LEAVE_REST:
		cursor_bytes(&m->body, len / 2);
		return true;
	case SKIP_REST:
		message_skip(m);
		return true;
	case REFUSE:
		return false;
	case FREE_ITSELF:
		channel_send(ch, 9, 9);
		channel_free(ch);
		return true; /* the body is unread, and nobody cares any more */
	case PAUSE_AFTER:
		channel_pause(ch, true);
		break;
	case KEEP_FD:
		if (m->fd >= 0)
			here.fds[here.fds_n++] = message_take_fd(m);
		break;
	case READ_ALL:
		break;
	}
	cursor_bytes(&m->body, len);
	return true;
}

static void
on_closed(struct channel *ch, void *arg)
{
	assert_ptr_equal(arg, &here);
	assert_ptr_equal(ch, here.channel);
	here.closed++;
	here.faulty = channel_is_faulty(ch);
	channel_free(ch); /* owners may: it is on its way out already */
	here.channel = NULL;
}

static const struct channel_ops ops = { on_message, on_closed };

static void
on_drained(struct channel *ch, void *arg)
{
	assert_ptr_equal(ch, here.channel);
	assert_ptr_equal(arg, &here.drained);
	here.drained++;
}

/* All that can happen now. */
static void
turn(void)
{
	int i;

	for (i = 0; i < 20; i++)
		event_base_loop(here.base, EVLOOP_NONBLOCK);
}

static unsigned
open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static unsigned descriptors;

/* Returns the other end, as octets. */
static int
open_raw(enum policy policy)
{
	int pair[2];

	descriptors = open_descriptors();
	memset(&here, 0, sizeof(here));
	here.policy = policy;
	here.base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	here.channel = channel_new(here.base, pair[0], &ops, &here);
	return pair[1];
}

/* And sees that nothing was kept. */
static void
close_all(int raw)
{
	channel_free(here.channel);
	turn();
	event_base_free(here.base);
	buf_free(&here.got);
	if (raw >= 0)
		close(raw);
	while (here.fds_n > 0)
		close(here.fds[--here.fds_n]);
	assert_int_equal(open_descriptors(), descriptors);
}

static void
put_header(struct buf *b, uint32_t len, uint16_t type, uint16_t flags, uint64_t id)
{
	buf_add_u32(b, len);
	buf_add_u16(b, type);
	buf_add_u16(b, flags);
	buf_add_u64(b, id);
}

static void
put(struct buf *b, uint16_t type, uint64_t id, const char *body)
{
	put_header(b, (uint32_t)strlen(body), type, 0, id);
	buf_adds(b, body);
}

static void
send_octets(int raw, const char *p, size_t len)
{
	assert_int_equal(send(raw, p, len, MSG_NOSIGNAL), len);
}

/* N descriptors with LEN octets. */
static void
send_with_fds(int raw, const char *p, size_t len, const int *fds, unsigned n)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	memset(&control, 0, sizeof(control));
	control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	assert_int_equal(sendmsg(raw, &msg, MSG_NOSIGNAL), len);
}

/* --- framing --- */

static void
test_split(void **state)
{
	static const char want[] = "7:1:alpha 8:0: 9:18446744073709551615:omega ";
	struct buf all = { 0 };
	size_t cut;

	(void)state;
	put(&all, 7, 1, "alpha");
	put(&all, 8, 0, "");
	put(&all, 9, UINT64_MAX, "omega");
	for (cut = 0; cut <= all.len; cut++) {
		int raw = open_raw(READ_ALL);

		send_octets(raw, all.data, cut);
		turn();
		send_octets(raw, all.data + cut, all.len - cut);
		turn();
		assert_string_equal(buf_str(&here.got), want);
		assert_int_equal(here.closed, 0);
		close_all(raw);
	}
	buf_free(&all);
}

static void
test_octet_by_octet(void **state)
{
	struct buf all = { 0 };
	int raw = open_raw(READ_ALL);
	size_t i;

	(void)state;
	put(&all, 7, 1, "alpha");
	put(&all, 9, 2, "omega");
	for (i = 0; i < all.len; i++) {
		send_octets(raw, all.data + i, 1);
		turn();
	}
	assert_string_equal(buf_str(&here.got), "7:1:alpha 9:2:omega ");
	buf_free(&all);
	close_all(raw);
}

/* Both ends are channels, and a message is as long as may be. */
static void
test_longest(void **state)
{
	static const struct channel_ops silent = { on_message, on_closed };
	static char body[MESSAGE_MAX];
	struct channel *sender;
	int raw = open_raw(READ_ALL), i;

	(void)state;
	sender = channel_new(here.base, raw, &silent, NULL);
	for (i = 0; i < 3; i++) {
		buf_add(channel_begin(sender, 5, 6), body, sizeof(body));
		channel_end(sender, -1);
	}
	channel_send(sender, 1, 2);
	assert_int_equal(channel_backlog(sender), 3 * (16 + sizeof(body)) + 16);
	for (i = 0; i < 1000 && channel_backlog(sender) > 0; i++)
		turn();
	assert_string_equal(buf_str(&here.got), "5:6: 5:6: 5:6: 1:2: ");
	channel_free(sender);
	turn();
	assert_int_equal(here.closed, 1);
	close_all(-1);
}

/* --- nonsense ends the channel, once, and the program goes on --- */

static const struct {
	const char *what;
	uint32_t len;
	uint16_t flags;
	enum policy policy;
	bool closed;
} nonsense[] = {
	{ "all is well", 4, 0, READ_ALL, false },
	{ "longer than any", MESSAGE_MAX + 1, 0, READ_ALL, true },
	{ "longest number", UINT32_MAX, 0, READ_ALL, true },
	{ "an unknown flag", 4, 2, READ_ALL, true },
	{ "all flags", 4, UINT16_MAX, READ_ALL, true },
	{ "a descriptor that did not come", 4, 1, READ_ALL, true },
	{ "a body that is not read to its end", 4, 0, LEAVE_REST, true },
	{ "left on purpose", 4, 0, SKIP_REST, false },
	{ "the handler says no", 4, 0, REFUSE, true },
};

static void
test_nonsense(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		struct buf b = { 0 };
		int raw = open_raw(nonsense[i].policy);
		size_t handled;
		char octet;

		put_header(&b, nonsense[i].len, 3, nonsense[i].flags, 4);
		buf_adds(&b, "body");
		put(&b, 5, 6, "next");
		send_octets(raw, b.data, b.len);
		turn();
		handled = here.got.len;
		if (here.closed != nonsense[i].closed || here.faulty != nonsense[i].closed)
			fail_msg("%s: closed %u, faulty %d", nonsense[i].what, here.closed, here.faulty);
		if (nonsense[i].closed) { /* and nothing behind it is listened to */
			assert_true(recv(raw, &octet, 1, MSG_DONTWAIT) <= 0);
			assert_true(send(raw, b.data, b.len, MSG_NOSIGNAL) < 0);
			turn();
		}
		assert_int_equal(here.got.len, handled);
		assert_int_equal(here.closed, nonsense[i].closed);
		buf_free(&b);
		close_all(raw);
	}
}

/* The other side leaves at every place of a message. */
static void
test_end_of_file(void **state)
{
	struct buf all = { 0 };
	size_t cut;

	(void)state;
	put(&all, 7, 1, "alpha");
	for (cut = 0; cut <= all.len; cut++) {
		int raw = open_raw(READ_ALL);

		send_octets(raw, all.data, cut);
		close(raw);
		turn();
		assert_string_equal(buf_str(&here.got), cut == all.len ? "7:1:alpha " : "");
		assert_int_equal(here.closed, 1);
		assert_false(here.faulty);
		close_all(-1);
	}
	buf_free(&all);
}

/* Who left has said something before, and that counts, though nothing can be said to him any more. */
static void
test_last_words(void **state)
{
	struct buf b = { 0 };
	int raw = open_raw(READ_ALL);

	(void)state;
	put(&b, 7, 1, "stored");
	send_octets(raw, b.data, b.len);
	close(raw);
	channel_send(here.channel, 1, 1); /* EPIPE comes first: it is sent before anything is read */
	turn();
	assert_string_equal(buf_str(&here.got), "7:1:stored ");
	assert_int_equal(here.closed, 1);
	assert_false(here.faulty);
	buf_free(&b);
	close_all(-1);
}

static void
test_free_inside(void **state)
{
	struct buf b = { 0 };
	int raw = open_raw(FREE_ITSELF);
	char octets[64];

	(void)state;
	put(&b, 7, 1, "one");
	put(&b, 7, 2, "two");
	send_octets(raw, b.data, b.len);
	turn();
	here.channel = NULL;
	assert_string_equal(buf_str(&here.got), "7:1:one ");
	assert_int_equal(here.closed, 0);
	/* what was said before it was freed is sent */
	assert_int_equal(recv(raw, octets, sizeof(octets), 0), 16);
	assert_int_equal(recv(raw, octets, sizeof(octets), 0), 0);
	buf_free(&b);
	close_all(raw);
}

/* --- descriptors --- */

static unsigned long
inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* Each message gets the descriptor that was sent with it, with and without others between, more than one read takes. */
static void
test_descriptors_in_order(void **state)
{
	static const struct channel_ops silent = { on_message, on_closed };
	static char much[8192]; /* a hundred times: more than the socket takes at once */
	struct channel *sender;
	unsigned long want[100];
	unsigned i, n = 0;
	int raw = open_raw(KEEP_FD), pipes[2];

	(void)state;
	sender = channel_new(here.base, raw, &silent, NULL);
	for (i = 0; i < 100; i++) {
		buf_add(channel_begin(sender, (uint16_t)i, i), much, sizeof(much));
		if (i % 3 == 0) {
			assert_int_equal(pipe(pipes), 0);
			close(pipes[1]);
			want[n++] = inode(pipes[0]);
			channel_end(sender, pipes[0]);
		} else
			channel_end(sender, -1);
	}
	for (i = 0; i < 1000 && channel_backlog(sender) > 0; i++)
		turn();
	assert_int_equal(here.fds_n, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(inode(here.fds[i]), want[i]);
		assert_true(fcntl(here.fds[i], F_GETFD) & FD_CLOEXEC);
	}
	channel_free(sender);
	turn();
	close_all(-1);
}

/* A descriptor that nobody takes is closed, be the message handled or the channel ended. */
static void
test_descriptors_not_taken(void **state)
{
	static const enum policy policies[] = { READ_ALL, REFUSE, FREE_ITSELF, PAUSE_AFTER };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct buf b = { 0 };
		int raw = open_raw(policies[i]), fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		struct channel *ch = here.channel;

		put_header(&b, 1, 7, 1, 1);
		buf_adds(&b, "a");
		send_with_fds(raw, b.data, b.len, &fd, 1);
		send_with_fds(raw, b.data, b.len, &fd, 1); /* and one that waits */
		close(fd);
		event_base_loop(here.base, EVLOOP_ONCE);
		if (policies[i] == FREE_ITSELF)
			here.channel = NULL;
		turn();
		assert_non_null(ch);
		buf_free(&b);
		close_all(raw);
	}
}

/* Nobody sends more than one with a message, nor many that no message claims. */
static void
test_too_many_descriptors(void **state)
{
	int fds[64], raw, i;
	struct buf b = { 0 };

	(void)state;
	put(&b, 7, 1, "a");
	raw = open_raw(READ_ALL);
	for (i = 0; i < 64; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	send_with_fds(raw, b.data, b.len, fds, 64);
	turn();
	assert_int_equal(here.closed, 1);
	for (i = 0; i < 64; i++)
		close(fds[i]);
	close_all(raw);

	raw = open_raw(READ_ALL);
	for (i = 0; i < 4; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < 30 && here.closed == 0; i++) {
		send_with_fds(raw, b.data, b.len, fds, 4);
		turn();
	}
	assert_int_equal(here.closed, 1);
	assert_int_equal(i, 64 / 4 + 1);
	for (i = 0; i < 4; i++)
		close(fds[i]);
	buf_free(&b);
	close_all(raw);
}

/* Descriptors that were not sent yet go with the channel. */
static void
test_unsent_descriptors(void **state)
{
	static char much[512 * 1024];
	int raw = open_raw(READ_ALL);

	(void)state;
	buf_add(channel_begin(here.channel, 1, 1), much, sizeof(much));
	channel_end(here.channel, open("/dev/null", O_RDONLY | O_CLOEXEC));
	buf_add(channel_begin(here.channel, 1, 1), much, sizeof(much));
	channel_end(here.channel, open("/dev/null", O_RDONLY | O_CLOEXEC));
	turn();
	assert_true(channel_backlog(here.channel) > 0);
	close_all(raw);
}

/* --- holding back --- */

static void
test_drained(void **state)
{
	static char piece[64 * 1024];
	int raw = open_raw(READ_ALL), i;

	(void)state;
	for (i = 0; i < 16; i++) {
		buf_add(channel_begin(here.channel, 1, 1), piece, sizeof(piece));
		channel_end(here.channel, -1);
	}
	channel_on_drained(here.channel, on_drained, &here.drained);
	turn();
	assert_int_equal(here.drained, 0);
	assert_true(channel_backlog(here.channel) >= 64 * 1024);
	while (recv(raw, piece, sizeof(piece), MSG_DONTWAIT) > 0)
		turn();
	assert_int_equal(channel_backlog(here.channel), 0);
	assert_int_equal(here.drained, 1);
	/* asked for when there is no backlog at all, it is told all the same */
	channel_on_drained(here.channel, on_drained, &here.drained);
	assert_int_equal(here.drained, 1);
	turn();
	assert_int_equal(here.drained, 2);
	turn();
	assert_int_equal(here.drained, 2);
	close_all(raw);
}

static void
test_pause(void **state)
{
	struct buf b = { 0 };
	int raw = open_raw(PAUSE_AFTER);

	(void)state;
	put(&b, 7, 1, "one");
	put(&b, 7, 2, "two");
	put(&b, 7, 3, "three");
	send_octets(raw, b.data, b.len);
	turn();
	assert_string_equal(buf_str(&here.got), "7:1:one ");
	channel_pause(here.channel, false); /* what was read already comes without new octets */
	turn();
	assert_string_equal(buf_str(&here.got), "7:1:one 7:2:two ");
	here.policy = READ_ALL;
	channel_pause(here.channel, false);
	channel_pause(here.channel, true); /* and not after all */
	turn();
	assert_string_equal(buf_str(&here.got), "7:1:one 7:2:two ");
	channel_pause(here.channel, false);
	close(raw);
	turn();
	assert_string_equal(buf_str(&here.got), "7:1:one 7:2:two 7:3:three ");
	assert_int_equal(here.closed, 1);
	buf_free(&b);
	close_all(-1);
}

/* Nothing leaves before the end of the turn, and then all together. */
static void
test_one_call(void **state)
{
	int raw = open_raw(READ_ALL);
	char octets[256];

	(void)state;
	channel_send(here.channel, 1, 1);
	channel_send(here.channel, 2, 2);
	channel_send(here.channel, 3, 3);
	assert_true(recv(raw, octets, sizeof(octets), MSG_DONTWAIT) < 0);
	turn();
	assert_int_equal(recv(raw, octets, sizeof(octets), MSG_DONTWAIT), 48);
	channel_send(here.channel, 4, 4);
	assert_int_equal(channel_flush(here.channel), 0); /* for those without a loop */
	assert_int_equal(recv(raw, octets, sizeof(octets), MSG_DONTWAIT), 16);
	close_all(raw);
}

static void
send_lazily(uint64_t id, const char *body)
{
	buf_adds(channel_begin(here.channel, 1, id), body);
	channel_end_lazily(here.channel);
}

/* What nobody waits for leaves with what somebody does, in order; when there is much of it; in time; and at the end. */
static void
test_lazily(void **state)
{
	static char much[17 * 1024];
	char octets[64];
	int raw = open_raw(READ_ALL);

	(void)state;
	send_lazily(1, "a");
	send_lazily(2, "b");
	turn();
	assert_true(recv(raw, octets, sizeof(octets), MSG_DONTWAIT) < 0);
	channel_send(here.channel, 1, 3);
	turn();
	assert_int_equal(recv(raw, octets, sizeof(octets), MSG_DONTWAIT), 17 + 17 + 16);
	assert_int_equal(octets[8], 1);
	assert_int_equal(octets[17 + 8], 2);
	assert_int_equal(octets[17 + 17 + 8], 3);

	memset(much, 'x', sizeof(much) - 1);
	send_lazily(4, much);
	send_lazily(5, "y");
	turn();
	assert_int_equal(recv(raw, much, sizeof(much), MSG_DONTWAIT), sizeof(much));
	assert_int_equal(recv(raw, octets, sizeof(octets), MSG_DONTWAIT), 16 + sizeof(much) - 1 + 17 - sizeof(much));

	send_lazily(6, "z");
	while (recv(raw, octets, sizeof(octets), MSG_DONTWAIT) < 0)
		event_base_loop(here.base, EVLOOP_ONCE);
	assert_int_equal(octets[8], 6);

	send_lazily(7, "!");
	channels_send_last();
	assert_int_equal(recv(raw, octets, sizeof(octets), MSG_DONTWAIT), 17);
	send_lazily(8, "?");
	close_all(raw);
}

/* In a child: all descriptors of the parent's channels go, also those of channels that are being
 * freed and those under way. */
static void
test_forget_inherited(void **state)
{
	int raw = open_raw(READ_ALL), pair[2];
	struct channel *second;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	second = channel_new(here.base, pair[0], &ops, &here);
	channel_begin(second, 1, 1);
	channel_end(second, open("/dev/null", O_RDONLY | O_CLOEXEC));
	channel_free(second);
	close(pair[1]);
	assert_int_equal(event_reinit(here.base), 0);
	event_base_free(here.base);
	channels_forget_inherited();
	channels_forget_inherited();
	buf_free(&here.got);
	close(raw);
	assert_int_equal(open_descriptors(), descriptors);
}

int
main(void)
{
	static const struct log_conf quiet = { .to_stderr = true };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_octet_by_octet),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_end_of_file),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_free_inside),
		cmocka_unit_test(test_descriptors_in_order),
		cmocka_unit_test(test_descriptors_not_taken),
		cmocka_unit_test(test_too_many_descriptors),
		cmocka_unit_test(test_unsent_descriptors),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_one_call),
		cmocka_unit_test(test_lazily),
		cmocka_unit_test(test_forget_inherited),
	};

	log_init(&quiet, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
