/*
 * The last decisions of the gate, a ring of some thousands in a table of the ledger's.  They gather
 * in memory and are written together, because a flood of callers who are refused is just when there
 * are many of them: a kill loses what was gathered since the last flush, which is history and
 * nothing that a decision hangs on.
 */
#ifndef FILTERS_LEDGER_EVENTS_H
#define FILTERS_LEDGER_EVENTS_H

#include <stdint.h>

#include "filters/ledger.h"
#include "lib/kv.h"

struct ledger_events;

/* NEXT: the number of the first one that will be added. */
struct ledger_events *ledger_events_new(struct kv_table *, uint64_t next);
/* Writes what was gathered, too. */
void ledger_events_free(struct ledger_events *);
/* Takes a decision down; writes when many have gathered.  1, or -1: those that had gathered could
 * not be written and are lost. */
int ledger_events_add(struct ledger_events *, const struct gate_event *);
/* Writes what was gathered.  0 or -1, as above. */
int ledger_events_flush(struct ledger_events *);

#endif
