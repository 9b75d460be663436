/*
 * An SPF question from its beginning to its end (spf.h).
 *
 * The session waits for it, so it ends: by its limits of lookups, of time, or by an answer.  DNS
 * trouble is temperror, never a word against the client.  What comes back is printable before
 * anybody logs it or sends it in a reply.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "filters/spf.h"
#include "filters/spf_query.h"
#include "lib/mem.h"
#include "lib/peer.h"

static void
query_free(struct spf_query *q)
{
	spf_leave(q);
	while (q->names_n > 0)
		free(q->names[--q->names_n]);
	event_free(q->timer);
	free(q->hosts_why);
	free(q->helo);
	free(q->host);
	free(q->local);
	free(q->sender_domain);
	free(q->mechanism);
	free(q->words);
	free(q->explanation);
	free(q->why);
	free(q->inner);
	free(q);
}

static void
deliver(struct spf_query *q)
{
	struct spf_answer answer = { .result = q->result,
		.domain = q->sender_domain,
		.mechanism = q->mechanism,
		.explanation = q->explanation,
		.why = q->why,
		.blanket = q->result == AUTH_PASS && q->blanket };
	char *s;

	for (s = q->sender_domain; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
	q->callback(&answer, q->arg);
	query_free(q);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct spf_query *q = arg;

	(void)fd;
	(void)what;
	if (q->decided)
		deliver(q);
	else if (q->explaining) /* too late for words, not for the result */
		spf_finish(q);
	else
		spf_decide(q, AUTH_TEMPERROR, "the records of %s could not be evaluated in time",
		    q->sender_domain);
}

void
spf_cancel(struct spf_query *q)
{
	spf_stop(q);
	query_free(q);
}

/* --- the beginning --- */

/* The null reverse-path is postmaster at the HELO name (2.4); a missing local part is postmaster's
 * as well (4.3). */
static void
take_sender(struct spf_query *q, const char *sender)
{
	const char *at = sender != NULL ? strrchr(sender, '@') : NULL;
	const char *domain = at != NULL ? at + 1 : sender;
	size_t len;

	if (sender == NULL || *sender == '\0')
		domain = q->helo;
	len = strlen(domain);
	q->sender_domain = xstrndup(domain, len > 0 && domain[len - 1] == '.' ? len - 1 : len);
	q->local = at != NULL && at > sender ? xstrndup(sender, (size_t)(at - sender))
					     : xstrdup("postmaster");
}

struct spf_query *
spf_ask(const struct spf_question *question, void (*callback)(const struct spf_answer *, void *),
    void *arg)
{
	unsigned ms = question->limit_ms > 0 ? question->limit_ms : SPF_SECONDS_MAX * 1000;
	const struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct spf_query *q = xcalloc(1, sizeof(*q));

	q->client = question->client;
	q->helo = xstrdup(question->helo != NULL ? question->helo : "");
	q->host = xstrdup(question->host != NULL ? question->host : "unknown");
	q->callback = callback;
	q->arg = arg;
	q->names_known = question->names_known;
	for (; q->names_n < question->names_n && q->names_n < RDNS_NAMES_MAX; q->names_n++)
		q->names[q->names_n] = xstrdup(question->names[q->names_n]);
	take_sender(q, question->sender);
	q->timer = evtimer_new(peer_base(), on_timer, q);
	event_add(q->timer, &limit);
	spf_check_host(q, xstrdup(q->sender_domain));
	return q;
}
