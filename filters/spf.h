/*
 * SPF: may this client send for that domain (RFC 7208, check_host())?  Asked by the session when
 * MAIL has come, and by smtpctl.  DNS is asked by lib/resolver.h, on the loop of this process.
 */
#ifndef FILTERS_SPF_H
#define FILTERS_SPF_H

#include <stdbool.h>

#include "filters/gate.h"
#include "lib/ip.h"

/* RFC 7208 4.6.4: beyond these the result is permerror, of time temperror. */
/* Terms that ask DNS, of all records together; a %{p} counts as one besides its term. */
#define SPF_LOOKUPS_MAX 10
/* Of those: terms for which DNS has nothing at all; ptr does not count. */
#define SPF_VOID_MAX 2
/* Of one mx. */
#define SPF_HOSTS_MAX 10
#define SPF_SECONDS_MAX 20
/* A domain's explanation is cut to so many octets: it is to fit into a reply line. */
#define SPF_EXPLANATION_MAX 400

struct spf_question {
	struct ip client;
	/* Reverse-path "local@domain", the domain in A-labels; "" or NULL: the null one, and
	 * postmaster at HELO is asked about. */
	const char *sender;
	const char *helo;   /* or NULL */
	const char *host;   /* our own name, %{r}; NULL: "unknown" */
	unsigned limit_ms;  /* for all of it; 0: SPF_SECONDS_MAX */
	/* The client's verified names (rdns.h), when they are known: then NAMES_KNOWN, and DNS is
	 * not asked for them.  At most RDNS_NAMES_MAX are looked at. */
	bool names_known;
	unsigned names_n;
	const char *const *names;
};

struct spf_answer {
	enum auth_result result;
	const char *domain;    /* the one that was asked about, lower case; "" when there is none */
	/* That matched, as its own record has it: "include:_spf.example.net"; NULL: none did. */
	const char *mechanism;
	/* The domain's own words for a fail (exp=), printable ASCII; or NULL. */
	const char *explanation;
	const char *why; /* for people */
	/* A pass that nearly everybody would have: no statement of identity (spf_record.h). */
	bool blanket;
};

struct spf_query;

/* What QUESTION points to is copied.  The callback comes once, from the loop, never from inside the
 * call; the answer is valid during it. */
struct spf_query *spf_ask(
    const struct spf_question *, void (*)(const struct spf_answer *, void *), void *arg);
void spf_cancel(struct spf_query *);

#endif
