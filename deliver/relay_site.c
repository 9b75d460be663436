/*
 * The queue's questions, where a destination leads: before it gives out the first job of one, it
 * wants to know which others have the same servers, so that all of them have one window there and
 * are dead together.
 *
 * The relay role has the ways (way.c) and the rules for providers, so it answers; the job that
 * follows finds the way known.  What DNS cannot tell is no site, and the job will say why.
 */
#include <stdlib.h>

#include "deliver/relay_inside.h"
#include "lib/mem.h"

struct relay_question {
	TAILQ_ENTRY(relay_question) entry;
	struct peer *queue;
	struct way_query *finding;
	char *destination;
};

static void
question_free(struct relay_question *question)
{
	TAILQ_REMOVE(&relay.questions, question, entry);
	way_cancel(question->finding);
	free(question->destination);
	free(question);
}

static void
on_found(const struct way *way, void *arg)
{
	struct relay_question *question = arg;
	struct delivery_site site = { .destination = question->destination,
		.site = way->site != NULL ? way->site : "",
		.most = way->provider != NULL ? way->provider->concurrency : 0,
		.holds = way->holds };

	question->finding = NULL;
	delivery_send_site(question->queue->channel, &site);
	question_free(question);
}

bool
relay_site_asked(struct peer *queue, struct message *m)
{
	const char *destination = delivery_read_way(m);
	struct relay_question *question;

	if (destination == NULL)
		return false;
	question = xcalloc(1, sizeof(*question));
	question->queue = queue;
	question->destination = xstrdup(destination);
	TAILQ_INSERT_TAIL(&relay.questions, question, entry);
	question->finding = way_find(question->destination, &relay.self, on_found, question);
	return true;
}

void
relay_site_forget(const struct peer *queue)
{
	struct relay_question *question, *next;

	TAILQ_FOREACH_SAFE(question, &relay.questions, entry, next) {
		if (question->queue == queue)
			question_free(question);
	}
}
