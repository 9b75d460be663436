/*
 * The asking side of the vault (vault.h), in the sessions.
 *
 * A dialogue is kept under its number until it is decided.  While there is no vault, and for every dialogue that it took with it, the
 * answer is VAULT_TEMP.  Callbacks come from the loop, never from inside a call.  What the vault offers is
 * remembered over its death: a client that connects in the second in which it is started again should be told to try
 * later, not that there is no AUTH.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/mem.h"
#include "vault/vault.h"
#include "vault/vault_wire.h"

struct vault_dialogue {
	RB_ENTRY(vault_dialogue) by_id;
	TAILQ_ENTRY(vault_dialogue) entry;
	uint64_t id;
	uint64_t asked; /* the peer's generation */
	bool lost; /* in the list; else in the tree */
	void (*callback)(const struct vault_answer *, void *);
	void *arg;
};

RB_HEAD(dialogue_tree, vault_dialogue);

static struct dialogue_tree dialogues = RB_INITIALIZER(&dialogues);
static TAILQ_HEAD(, vault_dialogue) lost = TAILQ_HEAD_INITIALIZER(lost);
static struct event *lost_event;
static uint64_t last_id;
static uint32_t offered;
static void (*on_first_offer)(void);

static int
compare(const struct vault_dialogue *a, const struct vault_dialogue *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(dialogue_tree, vault_dialogue, by_id, compare, __attribute__((unused)) static)

static void
lose(struct vault_dialogue *d)
{
	d->lost = true;
	TAILQ_INSERT_TAIL(&lost, d, entry);
	event_active(lost_event, 0, 0);
}

static void
answer_lost(evutil_socket_t fd, short what, void *arg)
{
	static const struct vault_answer later = { .result = VAULT_TEMP, .text = "the vault is being restarted",
		.len = sizeof("the vault is being restarted") - 1, .name = "" };
	uint64_t until = last_id; /* those that callbacks add have the next turn */
	struct vault_dialogue *d, copy;

	(void)fd;
	(void)what;
	(void)arg;
	while ((d = TAILQ_FIRST(&lost)) != NULL && d->id <= until) {
		copy = *d;
		TAILQ_REMOVE(&lost, d, entry);
		free(d);
		copy.callback(&later, copy.arg);
	}
}

uint32_t
vault_offers(const struct mechanism_caller *caller)
{
	return mechanism_usable(offered, caller);
}

void
vault_on_offer(void (*callback)(void))
{
	on_first_offer = callback;
}

struct vault_dialogue *
vault_begin(enum mechanism mechanism, const struct mechanism_caller *caller, uint64_t session, const void *initial,
    size_t len, void (*callback)(const struct vault_answer *, void *), void *arg)
{
	struct vault_begin begin = { .mechanism = mechanism, .caller = *caller, .session = session, .initial = initial,
		.len = len };
	struct vault_dialogue *d = xcalloc(1, sizeof(*d));
	struct peer *peer = peer_for(ROLE_VAULT, 0);

	d->id = ++last_id;
	d->callback = callback;
	d->arg = arg;
	if (peer == NULL) {
		lose(d);
		return d;
	}
	d->asked = peer->generation;
	RB_INSERT(dialogue_tree, &dialogues, d);
	vault_begin_encode(channel_begin(peer->channel, VAULT_BEGIN, d->id), &begin);
	channel_end(peer->channel, -1);
	return d;
}

/* The vault that a dialogue was begun with: another may have taken its place since. */
struct search {
	const struct vault_dialogue *d;
	struct peer *found;
};

static void
compare_peer(struct peer *peer, void *arg)
{
	struct search *search = arg;

	if (peer->generation == search->d->asked)
		search->found = peer;
}

static struct peer *
vault_of(const struct vault_dialogue *d)
{
	struct search search = { d, NULL };

	peer_each(ROLE_VAULT, compare_peer, &search);
	return search.found;
}

void
vault_respond(struct vault_dialogue *d, const void *response, size_t len)
{
	struct peer *peer = d->lost ? NULL : vault_of(d);

	if (peer == NULL) /* it will be answered without the vault */
		return;
	buf_add_blob(channel_begin(peer->channel, VAULT_RESPOND, d->id), response, len);
	channel_end(peer->channel, -1);
}

void
vault_cancel(struct vault_dialogue *d)
{
	struct peer *peer;

	if (d == NULL)
		return;
	peer = d->lost ? NULL : vault_of(d);
	if (d->lost)
		TAILQ_REMOVE(&lost, d, entry);
	else
		RB_REMOVE(dialogue_tree, &dialogues, d);
	if (peer != NULL)
		channel_send(peer->channel, VAULT_CANCEL, d->id);
	free(d);
}

/* --- the peer --- */

static bool
on_offer(const struct peer *peer, struct message *m)
{
	uint32_t set = cursor_u32(&m->body);

	if (!cursor_done(&m->body))
		return false;
	if (peer->retired)
		return true;
	offered = set;
	if (on_first_offer != NULL)
		on_first_offer();
	on_first_offer = NULL;
	return true;
}

static bool
on_answer(struct message *m)
{
	struct vault_dialogue key = { .id = m->id }, *d = RB_FIND(dialogue_tree, &dialogues, &key), copy;
	struct vault_answer answer;

	if (!vault_answer_decode(&m->body, &answer))
		return false;
	if (d == NULL) /* cancelled while the answer was on its way */
		return true;
	copy = *d;
	if (answer.result != VAULT_CHALLENGE) {
		RB_REMOVE(dialogue_tree, &dialogues, d);
		free(d);
	}
	copy.callback(&answer, copy.arg);
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	if (peer->role != ROLE_VAULT)
		return false;
	switch (m->type) {
	case VAULT_OFFER:
		return on_offer(peer, m);
	case VAULT_ANSWER:
		return on_answer(m);
	default:
		return false;
	}
}

static void
on_up(struct peer *peer)
{
	if (peer->role == ROLE_VAULT)
		channel_keep_secret(peer->channel);
}

static void
on_down(struct peer *peer)
{
	struct vault_dialogue *d, *next;

	if (peer->role != ROLE_VAULT)
		return;
	for (d = RB_MIN(dialogue_tree, &dialogues); d != NULL; d = next) {
		next = RB_NEXT(dialogue_tree, &dialogues, d);
		if (d->asked != peer->generation)
			continue;
		RB_REMOVE(dialogue_tree, &dialogues, d);
		lose(d);
	}
}

void
vault_client_init(void)
{
	static const struct subject_ops ops = { .message = on_message, .up = on_up, .down = on_down };

	if (lost_event == NULL)
		lost_event = event_new(peer_base(), -1, 0, answer_lost, NULL);
	peer_register(SUBJECT_VAULT, &ops);
}
