/*
 * Framing, coalesced writes and descriptor passing over one stream socket (channel.h).
 *
 * Writes gather in one buffer and leave at the end of the loop's turn, so a role that handles fifty
 * requests answers them with one system call.  What nobody waits for stays in the buffer until somebody
 * does, and the order stays what it was.  A descriptor travels with the first octet of its
 * message: the kernel never merges two sendmsg()s that carry descriptors, so the order of
 * descriptors received is the order of the messages that are flagged to have one.
 *
 * Memory is freed at the end of the turn (a pending event), never inside the channel's own
 * callback.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/channel.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"

#define HEADER_LEN 16
#define FLAG_FD 1
#define READ_FIRST (16 * 1024)
#define KEEP_MAX (64 * 1024)
#define DRAINED (64 * 1024)
#define LAZY_MS 100
#define LAZY_MAX (16 * 1024)
#define FDS_MAX 64    /* descriptors received and not yet claimed; a peer that sends more is broken */
#define FDS_AT_ONCE 4 /* in one control message: we send one; the kernel cuts what is more */

struct fd_at {
	size_t at; /* octet of OUT with which it leaves */
	int fd;
};

struct channel {
	LIST_ENTRY(channel) entry;
	struct event_base *base;
	int fd;
	const struct channel_ops *ops;
	void *arg;
	struct event readable, writable;
	struct event turn; /* sends, closes and frees at the end of the loop's turn */
	struct event lazy; /* sends what nobody waits for */
	struct buf in;
	size_t in_used; /* octets of IN already handled */
	struct buf out;
	size_t out_sent;
	size_t begun; /* offset of the message being written, or SIZE_MAX */
	struct fd_at *fds_out;
	size_t fds_out_n, fds_out_cap;
	int fds_in[FDS_MAX];
	size_t fds_in_n;
	void (*drained)(struct channel *, void *);
	void *drained_arg;
	bool paused, resumed, freed;
	bool secret; /* buffers are overwritten */
	bool mute;   /* nobody listens any more; what he said before is still read */
	bool broken; /* no more input or output */
	bool faulty; /* and it was us who ended it */
};

/* All of this process, for channels_forget_inherited(). */
static LIST_HEAD(, channel) channels = LIST_HEAD_INITIALIZER(channels);

/* A control message with room for N descriptors, aligned as the kernel wants it. */
#define CONTROL(n)                                 \
	union {                                    \
		struct cmsghdr header;             \
		char space[CMSG_SPACE((n) * sizeof(int))]; \
	}

static void on_readable(evutil_socket_t, short, void *);
static void on_writable(evutil_socket_t, short, void *);
static void on_turn(evutil_socket_t, short, void *);

struct channel *
channel_new(struct event_base *base, int fd, const struct channel_ops *ops, void *arg)
{
	struct channel *ch = xcalloc(1, sizeof(*ch));

	ch->base = base;
	ch->fd = fd;
	ch->ops = ops;
	ch->arg = arg;
	ch->begun = SIZE_MAX;
	evutil_make_socket_nonblocking(fd);
	event_assign(&ch->readable, base, fd, EV_READ | EV_PERSIST, on_readable, ch);
	event_assign(&ch->writable, base, fd, EV_WRITE, on_writable, ch);
	event_assign(&ch->turn, base, -1, 0, on_turn, ch);
	event_assign(&ch->lazy, base, -1, 0, on_turn, ch);
	event_add(&ch->readable, NULL);
	LIST_INSERT_HEAD(&channels, ch, entry);
	return ch;
}

static void
at_end_of_turn(struct channel *ch)
{
	event_active(&ch->turn, 0, 0);
}

static void
stop_waiting(struct channel *ch)
{
	event_del(&ch->readable);
	event_del(&ch->writable);
	event_del(&ch->lazy);
}

void
channel_free(struct channel *ch)
{
	if (ch == NULL || ch->freed)
		return;
	ch->freed = true;
	stop_waiting(ch);
	at_end_of_turn(ch);
}

static void
discard_out(struct channel *ch)
{
	size_t i;

	for (i = 0; i < ch->fds_out_n; i++)
		close(ch->fds_out[i].fd);
	ch->fds_out_n = 0;
	if (ch->secret)
		buf_wipe(&ch->out);
	buf_free(&ch->out);
	ch->out_sent = 0;
}

static void
release(struct channel *ch)
{
	size_t i;

	LIST_REMOVE(ch, entry);
	for (i = 0; i < ch->fds_in_n; i++)
		close(ch->fds_in[i]);
	discard_out(ch);
	free(ch->fds_out);
	if (ch->secret)
		buf_wipe(&ch->in);
	buf_free(&ch->in);
	close(ch->fd);
	free(ch);
}

void
channels_forget_inherited(void)
{
	struct channel *ch;

	while ((ch = LIST_FIRST(&channels)) != NULL)
		release(ch);
}

/* The other side is gone, or is FAULTY: say so to the owner, once, at the end of the turn. */
static void
break_off(struct channel *ch, bool faulty)
{
	if (ch->broken || ch->freed)
		return;
	if (faulty)
		log_warning("channel.nonsense",
		    F_STR("what", "a message that cannot be read or sent; the channel is closed"));
	ch->broken = true;
	ch->faulty = faulty;
	stop_waiting(ch);
	at_end_of_turn(ch);
}

void
channel_keep_secret(struct channel *ch)
{
	ch->secret = true;
	buf_reserve(&ch->in, READ_FIRST); /* before there is anything: what moves leaves a copy behind */
	buf_reserve(&ch->out, READ_FIRST);
}

/* The first USED octets of B are done with. */
static void
drop_front(struct channel *ch, struct buf *b, size_t used)
{
	b->len -= used;
	if (b->len > 0)
		memmove(b->data, b->data + used, b->len);
	if (ch->secret && used > 0)
		explicit_bzero(b->data + b->len, used);
}

/* --- sending --- */

struct buf *
channel_begin(struct channel *ch, uint16_t type, uint64_t id)
{
	if (ch->begun != SIZE_MAX)
		fatal("channel: a message begins inside another");
	ch->begun = ch->out.len;
	buf_add_u32(&ch->out, 0);
	buf_add_u16(&ch->out, type);
	buf_add_u16(&ch->out, 0);
	buf_add_u64(&ch->out, id);
	return &ch->out;
}

static void
add_fd(struct channel *ch, int fd)
{
	if (ch->fds_out_n == ch->fds_out_cap) {
		ch->fds_out_cap = ch->fds_out_cap ? ch->fds_out_cap * 2 : 4;
		ch->fds_out = xreallocarray(ch->fds_out, ch->fds_out_cap, sizeof(*ch->fds_out));
	}
	ch->fds_out[ch->fds_out_n++] = (struct fd_at){ ch->begun, fd };
	ch->out.data[ch->begun + 6] |= FLAG_FD;
}

static void
end_message(struct channel *ch, int fd)
{
	size_t len = ch->out.len - ch->begun - HEADER_LEN;
	unsigned i;

	if (len > MESSAGE_MAX)
		fatal("channel: a message of %zu octets", len);
	for (i = 0; i < 4; i++)
		ch->out.data[ch->begun + i] = (char)(len >> (8 * i) & 0xff);
	if (fd >= 0)
		add_fd(ch, fd);
	ch->begun = SIZE_MAX;
}

void
channel_end(struct channel *ch, int fd)
{
	end_message(ch, fd);
	if (!event_pending(&ch->writable, EV_WRITE, NULL))
		at_end_of_turn(ch);
}

void
channel_end_lazily(struct channel *ch)
{
	if (channel_backlog(ch) > LAZY_MAX) {
		channel_end(ch, -1);
		return;
	}
	end_message(ch, -1);
	if (!ch->freed && !ch->broken && !event_pending(&ch->lazy, EV_TIMEOUT, NULL))
		event_add(&ch->lazy, &(struct timeval){ 0, LAZY_MS * 1000 });
}

void
channel_send(struct channel *ch, uint16_t type, uint64_t id)
{
	channel_begin(ch, type, id);
	channel_end(ch, -1);
}

/* One sendmsg: up to the next octet that carries a descriptor, or from one on. */
static ssize_t
send_some(struct channel *ch)
{
	CONTROL(1) control;
	struct iovec iov = { .iov_base = ch->out.data + ch->out_sent };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	bool with_fd = ch->fds_out_n > 0 && ch->fds_out[0].at == ch->out_sent;
	size_t next = with_fd ? 1 : 0;
	size_t end = ch->fds_out_n > next ? ch->fds_out[next].at : ch->out.len;
	ssize_t n;

	iov.iov_len = end - ch->out_sent;
	if (with_fd) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.space);
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), &ch->fds_out[0].fd, sizeof(int));
	}
	n = sendmsg(ch->fd, &msg, MSG_NOSIGNAL);
	if (n > 0 && with_fd) {
		close(ch->fds_out[0].fd);
		ch->fds_out_n--;
		memmove(ch->fds_out, ch->fds_out + 1, ch->fds_out_n * sizeof(*ch->fds_out));
	}
	return n;
}

/* Sends what it can.  0: all gone; 1: the socket is full; -1: it takes nothing any more. */
static int
send_all(struct channel *ch)
{
	ssize_t n;
	size_t i;

	while (ch->out_sent < ch->out.len) {
		n = send_some(ch);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -1;
		ch->out_sent += (size_t)n;
	}
	if (ch->out_sent < ch->out.len && ch->out_sent < KEEP_MAX)
		return 1;
	/* drop what is sent; a buffer that was large once does not stay so */
	for (i = 0; i < ch->fds_out_n; i++)
		ch->fds_out[i].at -= ch->out_sent;
	drop_front(ch, &ch->out, ch->out_sent);
	ch->out_sent = 0;
	if (ch->out.len == 0 && ch->out.cap > KEEP_MAX)
		buf_free(&ch->out);
	return ch->out.len > 0;
}

static void
tell_drained(struct channel *ch)
{
	void (*drained)(struct channel *, void *) = ch->drained;

	if (drained == NULL || channel_backlog(ch) >= DRAINED)
		return;
	ch->drained = NULL;
	drained(ch, ch->drained_arg);
}

static void
flush_out(struct channel *ch)
{
	int left = 0;

	if (ch->begun != SIZE_MAX)
		fatal("channel: a message was begun and not ended");
	if (ch->out.len > 0 && !ch->mute)
		left = send_all(ch);
	if (left < 0 && errno != EPIPE && errno != ECONNRESET) {
		break_off(ch, true);
		return;
	}
	ch->mute |= left < 0; /* the end of file comes behind his last words */
	if (ch->mute)
		discard_out(ch);
	else if (left > 0)
		event_add(&ch->writable, NULL);
	tell_drained(ch);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush_out(arg);
}

size_t
channel_backlog(const struct channel *ch)
{
	return ch->out.len - ch->out_sent;
}

void
channel_on_drained(struct channel *ch, void (*drained)(struct channel *, void *), void *arg)
{
	ch->drained = drained;
	ch->drained_arg = arg;
	if (drained != NULL && !ch->freed)
		at_end_of_turn(ch);
}

int
channel_flush(struct channel *ch)
{
	struct pollfd p = { .fd = ch->fd, .events = POLLOUT };
	int left;

	while ((left = send_all(ch)) > 0)
		(void)poll(&p, 1, -1);
	return left;
}

/* --- receiving --- */

/* False: more than anybody sends, or more than we could take, and the order of those that follow is lost. */
static bool
keep_fds(struct channel *ch, struct msghdr *msg)
{
	bool ok = (msg->msg_flags & MSG_CTRUNC) == 0;
	struct cmsghdr *c;
	size_t n, i;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (ch->fds_in_n < FDS_MAX) {
				ch->fds_in[ch->fds_in_n++] = fd;
				continue;
			}
			close(fd);
			ok = false;
		}
	}
	return ok;
}

static int
claim_fd(struct channel *ch)
{
	int fd;

	if (ch->fds_in_n == 0)
		return -1;
	fd = ch->fds_in[0];
	ch->fds_in_n--;
	memmove(ch->fds_in, ch->fds_in + 1, ch->fds_in_n * sizeof(int));
	return fd;
}

int
message_take_fd(struct message *m)
{
	int fd = m->fd;

	m->fd = -1;
	return fd;
}

void
message_skip(struct message *m)
{
	m->body.pos = m->body.end;
}

/* Handles the message at the front of IN, if it is there whole.  1 handled, 0 not whole, -1 nonsense. */
static int
handle_one(struct channel *ch)
{
	struct cursor header = cursor_init(ch->in.data + ch->in_used, ch->in.len - ch->in_used);
	struct message m = { .fd = -1 };
	uint32_t len = cursor_u32(&header);
	uint16_t flags;
	bool ok;

	m.type = cursor_u16(&header);
	flags = cursor_u16(&header);
	m.id = cursor_u64(&header);
	if (header.bad)
		return 0;
	if (len > MESSAGE_MAX || (flags & ~FLAG_FD) != 0)
		return -1;
	if ((size_t)(header.end - header.pos) < len) {
		if (ch->in.cap - ch->in_used <= len + HEADER_LEN)
			buf_reserve(&ch->in, len + HEADER_LEN);
		return 0;
	}
	if ((flags & FLAG_FD) && (m.fd = claim_fd(ch)) < 0)
		return -1;
	m.body = cursor_init(header.pos, len);
	ch->in_used += HEADER_LEN + len;
	ok = ch->ops->message(ch, &m, ch->arg) && cursor_done(&m.body);
	if (m.fd >= 0)
		close(m.fd);
	return ok ? 1 : -1;
}

static void
forget_handled(struct channel *ch)
{
	drop_front(ch, &ch->in, ch->in_used);
	ch->in_used = 0;
	if (ch->in.len == 0 && ch->in.cap > KEEP_MAX)
		buf_free(&ch->in);
}

static void
handle_all(struct channel *ch)
{
	int r = 1;

	while (r == 1 && !ch->freed && !ch->broken && !ch->paused)
		r = handle_one(ch);
	forget_handled(ch);
	if (r < 0)
		break_off(ch, true);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = arg;
	CONTROL(FDS_AT_ONCE) control;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control.space) };
	ssize_t n;

	(void)what;
	if (ch->in.cap - ch->in.len < READ_FIRST / 4)
		buf_reserve(&ch->in, READ_FIRST);
	iov.iov_base = ch->in.data + ch->in.len;
	iov.iov_len = ch->in.cap - ch->in.len - 1;
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !keep_fds(ch, &msg)) {
		break_off(ch, n > 0);
		return;
	}
	ch->in.len += (size_t)n;
	handle_all(ch);
}

void
channel_pause(struct channel *ch, bool paused)
{
	if (ch->paused == paused || ch->freed || ch->broken)
		return;
	ch->paused = paused;
	if (paused) {
		event_del(&ch->readable);
		return;
	}
	event_add(&ch->readable, NULL);
	ch->resumed = true; /* whole messages may be waiting in IN already */
	at_end_of_turn(ch);
}

int
channel_fd(const struct channel *ch)
{
	return ch->fd;
}

bool
channel_is_faulty(const struct channel *ch)
{
	return ch->faulty;
}

/* --- the end of the loop's turn --- */

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = arg;

	(void)fd;
	(void)what;
	if (ch->resumed) {
		ch->resumed = false;
		handle_all(ch);
	}
	if (!ch->freed && !ch->broken)
		flush_out(ch);
	if (!ch->freed && ch->broken) {
		ch->freed = true;
		ch->ops->closed(ch, ch->arg);
	}
	if (!ch->freed)
		return;
	if (!ch->broken)
		(void)send_all(ch); /* last words, as far as the socket takes them */
	event_del(&ch->turn);
	release(ch);
}

void
channels_send_last(void)
{
	struct channel *ch;

	LIST_FOREACH(ch, &channels, entry)
		if (!ch->broken && !ch->mute && ch->begun == SIZE_MAX)
			(void)send_all(ch);
}
