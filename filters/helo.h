/*
 * What a client calls itself in HELO or EHLO: of what kind the name is, and whether it leads to the
 * client.  RFC 5321 4.1.1.1 wants a full name of the client, or its address in brackets.
 */
#ifndef FILTERS_HELO_H
#define FILTERS_HELO_H

#include <stdbool.h>

#include "lib/ip.h"

enum helo_kind {
	HELO_NAME,    /* a full name: two labels or more, the last one no number */
	HELO_LITERAL, /* [192.0.2.1], [IPv6:2001:db8::1] */
	HELO_INVALID, /* neither: "localhost", "192.0.2.1", "a..b" */
	HELO_OWN_NAME /* ours.  Never a result of helo_kind(): it depends on who we are */
};

enum helo_kind helo_kind(const char *helo);
/* "name", "literal", "invalid", "own-name" */
const char *helo_kind_name(enum helo_kind);
/* Could it be a server's name?  A full name that no rule of S25R matches and that does not hold the
 * client's address. */
bool helo_is_server_like(const char *helo, const struct ip *client);

struct helo_query;
/*
 * Is the client's address one of those of its name?  With no for a name that is not server-like,
 * without asking.  A server whose PTR name its provider chose can show in this way that its name
 * is its own, and a home line cannot.  FAILED: DNS gave no answer, and RESOLVES means nothing.
 * The callback comes once, from the loop.
 */
struct helo_query *helo_ask(const char *helo, const struct ip *client,
    void (*)(bool resolves, bool failed, void *), void *arg);
void helo_cancel(struct helo_query *);

#endif
