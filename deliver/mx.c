/*
 * The way to the next server: MX records, then addresses (mx.h).
 *
 * The relay role asks for every destination, and keeps the answer for a while.  First the MX of
 * the domain, if the destination says so, then both kinds of addresses of all hosts at once, then
 * the TLSA records of those that DNSSEC vouches for; what is known when the last answer is in
 * decides.  What DNS cannot tell now is a reason to wait; a domain that does not exist, takes no
 * mail, or has servers without any address is one to give up.  A smarthost without an address is
 * a mistake in the configuration, and that mail waits.
 *
 * We are never our own next server: where our name or address is in an MX list, it and all that is
 * not better goes (RFC 5321 5.1).  Servers that the configuration names are taken as they are: the
 * operator may have put one of his own behind another port.  An MX list that is there is the only
 * way, however useless: there is no falling back to the domain's own address then.
 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "deliver/destination.h"
#include "deliver/lookup.h"
#include "deliver/mx_inside.h"
#include "lib/mem.h"
#include "lib/peer.h"

static const uint16_t types[FAMILIES] = { DNS_AAAA, DNS_A };

/* --- the end --- */

static void
release(struct mx_query *q)
{
	unsigned i, k;

	event_del(&q->turn);
	if (q->mx != NULL)
		resolver_cancel(q->mx);
	for (i = 0; i < q->hosts_n; i++) {
		for (k = 0; k < FAMILIES; k++) {
			if (q->hosts[i].questions[k].asked != NULL)
				resolver_cancel(q->hosts[i].questions[k].asked);
		}
		mx_dane_release(&q->hosts[i]);
		free(q->hosts[i].name);
	}
	free(q->hosts);
	free(q->why);
	destination_free(q->hops, q->hops_n, q->domain);
	free(q);
}

void
mx_cancel(struct mx_query *q)
{
	if (q != NULL)
		release(q);
}

static void __attribute__((format(printf, 3, 4)))
settle(struct mx_query *q, enum mx_status status, const char *fmt, ...)
{
	va_list ap;

	if (q->why != NULL)
		return;
	q->status = status;
	va_start(ap, fmt);
	q->why = xvasprintf(fmt, ap);
	va_end(ap);
}

static void
finish(struct mx_query *q)
{
	struct mx_answer *answer = mx_answer_new(q);

	q->callback(answer, q->arg);
	mx_answer_drop(answer);
	release(q);
}

/* --- ourselves --- */

static bool
is_own_address(const struct mx_self *self, const struct ip *ip)
{
	static const uint8_t none[16];
	unsigned i;

	if (memcmp(ip->bytes, none, sizeof(none)) == 0)
		return true; /* 0.0.0.0 and :: lead to whoever asks */
	for (i = 0; i < self->addresses_n; i++) {
		if (ip_equal(&self->addresses[i], ip))
			return true;
	}
	return false;
}

static bool
is_self(const struct mx_query *q, const struct mx_host *host)
{
	unsigned i, k;

	if (!host->by_mx)
		return false;
	if (strcasecmp(host->name, q->self->host) == 0)
		return true;
	for (i = 0; i < FAMILIES; i++) {
		for (k = 0; k < host->questions[i].ips_n; k++) {
			if (is_own_address(q->self, &host->questions[i].ips[k]))
				return true;
		}
	}
	return false;
}

/* The best rank that we have in the list, and all below it. */
static void
drop_self(struct mx_query *q)
{
	unsigned i, k;

	for (i = 0; i < q->hosts_n && !is_self(q, &q->hosts[i]); i++)
		;
	if (i == q->hosts_n)
		return;
	for (k = 0; k < q->hosts_n; k++) {
		if (q->hosts[k].by_mx && q->hosts[k].rank >= q->hosts[i].rank)
			q->dropped = q->hosts[k].is_self = true;
	}
}

/* --- addresses --- */

static const struct mx_host *
first_unknown(const struct mx_query *q)
{
	unsigned i;

	for (i = 0; i < q->hosts_n; i++) {
		if (q->hosts[i].temporary && !q->hosts[i].is_self)
			return &q->hosts[i];
	}
	return NULL;
}

static const struct mx_host *
first_configured(const struct mx_query *q)
{
	unsigned i;

	for (i = 0; i < q->hosts_n; i++) {
		if (!q->hosts[i].by_mx)
			return &q->hosts[i];
	}
	return NULL;
}

/* A question for a TLSA record has its answer. */
static void
dane_answered(struct mx_query *q)
{
	if (--q->open == 0)
		finish(q);
}

/* All answers are in. */
static void
decide(struct mx_query *q)
{
	const struct mx_host *host;

	drop_self(q);
	if (mx_count_addresses(q) > 0) {
		mx_dane_ask(q, dane_answered);
		return;
	}
	if ((host = first_unknown(q)) != NULL)
		settle(q, MX_TEMP, "451 4.4.3 DNS gives no answer for the address of %s now",
		    host->name);
	else if ((host = first_configured(q)) != NULL)
		settle(q, MX_TEMP, "451 4.4.4 the next server %s has no address", host->name);
	else if (q->dropped)
		settle(q, MX_PERM, "554 5.4.6 mail for %s loops: its best server is this one, %s",
		    q->domain, q->self->host);
	else if (q->implicit)
		settle(q, MX_PERM,
		    "550 5.1.2 the domain %s has neither a mail server nor an address", q->domain);
	else
		settle(q, MX_PERM, "550 5.4.4 none of the mail servers of %s has an address",
		    q->domain);
}

static void
answered(struct mx_host *host, enum family family, const struct dns_answer *answer)
{
	struct mx_question *question = &host->questions[family];
	struct mx_query *q = host->query;
	unsigned i;

	question->asked = NULL;
	mx_note_ttl(q, answer);
	mx_dane_note(host, answer);
	host->temporary |= answer->status == DNS_TEMP;
	for (i = 0; i < answer->records_n && question->ips_n < IPS_MAX; i++)
		question->ips[question->ips_n++] = answer->records[i].ip;
	if (--q->open > 0)
		return;
	decide(q);
	if (q->open == 0)
		finish(q);
}

static void
on_aaaa(const struct dns_answer *answer, void *arg)
{
	answered(arg, FAMILY_V6, answer);
}

static void
on_a(const struct dns_answer *answer, void *arg)
{
	answered(arg, FAMILY_V4, answer);
}

static void
ask_addresses(struct mx_query *q)
{
	unsigned i, k;

	for (i = 0; i < q->hosts_n; i++) {
		struct mx_host *host = &q->hosts[i];

		host->query = q;
		for (k = 0; k < FAMILIES && !host->is_address; k++) {
			q->open++;
			host->questions[k].asked = resolver_ask(
			    host->name, types[k], k == FAMILY_V6 ? on_aaaa : on_a, host);
		}
	}
	if (q->open == 0) {
		decide(q);
		if (q->open == 0)
			event_active(&q->turn, 0, 0);
	}
}

/* --- hosts --- */

static struct mx_host *
add_host(struct mx_query *q, const struct hop *hop, const char *name, unsigned rank)
{
	struct mx_host *host;

	q->hosts = xreallocarray(q->hosts, q->hosts_n + 1, sizeof(*q->hosts));
	host = &q->hosts[q->hosts_n++];
	*host = (struct mx_host){ .hop = hop,
		.name = xstrdup(name),
		.rank = rank,
		.port = hop->port,
		.by_mx = hop->mx };
	return host;
}

static int
by_preference(const void *a, const void *b)
{
	const struct dns_record *const *x = a, *const *y = b;

	return (*x)->preference < (*y)->preference ? -1 : (*x)->preference > (*y)->preference;
}

static void
shuffle(const struct dns_record **records, unsigned n)
{
	const struct dns_record *record;
	unsigned i, k;

	for (i = n; i > 1; i--) {
		k = arc4random_uniform(i);
		record = records[i - 1];
		records[i - 1] = records[k];
		records[k] = record;
	}
}

/* Best first, equals in random order.  The first of ours by name, and what is not better, is no use
 * in the list. */
static void
add_mx_hosts(struct mx_query *q, const struct hop *hop, const struct dns_answer *answer,
    unsigned rank)
{
	const struct dns_record **sorted = xcalloc(answer->records_n, sizeof(*sorted));
	unsigned i, n = 0;

	for (i = 0; i < answer->records_n; i++) {
		if (answer->records[i].name != NULL && answer->records[i].name[0] != '\0')
			sorted[n++] = &answer->records[i];
	}
	shuffle(sorted, n);
	qsort(sorted, n, sizeof(*sorted), by_preference);
	for (i = 0; i < n && i < MX_HOSTS_MAX; i++)
		add_host(q, hop, sorted[i]->name, rank + sorted[i]->preference);
	free(sorted);
}

/* RFC 7505 3: one record, with the root for a name. */
static bool
is_null_mx(const struct dns_answer *answer)
{
	return answer->records_n == 1 && answer->records[0].name != NULL &&
	       answer->records[0].name[0] == '\0';
}

/* The hops in their order; ANSWER is the MX of the one that asks for it. */
static void
add_hosts(struct mx_query *q, const struct dns_answer *answer)
{
	struct mx_host *host;
	unsigned i, rank = 0;

	for (i = 0; i < q->hops_n; i++, rank += UINT16_MAX + 1) {
		const struct hop *hop = &q->hops[i];

		if (hop->mx && q->implicit) {
			add_host(q, hop, q->domain, rank);
		} else if (hop->mx && answer != NULL) {
			add_mx_hosts(q, hop, answer, rank);
		} else if (!hop->mx) {
			host = add_host(q, hop, hop->host, rank);
			host->is_address = hop->ip.family != 0;
			if (host->is_address)
				host->questions[0].ips[host->questions[0].ips_n++] = hop->ip;
		}
	}
}

static void
on_mx(const struct dns_answer *answer, void *arg)
{
	struct mx_query *q = arg;

	q->mx = NULL;
	q->secure = answer->secure;
	mx_note_ttl(q, answer);
	switch (answer->status) {
	case DNS_OK:
		if (is_null_mx(answer))
			settle(q, MX_PERM, "556 5.1.10 the domain %s takes no mail (null MX)",
			    q->domain);
		else
			add_hosts(q, answer);
		break;
	case DNS_NODATA:
		q->implicit = true;
		add_hosts(q, NULL);
		break;
	case DNS_NXDOMAIN:
		settle(q, MX_PERM, "550 5.1.2 the domain %s does not exist", q->domain);
		break;
	case DNS_TEMP:
		settle(q, MX_TEMP, "451 4.4.3 DNS gives no answer for %s now: %s", q->domain,
		    answer->why != NULL ? answer->why : "no reason given");
		break;
	}
	if (q->why != NULL)
		finish(q);
	else
		ask_addresses(q);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	finish(arg);
}

struct mx_query *
mx_find(const char *destination, const struct mx_self *self,
    void (*callback)(const struct mx_answer *, void *), void *arg)
{
	struct mx_query *q = xcalloc(1, sizeof(*q));

	q->self = self;
	q->callback = callback;
	q->arg = arg;
	q->ttl = UINT32_MAX;
	event_assign(&q->turn, peer_base(), -1, 0, on_turn, q);
	if (destination_parse(destination, &q->hops, &q->hops_n, &q->domain) < 0) {
		settle(q, MX_TEMP, "451 4.3.5 \"%s\" is no destination", destination);
		event_active(&q->turn, 0, 0);
	} else if (q->domain != NULL) {
		q->mx = resolver_ask(q->domain, DNS_MX, on_mx, q);
	} else {
		add_hosts(q, NULL);
		ask_addresses(q);
	}
	return q;
}
