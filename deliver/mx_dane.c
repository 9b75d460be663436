/*
 * The TLSA records of mail servers (RFC 7672 2.2).
 *
 * Called when the addresses of all hosts are known, for those that DNSSEC vouches for: name servers
 * of unsigned zones, some of which fail on TLSA, are never asked (2.2.2).  A host that is an alias
 * has its records at the name it stands for, or else at its own; where only the alias itself is
 * signed, at its own.  The first of these names with signed records is the one that certificates
 * are judged by.
 *
 * An answer that is forged, or does not come, makes the host unreachable, for whoever could keep the
 * records from us could also be the one who answers in the host's place (2.1.2).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/mx_inside.h"
#include "lib/mem.h"

static void ask_next(struct mx_host *);

void
mx_dane_note(struct mx_host *host, const struct dns_answer *answer)
{
	if (answer->status != DNS_OK)
		return;
	host->found = true;
	host->insecure |= !answer->secure;
	if (host->canonical == NULL && answer->canonical != NULL &&
	    strcasecmp(answer->canonical, host->name) != 0)
		host->canonical = xstrdup(answer->canonical);
}

void
mx_dane_release(struct mx_host *host)
{
	unsigned i;

	if (host->asked != NULL)
		resolver_cancel(host->asked);
	for (i = 0; i < host->tlsa_n; i++)
		free(host->tlsa[i].data);
	free(host->tlsa);
	free(host->canonical);
}

static void
keep_record(struct mx_host *host, const struct dns_record *record)
{
	struct tlsa *tlsa;

	if (host->tlsa_n == MX_TLSA_MAX || !tlsa_is_usable(record->data, record->data_len))
		return;
	host->tlsa = xreallocarray(host->tlsa, host->tlsa_n + 1, sizeof(*host->tlsa));
	tlsa = &host->tlsa[host->tlsa_n++];
	tlsa->len = record->data_len;
	tlsa->data = xmalloc(tlsa->len);
	memcpy(tlsa->data, record->data, tlsa->len);
}

static void
on_tlsa(const struct dns_answer *answer, void *arg)
{
	struct mx_host *host = arg;
	unsigned i;

	host->asked = NULL;
	mx_note_ttl(host->query, answer);
	if (answer->status == DNS_TEMP) {
		host->dane = DANE_FAILED;
	} else if (answer->status == DNS_OK && answer->secure) {
		for (i = 0; i < answer->records_n; i++)
			keep_record(host, &answer->records[i]);
		host->dane = host->tlsa_n > 0 ? DANE_USABLE : DANE_UNUSABLE;
		host->dane_name = host->bases[0];
	} else if (host->bases[1] != NULL) {
		host->bases[0] = host->bases[1];
		host->bases[1] = NULL;
		ask_next(host);
		return;
	}
	host->query->dane_answered(host->query);
}

static void
ask_next(struct mx_host *host)
{
	char *name = xasprintf("_%u._tcp.%s", host->port, host->bases[0]);

	host->asked = resolver_ask(name, DNS_TLSA, on_tlsa, host);
	free(name);
}

/* Addresses at the end of an alias that are not signed; is the alias? */
static void
on_cname(const struct dns_answer *answer, void *arg)
{
	struct mx_host *host = arg;

	host->asked = NULL;
	mx_note_ttl(host->query, answer);
	if (answer->status == DNS_OK && answer->secure) {
		host->bases[0] = host->name;
		ask_next(host);
		return;
	}
	if (answer->status == DNS_TEMP)
		host->dane = DANE_FAILED;
	host->query->dane_answered(host->query);
}

/* DANE rests on a chain: the MX is signed (or the configuration names the host), the host is. */
static bool
may_have_dane(const struct mx_query *q, const struct mx_host *host)
{
	if (host->is_self || host->is_address || !host->found || host->hop->tls == HOP_TLS_OFF)
		return false;
	return (!host->by_mx || q->secure) && (!host->insecure || host->canonical != NULL);
}

void
mx_dane_ask(struct mx_query *q, void (*answered)(struct mx_query *))
{
	unsigned i;

	q->dane_answered = answered;
	for (i = 0; i < q->hosts_n; i++) {
		struct mx_host *host = &q->hosts[i];

		if (!may_have_dane(q, host))
			continue;
		q->open++;
		if (host->insecure) {
			host->asked = resolver_ask(host->name, DNS_CNAME, on_cname, host);
			continue;
		}
		host->bases[0] = host->canonical != NULL ? host->canonical : host->name;
		host->bases[1] = host->canonical != NULL ? host->name : NULL;
		ask_next(host);
	}
}
