/*
 * Fetching an MTA-STS policy (RFC 8461 3.3): https://mta-sts.DOMAIN/.well-known/mta-sts.txt, with a
 * certificate of that name, no redirects, at most 64 KiB, within a minute.
 */
#ifndef DELIVER_STS_FETCH_H
#define DELIVER_STS_FETCH_H

#include <stddef.h>

struct sts_fetch;

/* TEXT is valid during the call; NULL: WHY says why there is none.  Once, from the loop, not after
 * a cancel. */
struct sts_fetch *sts_fetch(const char *domain,
    void (*)(const char *text, size_t len, const char *why, void *arg), void *arg);
void sts_fetch_cancel(struct sts_fetch *);

#endif
