/*
 * What TLS a server gets: from what is published, configured and asked for to one requirement.
 * Pure.
 */
#ifndef DELIVER_TLS_POLICY_H
#define DELIVER_TLS_POLICY_H

#include <stdbool.h>

#include "deliver/delivery.h"
#include "deliver/domain.h"

enum tls_need {
	TLS_NONE,    /* never */
	TLS_MAY,     /* when the server can, with any certificate; else in the clear */
	TLS_ENCRYPT, /* always, with any certificate */
	TLS_PKIX,    /* always, with a certificate for the server's name from a known authority */
	TLS_DANE     /* always, with a certificate that a TLSA record names */
};

/* What the server's TLSA records say (RFC 7672 2.2). */
enum dane_state {
	DANE_NONE,     /* there are none that DNSSEC vouches for */
	DANE_USABLE,
	DANE_UNUSABLE, /* there are, and none of a kind that can be used: encrypt (RFC 7672 2.2.3) */
	DANE_FAILED    /* forged, or no answer: the server is as good as unreachable */
};

/* The domain's MTA-STS policy (RFC 8461). */
enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct tls_facts {
	enum hop_tls route;	 /* the configuration */
	bool by_mx;		 /* the server comes from DNS, not from the configuration */
	bool mx_secure;		 /* DNSSEC vouches for that */
	enum dane_state dane;
	enum sts_mode sts;
	bool sts_match;		 /* the policy names this server */
	bool required, optional; /* the message's sender: REQUIRETLS, "TLS-Required: No" (RFC 8689) */
};

struct tls_choice {
	enum tls_need need;
	/* Who wants it: "dane", "mta-sts", "route", "requiretls"; "opportunistic", "off" */
	const char *policy;
	/* The server is not used at all: a text without code, or NULL. */
	const char *refusal;
	bool for_good; /* the refusal is one for the message, not for now */
	bool testing;  /* a policy in testing mode wants to hear of it when it would fail */
};

struct tls_choice tls_decide(const struct tls_facts *);

#endif
