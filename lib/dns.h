/*
 * DNS answers, and the engine that gets them: libunbound on our event base, validating, with its cache.  Only the resolver
 * role and smtpctl's stand-alone commands own an engine; everybody else asks by resolver.h.
 */
#ifndef LIB_DNS_H
#define LIB_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };

enum dns_status {
	DNS_OK,       /* there are records */
	DNS_NXDOMAIN, /* no such name */
	DNS_NODATA,   /* the name exists, not with this type */
	DNS_TEMP      /* no answer, SERVFAIL, REFUSED, forged (bogus), our own trouble: ask again later */
};

struct dns_record {
	uint16_t type;       /* enum dns_type */
	uint16_t preference; /* MX */
	struct ip ip;        /* A, AAAA */
	const char *name;    /* PTR, MX, NS, CNAME: lower case, without the last dot; "" for the root (null MX) */
	const uint8_t *data; /* TXT: all its strings joined; TLSA: the rdata */
	size_t data_len;
};

struct dns_answer {
	enum dns_status status;
	bool secure;         /* DNSSEC says so, also of a denial */
	bool bogus;          /* DNS_TEMP because of a failed validation */
	bool outage;         /* DNS_TEMP because none of our servers answers, or the resolver role is away: nobody else's fault */
	uint32_t ttl;        /* seconds, of the least record; of the denial */
	const char *why;     /* for people, when DNS_TEMP */
	const char *canonical; /* the name at the end of a CNAME chain */
	unsigned records_n;
	const struct dns_record *records; /* of the type asked for, in the order received */
};

/* ANSWER is valid during the call. */
typedef void (*dns_callback)(const struct dns_answer *, void *arg);

struct dns_conf {
	struct dns_server {
		struct ip ip;
		uint16_t port;
	} *servers;          /* none: the system's resolv.conf */
	unsigned servers_n;
	const char *const *anchors; /* texts of DS or DNSKEY records; NULL-terminated; NULL: the root's, built in */
	bool validate;
	unsigned timeout_ms;   /* for a question as a whole; 0: 10,000 */
	unsigned running_max;  /* questions under way at once, the rest waits; 0: 1,000 */
};

struct event_base;
struct dns_engine;
struct dns_query;

/* Reads resolv.conf and the like: before the sandbox.  The engine itself works in an empty chroot. */
struct dns_engine *dns_engine_new(struct event_base *, const struct dns_conf *, char **why);
void dns_engine_free(struct dns_engine *);
/* The callback comes once, always from the loop, never from inside this call; not after a cancel.  NAME without or with a
 * last dot; internationalised names in A-label form. */
struct dns_query *dns_engine_query(struct dns_engine *, const char *name, uint16_t type, dns_callback, void *arg);
void dns_engine_cancel(struct dns_query *);

struct dns_stats {
	uint64_t asked, answered, failed, cancelled, timed_out;
	uint64_t running, waiting;
	bool validating; /* false: the upstream strips DNSSEC, or it is switched off */
};
void dns_engine_stats(const struct dns_engine *, struct dns_stats *);

#endif
