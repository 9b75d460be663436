/*
 * The answer to "which way" (mx.h): servers and addresses in the order in which they are to be
 * tried, in one block that several who go that way keep together.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/mx_inside.h"
#include "lib/mem.h"

struct kept {
	struct mx_answer answer; /* first: it is what others see */
	unsigned refs;
	struct mx_server *servers;
	unsigned servers_n;
	struct mx_address *addresses;
};

static unsigned
count_host(const struct mx_host *host)
{
	return host->is_self ? 0 : host->questions[0].ips_n + host->questions[1].ips_n;
}

unsigned
mx_count_addresses(const struct mx_query *q)
{
	unsigned i, n = 0;

	for (i = 0; i < q->hosts_n; i++)
		n += count_host(&q->hosts[i]);
	return n < MX_ADDRESSES_MAX ? n : MX_ADDRESSES_MAX;
}

void
mx_note_ttl(struct mx_query *q, const struct dns_answer *answer)
{
	if (answer->ttl < q->ttl)
		q->ttl = answer->ttl;
}

/* --- filling --- */

static char *
copy_or_null(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

static void
add_server(struct kept *kept, const struct mx_host *host)
{
	struct tlsa *tlsa = NULL;
	unsigned i;

	if (host->tlsa_n > 0)
		tlsa = xcalloc(host->tlsa_n, sizeof(*tlsa));
	for (i = 0; i < host->tlsa_n; i++) {
		tlsa[i].len = host->tlsa[i].len;
		tlsa[i].data = xmalloc(tlsa[i].len);
		memcpy(tlsa[i].data, host->tlsa[i].data, tlsa[i].len);
	}
	kept->servers[kept->servers_n++] = (struct mx_server){ .name = xstrdup(host->name),
		.port = host->port,
		.rank = host->rank,
		.by_mx = host->by_mx,
		.tls = host->hop->tls,
		.implicit_tls = host->hop->implicit_tls,
		.login = copy_or_null(host->hop->login),
		.source4 = host->hop->source4,
		.source6 = host->hop->source6,
		.helo = copy_or_null(host->hop->helo),
		.dane = host->dane,
		.dane_name = copy_or_null(host->dane_name),
		.tlsa_n = host->tlsa_n,
		.tlsa = tlsa };
}

static void
add_addresses(struct kept *kept, const struct mx_host *host)
{
	const struct mx_server *server = &kept->servers[kept->servers_n - 1];
	unsigned i, k;

	for (i = 0; i < FAMILIES; i++) {
		const struct mx_question *question = &host->questions[i];

		for (k = 0; k < question->ips_n && kept->answer.addresses_n < MX_ADDRESSES_MAX; k++)
			kept->addresses[kept->answer.addresses_n++] =
			    (struct mx_address){ .host = server->name,
				    .ip = question->ips[k],
				    .port = server->port,
				    .rank = server->rank,
				    .server = server };
	}
}

struct mx_answer *
mx_answer_new(const struct mx_query *q)
{
	struct kept *kept = xcalloc(1, sizeof(*kept));
	unsigned i;

	kept->refs = 1;
	kept->answer = (struct mx_answer){ .status = q->status,
		.why = copy_or_null(q->why),
		.domain = copy_or_null(q->domain),
		.by_mx = q->domain != NULL,
		.secure = q->secure,
		.ttl = q->ttl };
	if (q->why != NULL)
		return &kept->answer;
	kept->servers = xcalloc(q->hosts_n, sizeof(*kept->servers));
	kept->addresses = xcalloc(MX_ADDRESSES_MAX, sizeof(*kept->addresses));
	kept->answer.addresses = kept->addresses;
	for (i = 0; i < q->hosts_n; i++) {
		if (count_host(&q->hosts[i]) == 0)
			continue;
		add_server(kept, &q->hosts[i]);
		add_addresses(kept, &q->hosts[i]);
	}
	return &kept->answer;
}

/* --- keeping --- */

static struct kept *
kept_of(const struct mx_answer *answer)
{
	return (struct kept *)(uintptr_t)answer;
}

const struct mx_answer *
mx_answer_keep(const struct mx_answer *answer)
{
	kept_of(answer)->refs++;
	return answer;
}

static void
free_server(const struct mx_server *server)
{
	unsigned i;

	for (i = 0; i < server->tlsa_n; i++)
		free(server->tlsa[i].data);
	free((struct tlsa *)(uintptr_t)server->tlsa);
	free((char *)(uintptr_t)server->name);
	free((char *)(uintptr_t)server->login);
	free((char *)(uintptr_t)server->helo);
	free((char *)(uintptr_t)server->dane_name);
}

void
mx_answer_drop(const struct mx_answer *answer)
{
	struct kept *kept;
	unsigned i;

	if (answer == NULL || --kept_of(answer)->refs > 0)
		return;
	kept = kept_of(answer);
	for (i = 0; i < kept->servers_n; i++)
		free_server(&kept->servers[i]);
	free(kept->servers);
	free(kept->addresses);
	free((char *)(uintptr_t)answer->why);
	free((char *)(uintptr_t)answer->domain);
	free(kept);
}
