/*
 * A session that does not take place: a caller of whom everything is known goes through the gate, with
 * a memory of its own instead of the ledger.  `gate simulate` prints each step, `gate replay` counts
 * what comes of thousands.
 *
 * It is the doorman's way (smtpd/doorman.c) without a socket: the wait of a phase, then the verdict,
 * then the greylist's word; whoever sat through a pause is not made to wait again, whoever hung up in a tarpit
 * with a greylist behind it owes it.
 */
#ifndef SMTPCTL_TRIAL_H
#define SMTPCTL_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/gate.h"
#include "filters/ledger.h"
#include "smtpctl/trial_memory.h"

struct conf;

struct trial {
	/* given */
	const struct conf *conf;
	struct trial_memory *memory;
	struct facts facts;   /* all that will be known in the end; the strings are the caller's */
	int64_t now;          /* moves on while he waits */
	uint32_t patience;    /* seconds after which he hangs up; 0: never */
	/* the walk's */
	struct trial_caller *caller;
	bool open;            /* trusted: no more questions */
	bool passed, stayed, left; /* what was known of him when he came, and since */
	const struct rule *owes;
	uint32_t waited;
	uint32_t missing;     /* FACT_BIT()s that some rule asked in vain */
};

/* What a phase came to. */
struct trial_step {
	enum phase phase;
	struct gate_result result;
	const struct rule *wait;  /* he waits because of it, or NULL */
	uint32_t seconds;         /* so long, or until he hung up */
	bool hung_up;
	const struct rule *verdict; /* what decided, or NULL: go on */
	enum action action;       /* what was done: of the rule, or instead of it; ACTION_COUNT: go on */
	struct grey_answer grey;  /* when the greylist was asked: STATE is not GREY_UNKNOWN */
	char *identity;           /* whom it took him for, or NULL; trial_step_clear() */
	int code;                 /* 0: go on; as the client sees it */
	bool close;
};

void trial_begin(struct trial *);
/* What the rules of PHASE may look at. */
struct facts trial_facts_at(struct trial *, enum phase);
/* Phases in their order; RCPT, DATA and MESSAGE again for each recipient and mail. */
void trial_pass(struct trial *, enum phase, struct trial_step *);
void trial_step_clear(struct trial_step *);
/* The mail was accepted, after the greylist had held it for so long: whoever came back is known. */
void trial_let_in(struct trial *, uint32_t held);

#endif
