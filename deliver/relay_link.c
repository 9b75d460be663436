/*
 * The relay role's connections.
 *
 * A job takes one that waits for work, if it leads to a server of the best rank and is as safe as
 * the job wants it, else a new one.  Which TLS that is was decided for each server (tls_policy.h);
 * where TLS need not be and does not come about, the same address is asked once more in the clear,
 * which is logged.  What must never happen: that a message goes over a connection which was made
 * for less than it needs, so suits() looks at everything that a decision depends on.
 *
 * A connection that was waiting and is found closed says nothing about the server: the job gets a
 * new one to the same address.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "deliver/bad_address.h"
#include "deliver/destination.h"
#include "deliver/login.h"
#include "deliver/relay_inside.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"

#define IDLE_MAX 100 /* connections that wait for work */

static char *
link_name(const struct mx_address *address)
{
	struct buf name = { 0 };

	if (address->host[0] != '[')
		buf_adds(&name, address->host);
	buf_addf(&name, "[%s]", ip_text(&address->ip).s);
	if (address->port != SMTP_PORT)
		buf_addf(&name, ":%u", (unsigned)address->port);
	return buf_take(&name);
}

static void
link_free(struct relay_link *link)
{
	TAILQ_REMOVE(&relay.links, link, entry);
	if (link->job == NULL)
		relay.idle--;
	else
		link->job->link = NULL;
	way_drop(link->way);
	free(link->detail);
	free(link->name);
	free(link);
}

/* The recipients that have no result yet. */
static void
send_job(struct relay_link *link, struct relay_job *job)
{
	unsigned i, n = 0;

	for (i = 0; i < job->recipients_n; i++) {
		if (job->reported[i])
			continue;
		job->sent[n] = job->recipients[i];
		job->sent_index[n++] = i;
	}
	job->outgoing.recipients_n = n;
	link->messages++;
	link->served = false;
	smtp_client_send(link->client, &job->outgoing);
}

/* --- servers that want a PTR --- */

static bool
speaks_of_ptr(const char *text)
{
	static const char *const words[] = { "PTR", "reverse DNS", "rDNS", "reverse hostname",
		"reverse lookup" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(text, words[i]) != NULL)
			return true;
	return false;
}

/* There is an address of IPv4 that was not asked. */
static bool
has_ipv4_left(const struct relay_job *job)
{
	unsigned i;

	for (i = job->next; i < job->tries_n; i++)
		if (job->tries[i].address->ip.family == AF_INET)
			return true;
	return false;
}

/* IPv6 without a PTR, refused for that: our IPv4 address may have one, so this is not the last word
 * (RFC 5321 5.1: the next address).  The reason is kept for those who have no other. */
static bool
turn_to_ipv4(struct relay_link *link, enum delivery_status status, const char *text)
{
	struct relay_job *job = link->job;

	if (status == DELIVERY_OK || link->ip.family != AF_INET6 || !speaks_of_ptr(text) ||
	    !has_ipv4_left(job))
		return false;
	if (!job->no_ipv6)
		log_notice("relay.ipv4", F_STR("message", id_text(job->message).s),
		    F_STR("host", link->name), F_STR("reply", text),
		    F_STR("effect", "the destination is asked over IPv4"));
	job->no_ipv6 = true;
	relay_keep_reason(job, status, link->name, text);
	return true;
}

static struct relay_link *
oldest_idle(void)
{
	struct relay_link *link;

	TAILQ_FOREACH_REVERSE(link, &relay.links, relay_links, entry) {
		if (link->job == NULL)
			return link;
	}
	return NULL;
}

/* Keeps the connection for the next job, if it is worth it. */
static void
link_rest(struct relay_link *link)
{
	struct relay_link *old;

	link->job = NULL;
	relay.idle++;
	if (smtp_client_is_used_up(link->client)) {
		smtp_client_quit(link->client);
		link_free(link);
	} else if (relay.idle > IDLE_MAX && (old = oldest_idle()) != NULL) {
		smtp_client_quit(old->client);
		link_free(old);
	}
}

/* "TLSv1.3 TLS_AES_256_GCM_SHA384 dane": what it is, and why the server is believed. */
static char *
describe(const struct relay_link *link)
{
	const char *tls = smtp_client_tls(link->client);

	if (tls[0] == '\0')
		return xstrdup("in the clear");
	switch (link->choice.need) {
	case TLS_DANE:
		return xasprintf("%s dane", tls);
	case TLS_PKIX:
		return xasprintf("%s %s", tls,
		    strcmp(link->choice.policy, "mta-sts") == 0 ? "mta-sts" : "verified");
	case TLS_ENCRYPT:
		return xasprintf("%s unverified (%s)", tls, link->choice.policy);
	default:
		return xasprintf("%s opportunistic", tls);
	}
}

/* A policy on trial, for the operator who may tell its owner (RFC 8461 5). */
static void
look_at_trial(const struct relay_link *link)
{
	const char *wrong = NULL;

	if (!link->choice.testing)
		return;
	if (smtp_client_tls(link->client)[0] == '\0')
		wrong = "there is no TLS";
	else if (!smtp_client_is_verified(link->client))
		wrong = "the certificate cannot be verified";
	else if (!sts_policy_names(link->way->policy, link->server->name))
		wrong = "the policy does not name this server";
	if (wrong != NULL)
		log_notice("relay.mta-sts", F_STR("domain", link->way->mx->domain),
		    F_STR("host", link->name), F_STR("mode", "testing"), F_STR("what", wrong));
}

/* RFC 8689 4.2.1: the next server, which may be one that does. */
static void
leave_for_requiretls(struct relay_link *link)
{
	struct relay_job *job = link->job;

	relay_keep_reason(job, DELIVERY_PERM, link->name,
	    "550 5.7.30 the message requires TLS all the way, and the server does not offer "
	    "REQUIRETLS");
	smtp_client_quit(link->client);
	link_free(link);
	relay_try_next(job);
}

static bool
takes(const struct relay_link *link, const struct relay_job *job)
{
	return !relay_job_requires_tls(job) || smtp_client_takes_requiretls(link->client);
}

/* Greeted, or done with a message. */
static void
on_ready(struct smtp_client *client, void *arg)
{
	struct relay_link *link = arg;
	struct relay_job *job = link->job;

	(void)client;
	if (job != NULL && link->messages == 0) {
		bad_address_remove(&link->ip, link->port);
		link->detail = describe(link);
		look_at_trial(link);
		if (takes(link, job))
			send_job(link, job);
		else
			leave_for_requiretls(link);
		return;
	}
	if (job != NULL) {
		job->link = NULL;
		link_rest(link);
		if (relay_count_open(job) > 0 && job->no_ipv6)
			relay_try_next(job);
		else
			relay_give_up(job); /* nobody is left without a result */
	}
}

static void
on_result(struct smtp_client *client, unsigned i, enum delivery_status status, const char *text,
    void *arg)
{
	struct relay_link *link = arg;
	struct relay_job *job = link->job;

	(void)client;
	/* the queue is gone, and will send again who has no result: what was committed is all there is */
	if (job != NULL && job->queue == NULL) {
		relay_link_drop(link);
		relay_job_free(job);
		return;
	}
	link->served |= status == DELIVERY_OK;
	if (job != NULL && !turn_to_ipv4(link, status, text))
		relay_report(link->job, link->job->sent_index[i], status, link->name, link->detail,
		    text);
}

/* The try that this connection was. */
static struct relay_try *
present_try(const struct relay_job *job)
{
	return &job->tries[job->next - 1];
}

static void
note_end(struct relay_link *link, const struct smtp_client_end *end)
{
	struct relay_job *job = link->job;

	if (end->no_tls) {
		present_try(job)->clear = true;
		log_notice("relay.clear", F_STR("message", id_text(job->message).s),
		    F_STR("host", link->name), F_STR("why", end->text),
		    F_STR("effect", "the server is asked again without TLS"));
		return;
	}
	if (turn_to_ipv4(link, end->status, end->text))
		return;
	if (!end->answered)
		bad_address_add(&link->ip, link->port, clock_ms());
	relay_keep_reason(job, end->status, link->name, end->text);
}

static void
on_ended(struct smtp_client *client, const struct smtp_client_end *end, void *arg)
{
	struct relay_link *link = arg;
	struct relay_job *job = link->job;
	bool stale = link->waited && !end->answered && end->status == DELIVERY_TEMP_HOST;
	/* it took some of the job, and has had enough of this connection: many servers say so by 421 */
	bool anew = end->anew ||
	    (link->served && end->try_elsewhere && end->status == DELIVERY_TEMP_HOST);

	(void)client;
	if (job == NULL) {
		link_free(link);
		return;
	}
	if (!stale)
		note_end(link, end);
	if (stale || end->no_tls || anew)
		job->next--; /* the address again, by a new connection */
	link_free(link);
	if (relay_count_open(job) > 0 && (stale || end->try_elsewhere || anew))
		relay_try_next(job);
	else
		relay_give_up(job);
}

static const struct smtp_client_ops client_ops = { on_ready, on_result, on_ended };

/* --- new ones --- */

const struct login *
relay_find_login(const struct mx_server *server)
{
	unsigned i;

	for (i = 0; server->login != NULL && i < relay.logins_n; i++) {
		if (strcmp(login_path(relay.logins[i]), server->login) == 0)
			return login_find(relay.logins[i], server->name, server->port);
	}
	return NULL;
}

static struct smtp_client_security
security_of(const struct relay_job *job, const struct relay_try *try)
{
	const struct mx_server *server = try->address->server;

	return (struct smtp_client_security){
		.tls = { .need = try->clear ? TLS_NONE : try->choice.need,
			.name = server->name,
			.dane_name = server->dane_name,
			.dane_domain = job->way->mx->domain,
			.tlsa = server->tlsa,
			.tlsa_n = server->tlsa_n },
		.implicit = server->implicit_tls,
		.policy = try->choice.policy,
		.for_good = relay_job_requires_tls(job),
		.login = relay_find_login(server) };
}

/* What the operator's rules for the provider say, and what holds for all. */
static void
limit(struct relay_link *link, const struct provider *provider)
{
	unsigned mails = relay.conf->per_connection;

	if (provider != NULL && provider->messages > 0 && (mails == 0 || provider->messages < mails))
		mails = provider->messages;
	smtp_client_limit(link->client, mails, provider != NULL ? provider->recipients : 0);
}

static void
open_link(struct relay_job *job, const struct relay_try *try)
{
	struct smtp_client_security security = security_of(job, try);
	struct relay_link *link = xcalloc(1, sizeof(*link));

	link->ip = try->address->ip;
	link->port = try->address->port;
	link->name = link_name(try->address);
	link->way = way_keep(job->way);
	link->server = try->address->server;
	link->choice = try->choice;
	link->job = job;
	job->link = link;
	TAILQ_INSERT_HEAD(&relay.links, link, entry);
	link->client = smtp_client_new(peer_base(),
	    link->server->by_mx ? &relay.client_by_mx : &relay.client, &client_ops, link);
	smtp_client_secure(link->client, &security);
	limit(link, job->way->provider);
	smtp_client_call_from(link->client,
	    link->ip.family == AF_INET ? &link->server->source4 : &link->server->source6,
	    link->server->helo);
	smtp_client_connect(link->client, &link->ip, link->port);
}

/* --- those that wait --- */

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcasecmp(a, b) == 0);
}

/* What is promised about LINK is enough for TRY. */
static bool
is_safe_enough(const struct relay_link *link, const struct relay_job *job,
    const struct relay_try *try)
{
	enum tls_need has = link->choice.need, need = try->choice.need;

	switch (need) {
	case TLS_NONE:
		return has == TLS_NONE;
	case TLS_MAY:
	case TLS_ENCRYPT:
		return has >= need;
	case TLS_PKIX:
		return has == need && same(link->server->name, try->address->host);
	case TLS_DANE:
		return has == need && same(link->server->name, try->address->host) &&
		       same(link->way->mx->domain, job->way->mx->domain);
	}
	return false;
}

/* From the same address of ours, under the same name. */
static bool
is_same_caller(const struct mx_server *a, const struct mx_server *b)
{
	return same(a->helo, b->helo) && ip_equal(&a->source4, &b->source4) &&
	    ip_equal(&a->source6, &b->source6);
}

static bool
suits(const struct relay_link *link, const struct relay_job *job, const struct relay_try *try)
{
	return link->job == NULL && link->port == try->address->port &&
	       ip_equal(&link->ip, &try->address->ip) &&
	       same(link->server->login, try->address->server->login) &&
	       is_same_caller(link->server, try->address->server) &&
	       is_safe_enough(link, job, try) && takes(link, job);
}

static struct relay_link *
find_idle(const struct relay_job *job, const struct relay_try *try)
{
	struct relay_link *link;

	TAILQ_FOREACH(link, &relay.links, entry) {
		if (suits(link, job, try))
			return link;
	}
	return NULL;
}

/* A connection that waits, to one of the servers that are as good as the next to be tried; it then
 * is the next. */
static struct relay_link *
find_idle_for(struct relay_job *job)
{
	struct relay_try *next = &job->tries[job->next], chosen;
	struct relay_link *link;
	unsigned i;

	if (relay.idle == 0)
		return NULL;
	for (i = job->next;
	     i < job->tries_n && job->tries[i].address->rank == next->address->rank; i++) {
		link = find_idle(job, &job->tries[i]);
		if (link == NULL)
			continue;
		chosen = job->tries[i];
		job->tries[i] = *next;
		*next = chosen;
		return link;
	}
	return NULL;
}

static void
use_idle(struct relay_link *link, struct relay_job *job)
{
	link->job = job;
	link->waited = true;
	job->link = link;
	relay.idle--;
	TAILQ_REMOVE(&relay.links, link, entry);
	TAILQ_INSERT_HEAD(&relay.links, link, entry);
	send_job(link, job);
}

void
relay_try_next(struct relay_job *job)
{
	struct relay_link *link;

	while (job->no_ipv6 && job->next < job->tries_n &&
	       job->tries[job->next].address->ip.family == AF_INET6)
		job->next++;
	if (job->next == job->tries_n) {
		relay_give_up(job);
		return;
	}
	link = find_idle_for(job);
	job->next++;
	if (link != NULL)
		use_idle(link, job);
	else
		open_link(job, present_try(job));
}

void
relay_link_drop(struct relay_link *link)
{
	smtp_client_free(link->client);
	link_free(link);
}

void
relay_links_quit(void)
{
	struct relay_link *link, *next;

	TAILQ_FOREACH_SAFE(link, &relay.links, entry, next) {
		if (link->job != NULL)
			continue;
		smtp_client_quit(link->client);
		link_free(link);
	}
}
