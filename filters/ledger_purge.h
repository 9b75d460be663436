/*
 * Drops what is too old to count, in small steps.  Decisions do not depend on it: ages are tested
 * at every look.
 */
#ifndef FILTERS_LEDGER_PURGE_H
#define FILTERS_LEDGER_PURGE_H

#include <stdbool.h>
#include <stdint.h>

struct ledger;

/* Goes through all tables once, as of NOW, unless it is going already. */
void ledger_purge(struct ledger *, int64_t now);
bool ledger_purge_running(void);

/* What the last one that came to its end left there; counting at any other time would be a walk
 * over everything. */
struct ledger_census {
	int64_t time; /* 0: none has yet */
	uint64_t triplets, identities, callers, correspondents, tries;
};
const struct ledger_census *ledger_purge_census(void);

#endif
