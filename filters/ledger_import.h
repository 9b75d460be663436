/*
 * Taking over what another greylist has learnt: `smtpctl grey import` reads its files and sends
 * records, as words of requests, many at a time.
 *
 *	triplet IDENTITY SENDER RECIPIENT FIRST LAST PASSED
 *	identity IDENTITY TRIPLETS LAST
 *
 * Times are seconds since 1970; PASSED is 0 for what has not.
 */
#ifndef FILTERS_LEDGER_IMPORT_H
#define FILTERS_LEDGER_IMPORT_H

#include "filters/ledger_role.h"
#include "lib/ctl.h"

/* Answers CTL with one record: how many were taken, were too old, known already, or odd. */
void ledger_import(struct ledger *, struct ctl *, unsigned n, const char *const *words);

#endif
