/*
 * check_host() of RFC 7208 4: fetches a domain's record, has its directives judged one after the
 * other, and hands the result to whoever asked: to the include that asks about the domain, or to the
 * end.
 *
 * Includes make a stack of frames, redirects put another record into the same frame, and both are
 * bounded by the limit of lookups; so loops end there.  An error anywhere is the result of the
 * whole (4.6.2, 5.2).
 */
#include <stdlib.h>
#include <string.h>

#include "filters/spf_macro.h"
#include "filters/spf_query.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/resolver.h"

/* The innermost check_host() is over: back to the record whose include asked for it. */
static void
pop(struct spf_query *q)
{
	struct spf_frame *f = q->frame;

	q->frame = f->parent;
	spf_record_free(&f->record);
	free(f->domain);
	free(f);
}

void
spf_leave(struct spf_query *q)
{
	while (q->frame != NULL)
		pop(q);
}

/* --- results --- */

/* A result by a directive of the first record; D is NULL when none matched. */
static char *
explain_result(const struct spf_query *q, enum auth_result result, const struct spf_directive *d)
{
	static const char *const words[] = {
		[AUTH_PASS] = "permits",
		[AUTH_FAIL] = "does not permit",
		[AUTH_SOFTFAIL] = "would rather not permit",
		[AUTH_NEUTRAL] = "says nothing about",
	};
	struct buf b = { 0 };

	buf_addf(&b, "%s %s %s: ", q->sender_domain, words[result], ip_text(&q->client).s);
	if (d == NULL)
		buf_adds(&b, "none of its mechanisms matches");
	else
		buf_addf(&b, "\"%s\"%s", d->text, q->inner != NULL ? q->inner : "");
	if (result == AUTH_PASS && q->blanket)
		buf_adds(&b, "; nearly everybody would pass, so this is no statement of identity");
	return buf_take(&b);
}

/* The outermost record came to a result. */
static void
conclude(struct spf_query *q, enum auth_result result, const struct spf_directive *d)
{
	if (d != NULL)
		q->mechanism = xstrdup(d->text);
	q->result = result;
	q->why = explain_result(q, result, d);
	if (result == AUTH_FAIL)
		spf_explain(q);
	else
		spf_finish(q);
}

/* The directive that is being judged matches. */
static void
matched(struct spf_query *q)
{
	struct spf_frame *f = q->frame;
	const struct spf_directive *d = &f->record.directives[f->next];

	q->blanket = q->blanket || f->blanket || spf_directive_is_blanket(d, &q->client);
	if (f->parent == NULL) {
		conclude(q, d->result, d);
	} else if (d->result == AUTH_PASS) {
		if (q->inner == NULL)
			q->inner = xasprintf(
			    ", and there, in the record of %s, \"%s\"", f->domain, d->text);
		pop(q);
		matched(q);
	} else {
		q->blanket = false;
		free(q->inner);
		q->inner = NULL;
		pop(q);
		q->frame->next++;
	}
}

/* The innermost record has no directive left. */
static void
unmatched(struct spf_query *q)
{
	if (q->frame->parent == NULL) {
		conclude(q, AUTH_NEUTRAL, NULL);
		return;
	}
	pop(q);
	q->frame->next++;
}

/* There is no record where one was looked for. */
static void
missing(struct spf_query *q, const char *why)
{
	const struct spf_frame *f = q->frame;

	if (f->redirected || f->parent != NULL)
		spf_decide(q, AUTH_PERMERROR, "%s%s, but a record %s it", f->domain, why,
		    f->redirected ? "is redirected to" : "includes");
	else
		spf_decide(q, AUTH_NONE, "%s%s", f->domain, why);
}

/* --- records --- */

/* Says where the mistake is; a record is a stranger's octets. */
static void
refuse_record(struct spf_query *q, const struct dns_record *r, const struct spf_mistake *m)
{
	struct buf term = { 0 };
	size_t i;

	for (i = m->term; i < m->term + m->term_len; i++)
		buf_addc(&term, r->data[i] > ' ' && r->data[i] < 0x7f ? (char)r->data[i] : '?');
	spf_decide(q, AUTH_PERMERROR, "the record of %s is wrong at \"%s\", character %zu: %s",
	    q->frame->domain, buf_str(&term), m->at + 1, m->why);
	buf_free(&term);
}

static void evaluate(struct spf_query *);

static void
take_record(struct spf_query *q, const struct dns_record *r)
{
	struct spf_mistake mistake;

	if (spf_record_parse(r->data, r->data_len, &q->frame->record, &mistake))
		evaluate(q);
	else
		refuse_record(q, r, &mistake);
}

static void
on_records(const struct dns_answer *a, void *arg)
{
	struct spf_query *q = arg;
	const struct dns_record *found = NULL;
	unsigned i, n = 0;

	q->question = NULL;
	if (a->status == DNS_TEMP) {
		spf_decide(q, AUTH_TEMPERROR, "%s could not be asked for its record: %s",
		    q->frame->domain, a->why);
		return;
	}
	for (i = 0; i < a->records_n; i++)
		if (spf_record_is(a->records[i].data, a->records[i].data_len)) {
			found = &a->records[i];
			n++;
		}
	if (n == 1)
		take_record(q, found);
	else if (n == 0)
		missing(q, a->status == DNS_NXDOMAIN ? " does not exist" : " has no SPF record");
	else
		spf_decide(q, AUTH_PERMERROR, "%s has %u SPF records, and only one is allowed",
		    q->frame->domain, n);
}

/* RFC 7208 4.3: a multi-label name that DNS can hold, in ASCII. */
static bool
domain_ok(const char *domain)
{
	const char *s;

	for (s = domain; *s != '\0'; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return false;
	return *domain != '[' && strchr(domain, '.') != NULL && spf_name_ok(domain);
}

static void
fetch_record(struct spf_query *q)
{
	const char *domain = q->frame->domain;

	if (*domain == '\0' && q->frame->parent == NULL && !q->frame->redirected)
		spf_decide(q, AUTH_NONE, "there is no domain to ask about");
	else if (domain_ok(domain))
		spf_ask_dns(q, domain, DNS_TXT, on_records);
	else
		missing(q, " is not a domain name");
}

void
spf_check_host(struct spf_query *q, char *domain)
{
	struct spf_frame *f = xcalloc(1, sizeof(*f));

	f->parent = q->frame;
	f->domain = domain;
	q->frame = f;
	fetch_record(q);
}

/* redirect= (6.1): another record in place of this one. */
static void
redirect(struct spf_query *q)
{
	struct spf_frame *f = q->frame;
	const char *spec = f->record.redirect;
	char *target;

	if (!spf_names_ready(q, spec, redirect) || !spf_count_lookup(q, spec))
		return;
	target = spf_target(q, spec);
	f->blanket = f->blanket || spf_domain_is_clients(spec);
	f->redirected = true;
	spf_record_free(&f->record);
	free(f->domain);
	f->domain = target;
	f->next = 0;
	fetch_record(q);
}

/* --- evaluation --- */

/* What the directive that is being judged has come to; false: the next one has to wait for an answer,
 * or there is no next one. */
static bool
take_verdict(struct spf_query *q, enum spf_verdict verdict)
{
	struct spf_frame *f = q->frame;

	switch (verdict) {
	case SPF_NO:
		f->next++;
		return true;
	case SPF_YES:
		matched(q);
		return true;
	case SPF_ASK_OTHER:
		spf_check_host(q, spf_target(q, f->record.directives[f->next].domain));
		return false;
	case SPF_LATER:
		break;
	}
	return false;
}

static void
on_verdict(struct spf_query *q, enum spf_verdict verdict)
{
	if (take_verdict(q, verdict))
		evaluate(q);
}

/* Goes on with the innermost record. */
static void
evaluate(struct spf_query *q)
{
	struct spf_frame *f;
	bool goes_on = true;

	while (goes_on && !q->decided && !q->explaining) {
		f = q->frame;
		if (f->next < f->record.n) {
			goes_on = take_verdict(q, spf_judge(q, on_verdict));
		} else if (f->record.redirect != NULL) {
			redirect(q);
			goes_on = false;
		} else {
			unmatched(q);
		}
	}
}
