/*
 * What this session worker relies on, and whether it can: our DNS, the lists that the gate asks,
 * the clock.  What cannot be relied on is evidence against nobody until it is well again.  Told
 * once in the log, and in `smtpctl stats`.
 *
 * Each worker judges by what it sees itself: the kernel spreads callers over them, so what breaks for one breaks for
 * all within a few callers, and an outage of all DNS servers trips each at its first.  Shared memory would make
 * them agree a moment sooner, and let one worker's mistake be everybody's.
 */
#ifndef SMTPD_HEALTH_H
#define SMTPD_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/dnsbl.h"
#include "lib/ip.h"

struct ctl;
struct gate;

/* In a session's role, at its start.  PROVEN is called once, when all lists have been probed for
 * the first time; until then nobody should ask them.  At once, from inside, when there are none. */
void health_start(const struct gate *, unsigned instance, void (*proven)(void));
/* All lists have been probed. */
bool health_lists_proven(void);
/* Bits of the questions of the gate's lists that may be asked. */
uint64_t health_lists(void);
/* How one came out: for dnsbl_ask. */
void health_note_list(unsigned question, enum dnsbl_reply);

/* A client's name could be found out, or not; OUTAGE: because none of our DNS servers answers. */
void health_note_dns(const struct ip *, bool failed, bool outage);
/* What DNS does not say is our own fault. */
bool health_dns_is_broken(void);

/* Records for `smtpctl stats`. */
void health_stats(struct ctl *);

#endif
