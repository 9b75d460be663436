/*
 * Is any of the DNS servers alive?  Asks each of them directly, by UDP, a question that every
 * resolver can answer; any response will do.  libunbound cannot say this: it needs 12 to 17 seconds
 * to give up on a dead forwarder, and then does not tell that apart from a broken domain.
 */
#ifndef LIB_DNS_PROBE_H
#define LIB_DNS_PROBE_H

#include <stdbool.h>

#include "lib/dns.h"

struct dns_probe;
struct event_base;

/* A round that asks each server up to 3 times, INTERVAL_MS apart.  DONE comes once, from the loop:
 * ALIVE when one answered, else after the last interval or as soon as all refused.  The probe is
 * still the caller's then. */
struct dns_probe *dns_probe_start(struct event_base *, const struct dns_server *,
    unsigned servers_n, unsigned interval_ms, void (*done)(bool alive, void *), void *arg);
/* Also from inside DONE; also NULL. */
void dns_probe_free(struct dns_probe *);

#endif
