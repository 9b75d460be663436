/*
 * Asking blocklists and allowlists about one client: all zones of a set at once, through
 * resolver.h.
 */
#ifndef FILTERS_DNSBL_ASK_H
#define FILTERS_DNSBL_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/dnsbl.h"

struct dnsbl_query;

/* ANSWERS says what is known so far and is valid during the call; with LAST all is, and the query
 * is gone.  Comes from the loop, never from inside the call that asks, not after a cancel. */
typedef void (*dnsbl_callback)(const struct dnsbl_answers *, bool last, void *arg);

/* QUESTIONS without a bit here are not asked: they fail.  OBSERVE, unless NULL, is told how each
 * question that is asked came out, for whoever watches over the zones.  SET must outlive the
 * query. */
struct dnsbl_ask {
	const struct dnsbl_set *set;
	uint64_t questions; /* bits by number of question */
	void (*observe)(unsigned question, enum dnsbl_reply);
	dnsbl_callback done;
	void *arg;
};
struct dnsbl_query *dnsbl_ask(const struct dnsbl_ask *, const struct ip *client);
void dnsbl_cancel(struct dnsbl_query *);

#endif
