/*
 * libunbound 1.17, and what one must know of it.  lib/dns.c makes and drops upstreams and waits for
 * their answers.
 *
 * - A forged (bogus) answer arrives with rcode 0 and the forged records in the packet; only "sec"
 *   tells.  It becomes DNS_TEMP here, so that nobody ever sees such a record.
 * - NXDOMAIN has rcode 0 too; the packet knows better.  With any other rcode there is no packet to
 *   look at.
 * - Cached answers call back from inside ub_resolve_event.
 * - ub_ctx_delete calls back for whatever is under way; those calls end here.
 * - Anchors are given as strings: files would be opened at the first question, when the role sits
 *   in an empty chroot.  Neither /etc/hosts nor resolv.conf is read.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unbound.h>
/* after unbound.h */
#include <unbound-event.h>

#include "lib/dns_upstream.h"
#include "lib/dns_wire.h"
#include "lib/mem.h"

#define CLASS_IN 1
#define SEC_BOGUS 1
#define SEC_SECURE 2
/* Validation asks questions of its own. */
#define SPARE_SOCKETS 32

struct ask {
	LIST_ENTRY(ask) entry;
	struct dns_upstream *upstream;
	dns_upstream_callback callback;
	void *arg;
	uint16_t type;
	char name[];
};

struct dns_upstream {
	struct ub_ctx *ctx;
	bool deleting;
	LIST_HEAD(, ask) asks;
};

struct option {
	const char *name;
	const char *value;
};

static const struct option options[] = {
	/* Private, loopback and test networks have names like others: the configured server knows
	 * them. */
	{ "unblock-lan-zones:", "yes" },
	{ "local-zone:", "127.in-addr.arpa. transparent" },
	{ "local-zone:",
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa. transparent" },
	{ "local-zone:", "test. transparent" },
	{ "local-zone:", "home.arpa. transparent" },
	{ "do-not-query-localhost:", "no" },
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	{ "key-cache-size:", "1m" },
	{ "neg-cache-size:", "512k" },
	{ "cache-max-ttl:", "86400" },
	/* Whoever just gave a host a name wants it seen. */
	{ "cache-max-negative-ttl:", "300" },
	/* What it learnt of a forwarder's speed it forgets soon.  Else a handful of questions whose
	 * own servers are dead, and nothing else for some seconds, makes it believe that the
	 * forwarder is dead, and every question fails. */
	{ "infra-host-ttl:", "5" },
	{ "infra-keep-probing:", "yes" },
	{ "outgoing-num-tcp:", "16" },
	/* Records stay in the order received. */
	{ "rrset-roundrobin:", "no" },
	/* No questions of its own beside ours. */
	{ "trust-anchor-signaling:", "no" },
	{ "qname-minimisation:", "no" },
	{ "verbosity:", "0" },
};

static int
set_options(struct ub_ctx *ctx, bool validate, unsigned running_max)
{
	int error =
	    ub_ctx_set_option(ctx, "module-config:", validate ? "validator iterator" : "iterator");
	char *sockets = xasprintf("%u", running_max + SPARE_SOCKETS);
	size_t i;

	/* each question under way has a socket of its own; what finds none waits for one, behind
	 * the slowest */
	if (error == 0)
		error = ub_ctx_set_option(ctx, "outgoing-range:", sockets);
	free(sockets);
	for (i = 0; i < sizeof(options) / sizeof(options[0]) && error == 0; i++)
		error = ub_ctx_set_option(ctx, options[i].name, options[i].value);
	return error;
}

static int
set_servers(struct ub_ctx *ctx, const struct dns_server *servers, unsigned n)
{
	int error = 0;

	for (unsigned i = 0; i < n && error == 0; i++) {
		char *text = xasprintf("%s@%u", ip_text(&servers[i].ip).s, servers[i].port);

		error = ub_ctx_set_fwd(ctx, text);
		free(text);
	}
	return error;
}

static int
set_anchors(struct ub_ctx *ctx, const char *const *anchors)
{
	int error = 0;

	while (anchors != NULL && *anchors != NULL && error == 0)
		error = ub_ctx_add_ta(ctx, *anchors++);
	return error;
}

struct dns_upstream *
dns_upstream_new(struct event_base *base, const struct dns_server *servers, unsigned servers_n,
    const char *const *anchors, unsigned running_max, char **why)
{
	struct dns_upstream *upstream = xcalloc(1, sizeof(*upstream));
	int error;

	LIST_INIT(&upstream->asks);
	upstream->ctx = ub_ctx_create_event(base);
	if (upstream->ctx == NULL) {
		*why = xstrdup("libunbound cannot be started");
		free(upstream);
		return NULL;
	}
	/* its own lines would stand between ours on standard error */
	ub_ctx_debugout(upstream->ctx, NULL);
	error = set_options(upstream->ctx, anchors != NULL, running_max);
	if (error == 0)
		error = set_servers(upstream->ctx, servers, servers_n);
	if (error == 0)
		error = set_anchors(upstream->ctx, anchors);
	if (error == 0)
		return upstream;
	*why = xasprintf("libunbound: %s", ub_strerror(error));
	dns_upstream_free(upstream);
	return NULL;
}

void
dns_upstream_free(struct dns_upstream *upstream)
{
	struct ask *ask;

	if (upstream == NULL)
		return;
	upstream->deleting = true;
	ub_ctx_delete(upstream->ctx);
	while ((ask = LIST_FIRST(&upstream->asks)) != NULL) {
		LIST_REMOVE(ask, entry);
		free(ask);
	}
	free(upstream);
}

static struct dns_answer *
bogus_answer(const char *why)
{
	struct dns_answer *answer = dns_answer_temp(why != NULL ? why : "DNSSEC validation failed");

	answer->bogus = true;
	return answer;
}

static void
asked(void *arg, int rcode, void *packet, int packet_len, int sec, char *why_bogus, int ratelimited)
{
	struct ask *ask = arg;
	struct dns_answer *answer;

	(void)ratelimited;
	LIST_REMOVE(ask, entry);
	if (!ask->upstream->deleting) {
		if (sec == SEC_BOGUS)
			answer = bogus_answer(why_bogus);
		else if (rcode != 0 || packet == NULL || packet_len < 0)
			answer = dns_answer_temp("the resolver gave no answer (SERVFAIL)");
		else
			answer = dns_wire_parse(packet, (size_t)packet_len, ask->name, ask->type);
		if (answer->status != DNS_TEMP)
			answer->secure = sec == SEC_SECURE;
		ask->callback(answer, ask->arg);
	}
	free(ask);
}

void
dns_upstream_ask(struct dns_upstream *upstream, const char *name, uint16_t type,
    dns_upstream_callback callback, void *arg)
{
	size_t len = strlen(name);
	struct ask *ask = xmalloc(sizeof(*ask) + len + 1);
	int error;

	*ask = (struct ask){ .upstream = upstream, .callback = callback, .arg = arg, .type = type };
	memcpy(ask->name, name, len + 1);
	LIST_INSERT_HEAD(&upstream->asks, ask, entry);
	error = ub_resolve_event(
	    upstream->ctx, len == 0 ? "." : name, type, CLASS_IN, ask, asked, NULL);
	if (error == 0)
		return;
	/* refused before it began, so no callback comes */
	LIST_REMOVE(ask, entry);
	free(ask);
	callback(dns_answer_temp(ub_strerror(error)), arg);
}
