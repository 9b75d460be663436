/*
 * The resolver role: one engine, one cache, the questions of every other role.  It keeps for each
 * peer what that peer asked, so that a question can be cancelled by its number and a peer's
 * questions end with it.  A question that makes no sense ends that peer's channel.  Nothing here
 * may wait: answers come from the engine's callbacks.
 */
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "lib/resolver_wire.h"
#include "lib/resolvconf.h"
#include "lib/role.h"

struct request {
	RB_ENTRY(request) by_id;
	struct peer *peer;
	struct dns_query *query;
	uint64_t id;
};

RB_HEAD(request_tree, request);

static struct dns_server system_servers[RESOLVCONF_SERVERS_MAX];
static unsigned system_servers_n;
static struct dns_engine *engine;

static int
id_compare(const struct request *a, const struct request *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(request_tree, request, by_id, id_compare, __attribute__((unused)) static)

static void
request_answered(const struct dns_answer *answer, void *arg)
{
	struct request *request = arg;
	struct channel *channel = request->peer->channel;

	resolver_answer_encode(channel_begin(channel, RESOLVER_ANSWER, request->id), answer);
	channel_end(channel, -1);
	RB_REMOVE(request_tree, request->peer->data, request);
	free(request);
}

static void
request_cancel(struct request_tree *tree, struct request *request)
{
	RB_REMOVE(request_tree, tree, request);
	dns_engine_cancel(request->query);
	free(request);
}

static bool
ask(struct peer *peer, struct message *message)
{
	struct request *request;
	const char *name;
	uint16_t type;

	if (!resolver_ask_decode(&message->body, &name, &type))
		return false;
	request = xcalloc(1, sizeof(*request));
	request->peer = peer;
	request->id = message->id;
	if (RB_INSERT(request_tree, peer->data, request) != NULL) {
		free(request);
		return false;
	}
	request->query = dns_engine_query(engine, name, type, request_answered, request);
	return true;
}

static bool
request_message(struct peer *peer, struct message *message)
{
	struct request key = { .id = message->id }, *request;

	switch (message->type) {
	case RESOLVER_ASK:
		return ask(peer, message);
	case RESOLVER_CANCEL:
		/* none: its answer is on the way */
		request = RB_FIND(request_tree, peer->data, &key);
		if (request != NULL)
			request_cancel(peer->data, request);
		return true;
	default:
		return false;
	}
}

static void
peer_came(struct peer *peer)
{
	struct request_tree *tree = xcalloc(1, sizeof(*tree));

	RB_INIT(tree);
	peer->data = tree;
}

static void
peer_left(struct peer *peer)
{
	struct request_tree *tree = peer->data;
	struct request *request;

	while ((request = RB_ROOT(tree)) != NULL)
		request_cancel(tree, request);
	free(tree);
	peer->data = NULL;
}

static void
answer_stats(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct dns_stats s;

	(void)n;
	(void)words;
	dns_engine_stats(engine, &s);
	ctl_record(ctl, FIELDS(F_U64("asked", s.asked), F_U64("answered", s.answered),
			    F_U64("failed", s.failed), F_U64("cancelled", s.cancelled),
			    F_U64("timed_out", s.timed_out), F_U64("running", s.running),
			    F_U64("waiting", s.waiting), F_BOOL("validating", s.validating)));
	ctl_end(ctl, 0, "");
}

void
resolver_role_prepare(const struct dns_conf *conf)
{
	if (conf->servers_n == 0)
		system_servers_n = resolvconf_read(system_servers);
}

void
resolver_role_start(const struct dns_conf *conf)
{
	static const struct subject_ops ops = {
		.message = request_message, .up = peer_came, .down = peer_left
	};
	struct dns_conf effective = *conf;
	char *why = NULL;

	if (conf->servers_n == 0) {
		effective.servers = system_servers;
		effective.servers_n = system_servers_n;
	}
	engine = dns_engine_new(peer_base(), &effective, &why);
	if (engine == NULL) {
		log_error("dns.failed", F_STR("why", why));
		role_exit(1);
	}
	peer_register(SUBJECT_RESOLVER, &ops);
	ctl_register("stats", answer_stats);
}
