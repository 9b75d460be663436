/*
 * A resolver whose answers the test gives.  A program that includes this defines resolver_ask and resolver_cancel, so the
 * library's are not linked; questions wait here until resolver_answer.
 */
#ifndef REGRESS_UNIT_RESOLVER_STUB_H
#define REGRESS_UNIT_RESOLVER_STUB_H

#include <sys/queue.h>

#include <stdlib.h>

#include "lib/mem.h"
#include "lib/resolver.h"

struct resolver_query {
	TAILQ_ENTRY(resolver_query) entry;
	char *name;
	uint16_t type;
	dns_callback callback;
	void *arg;
};
static TAILQ_HEAD(query_list, resolver_query) queries = TAILQ_HEAD_INITIALIZER(queries);

/* The test's: a question has come. */
static void on_question(const char *name, uint16_t type);

struct resolver_query *
resolver_ask(const char *name, uint16_t type, dns_callback callback, void *arg)
{
	struct resolver_query *query = xcalloc(1, sizeof(*query));

	on_question(name, type);
	*query = (struct resolver_query){ .name = xstrdup(name), .type = type, .callback = callback, .arg = arg };
	TAILQ_INSERT_TAIL(&queries, query, entry);
	return query;
}

void
resolver_cancel(struct resolver_query *query)
{
	TAILQ_REMOVE(&queries, query, entry);
	free(query->name);
	free(query);
}

/* The question is over. */
static inline void
resolver_answer(struct resolver_query *query, const struct dns_answer *answer)
{
	TAILQ_REMOVE(&queries, query, entry);
	query->callback(answer, query->arg);
	free(query->name);
	free(query);
}

#endif
