/*
 * Fuzz target: octets and descriptors from the other side of a channel, in pieces of any length, to
 * a handler that does any of what handlers do.  Whatever comes: the owner hears of the end at most
 * once, no message after it, and no descriptor stays open.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/channel.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "regress/fuzz/target.h"

#define DESCRIPTORS 128 /* more than a channel can hold unclaimed */

static struct channel *channel;
static unsigned closed;
static uint8_t turns; /* what the handler does next */

/* In place of lib/log.c: a warning for each nonsense would drown the fuzzer's own words. */
void
log_event(int level, const char *event, const struct field *fields)
{
	(void)level;
	(void)event;
	(void)fields;
}

bool
log_is_verbose(void)
{
	return false;
}

void
fatal(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

static unsigned
count_open(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < DESCRIPTORS; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	size_t len;

	(void)arg;
	require(ch == channel && closed == 0);
	switch (turns++ % 8) {
	case 0:
		message_skip(m);
		break;
	case 1:
		cursor_str(&m->body);
		cursor_u32(&m->body);
		break;
	case 2:
		close(message_take_fd(m));
		cursor_bytes(&m->body, (size_t)(m->body.end - m->body.pos));
		break;
	case 3:
		buf_add_u64(channel_begin(ch, 1, m->id), m->id);
		channel_end(ch, message_take_fd(m));
		message_skip(m);
		break;
	case 4:
		channel_pause(ch, true);
		message_skip(m);
		break;
	case 5:
		cursor_blob(&m->body, &len);
		break;
	case 6:
		return (m->type & 1) == 0;
	default:
		if (m->type == 77) {
			channel_free(ch);
			channel = NULL;
		}
		message_skip(m);
	}
	return true;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)arg;
	require(ch == channel && closed++ == 0);
	channel = NULL;
}

static void
send_piece(int fd, const uint8_t *p, size_t len, unsigned fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	int some[8] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.header.cmsg_len = CMSG_LEN(fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), some, fds * sizeof(int));
	}
	(void)!sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
turn(struct event_base *base)
{
	if (channel != NULL)
		channel_pause(channel, false);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The first octet: what the handler begins with.  Then pieces: an octet of length, one of how many descriptors. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct channel_ops ops = { on_message, on_closed };
	static struct event_base *base;
	unsigned before;
	int pair[2];
	size_t n;

	if (base == NULL)
		base = event_base_new();
	if (size == 0)
		return 0;
	before = count_open();
	turns = *data++;
	size--;
	closed = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	channel = channel_new(base, pair[0], &ops, NULL);
	while (size > 2) {
		n = data[0] < size - 2 ? data[0] : size - 2;
		send_piece(pair[1], data + 2, n > 0 ? n : 1, data[1] % 16 < 7 ? data[1] % 16 : 0);
		data += 2 + n;
		size -= 2 + n;
		turn(base);
	}
	close(pair[1]);
	turn(base);
	if (channel != NULL)
		channel_free(channel);
	turn(base);
	require(count_open() == before);
	return 0;
}
