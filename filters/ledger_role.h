/*
 * What the parts of the ledger's process share: the role itself (ledger.c) owns it, smtpctl's
 * requests (ledger_ctl.c) use it.
 */
#ifndef FILTERS_LEDGER_ROLE_H
#define FILTERS_LEDGER_ROLE_H

#include <stdbool.h>

#include "filters/ledger_count.h"
#include "filters/ledger_store.h"
#include "filters/operator.h"

/* Whoever sat through a pause or passed the greylist is remembered for a day. */
#define LEDGER_PASSED_SECONDS 86400

struct ledger {
	struct ledger_store *store; /* NULL: it could not be opened; it is tried again */
	struct operator_list *operators;
	struct ledger_count *count;
	bool changed; /* since the last flush to disk */
};

/* CLIENT has sat through a pause. */
void ledger_caller_has_passed(struct ledger *, const struct ip *client, int64_t now);
/* CLIENT has shown that it waits, or comes back: it may pass, whatever it did before. */
void ledger_caller_has_stayed(struct ledger *, const struct ip *client, int64_t now);
/* What the operator's entries say of a mail; of its caller, when they are silent about it. */
enum operator_word ledger_operator_word(
    const struct ledger *, const struct grey_question *, int64_t now);
/* The greylist's whole decision at NOW: the operator's word, the identity's trust, the triplet. */
void ledger_decide(
    struct ledger *, const struct grey_question *, int64_t now, struct grey_answer *);
/* Everything that is known of a caller at NOW. */
void ledger_judge_caller(
    struct ledger *, const struct ip *, const char *name, int64_t now, struct ledger_caller *);
/* Counts and remembers a decision of the gate. */
void ledger_take_event(struct ledger *, const struct gate_event *);
/* Reads the operator's entries from the store into memory. */
void ledger_load_operators(struct ledger *);

/* Registers the objects "grey" and "gate" with ctl.h. */
void ledger_ctl_init(struct ledger *);

#endif
