/*
 * One libunbound context on our event loop: the only file that knows libunbound.  Its options are
 * frozen at the first question, and what it learnt of dead servers stays with it, so a changed mind
 * of lib/dns.c means a new upstream.
 */
#ifndef LIB_DNS_UPSTREAM_H
#define LIB_DNS_UPSTREAM_H

#include <stdint.h>

#include "lib/dns.h"

struct dns_upstream;
struct event_base;

/* Takes over ANSWER (dns_answer_free).  May come from inside dns_upstream_ask: from the cache. */
typedef void (*dns_upstream_callback)(struct dns_answer *answer, void *arg);

/* Forwards to SERVERS, at least one.  ANCHORS: texts of DS or DNSKEY records, NULL-terminated;
 * NULL: does not validate.  Up to RUNNING_MAX questions do not hinder each other, at about 2 KiB
 * each from the start.  Opens no file, then or later.  NULL and *WHY (freed by the caller) when
 * libunbound refuses. */
struct dns_upstream *dns_upstream_new(struct event_base *, const struct dns_server *servers,
    unsigned servers_n, const char *const *anchors, unsigned running_max, char **why);
/* Not from inside a callback of this upstream.  The callbacks still owed do not come. */
void dns_upstream_free(struct dns_upstream *);
/* NAME as dns_name_normalize leaves it.  libunbound gives up by itself after about 17 seconds;
 * there is no cancelling, since a question that nobody waits for costs the same until then. */
void dns_upstream_ask(
    struct dns_upstream *, const char *name, uint16_t type, dns_upstream_callback, void *arg);

#endif
