/*
 * The answering side of smtpctl's requests (ctl.h): one list of open requests a process, fed by the control role.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"

#define WORDS_MAX 64
#define OBJECTS_MAX 16
#define BUSY (256 * 1024)

struct ctl {
	TAILQ_ENTRY(ctl) entry;
	struct peer *peer; /* NULL: gone */
	uint64_t id;
	uint32_t uid;
	void (*drained)(struct ctl *, void *);
	void *drained_arg;
};

static TAILQ_HEAD(, ctl) open_requests = TAILQ_HEAD_INITIALIZER(open_requests);
static struct {
	const char *object;
	ctl_handler handler;
} objects[OBJECTS_MAX];
static unsigned objects_n;

static ctl_handler
find_handler(const char *object)
{
	unsigned i;

	for (i = 0; i < objects_n; i++)
		if (strcmp(objects[i].object, object) == 0)
			return objects[i].handler;
	return NULL;
}

static bool
request(struct peer *peer, struct message *m)
{
	const char *words[WORDS_MAX];
	uint32_t uid = cursor_u32(&m->body), n = cursor_u32(&m->body), i;
	ctl_handler handler;
	struct ctl *c;

	if (n == 0 || n > WORDS_MAX)
		return false;
	for (i = 0; i < n; i++)
		words[i] = cursor_str(&m->body);
	if (!cursor_done(&m->body))
		return false;
	c = xcalloc(1, sizeof(*c));
	*c = (struct ctl){ .peer = peer, .id = m->id, .uid = uid };
	TAILQ_INSERT_TAIL(&open_requests, c, entry);
	handler = find_handler(words[0]);
	if (handler == NULL)
		ctl_end(c, 2, "this part of the server knows no such request");
	else
		handler(c, n, words);
	return true;
}

static bool
ctl_message(struct peer *peer, struct message *m)
{
	struct ctl *c;

	if (peer->role != ROLE_CONTROL)
		return false;
	if (m->type == CTL_REQUEST)
		return request(peer, m);
	if (m->type != CTL_CANCEL)
		return false;
	TAILQ_FOREACH(c, &open_requests, entry)
		if (c->peer == peer && c->id == m->id)
			c->peer = NULL;
	return true;
}

/* Who waits for room to write waits no more: there is nobody to write to. */
static void
release_waiting(struct ctl *c)
{
	void (*drained)(struct ctl *, void *) = c->drained;

	c->drained = NULL;
	if (drained != NULL)
		drained(c, c->drained_arg);
}

static void
ctl_peer_down(struct peer *peer)
{
	struct ctl *c, *next;

	for (c = TAILQ_FIRST(&open_requests); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->peer != peer)
			continue;
		c->peer = NULL;
		release_waiting(c);
	}
}

static const struct subject_ops ctl_ops = { .message = ctl_message, .down = ctl_peer_down };

void
ctl_register(const char *object, ctl_handler handler)
{
	if (objects_n == OBJECTS_MAX || find_handler(object) != NULL)
		fatal("ctl: object \"%s\" cannot be registered", object);
	objects[objects_n].object = object;
	objects[objects_n++].handler = handler;
	peer_register(SUBJECT_CONTROL, &ctl_ops);
}

void
ctl_record(struct ctl *c, const struct field *fields)
{
	if (c->peer == NULL)
		return;
	field_encode(channel_begin(c->peer->channel, CTL_RECORD, c->id), fields);
	channel_end(c->peer->channel, -1);
}

void
ctl_text(struct ctl *c, const void *text, size_t len)
{
	const char *p = text;
	size_t n;

	for (; c->peer != NULL && len > 0; p += n, len -= n) {
		n = len < 64 * 1024 ? len : 64 * 1024;
		buf_add_blob(channel_begin(c->peer->channel, CTL_TEXT, c->id), p, n);
		channel_end(c->peer->channel, -1);
	}
}

void
ctl_end(struct ctl *c, int status, const char *why)
{
	struct buf *b;

	if (c->peer != NULL) {
		b = channel_begin(c->peer->channel, CTL_END, c->id);
		buf_add_u8(b, (uint8_t)status);
		buf_add_str(b, why);
		channel_end(c->peer->channel, -1);
	}
	TAILQ_REMOVE(&open_requests, c, entry);
	free(c);
}

uint32_t
ctl_uid(const struct ctl *c)
{
	return c->uid;
}

bool
ctl_gone(const struct ctl *c)
{
	return c->peer == NULL;
}

bool
ctl_busy(struct ctl *c)
{
	return c->peer != NULL && channel_backlog(c->peer->channel) > BUSY;
}

/* The channel to the control role is shared by all requests: when it has drained, all who wait go on. */
static void
on_drained(struct channel *ch, void *arg)
{
	struct ctl *c, *next;

	(void)arg;
	for (c = TAILQ_FIRST(&open_requests); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->peer != NULL && c->peer->channel == ch)
			release_waiting(c);
	}
}

void
ctl_on_drained(struct ctl *c, void (*drained)(struct ctl *, void *), void *arg)
{
	c->drained = drained;
	c->drained_arg = arg;
	if (c->peer == NULL)
		release_waiting(c);
	else
		channel_on_drained(c->peer->channel, on_drained, NULL);
}
