/*
 * The way out: which libunbound context questions go to now, whether any DNS server lives at all,
 * and whether DNSSEC can be relied on.  lib/dns.c owns one and is told when it changes.
 */
#ifndef LIB_DNS_OUT_H
#define LIB_DNS_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/dns.h"

struct dns_out;
struct dns_upstream;
struct event_base;

/* Takes servers, anchors, timeout and running_max from CONF, where none of them may be 0 by default
 * any more, except that no anchors are the root's.  CHANGED comes from the loop whenever
 * dns_out_upstream is about to be another or none: whatever was asked from the old one is void when
 * it returns.  NULL and *WHY (freed by the caller) for a bad anchor. */
struct dns_out *dns_out_new(
    struct event_base *, const struct dns_conf *, void (*changed)(void *), void *arg, char **why);
void dns_out_free(struct dns_out *);

/* NULL: not yet, or down. */
struct dns_upstream *dns_out_upstream(const struct dns_out *);
/* No server lives: a question would fail.  It is found out by itself when one comes back. */
bool dns_out_is_down(const struct dns_out *);
bool dns_out_validating(const struct dns_out *);

/* An answer came from outside (not from the cache). */
void dns_out_succeeded(struct dns_out *);
/* A question asked at SINCE (clock_ms) failed, or takes long.  When no answer at all came since,
 * the servers are probed. */
void dns_out_doubt(struct dns_out *, uint64_t since);

#endif
