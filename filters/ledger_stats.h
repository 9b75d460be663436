/*
 * What the ledger says of itself to `smtpctl stats`.
 */
#ifndef FILTERS_LEDGER_STATS_H
#define FILTERS_LEDGER_STATS_H

struct ledger;

/* Registers the object "stats" with ctl.h. */
void ledger_stats_init(struct ledger *);

#endif
