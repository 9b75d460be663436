/*
 * An SPF record read into its terms (RFC 7208 4.6.1, 5, 6, 12).  Pure: (pointer, length) in, a
 * record or the place and kind of the first mistake out.  A record with a mistake anywhere is no
 * record (4.6).
 */
#ifndef FILTERS_SPF_RECORD_H
#define FILTERS_SPF_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/gate.h"
#include "lib/ip.h"

enum spf_mechanism { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS };

struct spf_directive {
	enum auth_result result; /* what it means when it matches: pass, fail, softfail, neutral */
	enum spf_mechanism mechanism;
	char *text;	      /* as published: "-ip4:192.0.2.0/24" */
	char *domain;	      /* domain-spec, checked; NULL: none was given */
	struct ipnet net;     /* ip4, ip6; of an IPv4-mapped network the family is still IPv6 */
	uint8_t bits4, bits6; /* a, mx: how many leading bits count */
};

struct spf_record {
	struct spf_directive *directives; /* in their order */
	unsigned n;
	char *redirect, *exp; /* domain-specs, checked; or NULL */
};

struct spf_mistake {
	size_t at;	       /* octets into the record */
	size_t term, term_len; /* the term that it is in */
	const char *why;       /* in words without an end */
};

/* Is the text of a TXT record an SPF record at all (4.5)? */
bool spf_record_is(const void *text, size_t len);
/* TEXT is one by spf_record_is.  On false MISTAKE is filled in, and there is nothing to free. */
bool spf_record_parse(const void *text, size_t len, struct spf_record *, struct spf_mistake *);
void spf_record_free(struct spf_record *);

/*
 * A pass by this directive says nothing about who the client is, because nearly everybody would
 * have one:
 * - all;
 * - ip4, ip6, a, mx of networks wider than SPF_WIDE_V4 or SPF_WIDE_V6;
 * - exists that does not ask for the client's address or verified name (%{i}, %{p});
 * - whatever has a name that the client himself chooses: a domain-spec that ends in %{h} or %{p}.
 * The largest providers publish networks of /14 and /32 at the widest; who names a whole /8 names
 * machines that are not his.  (Of include this is only the half that its own text shows: the other
 * half is what matched there.)
 */
#define SPF_WIDE_V4 12
#define SPF_WIDE_V6 28
bool spf_directive_is_blanket(const struct spf_directive *, const struct ip *client);
/* The client himself chooses where this domain-spec leads. */
bool spf_domain_is_clients(const char *spec);

#endif
