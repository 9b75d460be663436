/*
 * Paranoid DNS: believe no name that does not lead back to its address.  Asks every PTR of the client, then every
 * address of every name (A for IPv4, AAAA for IPv6), with limits, through resolver.h.
 */
#ifndef FILTERS_RDNS_H
#define FILTERS_RDNS_H

#include <stdbool.h>

#include "lib/ip.h"

enum rdns_status {
	RDNS_PASS,     /* a name leads back to the client */
	RDNS_NONE,     /* there is no PTR */
	RDNS_MISMATCH, /* names, and none leads back: "localhost" and other lies */
	RDNS_TEMPERROR /* DNS did not answer, and no name passed */
};

struct rdns {
	enum rdns_status status;
	const char *name;    /* the verified name that looks least like a home line (S25R); NULL unless RDNS_PASS */
	const char *claimed; /* the first unverified PTR, for the log; NULL when none */
	const char *why;     /* for people */
	bool outage;         /* RDNS_TEMPERROR, and the fault is our own: no server of ours answers */
	unsigned names_n;    /* verified names */
	const char *const *names;
};

/* PTR names looked at; a client with more is judged by the first so many (a loop of 1,000 PTRs is an attack). */
#define RDNS_NAMES_MAX 10

struct rdns_query;
/* The callback comes once, from the loop; the answer is valid during the call. */
struct rdns_query *rdns_ask(const struct ip *client, void (*)(const struct rdns *, void *), void *arg);
void rdns_cancel(struct rdns_query *);
/* "pass", "none", "mismatch", "temperror" */
const char *rdns_status_name(enum rdns_status);

#endif
