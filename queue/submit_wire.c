/*
 * The encoding of submissions, used by submit.c on the session's side and accept.c on the queue's.
 *
 * What the readers get comes from another process and may be anything: they check bounds, ranges
 * and the limits of an envelope (envelope_decode), and leave to the caller what only it can know,
 * such as whether an id is new.
 */
#include <event2/buffer.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "queue/submit_wire.h"

void
submit_add_message(struct buf *b, const struct buf *envelope, struct evbuffer *content)
{
	size_t len;

	buf_add_blob(b, envelope->data, envelope->len);
	buf_add_u8(b, content == NULL);
	if (content == NULL)
		return;
	len = evbuffer_get_length(content);
	buf_add_u32(b, (uint32_t)len);
	evbuffer_remove(content, buf_reserve(b, len), len);
	b->len += len;
}

static bool
read_content(struct cursor *c, struct submit_message *out)
{
	uint8_t in_file = cursor_u8(c);

	out->in_file = in_file == 1;
	out->content = NULL;
	out->content_len = 0;
	if (in_file == 0)
		out->content = cursor_blob(c, &out->content_len);
	return in_file <= 1 && cursor_done(c) && out->content_len <= STORE_INLINE_MAX;
}

bool
submit_read_message(struct cursor *c, struct submit_message *out)
{
	const void *bytes;
	size_t len;
	struct cursor inner;

	bytes = cursor_blob(c, &len);
	if (!read_content(c, out))
		return false;
	inner = cursor_init(bytes, len);
	out->envelope = envelope_decode(&inner);
	if (out->envelope == NULL)
		return false;
	if (cursor_done(&inner) && out->envelope->recipients_n > 0)
		return true;
	envelope_free(out->envelope);
	return false;
}

void
submit_add_flush(struct buf *b, const struct submit_flush *flush)
{
	buf_add_str(b, flush->domain);
	buf_add_str(b, flush->destination);
}

bool
submit_read_flush(struct cursor *c, struct submit_flush *out)
{
	out->domain = cursor_str(c);
	out->destination = cursor_str(c);
	return cursor_done(c);
}

void
submit_add_answer(struct buf *b, const struct submit_answer *answer)
{
	buf_add_u8(b, answer->status);
	buf_add_str(b, answer->text);
}

bool
submit_read_answer(struct cursor *c, struct submit_answer *out)
{
	out->status = cursor_u8(c);
	out->text = cursor_str(c);
	return cursor_done(c) && out->status <= SUBMIT_TEMP;
}

void
submit_add_conf(struct buf *b, const struct queue_conf *conf)
{
	buf_add_str(b, conf->host);
	buf_add_u32(b, conf->retry_first);
	buf_add_u32(b, conf->retry_most);
	buf_add_u32(b, conf->lifetime);
	buf_add_u32(b, conf->notice_lifetime);
	buf_add_u32(b, conf->delay_notice);
	buf_add_u32(b, conf->destination_most);
	buf_add_u32(b, conf->local_most);
}

bool
submit_read_conf(struct cursor *c, struct queue_conf *out)
{
	*out = (struct queue_conf){ .host = cursor_str(c) };
	out->retry_first = cursor_u32(c);
	out->retry_most = cursor_u32(c);
	out->lifetime = cursor_u32(c);
	out->notice_lifetime = cursor_u32(c);
	out->delay_notice = cursor_u32(c);
	out->destination_most = cursor_u32(c);
	out->local_most = cursor_u32(c);
	return cursor_done(c);
}

void
submit_add_room(struct buf *b, const struct submit_room *room)
{
	buf_add_u64(b, room->largest);
	buf_add_str(b, room->text);
}

bool
submit_read_room(struct cursor *c, struct submit_room *out)
{
	out->largest = cursor_u64(c);
	out->text = cursor_str(c);
	return cursor_done(c);
}
