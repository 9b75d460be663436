/*
 * Paranoid DNS: the names of an address, and which of them lead back to it.  The session asks at
 * connect, the greet pause runs meanwhile, and smtpctl's explain asks the same.
 *
 * One question for the PTR records, then one for every name at the same time.  The verdict waits
 * for all of them, since the name that is chosen must not depend on which answer was quicker, and
 * since a name that nobody could be asked about must not hide another that leads back.  What fails
 * is DNS, and then the verdict is RDNS_TEMPERROR: never a lie about the caller.  Names are taken in
 * order of the alphabet, because DNS gives them in any order and the caller is to be the same
 * caller next time.
 */
#include <sys/socket.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "filters/rdns.h"
#include "filters/s25r.h"
#include "lib/mem.h"
#include "lib/resolver.h"

/* RFC 1035 2.3.4, as text without the last dot */
#define NAME_MAX_OCTETS 253
#define LABEL_MAX_OCTETS 63

enum name_state {
	NAME_ASKED,
	NAME_VERIFIED,
	NAME_DENIED, /* does not lead back, or cannot */
	NAME_TEMP
};

struct name {
	struct rdns_query *query;
	struct resolver_query *question; /* while asked */
	char *text;
	char *why; /* NAME_TEMP */
	enum name_state state;
};

struct rdns_query {
	struct ip client;
	void (*callback)(const struct rdns *, void *);
	void *arg;
	struct resolver_query *ptr_question;
	unsigned pending;
	bool outage; /* among the answers that are missing */
	unsigned names_n;
	struct name names[RDNS_NAMES_MAX];
};

/* Does one label fit?  Letters, digits, hyphens; underscores too, which real hosts have. */
static bool
label_possible(const char *label, size_t len)
{
	size_t i;

	if (len == 0 || len > LABEL_MAX_OCTETS)
		return false;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_')
			return false;
	return true;
}

/* Could NAME be a host's?  Not without a dot ("localhost"), not below localhost, which resolvers
 * answer themselves (RFC 6761 6.3), not an address: the last label of a name is never all digits
 * (RFC 3696 2). */
static bool
name_possible(const char *name)
{
	const char *label = name, *dot;

	if (strlen(name) > NAME_MAX_OCTETS)
		return false;
	while ((dot = strchr(label, '.')) != NULL) {
		if (!label_possible(label, (size_t)(dot - label)))
			return false;
		label = dot + 1;
	}
	return label != name && label_possible(label, strlen(label)) &&
	       strcmp(label, "localhost") != 0 && label[strspn(label, "0123456789")] != '\0';
}

static void
query_free(struct rdns_query *query)
{
	unsigned i;

	for (i = 0; i < query->names_n; i++) {
		free(query->names[i].text);
		free(query->names[i].why);
	}
	free(query);
}

/* How much NAME looks like a home line: 0 not, 1 by its form (S25R), 2 by carrying the client's own
 * address. */
static int
home_likeness(const char *name, const struct ip *client)
{
	if (s25r_own_address(name, client))
		return 2;
	return s25r_match(name) != S25R_PASS;
}

static const struct name *
first_in_state(const struct rdns_query *query, enum name_state state)
{
	unsigned i;

	for (i = 0; i < query->names_n; i++)
		if (query->names[i].state == state)
			return &query->names[i];
	return NULL;
}

/* Gathers the verified names; the chosen one is the first of those that look least like a home
 * line. */
static void
choose(const struct rdns_query *query, struct rdns *rdns, const char **verified)
{
	int likeness, least = 3;
	unsigned i;

	for (i = 0; i < query->names_n; i++) {
		if (query->names[i].state != NAME_VERIFIED)
			continue;
		verified[rdns->names_n++] = query->names[i].text;
		likeness = home_likeness(query->names[i].text, &query->client);
		if (likeness < least) {
			least = likeness;
			rdns->name = query->names[i].text;
		}
	}
	rdns->names = verified;
}

static char *
explain(const struct rdns *rdns, const struct name *temporary)
{
	switch (rdns->status) {
	case RDNS_PASS:
		return xasprintf("%s leads back to the client", rdns->name);
	case RDNS_TEMPERROR:
		return xasprintf(
		    "the addresses of %s could not be asked: %s", temporary->text, temporary->why);
	default:
		return xasprintf("%s does not lead back to the client", rdns->claimed);
	}
}

/* All names are judged. */
static void
conclude(struct rdns_query *query)
{
	const struct name *temporary = first_in_state(query, NAME_TEMP);
	const struct name *denied = first_in_state(query, NAME_DENIED);
	const char *verified[RDNS_NAMES_MAX];
	struct rdns rdns = { .status = RDNS_MISMATCH };
	char *why;

	choose(query, &rdns, verified);
	if (denied != NULL || temporary != NULL)
		rdns.claimed = denied != NULL ? denied->text : temporary->text;
	if (rdns.name != NULL)
		rdns.status = RDNS_PASS;
	else if (temporary != NULL)
		rdns.status = RDNS_TEMPERROR;
	rdns.outage = rdns.status == RDNS_TEMPERROR && query->outage;
	why = explain(&rdns, temporary);
	rdns.why = why;
	query->callback(&rdns, query->arg);
	free(why);
	query_free(query);
}

/* There are no names to judge. */
static void
conclude_nameless(struct rdns_query *query, enum rdns_status status, const char *why)
{
	struct rdns rdns = { .status = status, .why = why, .outage = query->outage };

	query->callback(&rdns, query->arg);
	query_free(query);
}

static bool
leads_back(const struct dns_answer *answer, const struct ip *client)
{
	unsigned i;

	for (i = 0; i < answer->records_n; i++)
		if (ip_equal(&answer->records[i].ip, client))
			return true;
	return false;
}

static void
addresses_answered(const struct dns_answer *answer, void *arg)
{
	struct name *name = arg;
	struct rdns_query *query = name->query;

	name->question = NULL;
	if (answer->status == DNS_TEMP) {
		name->state = NAME_TEMP;
		name->why = xstrdup(answer->why);
		query->outage = query->outage || answer->outage;
	} else {
		name->state = leads_back(answer, &query->client) ? NAME_VERIFIED : NAME_DENIED;
	}
	if (--query->pending == 0)
		conclude(query);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The first RDNS_NAMES_MAX different names of ANSWER become the query's. */
static void
take_names(struct rdns_query *query, const struct dns_answer *answer)
{
	const char **all = xcalloc(answer->records_n, sizeof(*all));
	unsigned i;

	for (i = 0; i < answer->records_n; i++)
		all[i] = answer->records[i].name;
	qsort(all, answer->records_n, sizeof(*all), compare_names);
	for (i = 0; i < answer->records_n && query->names_n < RDNS_NAMES_MAX; i++) {
		struct name *name = &query->names[query->names_n];

		if (i > 0 && strcmp(all[i], all[i - 1]) == 0)
			continue;
		name->query = query;
		name->text = xstrdup(all[i]);
		name->state = NAME_DENIED;
		query->names_n++;
	}
	free(all);
}

static void
ask_addresses(struct rdns_query *query)
{
	uint16_t type = query->client.family == AF_INET ? DNS_A : DNS_AAAA;
	unsigned i;

	for (i = 0; i < query->names_n; i++) {
		struct name *name = &query->names[i];

		if (!name_possible(name->text))
			continue;
		name->state = NAME_ASKED;
		query->pending++;
		name->question = resolver_ask(name->text, type, addresses_answered, name);
	}
	if (query->pending == 0)
		conclude(query);
}

static void
ptr_answered(const struct dns_answer *answer, void *arg)
{
	struct rdns_query *query = arg;
	char *why;

	query->ptr_question = NULL;
	switch (answer->status) {
	case DNS_OK:
		take_names(query, answer);
		ask_addresses(query);
		break;
	case DNS_NXDOMAIN:
	case DNS_NODATA:
		conclude_nameless(query, RDNS_NONE, "the client has no PTR record");
		break;
	case DNS_TEMP:
		query->outage = answer->outage;
		why = xasprintf("the client's name could not be asked: %s", answer->why);
		conclude_nameless(query, RDNS_TEMPERROR, why);
		free(why);
		break;
	}
}

struct rdns_query *
rdns_ask(const struct ip *client, void (*callback)(const struct rdns *, void *), void *arg)
{
	struct rdns_query *query = xcalloc(1, sizeof(*query));
	char reverse[80];

	query->client = *client;
	query->callback = callback;
	query->arg = arg;
	ip_reverse_name(client, reverse, sizeof(reverse));
	query->ptr_question = resolver_ask(reverse, DNS_PTR, ptr_answered, query);
	return query;
}

void
rdns_cancel(struct rdns_query *query)
{
	unsigned i;

	if (query->ptr_question != NULL)
		resolver_cancel(query->ptr_question);
	for (i = 0; i < query->names_n; i++)
		if (query->names[i].question != NULL)
			resolver_cancel(query->names[i].question);
	query_free(query);
}

const char *
rdns_status_name(enum rdns_status status)
{
	static const char *const names[] = { "pass", "none", "mismatch", "temperror" };

	return names[status];
}
