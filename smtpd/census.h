/*
 * How many connections there are from each address and network, over all session workers: counters in memory that is
 * shared by fork, one column a worker, so that the counts of one that dies can be taken back.
 * Addresses fall into slots by a keyed hash; two that share one are counted together, which a limit survives.
 */
#ifndef SMTPD_CENSUS_H
#define SMTPD_CENSUS_H

#include <stdint.h>

#include "lib/ip.h"

/* In the master, before any fork; numbers of workers are below WORKERS. */
void census_init(unsigned workers);
/* In a worker, at its start. */
void census_join(unsigned worker);
/* In the master, when a worker has ended: its connections have gone with it, and it may never come back. */
void census_clear(unsigned worker);

struct census_count {
	uint32_t all, address, network;
};
/* Counts one more, and tells how many there are now, this one included. */
struct census_count census_enter(const struct ip *);
/* The same without counting. */
struct census_count census_look(const struct ip *);
void census_leave(const struct ip *);
/* Of everybody. */
uint32_t census_all(void);

#endif
