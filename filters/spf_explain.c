/*
 * The domain's own words for a fail: exp= (RFC 7208 6.2).
 *
 * The result is there already, and nothing here changes it.
 */
#include <stdlib.h>

#include "filters/spf_macro.h"
#include "filters/spf_query.h"
#include "lib/buf.h"
#include "lib/mem.h"

/* The domain's words are there, and the client's names if they want them.  They are for a reply and
 * a log line: printable ASCII (RFC 7208 6.2), of bounded length. */
static void
take_words(struct spf_query *q)
{
	struct buf b = { 0 };
	size_t i;

	spf_expand(q, q->words, &b);
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
