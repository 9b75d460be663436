/*
 * Content for the wire (smtp_content.h).
 *
 * The SMTP client takes a piece whenever its socket has room.  Files are read with pread, so one
 * descriptor can be sent to several servers one after the other; what is read was written moments
 * ago as a rule and comes from memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "deliver/downgrade.h"
#include "deliver/smtp_content.h"
#include "lib/mem.h"

#define PIECE (64 * 1024)

void
smtp_content_init(struct smtp_content *content, const void *data, size_t len, int fd)
{
	*content = (struct smtp_content){ .data = data, .len = len, .fd = fd };
}

/* The next octets, at most PIECE; 0 at the end, -1 with errno. */
static ssize_t
next_piece(struct smtp_content *content, char *buffer, const char **piece)
{
	ssize_t n;

	*piece = buffer;
	if (content->data != NULL) {
		*piece = content->data + content->at;
		n = content->len - (size_t)content->at < PIECE
			? (ssize_t)(content->len - (size_t)content->at)
			: PIECE;
	} else {
		do
			n = pread(content->fd, buffer, PIECE, content->at);
		while (n < 0 && errno == EINTR);
	}
	if (n > 0)
		content->at += n;
	return n;
}

static enum smtp_content_status
next_converted(struct smtp_content *content, struct evbuffer *out)
{
	enum smtp_content_status status = SMTP_CONTENT_MORE;
	struct buf piece = { 0 };

	if (!downgrade_next(content->plan, &piece))
		status = dotstuff_end(&content->stuff, out) ? SMTP_CONTENT_END : SMTP_CONTENT_BARE;
	else if (!dotstuff_feed(&content->stuff, piece.data, piece.len, out))
		status = SMTP_CONTENT_BARE;
	buf_free(&piece);
	return status;
}

static enum smtp_content_status
next_raw(struct smtp_content *content, struct evbuffer *out)
{
	size_t rest = content->len - (size_t)content->at, n = rest < PIECE ? rest : PIECE;

	evbuffer_add(out, content->data + content->at, n);
	content->at += (off_t)n;
	return n == rest ? SMTP_CONTENT_END : SMTP_CONTENT_MORE;
}

static enum smtp_content_status
next_stuffed(struct smtp_content *content, struct evbuffer *out)
{
	char *buffer = content->data == NULL ? xmalloc(PIECE) : NULL;
	enum smtp_content_status status = SMTP_CONTENT_MORE;
	const char *piece;
	ssize_t n = next_piece(content, buffer, &piece);

	if (n < 0)
		status = SMTP_CONTENT_ERROR;
	else if (n == 0)
		status = dotstuff_end(&content->stuff, out) ? SMTP_CONTENT_END : SMTP_CONTENT_BARE;
	else if (!dotstuff_feed(&content->stuff, piece, (size_t)n, out))
		status = SMTP_CONTENT_BARE;
	free(buffer);
	return status;
}

enum smtp_content_status
smtp_content_next(struct smtp_content *content, struct evbuffer *out)
{
	if (content->plan != NULL)
		return next_converted(content, out);
	return content->raw ? next_raw(content, out) : next_stuffed(content, out);
}
