/*
 * The asking side of DNS, in every role.  Normally a question goes to the resolver role as a
 * message and comes back by its number; with resolver_use_engine it goes to an engine in this
 * process, and with resolver_use_table to a list of records.  While the resolver role is away,
 * and for each question that it took with it, the answer is DNS_TEMP: the resolver's death is
 * never a verdict over a caller.  A callback never comes from inside resolver_ask, so such
 * answers wait for the next turn of the loop.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <event2/event.h>
#include <stdlib.h>

#include "lib/dns_table.h"
#include "lib/dns_wire.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "lib/resolver_wire.h"

enum ask_state {
	ASK_SENT,  /* the resolver role has it; in the tree */
	ASK_LOST,  /* it has no resolver; in the list */
	ASK_ENGINE, /* the engine here has it */
	ASK_TABLE  /* the table will be asked; in the list */
};

struct resolver_query {
	RB_ENTRY(resolver_query) by_id;
	TAILQ_ENTRY(resolver_query) entry;
	struct dns_query *engine_query;
	enum ask_state state;
	uint64_t id;
	uint64_t asked; /* the resolver peer's generation */
	char *name; /* ASK_TABLE */
	uint16_t type;
	dns_callback callback;
	void *arg;
};

RB_HEAD(sent_tree, resolver_query);

static struct sent_tree sent = RB_INITIALIZER(&sent);
static TAILQ_HEAD(, resolver_query) lost = TAILQ_HEAD_INITIALIZER(lost);
static struct event *lost_event;
static struct dns_engine *engine;
static struct dns_table *table;
static uint64_t last_id;

static int
id_compare(const struct resolver_query *a, const struct resolver_query *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(sent_tree, resolver_query, by_id, id_compare, __attribute__((unused)) static)

/* QUERY is gone before its callback runs. */
static void
finish(struct resolver_query *query, const struct dns_answer *answer)
{
	dns_callback callback = query->callback;
	void *arg = query->arg;

	free(query->name);
	free(query);
	callback(answer, arg);
}

static void
lost_soon(void)
{
	const struct timeval next_turn = { 0 };

	if (lost_event != NULL && !event_pending(lost_event, EV_TIMEOUT, NULL))
		event_add(lost_event, &next_turn);
}

static void
answer_lost(int fd, short what, void *arg)
{
	static const struct dns_answer away = {
		.status = DNS_TEMP, .outage = true, .why = "the resolver is being restarted", .canonical = ""
	};
	uint64_t newest = last_id;
	struct resolver_query *query;
	struct dns_answer answer;

	(void)fd;
	(void)what;
	(void)arg;
	/* what the callbacks ask has its turn next time, or this one might not end */
	while ((query = TAILQ_FIRST(&lost)) != NULL && query->id <= newest) {
		TAILQ_REMOVE(&lost, query, entry);
		answer = away;
		if (query->state == ASK_TABLE && table != NULL)
			dns_table_answer(table, query->name, query->type, &answer);
		finish(query, &answer);
	}
	if (query != NULL)
		lost_soon();
}

static void
lose(struct resolver_query *query)
{
	query->state = ASK_LOST;
	TAILQ_INSERT_TAIL(&lost, query, entry);
	lost_soon();
}

static bool
resolver_message(struct peer *peer, struct message *message)
{
	struct resolver_query key = { .id = message->id }, *query;
	struct dns_answer *answer;

	if (peer->role != ROLE_RESOLVER || message->type != RESOLVER_ANSWER)
		return false;
	answer = resolver_answer_decode(&message->body);
	if (answer == NULL)
		return false;
	query = RB_FIND(sent_tree, &sent, &key);
	/* none: it was cancelled while the answer was on its way */
	if (query != NULL) {
		RB_REMOVE(sent_tree, &sent, query);
		finish(query, answer);
	}
	dns_answer_free(answer);
	return true;
}

static void
resolver_down(struct peer *peer)
{
	struct resolver_query *query, *next;

	if (peer->role != ROLE_RESOLVER)
		return;
	for (query = RB_MIN(sent_tree, &sent); query != NULL; query = next) {
		next = RB_NEXT(sent_tree, &sent, query);
		if (query->asked != peer->generation)
			continue;
		RB_REMOVE(sent_tree, &sent, query);
		lose(query);
	}
}

void
resolver_client_init(void)
{
	static const struct subject_ops ops = {
		.message = resolver_message, .down = resolver_down
	};

	peer_register(SUBJECT_RESOLVER, &ops);
	if (lost_event == NULL)
		lost_event = evtimer_new(peer_base(), answer_lost, NULL);
}

void
resolver_use_engine(struct dns_engine *own)
{
	engine = own;
}

void
resolver_use_table(struct dns_table *own)
{
	table = own;
	if (lost_event != NULL) {
		event_free(lost_event);
		lost_event = NULL;
	}
	if (own != NULL)
		lost_event = evtimer_new(peer_base(), answer_lost, NULL);
}

static void
ask_table(struct resolver_query *query, const char *name, uint16_t type)
{
	query->state = ASK_TABLE;
	query->name = xstrdup(name);
	query->type = type;
	TAILQ_INSERT_TAIL(&lost, query, entry);
	lost_soon();
}

static void
engine_answered(const struct dns_answer *answer, void *arg)
{
	finish(arg, answer);
}

static void
send_ask(struct peer *peer, struct resolver_query *query, const char *name, uint16_t type)
{
	resolver_ask_encode(channel_begin(peer->channel, RESOLVER_ASK, query->id), name, type);
	channel_end(peer->channel, -1);
	query->asked = peer->generation;
	query->state = ASK_SENT;
	RB_INSERT(sent_tree, &sent, query);
}

struct resolver_query *
resolver_ask(const char *name, uint16_t type, dns_callback callback, void *arg)
{
	struct resolver_query *query = xcalloc(1, sizeof(*query));
	struct peer *peer = engine == NULL && table == NULL ? peer_for(ROLE_RESOLVER, 0) : NULL;

	query->callback = callback;
	query->arg = arg;
	query->id = ++last_id;
	if (engine != NULL) {
		query->state = ASK_ENGINE;
		query->engine_query = dns_engine_query(engine, name, type, engine_answered, query);
	} else if (table != NULL) {
		ask_table(query, name, type);
	} else if (peer != NULL) {
		send_ask(peer, query, name, type);
	} else {
		lose(query);
	}
	return query;
}

bool
resolver_is_there(void)
{
	return engine != NULL || peer_for(ROLE_RESOLVER, 0) != NULL;
}

static void
tell_cancelled(struct peer *peer, void *arg)
{
	const struct resolver_query *query = arg;

	if (peer->generation == query->asked)
		channel_send(peer->channel, RESOLVER_CANCEL, query->id);
}

void
resolver_cancel(struct resolver_query *query)
{
	switch (query->state) {
	case ASK_ENGINE:
		dns_engine_cancel(query->engine_query);
		break;
	case ASK_LOST:
	case ASK_TABLE:
		TAILQ_REMOVE(&lost, query, entry);
		break;
	case ASK_SENT:
		RB_REMOVE(sent_tree, &sent, query);
		peer_each(ROLE_RESOLVER, tell_cancelled, query);
		break;
	}
	free(query->name);
	free(query);
}
