/*
 * SPF: may this client send for that domain (RFC 7208, check_host())?  Asked by the session when MAIL has come, and by
 * smtpctl.  DNS is asked by lib/resolver.h, on the loop of this process.
 */
#ifndef FILTERS_SPF_H
#define FILTERS_SPF_H

#include <stdbool.h>

#include "filters/gate.h"
#include "lib/ip.h"

/* RFC 7208 4.6.4: beyond these the result is permerror, of time temperror. */
#define SPF_LOOKUPS_MAX 10 /* terms that ask DNS, of all records together; a %{p} counts as one besides its term */
#define SPF_VOID_MAX 2     /* of those: terms for which DNS has nothing at all; ptr does not count */
#define SPF_HOSTS_MAX 10   /* hosts of one mx */
#define SPF_SECONDS_MAX 20
/* A domain's explanation is cut to so many octets: it is to fit into a reply line. */
#define SPF_EXPLANATION_MAX 400

struct spf_question {
	struct ip client;
	const char *sender; /* reverse-path "local@domain", domain in A-labels; "" or NULL: null, postmaster@HELO is asked for */
	const char *helo;   /* or NULL */
	const char *host;   /* our own name, %{r}; NULL: "unknown" */
	unsigned limit_ms;  /* for all of it; 0: SPF_SECONDS_MAX */
	/* The client's verified names (rdns.h), when they are known: then NAMES_KNOWN, and DNS is not asked for them.  At
	 * most RDNS_NAMES_MAX are looked at. */
	bool names_known;
	unsigned names_n;
	const char *const *names;
};

struct spf_answer {
	enum auth_result result;
	const char *domain;      /* the one that was asked about, lower case; "" when there is none */
	const char *mechanism;   /* that matched, as its own record has it: "include:_spf.example.net"; NULL: none did */
	const char *explanation; /* the domain's own words for a fail (exp=), printable ASCII; or NULL */
	const char *why;         /* for people */
	bool blanket;            /* pass, and nearly everybody would have one: no statement of identity (spf_record.h) */
};

struct spf_query;

/* What QUESTION points to is copied.  The callback comes once, from the loop, never from inside the call; the answer is valid
 * during it. */
struct spf_query *spf_ask(const struct spf_question *, void (*)(const struct spf_answer *, void *), void *arg);
void spf_cancel(struct spf_query *);

#endif
