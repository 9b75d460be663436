/*
 * One client's questions to blocklists (dnsbl_ask.h).
 *
 * The session asks while its client waits for the banner anyway.  Every answer is told on at once,
 * because it may settle what the rules want to know before a slower zone has spoken.  A zone that
 * gives no answer in the resolver's time has failed, and so has one that is not asked because it is
 * out of order; neither is ever a listing.
 */
#include <stdlib.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/dnsbl_ask.h"
#include "lib/dns.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"

struct question {
	struct dnsbl_query *query;
	struct resolver_query *resolver; /* while asked */
	unsigned number;
};

struct dnsbl_query {
	struct dnsbl_ask ask;
	struct dnsbl_answers answers;
	unsigned pending;
	struct event turn; /* when nobody is asked */
	unsigned questions_n;
	struct question questions[];
};

static void
query_free(struct dnsbl_query *query)
{
	event_del(&query->turn);
	free(query);
}

/* Tells what is known; with the last answer the query goes before the callback runs, which may do
 * what it likes. */
static void
tell(struct dnsbl_query *query)
{
	struct dnsbl_answers answers = query->answers;
	struct dnsbl_ask ask = query->ask;
	bool last = query->pending == 0;

	if (last)
		query_free(query);
	ask.done(&answers, last, ask.arg);
}

/* Whether the zone listed the client at all, by whatever reply. */
static void
observe(const struct dnsbl_query *query, unsigned question, const struct dns_answer *answer)
{
	enum dnsbl_reply reply = DNSBL_FAILED;
	struct dnsbl_mask any = { 0 };
	unsigned i;

	if (query->ask.observe == NULL)
		return;
	for (i = 0; i < sizeof(any.octets) / sizeof(any.octets[0][0]); i++)
		any.octets[i / 8][i % 8] = UINT32_MAX;
	reply = dnsbl_judge(answer, &any);
	query->ask.observe(question, reply);
}

static void
answered(const struct dns_answer *answer, void *arg)
{
	struct question *question = arg;
	struct dnsbl_query *query = question->query;

	question->resolver = NULL;
	query->pending--;
	observe(query, question->number, answer);
	dnsbl_take(query->ask.set, question->number, answer, &query->answers);
	tell(query);
}

static void
nobody_asked(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell(arg);
}

static void
ask(struct dnsbl_query *query, unsigned number, const struct ip *client)
{
	static const struct dns_answer none = { .status = DNS_TEMP, .why = "not asked", .canonical = "" };
	struct question *question = &query->questions[number];
	char name[DNSBL_NAME_MAX];

	question->query = query;
	question->number = number;
	if (!(query->ask.questions & DNSBL_BIT(number)) ||
	    !dnsbl_name(client, dnsbl_set_zone(query->ask.set, number), name)) {
		dnsbl_take(query->ask.set, number, &none, &query->answers);
		return;
	}
	question->resolver = resolver_ask(name, DNS_A, answered, question);
	query->pending++;
}

struct dnsbl_query *
dnsbl_ask(const struct dnsbl_ask *what, const struct ip *client)
{
	static const struct timeval now = { 0, 0 };
	unsigned n = what->set->questions_n, i;
	struct dnsbl_query *query = xcalloc(1, sizeof(*query) + n * sizeof(query->questions[0]));

	query->ask = *what;
	query->questions_n = n;
	evtimer_assign(&query->turn, peer_base(), nobody_asked, query);
	for (i = 0; i < n; i++)
		ask(query, i, client);
	if (query->pending == 0)
		evtimer_add(&query->turn, &now);
	return query;
}

void
dnsbl_cancel(struct dnsbl_query *query)
{
	unsigned i;

	for (i = 0; i < query->questions_n; i++)
		if (query->questions[i].resolver != NULL)
			resolver_cancel(query->questions[i].resolver);
	query_free(query);
}
