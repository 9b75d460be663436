/*
 * The MTA-STS policies of domains (RFC 8461 5.1), kept in memory and in the ledger.
 */
#ifndef DELIVER_STS_H
#define DELIVER_STS_H

#include "deliver/sts_policy.h"

struct sts_query;

/* DOMAIN's policy, or NULL: it has none that we know of.  It holds for TTL seconds at least, and
 * for as long as it is kept.  The callback comes once, from the loop, never from inside this call,
 * not after a cancel; within a minute and a half. */
struct sts_query *sts_find(const char *domain,
    void (*)(const struct sts_policy *, uint32_t ttl, void *arg), void *arg);
void sts_cancel(struct sts_query *);

#endif
