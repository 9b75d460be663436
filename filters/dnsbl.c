/*
 * Blocklists and allowlists without the asking (dnsbl.h).
 *
 * The configuration builds the set, the gate sums over it for every session, dnsbl_ask.c asks by
 * its names.  Only what is written in a configuration can be wrong here.  What must never happen:
 * that a zone which died, was sold or does not want to serve us lists the whole world.  So an
 * answer is a listing only when every record in it can be one; and a sum decides only what holds
 * however the zones that gave no answer would have answered.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/dnsbl.h"
#include "lib/dns.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"

/* Before it come 32 nibbles with their dots. */
#define ZONE_MAX (DNSBL_NAME_MAX - 1 - 64)

/* --- masks --- */

static void
allow(uint32_t octet[8], unsigned from, unsigned to)
{
	for (; from <= to; from++)
		octet[from / 32] |= UINT32_C(1) << (from % 32);
}

static bool
allows(const uint32_t octet[8], unsigned value)
{
	return (octet[value / 32] & (UINT32_C(1) << (value % 32))) != 0;
}

/* A number from 0 to 255 at *S, which moves behind it. */
static bool
read_octet(const char **s, unsigned *value)
{
	const char *start = *s;

	for (*value = 0; isdigit((unsigned char)**s) && *value <= 255; (*s)++)
		*value = *value * 10 + (unsigned)(**s - '0');
	return *s > start && *value <= 255;
}

/* "4", or "4-11", which postscreen writes "4..11" */
static bool
read_range(const char **s, uint32_t octet[8])
{
	unsigned from, to;

	if (!read_octet(s, &from))
		return false;
	to = from;
	if (**s == '-' || strncmp(*s, "..", 2) == 0) {
		*s += **s == '-' ? 1 : 2;
		if (!read_octet(s, &to) || to < from)
			return false;
	}
	allow(octet, from, to);
	return true;
}

/* "2", or "[2;4-11]" */
static bool
read_part(const char **s, uint32_t octet[8])
{
	unsigned value;

	if (**s != '[') {
		if (!read_octet(s, &value))
			return false;
		allow(octet, value, value);
		return true;
	}
	do {
		(*s)++;
		if (!read_range(s, octet))
			return false;
	} while (**s == ';' || **s == ',');
	return *(*s)++ == ']';
}

static bool
read_mask(const char *s, struct dnsbl_mask *mask)
{
	unsigned i;

	*mask = (struct dnsbl_mask){ 0 };
	for (i = 0; i < 4; i++) {
		if (i > 0 && *s++ != '.')
			return false;
		if (!read_part(&s, mask->octets[i]))
			return false;
	}
	return *s == '\0' && allows(mask->octets[0], 127);
}

/* Whatever can be a reply at all. */
static void
fill_mask(struct dnsbl_mask *mask)
{
	unsigned i;

	*mask = (struct dnsbl_mask){ 0 };
	allow(mask->octets[0], 127, 127);
	for (i = 1; i < 4; i++)
		allow(mask->octets[i], 0, 255);
}

/* --- the set --- */

/* Fills LISTING from TEXT but for its question; NULL, or what is wrong. */
static const char *
parse(const char *text, struct dnsbl_listing *listing)
{
	size_t len = strcspn(text, "="), i;
	const char *why = NULL;

	*listing = (struct dnsbl_listing){ .zone = xstrndup(text, len) };
	for (i = 0; i < len; i++)
		listing->zone[i] = (char)tolower((unsigned char)listing->zone[i]);
	if (!mailaddr_domain_ok(text, len, 0) || text[0] == '[')
		why = "is not the name of a DNS zone";
	else if (len > ZONE_MAX)
		why = "is too long; no address fits before it (RFC 1035 2.3.4)";
	else if (text[len] == '\0')
		fill_mask(&listing->mask);
	else if (!read_mask(text + len + 1, &listing->mask))
		why = "has no reply behind \"=\" such as 127.0.0.2 or 127.0.0.[2;4-11]";
	if (why != NULL)
		free(listing->zone);
	else
		listing->text = xstrdup(text);
	return why;
}

static void
number_question(struct dnsbl_set *set, struct dnsbl_listing *listing)
{
	unsigned i;

	for (i = 0; i < set->n && strcmp(set->listings[i].zone, listing->zone) != 0; i++)
		;
	listing->question = i < set->n ? set->listings[i].question : set->questions_n++;
}

int
dnsbl_set_add(struct dnsbl_set *set, const char *text, const char **why)
{
	struct dnsbl_listing listing;
	unsigned i;

	for (i = 0; i < set->n; i++)
		if (strcasecmp(set->listings[i].text, text) == 0)
			return (int)i;
	*why = parse(text, &listing);
	if (*why != NULL)
		return -1;
	if (set->n == DNSBL_LISTINGS_MAX) {
		*why = "is one too many; a gate asks at most 64 lists";
		free(listing.zone);
		free(listing.text);
		return -1;
	}
	number_question(set, &listing);
	set->listings[set->n] = listing;
	return (int)set->n++;
}

void
dnsbl_set_free(struct dnsbl_set *set)
{
	unsigned i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++) {
		free(set->listings[i].text);
		free(set->listings[i].zone);
	}
	free(set);
}

const char *
dnsbl_set_zone(const struct dnsbl_set *set, unsigned question)
{
	unsigned i;

	for (i = 0; i < set->n; i++)
		if (set->listings[i].question == question)
			return set->listings[i].zone;
	return NULL;
}

/* --- sums --- */

bool
dnsbl_weight(const char *text, int *weight)
{
	const char *digits = text + (text[0] == '-' || text[0] == '+');
	size_t len = strspn(digits, "0123456789");

	*weight = 1;
	if (text[0] == '\0')
		return true;
	if (len == 0 || len > 4 || digits[len] != '\0')
		return false;
	*weight = atoi(digits) * (text[0] == '-' ? -1 : 1);
	return *weight != 0 && abs(*weight) <= DNSBL_WEIGHT_MAX;
}

void
dnsbl_sum(
    const struct dnsbl_terms *terms, const struct dnsbl_answers *answers, int *least, int *greatest)
{
	uint64_t sure = answers->known & ~answers->failed, bit;
	unsigned i;
	int weight;

	*least = *greatest = 0;
	for (i = 0; i < terms->n; i++) {
		bit = DNSBL_BIT(terms->list[i].number);
		weight = terms->list[i].weight;
		if ((sure & bit) && !(answers->listed & bit))
			continue;
		if ((sure & bit) || weight < 0)
			*least += weight;
		if ((sure & bit) || weight > 0)
			*greatest += weight;
	}
}

int
dnsbl_most(const struct dnsbl_terms *terms)
{
	struct dnsbl_answers nothing = { 0, 0, 0 };
	int least, greatest;

	dnsbl_sum(terms, &nothing, &least, &greatest);
	return greatest;
}

bool
dnsbl_is_open(const struct dnsbl_terms *terms, const struct dnsbl_answers *answers)
{
	unsigned i;

	for (i = 0; i < terms->n; i++)
		if (!(answers->known & DNSBL_BIT(terms->list[i].number)))
			return true;
	return false;
}

/* --- questions and replies --- */

bool
dnsbl_name(const struct ip *ip, const char *zone, char out[DNSBL_NAME_MAX])
{
	char reverse[80];
	const char *suffix = ip->family == AF_INET ? "in-addr.arpa" : "ip6.arpa";
	size_t len;

	ip_reverse_name(ip, reverse, sizeof(reverse));
	len = strlen(reverse) - strlen(suffix);
	memcpy(out, reverse, len);
	return strlcpy(out + len, zone, DNSBL_NAME_MAX - len) < DNSBL_NAME_MAX - len;
}

/* RFC 5782 2.1: listings are in 127.0.0.0/8.  In 127.255.255.0/24 Spamhaus and others say that a
 * question came by a resolver which they refuse; so does dnswl.org with 127.0.0.255. */
static bool
is_reply(const uint8_t *octets)
{
	static const uint8_t refused[] = { 127, 0, 0, 255 };

	return octets[0] == 127 && memcmp(octets, refused, 4) != 0 &&
	    !(octets[1] == 255 && octets[2] == 255);
}

static bool
matches(const struct dnsbl_mask *mask, const uint8_t *octets)
{
	unsigned i;

	for (i = 0; i < 4 && allows(mask->octets[i], octets[i]); i++)
		;
	return i == 4;
}

enum dnsbl_reply
dnsbl_judge(const struct dns_answer *answer, const struct dnsbl_mask *mask)
{
	enum dnsbl_reply reply = DNSBL_NOT_LISTED;
	unsigned i;

	if (answer->status == DNS_TEMP)
		return DNSBL_FAILED;
	for (i = 0; i < answer->records_n; i++) {
		if (answer->records[i].ip.family != AF_INET || !is_reply(answer->records[i].ip.bytes))
			return DNSBL_FAILED;
		if (matches(mask, answer->records[i].ip.bytes))
			reply = DNSBL_LISTED;
	}
	return reply;
}

void
dnsbl_take(const struct dnsbl_set *set, unsigned question, const struct dns_answer *answer,
    struct dnsbl_answers *answers)
{
	unsigned i;

	for (i = 0; i < set->n; i++) {
		if (set->listings[i].question != question)
			continue;
		answers->known |= DNSBL_BIT(i);
		switch (dnsbl_judge(answer, &set->listings[i].mask)) {
		case DNSBL_NOT_LISTED:
			break;
		case DNSBL_LISTED:
			answers->listed |= DNSBL_BIT(i);
			break;
		case DNSBL_FAILED:
			answers->failed |= DNSBL_BIT(i);
			break;
		}
	}
}
