/*
 * Submissions coming in: from a session's or the control role's SUBMIT_MESSAGE to the answer after
 * the flush that covers it.
 *
 * A submitter's messages are data: one that makes no sense costs it its connection.  The answer is
 * SUBMIT_OK only from inside the store's callback; a submitter that went away meanwhile is not
 * answered, and its message is delivered all the same (it may not know, and send it again: RFC
 * 5321 4.5.4.1 and RFC 1047).  Files that a submitter asked for and did not commit are listed here,
 * and are discarded when it goes.
 */
#include <sys/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/accept.h"
#include "queue/dispatch.h"
#include "queue/flush.h"
#include "queue/queue.h"
#include "queue/submit_wire.h"

#define TEXT_FULL "452 4.3.1 Insufficient system storage"
#define TEXT_FAULT "451 4.3.0 The message could not be stored"
#define TEXT_STOPPING "421 4.3.2 The mail queue is shutting down; try again"
#define ROOM_SECONDS 5

/* A file that a submitter writes to. */
struct half {
	TAILQ_ENTRY(half) entry;
	uint64_t id;
};

TAILQ_HEAD(half_list, half);

struct submitter {
	TAILQ_ENTRY(submitter) entry;
	struct peer *peer;
	struct half_list halves;
};

/* Who is to be answered when a message is durable. */
struct waiter {
	enum role role;
	unsigned instance;
	uint64_t generation;
	uint64_t id;
};

static struct {
	struct queue *queue;
	TAILQ_HEAD(, submitter) submitters;
	struct evbuffer *content; /* scratch */
	struct event *room_tick;
	struct submit_room room;  /* what submitters were told last */
} accepting;

static const char *
reply_for(int error)
{
	return error == ENOSPC || error == EDQUOT ? TEXT_FULL : TEXT_FAULT;
}

static void
answer(struct peer *peer, uint64_t id, enum submit_status status, const char *text)
{
	struct submit_answer a = { .status = (uint8_t)status, .text = text };

	submit_add_answer(channel_begin(peer->channel, SUBMIT_ANSWER, id), &a);
	channel_end(peer->channel, -1);
}

/* --- submitters --- */

static struct submitter *
find_submitter(const struct peer *peer)
{
	struct submitter *s;

	/* a handful: one for each core, and the control role */
	TAILQ_FOREACH(s, &accepting.submitters, entry)
		if (s->peer == peer)
			return s;
	return NULL;
}

static struct half *
find_half(struct submitter *s, uint64_t id)
{
	struct half *h;

	/* from the last: what is committed was usually begun lately */
	TAILQ_FOREACH_REVERSE(h, &s->halves, half_list, entry)
		if (h->id == id)
			return h;
	return NULL;
}

static void
remove_half(struct submitter *s, struct half *h)
{
	TAILQ_REMOVE(&s->halves, h, entry);
	free(h);
}

/* --- room --- */

static void
send_room(struct peer *peer)
{
	submit_add_room(channel_begin(peer->channel, SUBMIT_ROOM, 0), &accepting.room);
	channel_end(peer->channel, -1);
}

/* The largest of some sizes that the store would take now. */
static struct submit_room
measure_room(void)
{
	static const uint64_t sizes[] = { 0, 1 << 20, 8 << 20, 32 << 20, 128 << 20, 512 << 20 };
	struct submit_room room = { .largest = 0, .text = TEXT_FULL };
	size_t i;
	int error;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		error = store_check_room(accepting.queue->store, sizes[i]);
		if (error != 0) {
			room.text = reply_for(error < 0 ? -error : error);
			return room;
		}
		room.largest = sizes[i] > 0 ? sizes[i] : 1;
	}
	room.largest = UINT64_MAX;
	return room;
}

void
accept_check_room(void)
{
	struct submit_room room = measure_room();
	struct submitter *s;

	if (room.largest == accepting.room.largest && strcmp(room.text, accepting.room.text) == 0)
		return;
	if (room.largest < UINT64_MAX)
		log_warning(
		    "queue.room", F_U64("largest", room.largest), F_STR("reply", room.text));
	else
		log_notice("queue.room", F_STR("what", "messages of any size are taken again"));
	accepting.room = room;
	TAILQ_FOREACH(s, &accepting.submitters, entry)
		send_room(s->peer);
}

static void
on_room_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	accept_check_room();
}

/* --- large contents --- */

static bool
on_file(struct submitter *s, struct message *m)
{
	struct half *h;
	const char *text = "";
	int fd = -1;

	if (m->id == 0 || find_half(s, m->id) != NULL)
		return false;
	if (store_find(accepting.queue->store, m->id) == NULL)
		fd = store_content_create(accepting.queue->store, m->id);
	else
		errno = EEXIST;
	if (fd < 0) {
		log_error("queue.file", F_STR("message", id_text(m->id).s),
		    F_STR("error", strerror(errno)));
		text = reply_for(errno);
	} else {
		h = xcalloc(1, sizeof(*h));
		h->id = m->id;
		TAILQ_INSERT_TAIL(&s->halves, h, entry);
	}
	buf_add_str(channel_begin(s->peer->channel, SUBMIT_FILE_ANSWER, m->id), text);
	channel_end(s->peer->channel, fd);
	return true;
}

static bool
on_forget(struct submitter *s, uint64_t id)
{
	struct half *h = find_half(s, id);

	/* none: it was asked for, and refused */
	if (h == NULL)
		return true;
	store_content_discard(accepting.queue->store, id);
	remove_half(s, h);
	return true;
}

/* --- messages --- */

/* From the release on, if there is one; RFC 2852 4.1.3: what is to come back by a time does. */
static void
set_times(struct envelope *env)
{
	const struct queue_conf *conf = accepting.queue->conf;

	env->held = false;
	env->time = clock_now();
	if (env->release > env->time + conf->lifetime)
		env->release = env->time + conf->lifetime;
	env->expires = (env->release > env->time ? env->release : env->time) +
	    (env->sender[0] != '\0' ? conf->lifetime : conf->notice_lifetime);
	if ((env->by & BY_RETURN) && env->deliver_by < env->expires)
		env->expires = env->deliver_by;
}

/* The queue's own part of an envelope is its own: a session says nothing about states, and of times only what the client
 * asked for. */
static void
prepare(struct envelope *env, const struct submit_message *message, bool restored)
{
	struct recipient *r;
	uint32_t i;

	if (!restored)
		set_times(env);
	if (!message->in_file)
		env->size = message->content_len;
	envelope_drop_doubles(env);
	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		r->due = env->release > clock_now() ? env->release : clock_now();
		r->parent = UINT32_MAX;
		r->attempts = 0;
		r->state = RECIPIENT_WAITING;
		r->delay_told = r->owed = r->relayed = false;
		envelope_set(&r->route, NULL);
	}
}

static void
log_accepted(const struct envelope *env)
{
	struct id_text session = id_text(env->session);

	log_info("queue.accepted", F_STR("session", env->session != 0 ? session.s : NULL),
	    F_STR("message", id_text(env->id).s), F_STR("from", env->sender),
	    F_STR("origin", env->origin), F_U64("size", env->size),
	    F_U64("nrcpt", env->recipients_n));
}

static void
on_added(struct envelope *env, int error, void *arg)
{
	struct waiter w = *(struct waiter *)arg;
	struct peer *peer = peer_find(w.role, w.instance);
	struct queue *q = accepting.queue;

	free(arg);
	if (peer != NULL && peer->generation == w.generation)
		answer(peer, w.id, error == 0 ? SUBMIT_OK : SUBMIT_TEMP,
		    error == 0 ? "" : reply_for(-error));
	if (error != 0) {
		q->counters.refused++;
		log_error("queue.refused", F_STR("message", id_text(w.id).s),
		    F_STR("error", strerror(-error)));
		accept_check_room();
		return;
	}
	q->counters.accepted++;
	log_accepted(env);
	dispatch_message(q, env);
}

/* Nothing of it stays. */
static void
refuse(struct submitter *s, const struct submit_message *message, const char *text)
{
	struct envelope *env = message->envelope;

	answer(s->peer, env->id, SUBMIT_TEMP, text);
	if (message->in_file)
		store_content_discard(accepting.queue->store, env->id);
	envelope_free(env);
}

/* Submitters are told every few seconds how much is taken; by then a fast one may have filled what is
 * kept for outcomes and notices, without which nothing leaves the queue any more. */
static void
store_message(struct submitter *s, const struct submit_message *message)
{
	struct envelope *env = message->envelope;
	int error = store_check_room(accepting.queue->store, 0);
	bool in_file = message->in_file;
	struct waiter *w;

	if (error != 0) {
		accepting.queue->counters.refused++;
		refuse(s, message, reply_for(error));
		accept_check_room();
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct waiter){ .role = s->peer->role, .instance = s->peer->instance,
		.generation = s->peer->generation, .id = env->id };
	evbuffer_drain(accepting.content, evbuffer_get_length(accepting.content));
	if (!in_file)
		evbuffer_add(accepting.content, message->content, message->content_len);
	if (store_add(
		accepting.queue->store, env, in_file ? NULL : accepting.content, on_added, w) == 0)
		return;
	log_error("queue.refused", F_STR("message", id_text(env->id).s),
	    F_STR("what", "its id is taken, or its envelope cannot be stored"));
	refuse(s, message, TEXT_FAULT);
	free(w);
}

static bool
on_submission(struct submitter *s, struct message *m)
{
	struct submit_message message;
	struct half *h;

	if (!submit_read_message(&m->body, &message))
		return false;
	h = find_half(s, message.envelope->id);
	if (message.envelope->id != m->id || message.in_file != (h != NULL)) {
		envelope_free(message.envelope);
		return false;
	}
	if (accepting.queue->stopping) {
		answer(s->peer, m->id, SUBMIT_TEMP, TEXT_STOPPING);
		envelope_free(message.envelope);
		return h == NULL || on_forget(s, m->id);
	}
	if (h != NULL)
		remove_half(s, h);
	/* the control role tells by this that it brings back what was in a queue before */
	prepare(message.envelope, &message,
	    s->peer->role == ROLE_CONTROL && message.envelope->expires != 0);
	store_message(s, &message);
	return true;
}

/* --- peers --- */

bool
accept_message(struct peer *peer, struct message *m)
{
	struct submitter *s = find_submitter(peer);

	if (s == NULL)
		return false;
	switch (m->type) {
	case SUBMIT_FILE:
		return on_file(s, m);
	case SUBMIT_FORGET:
		return on_forget(s, m->id);
	case SUBMIT_MESSAGE:
		return on_submission(s, m);
	case SUBMIT_FLUSH:
		return flush_message(accepting.queue, m);
	}
	return false;
}

void
accept_up(struct peer *peer)
{
	struct submitter *s;

	if (peer->role != ROLE_SESSION && peer->role != ROLE_CONTROL)
		return;
	s = xcalloc(1, sizeof(*s));
	s->peer = peer;
	TAILQ_INIT(&s->halves);
	TAILQ_INSERT_TAIL(&accepting.submitters, s, entry);
	send_room(peer);
}

void
accept_down(struct peer *peer)
{
	struct submitter *s = find_submitter(peer);
	struct half *h;

	if (s == NULL)
		return;
	while ((h = TAILQ_FIRST(&s->halves)) != NULL) {
		store_content_discard(accepting.queue->store, h->id);
		remove_half(s, h);
	}
	TAILQ_REMOVE(&accepting.submitters, s, entry);
	free(s);
}

void
accept_init(struct queue *q)
{
	const struct timeval period = { ROOM_SECONDS, 0 };

	accepting.queue = q;
	TAILQ_INIT(&accepting.submitters);
	accepting.content = evbuffer_new();
	accepting.room = measure_room();
	accepting.room_tick = event_new(peer_base(), -1, EV_PERSIST, on_room_tick, NULL);
	event_add(accepting.room_tick, &period);
}
