/*
 * What the ledger makes of mail that was put off and comes back (tries.h): evidence for `gate rescued`, proposals for the
 * operator, and, where a rule says so, an entry in the white list that ends by itself.
 */
#ifndef FILTERS_LEDGER_TRIES_H
#define FILTERS_LEDGER_TRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/ledger_item.h"

struct ledger;

/* A `tempfail` rule's question, on which the operator's entries are silent: NEW, EARLY, TRUSTED when the rule rescues him
 * now, or UNKNOWN. */
void ledger_tries_refused(
    struct ledger *, const struct grey_question *, int64_t now, struct grey_answer *);
/* A triplet that the greylist first saw at FIRST came back at NOW; PASSED: and was let in. */
void ledger_tries_came_back(
    struct ledger *, const struct grey_question *, int64_t first, int64_t now, bool passed);
/* He left before a tarpit let him hear the answer. */
void ledger_tries_hung_up(struct ledger *, const struct grey_question *, int64_t now);
/* The mail of Q is let in after all.  Fills in how long it had waited, when it had. */
void ledger_tries_let_in(
    struct ledger *, const struct grey_question *, int64_t now, struct grey_answer *);
/* An entry that was made by RESCUE of Q's rule and is used lives on. */
void ledger_tries_renew(struct ledger *, const struct grey_question *, int64_t now);
/* The operator has not said anything about it. */
bool ledger_tries_are_open(const struct ledger *, const struct ledger_item *, int64_t now);

#endif
