/*
 * The name in HELO (helo.h).
 *
 * The gate asks for its kind while it judges, and the session asks DNS for its address when a rule
 * wants to know.  Only DNS can fail, and then nobody's name is wrong.  That the PTR name of the
 * client is no exception here: where it leads back and looks like a server's, `rdns pass` and
 * `not s25r` hold already, and else it does not resolve or is not server-like.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/helo.h"
#include "filters/s25r.h"
#include "lib/dns.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"

#define LABEL_MAX 63
#define NAME_OCTETS_MAX 253

struct helo_query {
	struct ip client;
	struct resolver_query *question; /* NULL: the answer is no */
	struct event turn;
	void (*callback)(bool, bool, void *);
	void *arg;
};

/* RFC 1035 2.3.1, with the underscore that many hosts have in their names. */
static bool
is_label(const char *label, size_t len)
{
	size_t i;

	if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_')
			return false;
	return true;
}

/* A last label of digits would make it an address (RFC 3696 2). */
static bool
is_full_name(const char *name)
{
	const char *label = name;
	size_t len = strlen(name), n;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_OCTETS_MAX)
		return false;
	while ((n = strcspn(label, ".")) < (size_t)(name + len - label)) {
		if (!is_label(label, n))
			return false;
		label += n + 1;
	}
	n = (size_t)(name + len - label);
	return label > name && is_label(label, n) && strspn(label, "0123456789") < n;
}

enum helo_kind
helo_kind(const char *helo)
{
	struct ip ip;

	if (helo[0] == '[')
		return ip_parse_literal(helo, strlen(helo), &ip) ? HELO_LITERAL : HELO_INVALID;
	return is_full_name(helo) ? HELO_NAME : HELO_INVALID;
}

const char *
helo_kind_name(enum helo_kind kind)
{
	static const char *const names[] = {
		[HELO_NAME] = "name",
		[HELO_LITERAL] = "literal",
		[HELO_INVALID] = "invalid",
		[HELO_OWN_NAME] = "own-name",
	};

	return names[kind];
}

bool
helo_is_server_like(const char *helo, const struct ip *client)
{
	return helo_kind(helo) == HELO_NAME && s25r_match(helo) == S25R_PASS &&
	    !s25r_own_address(helo, client);
}

/* The query goes first: the callback may do what it likes. */
static void
conclude(struct helo_query *query, bool resolves, bool failed)
{
	struct helo_query copy = *query;

	event_del(&query->turn);
	free(query);
	copy.callback(resolves, failed, copy.arg);
}

static void
answered(const struct dns_answer *answer, void *arg)
{
	struct helo_query *query = arg;
	unsigned i;

	for (i = 0; i < answer->records_n && !ip_equal(&answer->records[i].ip, &query->client); i++)
		;
	conclude(query, i < answer->records_n, answer->status == DNS_TEMP);
}

static void
not_asked(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conclude(arg, false, false);
}

struct helo_query *
helo_ask(const char *helo, const struct ip *client, void (*callback)(bool, bool, void *), void *arg)
{
	static const struct timeval now = { 0, 0 };
	struct helo_query *query = xcalloc(1, sizeof(*query));

	query->client = *client;
	query->callback = callback;
	query->arg = arg;
	evtimer_assign(&query->turn, peer_base(), not_asked, query);
	if (helo_is_server_like(helo, client))
		query->question =
		    resolver_ask(helo, client->family == AF_INET ? DNS_A : DNS_AAAA, answered, query);
	else
		evtimer_add(&query->turn, &now);
	return query;
}

void
helo_cancel(struct helo_query *query)
{
	if (query->question != NULL)
		resolver_cancel(query->question);
	event_del(&query->turn);
	free(query);
}
