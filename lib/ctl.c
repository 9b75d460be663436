/*
 * The answering side of smtpctl's requests (ctl.h): one list of open requests a process, fed by the
 * control role.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/fatal.h"
#include "lib/mem.h"

#define OBJECTS_MAX 16
#define BUSY (256 * 1024)

struct ctl {
	TAILQ_ENTRY(ctl) entry;
	struct peer *peer; /* NULL: gone */
	uint64_t id;
	uint32_t uid;
	bool paused;       /* this caller reads slowly */
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
	const char *words[CTL_WORDS_MAX];
	uint32_t uid = cursor_u32(&m->body);
	unsigned n = ctl_words_read(&m->body, words, CTL_WORDS_MAX);
	ctl_handler handler;
	struct ctl *c;

	if (n == 0 || !cursor_done(&m->body))
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

/* Whoever waits for room to write waits no more: there is some, or nobody to write to. */
static void
release_waiting(struct ctl *c)
{
	void (*drained)(struct ctl *, void *) = c->drained;

	c->drained = NULL;
	if (drained != NULL)
		drained(c, c->drained_arg);
}

static void
cancel(struct ctl *c)
{
	c->peer = NULL;
	release_waiting(c);
}

static void
pause_answer(struct ctl *c)
{
	c->paused = true;
}

static void
resume_answer(struct ctl *c)
{
	c->paused = false;
	if (c->drained != NULL)
		ctl_on_drained(c, c->drained, c->drained_arg);
}

static struct ctl *
find_request(const struct peer *peer, uint64_t id)
{
	struct ctl *c;

	TAILQ_FOREACH(c, &open_requests, entry)
		if (c->peer == peer && c->id == id)
			return c;
	return NULL;
}

/* A request that has ended meanwhile is not known any more; that is no mistake of anybody's. */
static bool
ctl_message(struct peer *peer, struct message *m)
{
	static const struct {
		enum ctl_type type;
		void (*act)(struct ctl *);
	} acts[] = { { CTL_CANCEL, cancel }, { CTL_PAUSE, pause_answer }, { CTL_RESUME, resume_answer } };
	struct ctl *c;
	size_t i;

	if (peer->role != ROLE_CONTROL)
		return false;
	if (m->type == CTL_REQUEST)
		return request(peer, m);
	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (acts[i].type != m->type)
			continue;
		if ((c = find_request(peer, m->id)) != NULL)
			acts[i].act(c);
		return true;
	}
	return false;
}

static void
ctl_peer_down(struct peer *peer)
{
	struct ctl *c, *next;

	for (c = TAILQ_FIRST(&open_requests); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->peer == peer)
			cancel(c);
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
ctl_forget(void)
{
	objects_n = 0;
	TAILQ_INIT(&open_requests);
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
	if (c->peer != NULL) {
		ctl_end_write(channel_begin(c->peer->channel, CTL_END, c->id), status, why);
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
	return c->peer != NULL && (c->paused || channel_backlog(c->peer->channel) > BUSY);
}

/* The channel to the control role is shared by all requests: when it has drained, all who wait for
 * no more than that go on. */
static void
on_drained(struct channel *ch, void *arg)
{
	struct ctl *c, *next;

	(void)arg;
	for (c = TAILQ_FIRST(&open_requests); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->peer != NULL && c->peer->channel == ch && !c->paused)
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
	else if (!c->paused)
		channel_on_drained(c->peer->channel, on_drained, NULL);
}
