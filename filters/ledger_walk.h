/*
 * A walk over one of the ledger's tables in small steps, one a turn of the loop, so that millions
 * of records hold nobody up who asks for one.  For the purge and for smtpctl's listings.
 */
#ifndef FILTERS_LEDGER_WALK_H
#define FILTERS_LEDGER_WALK_H

#include "filters/ledger_store.h"
#include "lib/buf.h"
#include "lib/ctl.h"

struct ledger_walk {
	struct ledger_store *store;
	enum ledger_table table;
	struct buf from;   /* the first key, or empty; the walk takes it over */
	struct ctl *ctl;   /* the walk waits while it is busy and ends when it is gone; or NULL */
	unsigned pause_ms; /* between two steps */
	/* As for kv_scan; KV_STOP ends the walk. */
	enum kv_step (*visit)(const struct ledger_item *, void *arg);
	/* RC 0: all seen or stopped; -1: the store gives no answer, or the caller is gone. */
	void (*done)(int rc, void *arg);
	void *arg;
};

/* Copies W.  The first step is made in a later turn. */
void ledger_walk(const struct ledger_walk *w);

#endif
