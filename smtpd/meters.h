/*
 * What callers did of late, for the gate's `rate` and `unknown-recipients`: one table a meter and
 * session worker, in memory that is shared by fork.  Every worker counts in its own and reads all
 * of them; one that dies takes its counts with it.
 */
#ifndef SMTPD_METERS_H
#define SMTPD_METERS_H

#include "filters/gate.h"

/* In the master, before the fork of the WORKERS that serve this gate.  The gate must outlive it.  Workers that serve another
 * gate keep their own tables. */
void meters_init(const struct gate *, unsigned workers);
/* In a worker, at its start; those that serve one gate have numbers in a row. */
void meters_join(unsigned worker);
/* One more by this caller: FACT_RATE, FACT_UNKNOWN_RECIPIENTS. */
void meters_count(enum fact, const struct ip *);
/* Fills in those of OUT that are meters of FACT. */
void meters_read(enum fact, const struct ip *, uint32_t out[GATE_METERS]);

/* Recipients that an account wrote to: one more; how many within the last hour. */
#define METERS_ACCOUNT_SECONDS 3600
void meters_count_account(const char *account);
uint64_t meters_account(const char *account);

#endif
