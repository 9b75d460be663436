/*
 * What the words of the call say of a caller (explain.h): what he would say himself, and what would
 * be known of him.
 *
 * What nobody gave and nobody can be asked about is assumed, and shown as assumed: that it is not
 * so, that this is his only connection, that it is now.  A word that is not understood is an error:
 * nothing may be explained of somebody else than was meant.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "conf/conf.h"
#include "filters/rdns.h"
#include "lib/clock.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "smtpctl/explain.h"

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

/* NULL, or what is wrong with the value (caller frees). */
static char *
read_count(const char *key, const char *value, uint32_t *out)
{
	uint64_t n;

	if (quantity_parse(value, strlen(value), &n) != QUANTITY_COUNT || n > UINT32_MAX)
		return xasprintf("%s%s: that is no number", key, value);
	*out = (uint32_t)n;
	return NULL;
}

static char *
read_rate(struct caller *c, const char *value)
{
	c->facts.known |= FACT_BIT(FACT_RATE);
	return read_count("rate=", value, &c->rate);
}

static char *
read_connections(struct caller *c, const char *value)
{
	char *why = read_count("connections=", value, &c->facts.connections);

	c->facts.network_connections = c->facts.connections;
	c->facts.known |= FACT_BIT(FACT_CONNECTIONS);
	return why;
}

static char *
read_unknown(struct caller *c, const char *value)
{
	c->facts.known |= FACT_BIT(FACT_UNKNOWN_RECIPIENTS);
	return read_count("unknown-recipients=", value, &c->unknown_recipients);
}

static char *
read_time(struct caller *c, const char *value)
{
	unsigned hour, minute;
	int end = 0;

	if (sscanf(value, "%2u:%2u%n", &hour, &minute, &end) != 2 || value[end] != '\0' ||
	    hour > 23 || minute > 59)
		return xasprintf("time=%s: that is no time of the day, such as 22:30", value);
	c->facts.minute = (uint16_t)(hour * 60 + minute);
	c->facts.known |= FACT_BIT(FACT_TIME);
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
	{ "rate=", FACT_RATE, read_rate },
	{ "connections=", FACT_CONNECTIONS, read_connections },
	{ "unknown-recipients=", FACT_UNKNOWN_RECIPIENTS, read_unknown },
	{ "time=", FACT_TIME, read_time },
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

/* HELO stands in for a null sender (RFC 7208 2.4). */
const char *
caller_word(const struct caller *c, enum fact fact)
{
	size_t i;

	if (fact == FACT_HELO_RESOLVES || (fact == FACT_SPF && c->facts.sender != NULL))
		return "helo=";
	if (fact == FACT_SENDER_DOMAIN || fact == FACT_SPF)
		return "from=";
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
	return xasprintf("\"%s\" is none of client=, name=, helo=, from=, to=, size=, rate=, "
	    "connections=, unknown-recipients=, time=, early-talker, pipelining, trapped, "
	    "known-correspondent, authenticated, tls", word);
}

/* A caller who is there has connected once. */
static void
assume_counts(struct caller *c)
{
	time_t now = (time_t)clock_now();
	struct tm tm;

	if (c->assumed & FACT_BIT(FACT_RATE))
		c->rate = 1;
	if (c->assumed & FACT_BIT(FACT_CONNECTIONS))
		c->facts.connections = c->facts.network_connections = 1;
	if ((c->assumed & FACT_BIT(FACT_TIME)) && localtime_r(&now, &tm) != NULL)
		c->facts.minute = (uint16_t)(tm.tm_hour * 60 + tm.tm_min);
}

/* What nobody can be asked about; what this version does not find out has failed, as it does in a
 * session. */
static void
assume(struct caller *c)
{
	unsigned i;
	size_t s;

	for (s = 0; s < SIGNS; s++)
		c->assumed |= FACT_BIT(signs[s].fact);
	c->assumed |= FACT_BIT(FACT_RATE) | FACT_BIT(FACT_CONNECTIONS) |
	    FACT_BIT(FACT_UNKNOWN_RECIPIENTS) | FACT_BIT(FACT_TIME);
	c->assumed &= ~c->facts.known;
	assume_counts(c);
	c->facts.known |= c->assumed;
	for (i = 0; i < FACT_COUNT; i++)
		if (!fact_is_evaluated((enum fact)i)) {
			c->assumed &= ~FACT_BIT(i);
			c->facts.known |= FACT_BIT(i);
			c->facts.failed |= FACT_BIT(i);
		}
}

/* The caller calls himself as we call ourselves. */
static bool
is_own_name(const struct conf *conf, const char *helo)
{
	struct ip claimed;
	unsigned i;

	if (conf_is_ours(conf, helo))
		return true;
	if (!ip_parse_literal(helo, strlen(helo), &claimed) && !ip_parse(helo, &claimed))
		return false;
	for (i = 0; i < conf->listeners_n; i++)
		if (ip_equal(&claimed, &conf->listeners[i].ip))
			return true;
	return false;
}

static void
apply_conf(struct caller *c, const struct conf *conf)
{
	const struct gate *gate = &conf->gate;
	unsigned i;

	if (c->facts.helo != NULL)
		c->facts.helo_own = is_own_name(conf, c->facts.helo);
	for (i = 0; i < gate->meters_n; i++)
		c->facts.meters[i] =
		    gate->meters[i].fact == FACT_RATE ? c->rate : c->unknown_recipients;
	if (gate->lists == NULL)
		c->facts.known |= FACT_BIT(FACT_DNSBL) | FACT_BIT(FACT_DNSWL);
}

char *
caller_read(struct caller *c, const struct conf *conf, int n, char **words)
{
	char *why = NULL;
	int i;

	for (i = 0; i < n && why == NULL; i++)
		why = read_word(c, words[i]);
	if (why == NULL && c->facts.client.family == 0)
		why = xstrdup("client=IP is missing");
	if (why != NULL)
		return why;
	assume(c);
	apply_conf(c, conf);
	return NULL;
}

void
caller_free(struct caller *c)
{
	free(c->rdns_why);
	free(c->spf_why);
	free(c->name);
	free(c->claimed);
	free(c->sender);
	free(c->recipient);
	free(c->spf_domain);
}
