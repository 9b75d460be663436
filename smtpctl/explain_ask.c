/*
 * Whom one asks about a caller who is not there (explain.h): DNS, by the same functions as a
 * session, on an engine of this process; and the ledger, if a server runs.
 *
 * All questions are under way at once, and each is asked for which the words give enough.  A
 * question without an answer is a fact that has failed, and shown as such; only an engine that
 * cannot be made is an error.  The answers arrive while the loop runs here, never later.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "filters/dnsbl_ask.h"
#include "filters/helo.h"
#include "filters/identity.h"
#include "filters/rdns.h"
#include "filters/sender_domain.h"
#include "filters/spf.h"
#include "lib/field.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/explain.h"
#include "smtpctl/lookups.h"

/* --- DNS --- */

struct inquiry {
	struct caller *caller;
	struct event_base *base;
	unsigned pending;
};

static void
answered(struct inquiry *q, uint32_t facts, bool failed)
{
	q->caller->facts.known |= facts;
	if (failed)
		q->caller->facts.failed |= facts;
	if (--q->pending == 0)
		event_base_loopbreak(q->base);
}

static char *
copy(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

static void
on_rdns(const struct rdns *r, void *arg)
{
	struct inquiry *q = arg;
	struct caller *c = q->caller;

	c->name = copy(r->name);
	c->claimed = copy(r->claimed);
	c->rdns_why = copy(r->why);
	c->facts.rdns = r->status;
	c->facts.name = c->name;
	c->facts.claimed = c->claimed;
	/* "temperror" is an answer to `rdns`; to `s25r` it is none */
	if (r->status == RDNS_TEMPERROR)
		c->facts.failed |= FACT_BIT(FACT_S25R);
	answered(q, FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R), false);
}

static void
on_lists(const struct dnsbl_answers *answers, bool last, void *arg)
{
	struct inquiry *q = arg;

	q->caller->facts.dnsbl = *answers;
	if (last)
		answered(q, FACT_BIT(FACT_DNSBL) | FACT_BIT(FACT_DNSWL), false);
}

static void
on_helo(bool resolves, bool failed, void *arg)
{
	struct inquiry *q = arg;

	q->caller->facts.helo_resolves = resolves;
	answered(q, FACT_BIT(FACT_HELO_RESOLVES), failed);
}

static void
on_sender_domain(enum sender_domain result, void *arg)
{
	struct inquiry *q = arg;

	q->caller->facts.sender_domain = result;
	answered(q, FACT_BIT(FACT_SENDER_DOMAIN), false);
}

/* Who is greylisted is not known by a pass that everybody has. */
static void
on_spf(const struct spf_answer *a, void *arg)
{
	struct inquiry *q = arg;
	struct caller *c = q->caller;

	c->facts.spf = a->result;
	c->facts.spf_blanket = a->blanket;
	c->spf_why = copy(a->why);
	if (a->result == AUTH_PASS && !a->blanket)
		c->spf_domain = xstrdup(a->domain);
	c->facts.spf_domain = c->spf_domain;
	answered(q, FACT_BIT(FACT_SPF), false);
}

static void
ask_lists(struct inquiry *q, const struct dnsbl_set *lists)
{
	struct dnsbl_ask ask = { .set = lists, .questions = UINT64_MAX, .done = on_lists,
	    .arg = q };

	q->pending++;
	(void)dnsbl_ask(&ask, &q->caller->facts.client);
}

static void
ask_spf(struct inquiry *q, const char *host)
{
	const struct caller *c = q->caller;
	struct spf_question question = { .client = c->facts.client, .sender = c->sender,
	    .helo = c->facts.helo, .host = host, .names_known = c->name_given,
	    .names_n = c->name != NULL, .names = (const char *const *)&c->name };

	q->pending++;
	(void)spf_ask(&question, on_spf, q);
}

static void
ask_all(struct inquiry *q, const struct conf *conf)
{
	const struct caller *c = q->caller;

	if (!c->name_given) {
		q->pending++;
		(void)rdns_ask(&c->facts.client, on_rdns, q);
	}
	if (conf->gate.lists != NULL)
		ask_lists(q, conf->gate.lists);
	if (c->facts.helo != NULL) {
		q->pending++;
		(void)helo_ask(c->facts.helo, &c->facts.client, on_helo, q);
	}
	if (c->sender != NULL) {
		q->pending++;
		(void)sender_domain_ask(c->sender, on_sender_domain, q);
	}
	if (c->sender != NULL && (*c->sender != '\0' || c->facts.helo != NULL))
		ask_spf(q, conf->host);
}

int
caller_ask_dns(struct caller *c, const struct conf *conf, char **why)
{
	struct inquiry q = { .caller = c };

	q.base = lookups_begin(conf, why);
	if (q.base == NULL)
		return -1;
	ask_all(&q, conf);
	if (q.pending > 0)
		event_base_dispatch(q.base);
	lookups_end();
	return 0;
}

/* --- the ledger --- */

static bool
says(const struct field *f, const char *key)
{
	for (; f->type != FIELD_END; f++)
		if (f->type == FIELD_BOOL && strcmp(f->key, key) == 0)
			return f->b;
	return false;
}

static void
on_word(const struct field *f, void *arg)
{
	struct caller *c = arg;

	c->facts.trapped = c->facts.trapped || says(f, "trapped");
	c->allowed = says(f, "allowed");
	c->mail_allowed = says(f, "mail_allowed");
	c->denied = says(f, "denied");
	c->passed = says(f, "passed");
	c->stayed = says(f, "stayed");
	c->left = says(f, "left");
}

static void
on_correspondent(const struct field *fields, void *arg)
{
	(void)fields;
	((struct caller *)arg)->facts.known_correspondent = true;
}

/* A full address: the ledger takes a word without "@" for a domain. */
static bool
can_correspond(const char *address)
{
	return address != NULL && strchr(address, '@') != NULL;
}

static void
ask_correspondent(struct caller *c)
{
	char *from = xasprintf("from=%s", c->sender), *to = xasprintf("to=%s", c->recipient);
	const char *words[] = { "grey", "list", "state=correspondent", from, to, "limit=1" };
	struct request r = { .n = 6, .words = words, .record = on_correspondent, .arg = c };
	char *why = NULL;

	if (client_request(&r, true, &why) == 0)
		c->assumed &= ~FACT_BIT(FACT_KNOWN_CORRESPONDENT);
	free(why);
	free(from);
	free(to);
}

/* The words that a session's questions would have in them; the caller frees each. */
static unsigned
ledger_words(const struct caller *c, char *words[7])
{
	const struct facts *f = &c->facts;
	char *identity = identity_of(&f->client, f->name, c->spf_domain), *sender, *recipient;
	unsigned n = 0;

	words[n++] = xstrdup("gate");
	words[n++] = xstrdup("caller");
	words[n++] = xasprintf("client=%s", ip_text(&f->client).s);
	words[n++] = xasprintf("identity=%s", identity);
	if (f->name != NULL)
		words[n++] = xasprintf("name=%s", f->name);
	if (f->sender != NULL) {
		sender = identity_sender(f->sender);
		words[n++] = xasprintf("from=%s", sender);
		free(sender);
	}
	if (f->recipient != NULL) {
		recipient = identity_recipient(f->recipient);
		words[n++] = xasprintf("to=%s", recipient);
		free(recipient);
	}
	free(identity);
	return n;
}

void
caller_ask_ledger(struct caller *c)
{
	struct request r = { .record = on_word, .arg = c };
	char *words[7], *why = NULL;

	r.n = ledger_words(c, words);
	r.words = (const char *const *)words;
	c->ledger_asked = client_request(&r, true, &why) == 0;
	if (c->ledger_asked)
		c->assumed &= ~FACT_BIT(FACT_TRAPPED);
	if (c->ledger_asked && (c->assumed & FACT_BIT(FACT_KNOWN_CORRESPONDENT)) &&
	    can_correspond(c->sender) && can_correspond(c->recipient))
		ask_correspondent(c);
	free(why);
	while (r.n > 0)
		free(words[--r.n]);
}
