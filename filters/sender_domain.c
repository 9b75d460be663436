/*
 * The sender's domain in DNS (sender_domain.h).
 *
 * The session asks at MAIL.  MX first; a domain without any is asked for both kinds of address at
 * the same time.  Where some of the answers are missing the result is "temperror" unless another
 * shows that the domain resolves: trouble with DNS never makes a domain that is not there.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/sender_domain.h"
#include "lib/dns.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"

enum { QUESTION_MX, QUESTION_A, QUESTION_AAAA, QUESTIONS };

struct sender_domain_query {
	char *domain;
	struct resolver_query *questions[QUESTIONS]; /* NULL: not under way */
	enum sender_domain result;
	struct event turn;
	void (*callback)(enum sender_domain, void *);
	void *arg;
};

const char *
sender_domain_name(enum sender_domain result)
{
	static const char *const names[] = {
		[SENDER_DOMAIN_RESOLVES] = "resolves",
		[SENDER_DOMAIN_NONE] = "none",
		[SENDER_DOMAIN_NULLMX] = "nullmx",
		[SENDER_DOMAIN_TEMPERROR] = "temperror",
	};

	return names[result];
}

void
sender_domain_cancel(struct sender_domain_query *query)
{
	unsigned i;

	for (i = 0; i < QUESTIONS; i++)
		if (query->questions[i] != NULL)
			resolver_cancel(query->questions[i]);
	event_del(&query->turn);
	free(query->domain);
	free(query);
}

/* The query goes first: the callback may do what it likes. */
static void
conclude(struct sender_domain_query *query)
{
	void (*callback)(enum sender_domain, void *) = query->callback;
	enum sender_domain result = query->result;
	void *arg = query->arg;

	sender_domain_cancel(query);
	callback(result, arg);
}

static void
take_address(struct sender_domain_query *query, const struct dns_answer *answer, unsigned mine)
{
	query->questions[mine] = NULL;
	if (answer->status == DNS_OK)
		query->result = SENDER_DOMAIN_RESOLVES;
	else if (answer->status == DNS_TEMP && query->result == SENDER_DOMAIN_NONE)
		query->result = SENDER_DOMAIN_TEMPERROR;
	if (query->result == SENDER_DOMAIN_RESOLVES ||
	    (query->questions[QUESTION_A] == NULL && query->questions[QUESTION_AAAA] == NULL))
		conclude(query);
}

static void
answered_a(const struct dns_answer *answer, void *arg)
{
	take_address(arg, answer, QUESTION_A);
}

static void
answered_aaaa(const struct dns_answer *answer, void *arg)
{
	take_address(arg, answer, QUESTION_AAAA);
}

/* RFC 7505 3: a single MX whose exchange is the root. */
static bool
is_null_mx(const struct dns_answer *answer)
{
	return answer->records_n == 1 && answer->records[0].name[0] == '\0';
}

static void
answered_mx(const struct dns_answer *answer, void *arg)
{
	struct sender_domain_query *query = arg;

	query->questions[QUESTION_MX] = NULL;
	if (answer->status == DNS_NODATA) {
		query->result = SENDER_DOMAIN_NONE;
		query->questions[QUESTION_A] = resolver_ask(query->domain, DNS_A, answered_a, query);
		query->questions[QUESTION_AAAA] =
		    resolver_ask(query->domain, DNS_AAAA, answered_aaaa, query);
		return;
	}
	if (answer->status == DNS_OK)
		query->result = is_null_mx(answer) ? SENDER_DOMAIN_NULLMX : SENDER_DOMAIN_RESOLVES;
	else
		query->result =
		    answer->status == DNS_TEMP ? SENDER_DOMAIN_TEMPERROR : SENDER_DOMAIN_NONE;
	conclude(query);
}

static void
not_asked(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conclude(arg);
}

struct sender_domain_query *
sender_domain_ask(const char *sender, void (*callback)(enum sender_domain, void *), void *arg)
{
	static const struct timeval now = { 0, 0 };
	struct sender_domain_query *query = xcalloc(1, sizeof(*query));
	const char *at = strrchr(sender, '@');

	query->callback = callback;
	query->arg = arg;
	query->result = SENDER_DOMAIN_RESOLVES;
	evtimer_assign(&query->turn, peer_base(), not_asked, query);
	if (at == NULL || at[1] == '[') {
		evtimer_add(&query->turn, &now);
		return query;
	}
	query->domain = xstrdup(at + 1);
	query->questions[QUESTION_MX] = resolver_ask(query->domain, DNS_MX, answered_mx, query);
	return query;
}
