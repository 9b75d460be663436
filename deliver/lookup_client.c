/*
 * The asking side of the address book, in the sessions, the queue and the control role.
 *
 * A question is a message to the lookup role, kept here under its number until the answer comes.
 * While that role is away, and for every question that it took with it, the answer is "cannot be
 * told now": its death is never a verdict over a recipient.  Callbacks come from the loop, never
 * from inside the call that asked; a cancelled question's answer is read and dropped.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>

#include <event2/event.h>

#include "deliver/lookup.h"
#include "deliver/lookup_message.h"
#include "lib/mem.h"

static const char away[] = "the address book is being restarted";
static const char away_reply[] = "451 4.3.0 the address book is being restarted";

struct lookup_request {
	RB_ENTRY(lookup_request) by_id;
	TAILQ_ENTRY(lookup_request) entry;
	uint64_t id;
	uint64_t asked; /* the peer's generation */
	bool lost; /* in the list; else in the tree */
	void (*verdict)(enum recipient_verdict, const char *, void *); /* one of the two */
	void (*route)(const struct route_answer *, void *);
	void *arg;
};

RB_HEAD(request_tree, lookup_request);

static struct request_tree sent = RB_INITIALIZER(&sent);
static TAILQ_HEAD(, lookup_request) lost = TAILQ_HEAD_INITIALIZER(lost);
static struct event *lost_event;
static uint64_t last_id;

static int
compare(const struct lookup_request *a, const struct lookup_request *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(request_tree, lookup_request, by_id, compare, __attribute__((unused)) static)

static void
lose(struct lookup_request *request)
{
	request->lost = true;
	TAILQ_INSERT_TAIL(&lost, request, entry);
	event_active(lost_event, 0, 0);
}

static void
answer_lost(evutil_socket_t fd, short what, void *arg)
{
	static const struct route_answer later = { .kind = ROUTE_DEFER, .why = away_reply };
	uint64_t until = last_id; /* those that callbacks add have the next turn */
	struct lookup_request *request;

	(void)fd;
	(void)what;
	(void)arg;
	while ((request = TAILQ_FIRST(&lost)) != NULL && request->id <= until) {
		struct lookup_request copy = *request;

		TAILQ_REMOVE(&lost, request, entry);
		free(request);
		if (copy.verdict != NULL)
			copy.verdict(RECIPIENT_TEMP, away, copy.arg);
		else
			copy.route(&later, copy.arg);
	}
}

/* ABOUT and VIA as far as the TYPE has them. */
static struct lookup_request *
ask(enum lookup_type type, const char *address, const char *about, const char *via)
{
	struct lookup_request *request = xcalloc(1, sizeof(*request));
	struct peer *peer = peer_for(ROLE_LOOKUP, 0);
	struct buf *b;

	request->id = ++last_id;
	if (peer == NULL) {
		lose(request);
		return request;
	}
	request->asked = peer->generation;
	RB_INSERT(request_tree, &sent, request);
	b = channel_begin(peer->channel, type, request->id);
	buf_add_str(b, address);
	if (type != LOOKUP_RECIPIENT)
		buf_add_str(b, about);
	if (type == LOOKUP_ROUTE)
		buf_add_str(b, via);
	channel_end(peer->channel, -1);
	return request;
}

struct lookup_request *
lookup_recipient(
    const char *address, void (*callback)(enum recipient_verdict, const char *, void *), void *arg)
{
	struct lookup_request *request = ask(LOOKUP_RECIPIENT, address, NULL, NULL);

	request->verdict = callback;
	request->arg = arg;
	return request;
}

struct lookup_request *
lookup_sender(const char *account, const char *address,
    void (*callback)(enum recipient_verdict, const char *, void *), void *arg)
{
	struct lookup_request *request = ask(LOOKUP_SENDER, address, account, NULL);

	request->verdict = callback;
	request->arg = arg;
	return request;
}

struct lookup_request *
lookup_route(const struct route_question *question,
    void (*callback)(const struct route_answer *, void *), void *arg)
{
	struct lookup_request *request =
	    ask(LOOKUP_ROUTE, question->address, question->sender, question->via);

	request->route = callback;
	request->arg = arg;
	return request;
}

void
lookup_cancel(struct lookup_request *request)
{
	if (request == NULL)
		return;
	if (request->lost)
		TAILQ_REMOVE(&lost, request, entry);
	else
		RB_REMOVE(request_tree, &sent, request);
	free(request);
}

/* The request that M answers; NULL when it was cancelled. */
static struct lookup_request *
find(const struct message *m)
{
	struct lookup_request key = { .id = m->id };

	return RB_FIND(request_tree, &sent, &key);
}

static bool
on_verdict(struct message *m)
{
	uint8_t verdict = cursor_u8(&m->body);
	const char *why = cursor_str(&m->body);
	struct lookup_request *request = find(m);

	if (!cursor_done(&m->body) || verdict > RECIPIENT_TEMP)
		return false;
	if (request == NULL)
		return true;
	if (request->verdict == NULL)
		return false;
	RB_REMOVE(request_tree, &sent, request);
	request->verdict((enum recipient_verdict)verdict, why, request->arg);
	free(request);
	return true;
}

static bool
on_answer(struct message *m)
{
	struct lookup_request *request = find(m);
	struct route_answer answer;

	if (!lookup_answer_decode(&m->body, &answer))
		return false;
	if (request != NULL && request->route == NULL) {
		lookup_answer_free(&answer);
		return false;
	}
	if (request != NULL) {
		RB_REMOVE(request_tree, &sent, request);
		request->route(&answer, request->arg);
		free(request);
	}
	lookup_answer_free(&answer);
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	if (peer->role != ROLE_LOOKUP)
		return false;
	switch (m->type) {
	case LOOKUP_VERDICT:
		return on_verdict(m);
	case LOOKUP_ANSWER:
		return on_answer(m);
	default:
		return false;
	}
}

static void
on_down(struct peer *peer)
{
	struct lookup_request *request, *next;

	if (peer->role != ROLE_LOOKUP)
		return;
	for (request = RB_MIN(request_tree, &sent); request != NULL; request = next) {
		next = RB_NEXT(request_tree, &sent, request);
		if (request->asked != peer->generation)
			continue;
		RB_REMOVE(request_tree, &sent, request);
		lose(request);
	}
}

void
lookup_client_init(void)
{
	static const struct subject_ops ops = { .message = on_message, .down = on_down };

	if (lost_event == NULL)
		lost_event = event_new(peer_base(), -1, 0, answer_lost, NULL);
	peer_register(SUBJECT_LOOKUP, &ops);
}
