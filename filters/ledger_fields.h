/*
 * The ledger's items as records for people and programs (lib/field.h): one list of names for all of
 * smtpctl's answers. Times are seconds since 1970; beside each stands its text in UTC.
 */
#ifndef FILTERS_LEDGER_FIELDS_H
#define FILTERS_LEDGER_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/ledger_item.h"

struct ctl;

/* Answers CTL with one record.  DETAILED: with everything that is kept (`grey show`). */
void ledger_answer_item(struct ctl *, const struct ledger_item *, int64_t now, bool detailed);
void ledger_answer_event(struct ctl *, const struct gate_event *);

struct ledger_time_text {
	char s[32];
};
/* "2026-01-31T23:59:59Z" */
struct ledger_time_text ledger_time_text(int64_t);

#endif
