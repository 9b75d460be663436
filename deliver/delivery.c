/*
 * The encoding of delivery jobs and their results (delivery.h).
 *
 * The queue writes jobs and reads results; relay and local roles do the opposite.  A reader takes
 * nothing on trust: a number of recipients that the message has no room for, an enum that is none,
 * an inline content and a descriptor at once, all make the message unreadable, and the channel then
 * closes.  Nothing is allocated for a message before its size was seen to be possible.
 */
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "deliver/delivery.h"
#include "deliver/domain.h"
#include "lib/fatal.h"
#include "lib/mem.h"

/* u32 index, four strings of which three may be absent, three octets: the least that a recipient
 * takes. */
#define RECIPIENT_MIN (4 + 5 + 1 + 1 + 1 + 1 + 1 + 1)
#define TARGET_MIN 5 /* an empty string */

enum content_place { CONTENT_INLINE = 1, CONTENT_DESCRIPTOR };

static void
add_optional(struct buf *b, const char *s)
{
	buf_add_u8(b, s != NULL);
	if (s != NULL)
		buf_add_str(b, s);
}

static const char *
read_optional(struct cursor *c)
{
	switch (cursor_u8(c)) {
	case 0:
		return NULL;
	case 1:
		return cursor_str(c);
	default:
		c->bad = true;
		return NULL;
	}
}

/* --- jobs --- */

static void
add_recipient(struct buf *b, const struct job_recipient *r)
{
	buf_add_u32(b, r->index);
	buf_add_str(b, r->address);
	add_optional(b, r->sender);
	add_optional(b, r->original);
	buf_add_u8(b, r->notify);
	add_optional(b, r->path);
	buf_add_u8(b, r->method);
	buf_add_u8(b, r->forward);
}

static void
read_recipient(struct cursor *c, struct job_recipient *r)
{
	r->index = cursor_u32(c);
	r->address = cursor_str(c);
	r->sender = read_optional(c);
	r->original = read_optional(c);
	r->notify = cursor_u8(c);
	r->path = read_optional(c);
	r->method = cursor_u8(c);
	r->forward = cursor_bool(c);
	if (r->method >= MAILBOX_METHODS)
		c->bad = true;
}

static void
add_content(struct buf *b, struct evbuffer *content)
{
	size_t len = content != NULL ? evbuffer_get_length(content) : 0;

	if (len > UINT32_MAX)
		fatal("delivery: an inline content of %zu octets", len);
	buf_add_u32(b, (uint32_t)len);
	if (len == 0)
		return;
	if (evbuffer_remove(content, buf_reserve(b, len), len) != (int)len)
		fatal("delivery: a content shrank while it was read");
	b->len += len;
}

void
delivery_send_job(struct channel *ch, const struct job *job, struct evbuffer *content, int fd)
{
	struct buf *b = channel_begin(ch, DELIVERY_JOB, job->id);
	unsigned i;

	buf_add_u64(b, job->id);
	buf_add_u64(b, job->message);
	buf_add_str(b, job->sender);
	add_optional(b, job->envid);
	buf_add_u8(b, job->body);
	buf_add_u8(b, job->ret);
	buf_add_u8(b, job->utf8);
	buf_add_u8(b, job->requiretls);
	buf_add_u8(b, job->by);
	buf_add_u64(b, (uint64_t)job->deliver_by);
	buf_add_u64(b, job->size);
	add_optional(b, job->destination);
	buf_add_u32(b, job->recipients_n);
	for (i = 0; i < job->recipients_n; i++)
		add_recipient(b, &job->recipients[i]);
	buf_add_u8(b, fd >= 0 ? CONTENT_DESCRIPTOR : CONTENT_INLINE);
	if (fd < 0)
		add_content(b, content);
	channel_end(ch, fd);
}

static void
read_recipients(struct cursor *c, struct job *job)
{
	unsigned i, n = cursor_u32(c);

	if (c->bad || n == 0 || n > (size_t)(c->end - c->pos) / RECIPIENT_MIN) {
		c->bad = true;
		return;
	}
	job->recipients = xcalloc(n, sizeof(*job->recipients));
	job->recipients_n = n;
	for (i = 0; i < n && !c->bad; i++)
		read_recipient(c, &job->recipients[i]);
}

static void
read_content(struct message *m, struct job *job)
{
	size_t len;

	switch (cursor_u8(&m->body)) {
	case CONTENT_INLINE:
		job->content = cursor_blob(&m->body, &len);
		job->content_len = len;
		if (m->fd >= 0)
			m->body.bad = true;
		return;
	case CONTENT_DESCRIPTOR:
		if (m->fd >= 0)
			return;
		/* FALLTHROUGH */
	default:
		m->body.bad = true;
	}
}

bool
delivery_read_job(struct message *m, struct job *job)
{
	struct cursor *c = &m->body;

	*job = (struct job){ .id = cursor_u64(c) };
	job->message = cursor_u64(c);
	job->sender = cursor_str(c);
	job->envid = read_optional(c);
	job->body = cursor_u8(c);
	job->ret = cursor_u8(c);
	job->utf8 = cursor_bool(c);
	job->requiretls = cursor_bool(c);
	job->by = cursor_u8(c);
	job->deliver_by = (int64_t)cursor_u64(c);
	job->size = cursor_u64(c);
	job->destination = read_optional(c);
	if (job->body > BODY_BINARYMIME)
		c->bad = true;
	read_recipients(c, job);
	read_content(m, job);
	if (m->type == DELIVERY_JOB && cursor_done(c))
		return true;
	delivery_free_job(job);
	return false;
}

void
delivery_free_job(struct job *job)
{
	free(job->recipients);
	job->recipients = NULL;
	job->recipients_n = 0;
}

/* --- results --- */

void
delivery_send_result(struct channel *ch, const struct delivery_result *result)
{
	struct buf *b = channel_begin(ch, DELIVERY_RESULT, result->job);

	buf_add_u64(b, result->job);
	buf_add_u32(b, result->index);
	buf_add_u8(b, result->status);
	buf_add_str(b, result->host);
	buf_add_str(b, result->text);
	buf_add_str(b, result->detail);
	buf_add_u8(b, result->dsn);
	buf_add_u32(b, result->pause);
	channel_end(ch, -1);
}

bool
delivery_read_result(struct message *m, struct delivery_result *result)
{
	struct cursor *c = &m->body;

	result->job = cursor_u64(c);
	result->index = cursor_u32(c);
	result->status = cursor_u8(c);
	result->host = cursor_str(c);
	result->text = cursor_str(c);
	result->detail = cursor_str(c);
	result->dsn = cursor_bool(c);
	result->pause = cursor_u32(c);
	if (result->status > DELIVERY_TEMP_DOMAIN)
		c->bad = true;
	return m->type == DELIVERY_RESULT && cursor_done(c);
}

/* --- sites --- */

void
delivery_send_way(struct channel *ch, const char *destination)
{
	buf_add_str(channel_begin(ch, DELIVERY_WAY, 0), destination);
	channel_end(ch, -1);
}

const char *
delivery_read_way(struct message *m)
{
	const char *destination = cursor_str(&m->body);

	return m->type == DELIVERY_WAY && cursor_done(&m->body) ? destination : NULL;
}

void
delivery_send_site(struct channel *ch, const struct delivery_site *site)
{
	struct buf *b = channel_begin(ch, DELIVERY_SITE, 0);

	buf_add_str(b, site->destination);
	buf_add_str(b, site->site);
	buf_add_u32(b, site->most);
	buf_add_u32(b, site->holds);
	channel_end(ch, -1);
}

bool
delivery_read_site(struct message *m, struct delivery_site *site)
{
	struct cursor *c = &m->body;

	site->destination = cursor_str(c);
	site->site = cursor_str(c);
	site->most = cursor_u32(c);
	site->holds = cursor_u32(c);
	return m->type == DELIVERY_SITE && cursor_done(c);
}

/* --- expansions --- */

void
delivery_send_expansion(struct channel *ch, const struct delivery_expansion *expansion)
{
	struct buf *b = channel_begin(ch, DELIVERY_EXPANSION, expansion->job);
	unsigned i;

	buf_add_u64(b, expansion->job);
	buf_add_u32(b, expansion->index);
	buf_add_u32(b, expansion->targets_n);
	for (i = 0; i < expansion->targets_n; i++)
		buf_add_str(b, expansion->targets[i]);
	channel_end(ch, -1);
}

bool
delivery_read_expansion(struct message *m, struct delivery_expansion *expansion)
{
	struct cursor *c = &m->body;
	unsigned i, n;

	*expansion = (struct delivery_expansion){ .job = cursor_u64(c) };
	expansion->index = cursor_u32(c);
	n = cursor_u32(c);
	if (c->bad || n == 0 || n > (size_t)(c->end - c->pos) / TARGET_MIN)
		return false;
	expansion->targets = xcalloc(n, sizeof(*expansion->targets));
	expansion->targets_n = n;
	for (i = 0; i < n; i++)
		expansion->targets[i] = cursor_str(c);
	if (m->type == DELIVERY_EXPANSION && cursor_done(c))
		return true;
	free(expansion->targets);
	expansion->targets = NULL;
	return false;
}
