/*
 * The inside of `smtpctl gate explain`: a caller who is not there.  explain_facts.c takes what the
 * words say of him, explain_ask.c asks DNS and the ledger, explain_show.c shows all of it;
 * explain_walk.c leads him through the rules, and explain_pass.c says what would lead him past one.
 * explain_session.c takes somebody who was there.
 */
#ifndef SMTPCTL_EXPLAIN_H
#define SMTPCTL_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/gate.h"

struct conf;
struct output;

struct caller {
	struct facts facts;
	uint32_t assumed;     /* FACT_BIT()s of what was neither given nor asked */
	bool name_given;      /* name=: DNS is not asked for it */
	bool allowed, denied, passed, stayed, left; /* the ledger's word on him, if it was asked */
	bool mail_allowed; /* and on his mail, which is known at rcpt */
	bool ledger_asked;
	uint32_t rate, unknown_recipients; /* for all meters of the gate */
	/* for people, or NULL */
	char *rdns_why, *spf_why;
	/* what the strings of FACTS point to */
	char *name, *claimed, *sender, *recipient, *spf_domain;
};

/* From the words of the call; the gate of CONF says what is counted.  NULL, or what is wrong with
 * them (caller frees). */
char *caller_read(struct caller *, const struct conf *, int n, char **words);
/* Asks DNS as the configuration says, for all that the words allow to be asked; 0, or -1 with *WHY
 * (caller frees). */
int caller_ask_dns(struct caller *, const struct conf *, char **why);
/* Asks the server that runs, if there is one that answers us. */
void caller_ask_ledger(struct caller *);
void caller_free(struct caller *);

/* What has to be given so that the fact is known: "helo=". */
const char *caller_word(const struct caller *, enum fact);

/* Leads him through the gate of CONF and prints: facts, rules, the verdict, and what would lead past it. */
void explain_caller(struct caller *, const struct conf *);
/* `gate explain session=ID` with its words; returns the exit code. */
int explain_session(int n, char **words);

/* All of it, with the evidence. */
void caller_show(const struct caller *, const struct conf *, struct output *);

/* Ways past a rule that applies to the caller: each would do alone. */
struct ways {
	char **list;
	unsigned n;
};
void ways_past(struct ways *, const struct rule *, const struct caller *, const struct gate *);
void ways_clear(struct ways *);

#endif
