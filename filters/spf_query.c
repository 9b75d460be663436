/*
 * What every step of an SPF question may need: names for DNS, the client's own names, the limits of
 * RFC 7208 4.6.4, and the decision.
 *
 * Names are made of strangers' text (a sender, a HELO, records), so each is written for DNS octet by
 * octet.  Nothing is freed while its own steps run: spf_finish stops what is under way and sets the
 * timer to now.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "filters/spf_macro.h"
#include "filters/spf_query.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
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

void
spf_expand(const struct spf_query *q, const char *text, struct buf *out)
{
	struct spf_macro_values values = macro_values(q);

	spf_macro_expand(out, text, &values);
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

/* --- the decision --- */

void
spf_stop(struct spf_query *q)
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

	spf_stop(q);
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
