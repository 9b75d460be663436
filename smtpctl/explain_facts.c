/*
 * What there is to know of a caller, without a session (explain.h).
 *
 * The words of the call give what he would say himself; DNS is asked by the same functions that the
 * session uses, on an engine of our own; the ledger is asked if a server runs.  What nobody gave
 * and nobody can be asked about is assumed not to be so, and shown as assumed.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "filters/rdns.h"
#include "filters/spf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "smtpctl/client.h"
#include "smtpctl/explain.h"
#include "smtpctl/lookups.h"

/* --- the words --- */

static char *
read_client(struct caller *c, const char *value)
{
	if (!ip_parse(value, &c->facts.client))
		return xasprintf("client=%s: that is no IP address", value);
	c->facts.known |= FACT_BIT(FACT_CLIENT);
	return NULL;
}

static char *
read_name(struct caller *c, const char *value)
{
	c->name_given = true;
	c->name = *value != '\0' ? xstrdup(value) : NULL;
	c->facts.name = c->name;
	c->facts.rdns = c->name != NULL ? RDNS_PASS : RDNS_NONE;
	c->facts.known |= FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R);
	return NULL;
}

static char *
read_helo(struct caller *c, const char *value)
{
	c->facts.helo = value;
	c->facts.known |= FACT_BIT(FACT_HELO);
	return NULL;
}

static char *
read_address(const char *key, const char *value, unsigned flags, char **out)
{
	struct mailaddr a;
	const char *why;

	if (strcmp(value, "<>") == 0)
		value = "";
	if (!mailaddr_parse(value, strlen(value), flags, &a, &why))
		return xasprintf("%s%s: that is no address: %s", key, value, why);
	*out = mailaddr_format(&a);
	mailaddr_free(&a);
	return NULL;
}

static char *
read_from(struct caller *c, const char *value)
{
	char *why = read_address("from=", value, MAILADDR_NULL, &c->sender);

	c->facts.sender = c->sender;
	c->facts.known |= FACT_BIT(FACT_SENDER);
	return why;
}

static char *
read_to(struct caller *c, const char *value)
{
	char *why = read_address("to=", value, MAILADDR_POSTMASTER, &c->recipient);

	c->facts.recipient = c->recipient;
	c->facts.known |= FACT_BIT(FACT_RECIPIENT);
	return why;
}

static char *
read_size(struct caller *c, const char *value)
{
	enum quantity kind = quantity_parse(value, strlen(value), &c->facts.size);

	if (kind != QUANTITY_SIZE && kind != QUANTITY_COUNT)
		return xasprintf("size=%s: that is no size; write it like 1000, 256K or 2M", value);
	c->facts.known |= FACT_BIT(FACT_SIZE);
	return NULL;
}

static const struct {
	const char *key;
	enum fact fact;
	/* NULL, or what is wrong with the value (caller frees) */
	char *(*read)(struct caller *, const char *value);
} values[] = {
	{ "client=", FACT_CLIENT, read_client },
	{ "name=", FACT_RDNS, read_name },
	{ "helo=", FACT_HELO, read_helo },
	{ "from=", FACT_SENDER, read_from },
	{ "to=", FACT_RECIPIENT, read_to },
	{ "size=", FACT_SIZE, read_size },
};
#define VALUES (sizeof(values) / sizeof(values[0]))

/* Words that say: it is so. */
static const struct {
	const char *word;
	enum fact fact;
	size_t member; /* of struct facts, a bool */
} signs[] = {
	{ "early-talker", FACT_EARLY_TALKER, offsetof(struct facts, early_talker) },
	{ "pipelining", FACT_PIPELINING, offsetof(struct facts, pipelining) },
	{ "trapped", FACT_TRAPPED, offsetof(struct facts, trapped) },
	{ "known-correspondent", FACT_KNOWN_CORRESPONDENT,
	    offsetof(struct facts, known_correspondent) },
	{ "authenticated", FACT_AUTHENTICATED, offsetof(struct facts, authenticated) },
	{ "tls", FACT_TLS, offsetof(struct facts, tls) },
};
#define SIGNS (sizeof(signs) / sizeof(signs[0]))

const char *
caller_word(enum fact fact)
{
	size_t i;

	if (fact == FACT_SPF)
		fact = FACT_SENDER;
	for (i = 0; i < VALUES; i++)
		if (values[i].fact == fact)
			return values[i].key;
	return fact_name(fact);
}

static char *
read_word(struct caller *c, const char *word)
{
	size_t i, len;

	for (i = 0; i < VALUES; i++) {
		len = strlen(values[i].key);
		if (strncmp(word, values[i].key, len) == 0)
			return values[i].read(c, word + len);
	}
	for (i = 0; i < SIGNS; i++)
		if (strcmp(signs[i].word, word) == 0) {
			*(bool *)((char *)&c->facts + signs[i].member) = true;
			c->facts.known |= FACT_BIT(signs[i].fact);
			return NULL;
		}
	return xasprintf("\"%s\" is none of client=, name=, helo=, from=, to=, size=, "
	    "early-talker, pipelining, trapped, known-correspondent, authenticated, tls", word);
}

/* Facts without a word are assumed not to be so; those that this version does not find out have
 * failed, as they do in a session. */
static void
assume(struct caller *c)
{
	unsigned i;
	size_t s;

	for (s = 0; s < SIGNS; s++)
		if (!(c->facts.known & FACT_BIT(signs[s].fact)))
			c->assumed |= FACT_BIT(signs[s].fact);
	c->assumed |= FACT_BIT(FACT_UNKNOWN_RECIPIENTS);
	c->facts.known |= c->assumed;
	for (i = 0; i < FACT_COUNT; i++)
		if (!fact_is_evaluated((enum fact)i)) {
			c->assumed &= ~FACT_BIT(i);
			c->facts.known |= FACT_BIT(i);
			c->facts.failed |= FACT_BIT(i);
		}
}

char *
caller_read(struct caller *c, int n, char **words)
{
	char *why = NULL;
	int i;

	for (i = 0; i < n && why == NULL; i++)
		why = read_word(c, words[i]);
	if (why == NULL && c->facts.client.family == 0)
		why = xstrdup("client=IP is missing");
	if (why == NULL)
		assume(c);
	return why;
}

/* --- DNS --- */

/* All is asked at once. */
struct questions {
	struct caller *caller;
	struct event_base *base;
	unsigned pending;
};

static void
answered(struct questions *q)
{
	if (--q->pending == 0)
		event_base_loopbreak(q->base);
}

static void
on_rdns(const struct rdns *r, void *arg)
{
	struct questions *q = arg;
	struct caller *c = q->caller;

	c->name = r->name != NULL ? xstrdup(r->name) : NULL;
	c->claimed = r->claimed != NULL ? xstrdup(r->claimed) : NULL;
	c->rdns_why = r->why != NULL ? xstrdup(r->why) : NULL;
	c->facts.rdns = r->status;
	c->facts.name = c->name;
	c->facts.claimed = c->claimed;
	c->facts.known |= FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R);
	/* "temperror" is an answer to `rdns`; to `s25r` it is none */
	if (r->status == RDNS_TEMPERROR)
		c->facts.failed |= FACT_BIT(FACT_S25R);
	answered(q);
}

static void
on_spf(const struct spf_answer *a, void *arg)
{
	struct questions *q = arg;
	struct caller *c = q->caller;

	c->spf_why = xstrdup(a->why);
	/* a blanket pass names nobody */
	if (a->result == AUTH_PASS && !a->blanket)
		c->spf_domain = xstrdup(a->domain);
	c->facts.spf = a->result;
	c->facts.spf_domain = c->spf_domain;
	c->facts.known |= FACT_BIT(FACT_SPF);
	answered(q);
}

/* The name that was given counts for macros as well. */
static void
ask_spf(struct questions *q, const char *host)
{
	const struct caller *c = q->caller;
	const char *const names[] = { c->name };
	struct spf_question question = { .client = c->facts.client, .sender = c->facts.sender,
		.helo = c->facts.helo, .host = host, .names_known = c->name_given,
		.names_n = c->name != NULL, .names = names };

	(void)spf_ask(&question, on_spf, q);
	q->pending++;
}

int
caller_ask_dns(struct caller *c, const struct conf *conf, char **why)
{
	struct questions q = { .caller = c };
	bool sender = c->facts.known & FACT_BIT(FACT_SENDER);

	if (c->name_given && !sender)
		return 0;
	q.base = lookups_begin(conf, why);
	if (q.base == NULL)
		return -1;
	if (!c->name_given) {
		(void)rdns_ask(&c->facts.client, on_rdns, &q);
		q.pending++;
	}
	if (sender)
		ask_spf(&q, conf->host);
	event_base_dispatch(q.base);
	lookups_end();
	return 0;
}

/* --- the ledger --- */

static void
on_record(const struct field *fields, void *arg)
{
	const char *state = field_get(fields, "state");
	struct caller *c = arg;

	if (state == NULL)
		return;
	if (strcmp(state, "trapped") == 0) {
		c->facts.trapped = true;
		c->assumed &= ~FACT_BIT(FACT_TRAPPED);
	}
	c->allowed = c->allowed || strcmp(state, "allowed") == 0;
	c->denied = c->denied || strcmp(state, "denied") == 0;
	c->passed = c->passed || strcmp(state, "caller") == 0;
}

void
caller_ask_ledger(struct caller *c)
{
	struct ip_text ip = ip_text(&c->facts.client);
	char *client = xasprintf("client=%s", ip.s), *why = NULL;
	const char *words[] = { "grey", "list", client };
	struct request r = { .n = 3, .words = words, .record = on_record, .arg = c };

	c->ledger_asked = client_request(&r, true, &why) == 0;
	if (c->ledger_asked)
		c->assumed &= ~FACT_BIT(FACT_TRAPPED);
	free(why);
	free(client);
}

void
caller_free(struct caller *c)
{
	free(c->rdns_why);
	free(c->spf_why);
	free(c->spf_domain);
	free(c->name);
	free(c->claimed);
	free(c->sender);
	free(c->recipient);
}
