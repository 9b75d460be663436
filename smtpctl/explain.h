/*
 * The inside of `smtpctl gate explain`: a caller who is not there.  explain_facts.c finds out what
 * there is to know of him, explain.c leads him through the rules.
 */
#ifndef SMTPCTL_EXPLAIN_H
#define SMTPCTL_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/gate.h"

struct conf;

struct caller {
	struct facts facts;
	uint32_t assumed;     /* FACT_BIT()s of what was neither given nor asked: taken for no */
	bool name_given;      /* name=: DNS is not asked */
	bool allowed, denied, passed; /* the ledger's word on the address, if it was asked */
	bool ledger_asked;
	char *rdns_why, *spf_why; /* for people, or NULL */
	char *spf_domain;     /* behind facts.spf_domain */
	char *name, *claimed, *sender, *recipient; /* what the strings of FACTS point to */
};

/* From the words of the call.  NULL, or what is wrong with them (caller frees). */
char *caller_read(struct caller *, int n, char **words);
/* Asks DNS as the configuration says; 0, or -1 with *WHY (caller frees). */
int caller_ask_dns(struct caller *, const struct conf *, char **why);
/* Asks the server that runs, if there is one that answers us. */
void caller_ask_ledger(struct caller *);
void caller_free(struct caller *);

/* What a caller is asked to give so that the fact is known: "helo=". */
const char *caller_word(enum fact);

#endif
