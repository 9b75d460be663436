/*
 * DNS blocklists and allowlists (RFC 5782): is a client's address listed in a zone, and with which
 * reply?  Here is what is pure: names, replies, weights and sums.  Asking is filters/dnsbl_ask.h's.
 *
 * A listing is a zone with the replies that count: "zen.example.net", where any does, or
 * "zen.example.net=127.0.0.[2;4-11]".  All listings of a gate stand in one set, each once, however
 * many rules name it; its number there is its bit in an answer.
 */
#ifndef FILTERS_DNSBL_H
#define FILTERS_DNSBL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

struct dns_answer;

/* Which values each of the four octets of a reply may have. */
struct dnsbl_mask {
	uint32_t octets[4][8];
};

struct dnsbl_listing {
	char *text; /* as it was written */
	char *zone; /* lower case */
	struct dnsbl_mask mask;
	unsigned question; /* listings of one zone are answered by one question: their common number */
};

#define DNSBL_LISTINGS_MAX 64
#define DNSBL_BIT(number) (UINT64_C(1) << (number))

struct dnsbl_set {
	unsigned n, questions_n;
	struct dnsbl_listing listings[DNSBL_LISTINGS_MAX];
};

/* The number of the listing TEXT in SET, which takes it in if it is new.  -1: it is none, or one
 * too many, and *WHY is filled in, words behind its name. */
int dnsbl_set_add(struct dnsbl_set *, const char *text, const char **why);
void dnsbl_set_free(struct dnsbl_set *);
/* The zone of a question, for whoever asks it. */
const char *dnsbl_set_zone(const struct dnsbl_set *, unsigned question);

/* What is known of one client, a bit for each listing.  What is known and neither listed nor failed
 * is not listed. */
struct dnsbl_answers {
	uint64_t known, listed, failed;
};

/* What one test asks: the sum of the weights of the listings that the client is in. */
struct dnsbl_terms {
	struct dnsbl_term {
		unsigned number;
		int weight;
	} *list;
	unsigned n;
};
#define DNSBL_WEIGHT_MAX 1000

/* The weight of a listing: "" is 1.  False: it is no number from -1000 to 1000, or 0. */
bool dnsbl_weight(const char *text, int *weight);
/* The least and the greatest that the sum can be, with what is not known or failed either way. */
void dnsbl_sum(const struct dnsbl_terms *, const struct dnsbl_answers *, int *least, int *greatest);
/* The most that it can be for anybody. */
int dnsbl_most(const struct dnsbl_terms *);
/* Some of what is asked is not known yet. */
bool dnsbl_is_open(const struct dnsbl_terms *, const struct dnsbl_answers *);

/* The name to ask for: "2.0.0.127.zen.example.net", nibbles for IPv6 (RFC 5782 2.1, 2.4).  False
 * when it would be too long for DNS, which no zone of a listing is. */
#define DNSBL_NAME_MAX 254
bool dnsbl_name(const struct ip *, const char *zone, char out[DNSBL_NAME_MAX]);

enum dnsbl_reply {
	DNSBL_NOT_LISTED,
	DNSBL_LISTED, /* with a reply that the mask takes in */
	DNSBL_FAILED  /* no answer, or one that is no listing: outside 127.0.0.0/8 (the wildcard of a dead
		       * zone), or in 127.255.255.0/24 or 127.0.0.255, by which operators say that they do
		       * not serve us */
};
enum dnsbl_reply dnsbl_judge(const struct dns_answer *, const struct dnsbl_mask *);
/* Fills in the bits of all listings that QUESTION answers. */
void dnsbl_take(const struct dnsbl_set *, unsigned question, const struct dns_answer *,
    struct dnsbl_answers *);

#endif
