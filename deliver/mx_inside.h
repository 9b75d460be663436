/*
 * The inside of the way to the next server, shared by its files: MX and addresses (mx.c), TLSA
 * (mx_dane.c), the answer (mx_answer.c).  Nobody else includes this.
 */
#ifndef DELIVER_MX_INSIDE_H
#define DELIVER_MX_INSIDE_H

#include <event2/event_struct.h>

#include "deliver/domain.h"
#include "deliver/mx.h"
#include "lib/resolver.h"

#define IPS_MAX 8 /* of one host and family */

/* RFC 3974 3, RFC 6724: the newer first. */
enum family { FAMILY_V6, FAMILY_V4, FAMILIES };

struct mx_question {
	struct resolver_query *asked;
	struct ip ips[IPS_MAX];
	unsigned ips_n;
};

struct mx_host {
	struct mx_query *query;
	char *name;
	unsigned rank;
	uint16_t port;
	bool by_mx; /* else the configuration named it */
	bool is_address;
	bool is_self;
	bool temporary; /* a question had no answer */
	const struct hop *hop; /* of the configuration */
	struct mx_question questions[FAMILIES];
	/* TLSA: mx_dane.c */
	char *canonical; /* at the end of CNAMEs, or NULL: it is none */
	bool found, insecure; /* addresses; some of them are not signed */
	struct resolver_query *asked;
	const char *bases[2]; /* TLSA base domains that remain to be tried */
	const char *dane_name;
	enum dane_state dane;
	struct tlsa *tlsa;
	unsigned tlsa_n;
};

struct mx_query {
	const struct mx_self *self;
	void (*callback)(const struct mx_answer *, void *);
	void *arg;
	struct event turn;
	struct hop *hops;
	unsigned hops_n;
	char *domain; /* of an mx, or NULL */
	struct resolver_query *mx;
	bool implicit; /* no MX: the domain's own address */
	bool dropped;  /* some hosts went, since we are one */
	struct mx_host *hosts;
	unsigned hosts_n;
	unsigned open; /* questions */
	void (*dane_answered)(struct mx_query *);
	bool secure;   /* the MX, or that there is none */
	uint32_t ttl;  /* the least so far */
	enum mx_status status;
	char *why;
};

/* --- mx_dane.c --- */
/* Notes who a host really is, and whether DNSSEC vouches for it, from an answer with addresses. */
void mx_dane_note(struct mx_host *, const struct dns_answer *);
/* Asks for the TLSA records of all hosts that may have some; each question counts in OPEN, and
 * ANSWERED is called for each, later. */
void mx_dane_ask(struct mx_query *, void (*answered)(struct mx_query *));
void mx_dane_release(struct mx_host *);

/* --- mx_answer.c --- */
/* Every answer that the way rests on. */
void mx_note_ttl(struct mx_query *, const struct dns_answer *);
unsigned mx_count_addresses(const struct mx_query *);
/* With one reference. */
struct mx_answer *mx_answer_new(const struct mx_query *);

#endif
