/*
 * An SPF question from its beginning to its end (spf.h).
 *
 * The session waits for it, so it ends: by its limits of lookups, of time, or by an answer.  DNS
 * trouble is temperror, never a word against the client.  What it asks is made of strangers' text
 * (a sender, a HELO, records), so every name is written for DNS octet by octet, and what comes back
 * is printable before anybody logs it or sends it in a reply.
 *
 * Nothing is freed while its own steps run: spf_finish stops what is under way and sets the timer
 * to now.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "filters/spf.h"
#include "filters/spf_macro.h"
#include "filters/spf_query.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

/* --- names --- */

bool
spf_name_ok(const char *name)
{
	size_t label = 0;
	const char *s;

	for (s = name; *s != '\0'; s++) {
		label = *s == '.' ? 0 : label + 1;
		if (label > LABEL_MAX || (*s == '.' && (s == name || s[-1] == '.')))
			return false;
	}
	return label > 0 && (size_t)(s - name) <= SPF_NAME_MAX;
}

void
spf_ask_dns(struct spf_query *q, const char *name, uint16_t type, dns_callback callback)
{
	struct buf b = { 0 };

	/* a macro can put any octet of a sender or a HELO into a name: the resolver reads those as
	 * \DDD */
	for (; *name != '\0'; name++) {
		if (*name > ' ' && *name < 0x7f && *name != '\\')
			buf_addc(&b, *name);
		else
			buf_addf(&b, "\\%03u", (unsigned char)*name);
	}
	q->question = resolver_ask(buf_str(&b), type, callback, q);
	buf_free(&b);
}

bool
spf_name_is_in(const char *name, const char *domain)
{
	size_t len = strlen(name), domain_len = strlen(domain);

	if (len < domain_len || strcasecmp(name + len - domain_len, domain) != 0)
		return false;
	return len == domain_len || name[len - domain_len - 1] == '.';
}

/* %{p}: of the client's names the domain itself, or one below it, or any (RFC 7208 7.3). */
static const char *
validated_name(const struct spf_query *q)
{
	const char *domain = q->frame->domain;
	unsigned i;

	for (i = 0; i < q->names_n; i++)
		if (strcasecmp(q->names[i], domain) == 0)
			return q->names[i];
	for (i = 0; i < q->names_n; i++)
		if (spf_name_is_in(q->names[i], domain))
			return q->names[i];
	return q->names_n > 0 ? q->names[0] : "unknown";
}

static struct spf_macro_values
macro_values(const struct spf_query *q)
{
	return (struct spf_macro_values){ .client = &q->client,
		.local = q->local,
		.sender_domain = q->sender_domain,
		.domain = q->frame->domain,
		.helo = q->helo,
		.validated = validated_name(q),
		.receiver = q->host,
		.now = clock_now() };
}

char *
spf_target(const struct spf_query *q, const char *spec)
{
	struct spf_macro_values values = macro_values(q);

	return spec != NULL ? spf_macro_target(spec, &values) : xstrdup(q->frame->domain);
}

static void
on_names(const struct rdns *r, void *arg)
{
	struct spf_query *q = arg;

	q->rdns = NULL;
	q->names_known = true;
	for (; q->names_n < r->names_n; q->names_n++)
		q->names[q->names_n] = xstrdup(r->names[q->names_n]);
	q->resume(q);
}

bool
spf_names_ready(struct spf_query *q, const char *spec, void (*resume)(struct spf_query *))
{
	if (q->names_known || (spec != NULL && !spf_macro_uses(spec, 'p')))
		return true;
	q->resume = resume;
	q->rdns = rdns_ask(&q->client, on_names, q);
	return false;
}

/* --- limits --- */

bool
spf_count_lookup(struct spf_query *q, const char *spec)
{
	q->lookups += spec != NULL && spf_macro_uses(spec, 'p') ? 2 : 1;
	if (q->lookups <= SPF_LOOKUPS_MAX)
		return true;
	spf_decide(q, AUTH_PERMERROR,
	    "the records of %s need more than %d DNS lookups (RFC 7208 4.6.4)", q->sender_domain,
	    SPF_LOOKUPS_MAX);
	return false;
}

bool
spf_count_void(struct spf_query *q)
{
	if (++q->voids <= SPF_VOID_MAX)
		return true;
	spf_decide(q, AUTH_PERMERROR,
	    "the records of %s name more than %d things that DNS does not have "
	    "(RFC 7208 4.6.4)",
	    q->sender_domain, SPF_VOID_MAX);
	return false;
}

/* --- the end --- */

/* Nothing is under way afterwards. */
static void
stop(struct spf_query *q)
{
	unsigned i;

	if (q->question != NULL)
		resolver_cancel(q->question);
	if (q->rdns != NULL)
		rdns_cancel(q->rdns);
	for (i = 0; i < q->hosts_n; i++)
		if (q->hosts[i].question != NULL)
			resolver_cancel(q->hosts[i].question);
	q->question = NULL;
	q->rdns = NULL;
	q->hosts_n = q->hosts_pending = 0;
}

void
spf_finish(struct spf_query *q)
{
	const struct timeval now = { 0 };

	stop(q);
	q->decided = true;
	event_add(q->timer, &now);
}

void
spf_decide(struct spf_query *q, enum auth_result result, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	q->why = xvasprintf(fmt, ap);
	va_end(ap);
	q->result = result;
	spf_finish(q);
}

static void
query_free(struct spf_query *q)
{
	struct spf_frame *f;

	while ((f = q->frame) != NULL) {
		q->frame = f->parent;
		spf_frame_free(f);
	}
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
	stop(q);
	query_free(q);
}

/* --- the explanation --- */

/* The domain's words are there, and the client's names if they want them.  They are for a reply and
 * a log line: printable ASCII (RFC 7208 6.2), of bounded length. */
static void
take_words(struct spf_query *q)
{
	struct spf_macro_values values = macro_values(q);
	struct buf b = { 0 };
	size_t i;

	spf_macro_expand(&b, q->words, &values);
	for (i = 0; i < b.len; i++)
		if (b.data[i] < ' ' || b.data[i] > '~')
			b.data[i] = '?';
	if (b.len > SPF_EXPLANATION_MAX)
		b.data[SPF_EXPLANATION_MAX] = '\0';
	q->explanation = buf_take(&b);
	spf_finish(q);
}

/* Whatever is wrong with an explanation, there is none (6.2); an empty one says nothing either. */
static void
on_explanation(const struct dns_answer *a, void *arg)
{
	struct spf_query *q = arg;
	const struct dns_record *r = a->records;
	size_t at;

	q->question = NULL;
	if (a->status != DNS_OK || a->records_n != 1 || r->data_len == 0 ||
	    spf_macro_check((const char *)r->data, r->data_len, SPF_EXPLANATION, &at) != NULL) {
		spf_finish(q);
		return;
	}
	q->words = xstrndup((const char *)r->data, r->data_len);
	if (spf_names_ready(q, q->words, take_words))
		take_words(q);
}

void
spf_explain(struct spf_query *q)
{
	const char *spec = q->frame->record.exp;
	char *target;

	q->explaining = true;
	if (spec == NULL) {
		spf_finish(q);
		return;
	}
	if (!spf_names_ready(q, spec, spf_explain))
		return;
	target = spf_target(q, spec);
	if (spf_name_ok(target))
		spf_ask_dns(q, target, DNS_TXT, on_explanation);
	else
		spf_finish(q);
	free(target);
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
