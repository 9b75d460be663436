/*
 * The gate's events, counted: by hour and rule, in memory first and on disk a moment later.  One
 * per ledger.
 */
#ifndef FILTERS_LEDGER_COUNT_H
#define FILTERS_LEDGER_COUNT_H

#include <stdint.h>

#include "filters/ledger_store.h"

struct ledger_count;

struct ledger_count *ledger_count_new(void);
/* Forgets what was not flushed. */
void ledger_count_free(struct ledger_count *);

/* A decision of the gate. */
void ledger_count_event(struct ledger_count *, struct ledger_store *, const struct gate_event *);
/* A caller sat through the pause of that rule and line. */
void ledger_count_pause(struct ledger_count *, struct ledger_store *, uint16_t rule, uint16_t line,
    uint32_t seconds, int64_t now);
/* A triplet is put off for the first time, by a greylist or tempfail rule. */
void ledger_count_held(
    struct ledger_count *, struct ledger_store *, const struct grey_question *, int64_t now);
/* A triplet that ACTION of that rule and line had put off at FIRST has come back and passed. */
void ledger_count_returned(struct ledger_count *, struct ledger_store *, enum action, uint16_t rule,
    uint16_t line, int64_t first);
/* Writes what changed.  0, or -1: it stays in memory for the next time. */
int ledger_count_flush(struct ledger_count *, struct ledger_store *);

/* Since the start of the role. */
struct ledger_count_totals {
	uint64_t decisions, let_in; /* of the gate: by a rule, by none */
	uint64_t held, returned;    /* triplets */
	uint64_t flush_failures;
};
void ledger_count_totals(const struct ledger_count *, struct ledger_count_totals *);

#endif
