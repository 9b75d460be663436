/*
 * All that is known of a caller, a line or a record for each fact, with the evidence (explain.h):
 * what DNS said, under which name a list was asked, what was assumed, what is not known and why.
 * Decides nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/quantity.h"
#include "smtpctl/explain.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

#define NO_ANSWER "DNS gave no answer"

/* MORE may be NULL. */
static void
tell_fact(struct output *out, const char *fact, const char *value, const char *more)
{
	struct buf line = { 0 };

	if (options.json) {
		output_record(FIELDS(F_STR("part", "fact"), F_STR("fact", fact),
		    F_STR("value", value), F_STR("why", more)), out);
		return;
	}
	buf_addf(&line, "  %-20s %s", fact, value);
	if (more != NULL)
		buf_addf(&line, " (%s)", more);
	output_note(out, "%s", buf_str(&line));
	buf_free(&line);
}

static bool
is_known(const struct caller *c, enum fact fact)
{
	return c->facts.known & FACT_BIT(fact);
}

static const char *
assumed(const struct caller *c, enum fact fact)
{
	return c->assumed & FACT_BIT(fact) ? "assumed" : NULL;
}

static void
show_rdns(const struct caller *c, struct output *out)
{
	const struct facts *f = &c->facts;
	struct buf more = { 0 };

	if (f->name != NULL)
		buf_addf(&more, "%s", f->name);
	else if (f->claimed != NULL)
		buf_addf(&more, "claims %s", f->claimed);
	if (c->rdns_why != NULL)
		buf_addf(&more, "%s%s", more.len > 0 ? "; " : "", c->rdns_why);
	if (c->name_given)
		buf_adds(&more, more.len > 0 ? "; as given" : "as given");
	tell_fact(out, "rdns", rdns_status_name(f->rdns), more.len > 0 ? buf_str(&more) : NULL);
	buf_free(&more);
}

static void
show_s25r(const struct caller *c, struct output *out)
{
	const struct facts *f = &c->facts;
	int rule = s25r_match(f->name);
	char text[32];

	if (f->failed & FACT_BIT(FACT_S25R)) {
		tell_fact(out, "s25r", "not known", NO_ANSWER);
		return;
	}
	snprintf(text, sizeof(text), "rule %d", rule);
	tell_fact(out, "s25r", rule == S25R_PASS ? "pass" : text,
	    rule == 0 ? "no verified name" : rule > 0 ? s25r_expression(rule) : NULL);
	if (f->name != NULL)
		tell_fact(out, "s25r own-address",
		    s25r_own_address(f->name, &f->client) ? "yes" : "no", NULL);
}

/* Every listing that the gate asks for, under the name that anybody can ask for again. */
static void
show_lists(const struct caller *c, const struct dnsbl_set *lists, struct output *out)
{
	const struct dnsbl_answers *a = &c->facts.dnsbl;
	char name[DNSBL_NAME_MAX];
	struct buf fact = { 0 };
	unsigned i;

	for (i = 0; lists != NULL && i < lists->n; i++) {
		const struct dnsbl_listing *l = &lists->listings[i];
		bool failed = (a->failed | ~a->known) & DNSBL_BIT(i);

		buf_clear(&fact);
		buf_addf(&fact, "list %s", l->text);
		tell_fact(out, buf_str(&fact),
		    failed ? "not known" : a->listed & DNSBL_BIT(i) ? "listed" : "not listed",
		    dnsbl_name(&c->facts.client, l->zone, name) ? name : "too long a name");
	}
	buf_free(&fact);
}

static void
show_helo(const struct caller *c, struct output *out)
{
	const struct facts *f = &c->facts;

	if (f->helo == NULL) {
		tell_fact(out, "helo", "not given", NULL);
		return;
	}
	tell_fact(out, "helo", f->helo,
	    helo_kind_name(f->helo_own ? HELO_OWN_NAME : helo_kind(f->helo)));
	if (!is_known(c, FACT_HELO_RESOLVES))
		return;
	if (f->failed & FACT_BIT(FACT_HELO_RESOLVES))
		tell_fact(out, fact_name(FACT_HELO_RESOLVES), "not known", NO_ANSWER);
	else
		tell_fact(out, fact_name(FACT_HELO_RESOLVES), f->helo_resolves ? "yes" : "no",
		    helo_is_server_like(f->helo, &f->client) ? NULL :
		    "not the name of a server: not asked");
}

static void
show_sender(const struct caller *c, struct output *out)
{
	const struct facts *f = &c->facts;

	if (f->sender == NULL) {
		tell_fact(out, "sender", "not given", NULL);
		return;
	}
	tell_fact(out, "sender", *f->sender != '\0' ? f->sender : "<>", NULL);
	if (is_known(c, FACT_SENDER_DOMAIN))
		tell_fact(out, "sender-domain", sender_domain_name(f->sender_domain), NULL);
}

static void
show_spf(const struct caller *c, struct output *out)
{
	struct buf more = { 0 };

	if (!is_known(c, FACT_SPF)) {
		buf_addf(&more, "%s is not given", caller_word(c, FACT_SPF));
		tell_fact(out, "spf", "not asked", buf_str(&more));
		buf_free(&more);
		return;
	}
	buf_adds(&more, c->spf_why);
	if (c->facts.spf_blanket)
		buf_adds(&more, "; so would nearly everybody: to the rules it is neutral");
	tell_fact(out, "spf", auth_result_name(c->facts.spf), buf_str(&more));
	buf_free(&more);
}

static void
show_sign(const struct caller *c, enum fact fact, bool value, struct output *out)
{
	tell_fact(out, fact_name(fact), value ? "yes" : "no", assumed(c, fact));
}

static void
show_signs(const struct caller *c, struct output *out)
{
	const struct facts *f = &c->facts;

	show_sign(c, FACT_EARLY_TALKER, f->early_talker, out);
	show_sign(c, FACT_PIPELINING, f->pipelining, out);
	show_sign(c, FACT_TRAPPED, f->trapped, out);
	show_sign(c, FACT_KNOWN_CORRESPONDENT, f->known_correspondent, out);
	show_sign(c, FACT_AUTHENTICATED, f->authenticated, out);
	show_sign(c, FACT_TLS, f->tls, out);
}

static void
show_count(const struct caller *c, enum fact fact, uint32_t n, struct output *out)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	tell_fact(out, fact_name(fact), text, assumed(c, fact));
}

static void
show_counts(const struct caller *c, struct output *out)
{
	struct buf size = { 0 };
	char text[16];

	snprintf(text, sizeof(text), "%02u:%02u", c->facts.minute / 60u, c->facts.minute % 60u);
	tell_fact(out, "time", text, assumed(c, FACT_TIME));
	show_count(c, FACT_RATE, c->rate, out);
	show_count(c, FACT_CONNECTIONS, c->facts.connections, out);
	show_count(c, FACT_UNKNOWN_RECIPIENTS, c->unknown_recipients, out);
	if (is_known(c, FACT_SIZE))
		quantity_add_size(&size, c->facts.size);
	else
		buf_adds(&size, "not given");
	tell_fact(out, "size", buf_str(&size), NULL);
	buf_free(&size);
}

static void
show_ledger(const struct caller *c, struct output *out)
{
	if (!c->ledger_asked) {
		tell_fact(out, "ledger", "not asked", "no server runs, or it does not answer us");
		return;
	}
	tell_fact(out, "ledger",
	    c->denied ? "denied by the operator" :
	    c->allowed ? "allowed by the operator" :
	    c->stayed ? "sat through a tarpit or came back to the greylist lately" :
	    c->left ? "hung up in a tarpit lately" :
	    c->passed ? "sat through a pause lately" : "knows nothing of the address",
	    NULL);
}

void
caller_show(const struct caller *c, const struct conf *conf, struct output *out)
{
	const struct facts *f = &c->facts;

	output_note(out, "facts");
	tell_fact(out, "client", ip_text(&f->client).s, NULL);
	show_rdns(c, out);
	show_s25r(c, out);
	show_lists(c, conf->gate.lists, out);
	show_helo(c, out);
	show_sender(c, out);
	show_spf(c, out);
	tell_fact(out, "recipient", f->recipient != NULL ? f->recipient : "not given", NULL);
	show_signs(c, out);
	show_counts(c, out);
	show_ledger(c, out);
}
