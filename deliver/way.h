/*
 * The way to a destination: its servers (mx.h) and what the domain wants of TLS.  Found once, and
 * kept for as long as DNS says it holds: while mail flows no message asks for itself.
 */
#ifndef DELIVER_WAY_H
#define DELIVER_WAY_H

#include "deliver/mx.h"
#include "deliver/provider.h"
#include "deliver/sts_policy.h"

struct way {
	const struct mx_answer *mx;
	const struct sts_policy *policy;   /* MTA-STS, or NULL */
	const struct provider *provider;   /* whose servers they are, or NULL */
	/* The same for all destinations with the same servers, or of one provider: the servers' names in
	 * the order of the alphabet, or the provider's name.  NULL: there are none. */
	const char *site;
	uint32_t holds; /* seconds that it is kept */
};

struct way_query;

/* Before the first question: the rules for providers (provider.h), which stay the caller's. */
void way_init(const struct table *providers);
/* DESTINATION as lookup.h has it.  The callback comes once, from the loop, never from inside this
 * call, not after a cancel; WAY is valid during the call, and as long as it is kept.  SELF stays
 * the caller's and is the same in every call. */
struct way_query *way_find(const char *destination, const struct mx_self *self,
    void (*)(const struct way *, void *arg), void *arg);
void way_cancel(struct way_query *);
const struct way *way_keep(const struct way *);
void way_drop(const struct way *);

#endif
