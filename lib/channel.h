/*
 * Messages between two processes over a connected stream socket: typed, length-prefixed, with an
 * optional descriptor.  One encoder, one bounds-checked decoder.  Used between roles (peer.h) and on
 * the control socket (ctl.h).
 *
 * On the wire, little endian: u32 length of what follows the header, u16 type, u16 flags (1: a
 * descriptor comes with it), u64 id; then the payload, written with buf_add_*() and read with
 * cursor_*().
 *
 * What the other side sends is data.  A message that is too long, has an impossible flag or is not
 * read to its end exactly by its handler ends the channel (closed callback), never the program.
 */
#ifndef LIB_CHANNEL_H
#define LIB_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cursor.h"

struct event_base;
struct channel;

/* Longest payload: an inline content and its envelope. */
#define MESSAGE_MAX (1024 * 1024)

struct message {
	uint16_t type;
	uint64_t id;        /* the request it belongs to, or 0 */
	struct cursor body; /* valid during the callback */
	int fd;             /* -1: none.  The handler takes it by message_take_fd, else it is closed */
};

int message_take_fd(struct message *);

struct channel_ops {
	/* One message.  Return false when it makes no sense: the channel is then closed.  A handler
	 * that returns true must have read the body to its end (checked: cursor_done), unless it
	 * leaves it on purpose by message_skip(). */
	bool (*message)(struct channel *, struct message *, void *arg);
	/* The other side is gone or was thrown out.  Called once, from the loop; the channel is freed afterwards. */
	void (*closed)(struct channel *, void *arg);
};

void message_skip(struct message *);

/* Takes over FD and makes it non-blocking. */
struct channel *channel_new(struct event_base *, int fd, const struct channel_ops *, void *arg);
/* No callback comes any more; safe inside the channel's own callback (memory goes at the end of the turn). */
void channel_free(struct channel *);

/* Begins a message; fill the buf that comes back with buf_add_*(), then channel_end.  One at a time. */
struct buf *channel_begin(struct channel *, uint16_t type, uint64_t id);
/* Ends it; FD (or -1) is passed on and closed here.  Nothing is sent before the end of the loop's
 * turn, so that many messages go in one call. */
void channel_end(struct channel *, int fd);
/* The same for what nobody waits for: it leaves with the next message that somebody does, or when much has gathered, or
 * after a tenth of a second. */
void channel_end_lazily(struct channel *);
/* A message without payload. */
void channel_send(struct channel *, uint16_t type, uint64_t id);
/* Octets that the other side has not yet taken: whoever produces much looks here and waits. */
size_t channel_backlog(const struct channel *);
/* DRAINED is called once, from the loop, when the backlog is below 64 KiB, even if it is already. */
void channel_on_drained(struct channel *, void (*drained)(struct channel *, void *), void *arg);
/* What goes over it is secret: its buffers are overwritten as soon as it was sent or handled. */
void channel_keep_secret(struct channel *);
/* Pauses and resumes reading: what is not read holds the other side back. */
void channel_pause(struct channel *, bool paused);
/* For programs without a loop (smtpctl): sends what waits, blocking. */
int channel_flush(struct channel *);
int channel_fd(const struct channel *);
/* In the closed callback: the other side did not leave, it was thrown out. */
bool channel_is_faulty(const struct channel *);
/* This process is about to end: all channels send what they have, as far as the sockets take it. */
void channels_send_last(void);
/* In a child, right after the fork and after the parent's loop was freed: closes what the parent's
 * channels hold, descriptors under way included, and forgets them. */
void channels_forget_inherited(void);

#endif
