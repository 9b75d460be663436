/*
 * Submissions from the side of those who take mail in: the sessions, and the control role for
 * sendmail.
 *
 * A content gathers in memory; when it outgrows STORE_INLINE_MAX, or much less when all of them
 * together are many, so that a crowd of senders cannot fill memory, the queue is asked for a file, and
 * what was gathered and what comes after goes there.  Whatever goes wrong with the file is
 * remembered in the submission and told at the commit; until then its owner reads on and the octets
 * are dropped.  A submission has exactly one end: DONE is called, or submit_abort.  What must never
 * happen is SUBMIT_OK without the queue's word: a queue that goes away answers SUBMIT_TEMP for all
 * that it was given and did not confirm.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "lib/buf.h"
#include "lib/fatal.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/submit_wire.h"

#define TEXT_DOWN "451 4.3.0 The mail queue is being restarted; try again"
#define TEXT_FULL "452 4.3.1 Insufficient system storage"
#define TEXT_FAULT "451 4.3.0 The message could not be stored"
#define TEXT_LONG "452 4.5.3 Too many recipients for one message"

/* When contents in memory are more than that in all, those above SMALL go to files. */
#define GATHERED_MOST (64 * 1024 * 1024)
#define SMALL (8 * 1024)

enum place {
	IN_MEMORY,
	FILE_ASKED, /* still gathers in memory, and is busy */
	IN_FILE,
	IN_NOTHING  /* it cannot be taken any more: TEXT says why */
};

struct submission {
	RB_ENTRY(submission) node;
	TAILQ_ENTRY(submission) late;
	uint64_t id;
	uint64_t size;
	enum place place;
	struct evbuffer *content; /* what is not in the file */
	int fd;
	const char *text;         /* why not: IN_NOTHING, or late and committed */
	void (*ready)(void *);
	void *ready_arg;
	void (*done)(enum submit_status, const char *, void *);
	void *done_arg;
	bool is_late;             /* waits in client.late for the loop's next turn */
};

RB_HEAD(submissions, submission);
TAILQ_HEAD(late_list, submission);

static struct {
	struct submissions all;
	struct late_list late; /* those whose owner is to be called at the loop's next turn */
	struct event *turn;
	uint64_t largest;      /* the queue's last word on room */
	char *room_text;
	size_t gathered;       /* octets of contents in memory */
} client;

static int
compare(const struct submission *a, const struct submission *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(submissions, submission, node, compare, __attribute__((unused)) static)

static struct peer *
queue_peer(void)
{
	return peer_find(ROLE_QUEUE, 0);
}

static struct submission *
find(uint64_t id)
{
	struct submission key = { .id = id };

	return RB_FIND(submissions, &client.all, &key);
}

static void
close_file(struct submission *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void
forget(struct submission *s)
{
	RB_REMOVE(submissions, &client.all, s);
	if (s->is_late)
		TAILQ_REMOVE(&client.late, s, late);
	close_file(s);
	evbuffer_drain(s->content, evbuffer_get_length(s->content)); /* counted; what evbuffer_free takes is not */
	evbuffer_free(s->content);
	free(s);
}

static void
send_forget(struct submission *s)
{
	struct peer *peer = queue_peer();

	if ((s->place == IN_FILE || s->place == FILE_ASKED) && peer != NULL)
		channel_send(peer->channel, SUBMIT_FORGET, s->id);
}

/* It cannot be taken any more; its owner hears it at the commit. */
static void
spoil(struct submission *s, const char *text)
{
	send_forget(s);
	close_file(s);
	evbuffer_drain(s->content, evbuffer_get_length(s->content));
	s->place = IN_NOTHING;
	s->text = text;
}

static void
call_ready(struct submission *s)
{
	void (*ready)(void *) = s->ready;

	s->ready = NULL;
	if (ready != NULL)
		ready(s->ready_arg);
}

static void
end(struct submission *s, enum submit_status status, const char *text)
{
	void (*done)(enum submit_status, const char *, void *) = s->done;
	void *arg = s->done_arg;

	forget(s);
	done(status, text, arg);
}

/* Its end, or READY, comes at the loop's next turn. */
static void
make_late(struct submission *s)
{
	if (s->is_late)
		return;
	s->is_late = true;
	TAILQ_INSERT_TAIL(&client.late, s, late);
	event_active(client.turn, 0, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct submission *s;

	(void)fd;
	(void)what;
	(void)arg;
	while ((s = TAILQ_FIRST(&client.late)) != NULL) {
		TAILQ_REMOVE(&client.late, s, late);
		s->is_late = false;
		if (s->done != NULL)
			end(s, SUBMIT_TEMP, s->text);
		else
			call_ready(s);
	}
}

static void
write_to_file(struct submission *s)
{
	while (s->place == IN_FILE && evbuffer_get_length(s->content) > 0) {
		if (evbuffer_write(s->content, s->fd) >= 0 || errno == EINTR)
			continue;
		log_error("submit.write", F_STR("message", id_text(s->id).s),
		    F_STR("error", strerror(errno)));
		spoil(s, errno == ENOSPC || errno == EDQUOT ? TEXT_FULL : TEXT_FAULT);
	}
}

static void
ask_for_file(struct submission *s)
{
	struct peer *peer = queue_peer();

	if (peer == NULL) {
		spoil(s, TEXT_DOWN);
		return;
	}
	s->place = FILE_ASKED;
	channel_send(peer->channel, SUBMIT_FILE, s->id);
}

/* --- what the queue says --- */

static bool
take_file(struct submission *s, int fd, const char *text)
{
	s->fd = fd;
	s->place = IN_FILE;
	if (fd >= 0) {
		write_to_file(s);
	} else {
		s->place = IN_NOTHING; /* there is no file to forget */
		spoil(s, strncmp(text, "452", 3) == 0 ? TEXT_FULL : TEXT_FAULT);
	}
	call_ready(s);
	return true;
}

static bool
on_file_answer(struct message *m)
{
	struct submission *s = find(m->id);
	const char *text = cursor_str(&m->body);

	if (!cursor_done(&m->body))
		return false;
	if (s == NULL || s->place != FILE_ASKED)
		return true; /* aborted meanwhile; SUBMIT_FORGET is on its way */
	return take_file(s, message_take_fd(m), text);
}

static bool
on_answer(struct message *m)
{
	struct submission *s = find(m->id);
	struct submit_answer answer;

	if (!submit_read_answer(&m->body, &answer))
		return false;
	if (s != NULL && s->done != NULL && !s->is_late)
		end(s, answer.status, answer.text);
	return true;
}

static bool
on_room(struct message *m)
{
	struct submit_room room;

	if (!submit_read_room(&m->body, &room))
		return false;
	client.largest = room.largest;
	free(client.room_text);
	client.room_text = xstrdup(room.text);
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	if (peer->role != ROLE_QUEUE)
		return false;
	switch (m->type) {
	case SUBMIT_FILE_ANSWER:
		return on_file_answer(m);
	case SUBMIT_ANSWER:
		return on_answer(m);
	case SUBMIT_ROOM:
		return on_room(m);
	}
	return false;
}

/* Files of a queue that died are gone with it, and what it did not confirm is not taken. */
static void
on_down(struct peer *peer)
{
	struct submission *s;

	if (peer->role != ROLE_QUEUE)
		return;
	RB_FOREACH(s, submissions, &client.all) {
		if (s->place == IN_FILE || s->place == FILE_ASKED)
			spoil(s, TEXT_DOWN);
		else if (s->done != NULL && !s->is_late)
			s->text = TEXT_DOWN;
		if (s->done != NULL || s->place == IN_NOTHING)
			make_late(s);
	}
}

static void
on_up(struct peer *peer)
{
	if (peer->role == ROLE_QUEUE)
		client.largest = UINT64_MAX; /* until it says otherwise */
}

static const struct subject_ops submit_ops = {
	.message = on_message, .up = on_up, .down = on_down
};

void
submit_client_init(void)
{
	RB_INIT(&client.all);
	TAILQ_INIT(&client.late);
	client.largest = UINT64_MAX;
	client.turn = event_new(peer_base(), -1, 0, on_turn, NULL);
	peer_register(SUBJECT_SUBMIT, &submit_ops);
}

/* --- what its owner does --- */

const char *
submit_refusal(uint64_t size)
{
	if (queue_peer() == NULL)
		return TEXT_DOWN;
	if (client.largest > 0 && size <= client.largest)
		return NULL;
	return client.room_text;
}

static void
on_content(struct evbuffer *content, const struct evbuffer_cb_info *info, void *arg)
{
	(void)content;
	(void)arg;
	client.gathered = client.gathered + info->n_added - info->n_deleted;
}

struct submission *
submit_begin(uint64_t id)
{
	struct submission *s = xcalloc(1, sizeof(*s));

	s->id = id;
	s->fd = -1;
	s->content = evbuffer_new();
	if (s->content == NULL)
		fatal("evbuffer_new: out of memory");
	evbuffer_add_cb(s->content, on_content, NULL);
	if (RB_INSERT(submissions, &client.all, s) != NULL)
		fatal("submission %s begins twice", id_text(id).s);
	return s;
}

void
submit_write(struct submission *s, struct evbuffer *content)
{
	size_t len = evbuffer_get_length(content);

	s->size += len;
	if (s->place == IN_NOTHING) {
		evbuffer_drain(content, len);
		return;
	}
	evbuffer_add_buffer(s->content, content);
	if (s->place == IN_FILE)
		write_to_file(s);
	else if (s->place == IN_MEMORY &&
	    s->size > (client.gathered > GATHERED_MOST ? SMALL : STORE_INLINE_MAX))
		ask_for_file(s);
}

bool
submit_busy(const struct submission *s)
{
	return s->place == FILE_ASKED;
}

void
submit_on_ready(struct submission *s, void (*ready)(void *), void *arg)
{
	s->ready = ready;
	s->ready_arg = arg;
	if (ready != NULL && !submit_busy(s))
		make_late(s);
}

uint64_t
submit_size(const struct submission *s)
{
	return s->size;
}

static void
send_message(struct submission *s, struct peer *peer, const struct buf *envelope)
{
	struct buf *b = channel_begin(peer->channel, SUBMIT_MESSAGE, s->id);

	submit_add_message(b, envelope, s->place == IN_FILE ? NULL : s->content);
	channel_end(peer->channel, -1);
	/* the file is the queue's from now on, whatever happens to this submission */
	close_file(s);
	s->place = IN_MEMORY;
}

void
submit_commit(struct submission *s, const struct envelope *env,
    void (*done)(enum submit_status, const char *, void *), void *arg)
{
	struct peer *peer = queue_peer();
	struct buf bytes = { 0 };

	s->done = done;
	s->done_arg = arg;
	if (s->place == FILE_ASKED)
		fatal("submission %s is committed while it is busy", id_text(s->id).s);
	envelope_encode(&bytes, env);
	if (s->place != IN_NOTHING && (peer == NULL || bytes.len > SUBMIT_ENVELOPE_MAX))
		spoil(s, peer == NULL ? TEXT_DOWN : TEXT_LONG);
	if (s->place == IN_NOTHING)
		make_late(s);
	else
		send_message(s, peer, &bytes);
	buf_free(&bytes);
}

bool
submit_flush(const char *domain, const char *destination)
{
	struct peer *peer = queue_peer();

	if (peer == NULL)
		return false;
	submit_add_flush(
	    channel_begin(peer->channel, SUBMIT_FLUSH, 0), &(struct submit_flush){ domain, destination });
	channel_end(peer->channel, -1);
	return true;
}

void
submit_abort(struct submission *s)
{
	send_forget(s);
	forget(s);
}
