/*
 * The mechanisms of RFC 7208 5: does a directive match this client?
 *
 * spf_host.c asks, one directive at a time.  Where DNS must be asked the verdict comes later, by
 * a callback.  A name that DNS cannot hold is a name that does not exist (4.8 leaves it open): no
 * question, no match.  The addresses of an mx are asked for all at once, and a host that matches
 * counts even when another's DNS fails, so that the verdict does not hang on which answer was
 * first.
 *
 * Void lookups are counted by term: one that finds nothing at all in DNS counts once.  `ptr` does
 * not count: whether the client has a name is not the publisher's to know.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "filters/spf_macro.h"
#include "filters/spf_query.h"
#include "lib/mem.h"
#include "lib/resolver.h"

static const struct spf_directive *
current(const struct spf_query *q)
{
	return &q->frame->record.directives[q->frame->next];
}

static uint16_t
address_type(const struct spf_query *q)
{
	return q->client.family == AF_INET6 ? DNS_AAAA : DNS_A;
}

/* Is the client in the network around one of these addresses? */
static bool
addresses_match(const struct spf_query *q, const struct dns_answer *a)
{
	const struct spf_directive *d = current(q);
	uint8_t bits = q->client.family == AF_INET6 ? d->bits6 : d->bits4;
	struct ipnet net;
	unsigned i;

	for (i = 0; i < a->records_n; i++) {
		net = ip_network(&a->records[i].ip, bits);
		if (ipnet_contains(&net, &q->client))
			return true;
	}
	return false;
}

/* DNS does not answer: everything ends. */
static void
no_answer(struct spf_query *q, const char *why)
{
	spf_decide(q, AUTH_TEMPERROR, "\"%s\" in the record of %s could not be looked up: %s",
	    current(q)->text, q->frame->domain, why);
}

/* The first step of a term that asks DNS: counts it and asks for its name.  False: there is nothing
 * to wait for. */
static bool
ask_target(struct spf_query *q, const struct spf_directive *d, uint16_t type, dns_callback callback)
{
	char *target;
	bool asked;

	if (!spf_count_lookup(q, d->domain))
		return true;
	target = spf_target(q, d->domain);
	asked = spf_name_ok(target);
	if (asked)
		spf_ask_dns(q, target, type, callback);
	free(target);
	return asked;
}

/* True when the answer A to a term's first question has records; else the term is dealt with. */
static bool
has_records(struct spf_query *q, const struct dns_answer *a)
{
	q->question = NULL;
	if (a->status == DNS_OK)
		return true;
	if (a->status == DNS_TEMP)
		no_answer(q, a->why);
	else if (spf_count_void(q))
		q->judged(q, SPF_NO);
	return false;
}

/* --- all, ip4, ip6 --- */

static enum spf_verdict
judge_all(struct spf_query *q, const struct spf_directive *d)
{
	(void)q;
	(void)d;
	return SPF_YES;
}

static enum spf_verdict
judge_network(struct spf_query *q, const struct spf_directive *d)
{
	return ipnet_contains(&d->net, &q->client) ? SPF_YES : SPF_NO;
}

/* --- include --- */

static enum spf_verdict
judge_include(struct spf_query *q, const struct spf_directive *d)
{
	return spf_count_lookup(q, d->domain) ? SPF_ASK_OTHER : SPF_LATER;
}

/* --- a, exists --- */

static void
on_addresses(const struct dns_answer *a, void *arg)
{
	struct spf_query *q = arg;

	if (has_records(q, a))
		q->judged(q, addresses_match(q, a) ? SPF_YES : SPF_NO);
}

static enum spf_verdict
judge_a(struct spf_query *q, const struct spf_directive *d)
{
	return ask_target(q, d, address_type(q), on_addresses) ? SPF_LATER : SPF_NO;
}

static void
on_existence(const struct dns_answer *a, void *arg)
{
	struct spf_query *q = arg;

	if (has_records(q, a))
		q->judged(q, SPF_YES);
}

/* A, whatever the client's family (5.7). */
static enum spf_verdict
judge_exists(struct spf_query *q, const struct spf_directive *d)
{
	return ask_target(q, d, DNS_A, on_existence) ? SPF_LATER : SPF_NO;
}

/* --- mx --- */

/* All hosts have answered, and none matches. */
static void
no_host_matches(struct spf_query *q)
{
	q->hosts_n = 0;
	if (q->hosts_why != NULL)
		no_answer(q, q->hosts_why);
	else if (!q->hosts_void || spf_count_void(q))
		q->judged(q, SPF_NO);
}

static void
forget_hosts(struct spf_query *q)
{
	unsigned i;

	for (i = 0; i < q->hosts_n; i++)
		if (q->hosts[i].question != NULL)
			resolver_cancel(q->hosts[i].question);
	q->hosts_n = 0;
}

static void
on_host_addresses(const struct dns_answer *a, void *arg)
{
	struct spf_host *h = arg;
	struct spf_query *q = h->query;

	h->question = NULL;
	q->hosts_pending--;
	if (a->status == DNS_OK)
		q->hosts_void = false;
	if (a->status == DNS_TEMP && q->hosts_why == NULL)
		q->hosts_why = xstrdup(a->why);
	if (a->status == DNS_OK && addresses_match(q, a)) {
		forget_hosts(q);
		q->judged(q, SPF_YES);
	} else if (q->hosts_pending == 0) {
		no_host_matches(q);
	}
}

static void
on_mx(const struct dns_answer *a, void *arg)
{
	struct spf_query *q = arg;
	struct spf_host *h;
	unsigned i;

	if (!has_records(q, a))
		return;
	if (a->records_n > SPF_HOSTS_MAX) {
		spf_decide(q, AUTH_PERMERROR,
		    "\"%s\" in the record of %s leads to %u hosts, and %d are allowed "
		    "(RFC 7208 4.6.4)",
		    current(q)->text, q->frame->domain, a->records_n, SPF_HOSTS_MAX);
		return;
	}
	q->hosts_n = q->hosts_pending = 0;
	q->hosts_void = true;
	free(q->hosts_why);
	q->hosts_why = NULL;
	for (i = 0; i < a->records_n; i++) {
		if (a->records[i].name[0] == '\0')
			continue; /* the null MX (RFC 7505) is no host */
		h = &q->hosts[q->hosts_n++];
		h->query = q;
		h->question =
		    resolver_ask(a->records[i].name, address_type(q), on_host_addresses, h);
		q->hosts_pending++;
	}
	if (q->hosts_n == 0)
		q->judged(q, SPF_NO);
}

static enum spf_verdict
judge_mx(struct spf_query *q, const struct spf_directive *d)
{
	return ask_target(q, d, DNS_MX, on_mx) ? SPF_LATER : SPF_NO;
}

/* --- ptr --- */

static enum spf_verdict
judge_ptr(struct spf_query *q, const struct spf_directive *d)
{
	char *target;
	bool found = false;
	unsigned i;

	if (!spf_count_lookup(q, d->domain))
		return SPF_LATER;
	target = spf_target(q, d->domain);
	if (spf_name_ok(target))
		for (i = 0; i < q->names_n && !found; i++)
			found = spf_name_is_in(q->names[i], target);
	free(target);
	return found ? SPF_YES : SPF_NO;
}

/* --- all of them --- */

static enum spf_verdict judge(struct spf_query *);

/* The client's names have come. */
static void
on_names(struct spf_query *q)
{
	enum spf_verdict verdict = judge(q);

	if (verdict != SPF_LATER)
		q->judged(q, verdict);
}

static enum spf_verdict
judge(struct spf_query *q)
{
	static enum spf_verdict (*const judges[])(
	    struct spf_query *, const struct spf_directive *) = {
		[SPF_ALL] = judge_all,
		[SPF_INCLUDE] = judge_include,
		[SPF_A] = judge_a,
		[SPF_MX] = judge_mx,
		[SPF_PTR] = judge_ptr,
		[SPF_IP4] = judge_network,
		[SPF_IP6] = judge_network,
		[SPF_EXISTS] = judge_exists,
	};
	const struct spf_directive *d = current(q);
	/* ptr wants the client's names whatever its argument is */
	const char *spec = d->mechanism == SPF_PTR ? NULL : d->domain;

	if ((d->mechanism == SPF_PTR || d->domain != NULL) && !spf_names_ready(q, spec, on_names))
		return SPF_LATER;
	return judges[d->mechanism](q, d);
}

enum spf_verdict
spf_judge(struct spf_query *q, void (*judged)(struct spf_query *, enum spf_verdict))
{
	q->judged = judged;
	return judge(q);
}
