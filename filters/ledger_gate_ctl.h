/*
 * `smtpctl gate report`, `gate rescued` and `gate explain session=`, answered in the ledger.
 */
#ifndef FILTERS_LEDGER_GATE_CTL_H
#define FILTERS_LEDGER_GATE_CTL_H

struct ledger;

/* Registers the object "gate" with ctl.h. */
void ledger_gate_ctl_init(struct ledger *);

#endif
