/*
 * Who guesses passwords: failures counted by address, network and account, delays that grow with them, bans that grow
 * with each ban.  Pure: the ledger keeps the records (ledger_login.c).
 *
 * An address here is an IPv4 address or the /64 around an IPv6 one, a network a /24 or /48.  Where an account has
 * logged in from an address of late, the two know each other: no ban applies to them, and the owner's old telephone with its
 * old password bans nobody but, after very many failures, this acquaintance.
 */
#ifndef FILTERS_LOCKOUT_H
#define FILTERS_LOCKOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

struct buf;

enum lockout_subject {
	LOCKOUT_ADDRESS,
	LOCKOUT_NETWORK,
	LOCKOUT_ACCOUNT,
	LOCKOUT_PAIR, /* an account at an address */
	LOCKOUT_SUBJECTS
};

struct lockout {
	uint32_t failures; /* in a row; an hour without one ends the row */
	uint32_t bans;     /* so far; forgotten with the record */
	int64_t last;      /* failure, 0: none */
	int64_t until;     /* banned; 0: not */
	int64_t passed;    /* PAIR: logged in */
};

/* "address", "network", "account", "known" */
const char *lockout_name(enum lockout_subject);
/* The address or network that IP is counted as. */
struct ipnet lockout_net(enum lockout_subject, const struct ip *);
/* The same as text; a whole address without its length. */
struct ip_text lockout_net_text(enum lockout_subject, const struct ip *);

/* One more failure at NOW.  True when it begins a ban. */
bool lockout_fail(struct lockout *, enum lockout_subject, int64_t now);
/* PAIR: has logged in. */
void lockout_pass(struct lockout *, int64_t now);
/* Failures of the row that NOW is in. */
uint32_t lockout_failures(const struct lockout *, int64_t now);
/* Seconds that the ban still lasts; 0: there is none. */
uint32_t lockout_left(const struct lockout *, int64_t now);
/* PAIR: they know each other. */
bool lockout_knows(const struct lockout *, int64_t now);
/* Seconds that the answer to failure number N of a row is held back. */
uint32_t lockout_delay(uint32_t n);
/* When nothing of it matters any more. */
int64_t lockout_expires(const struct lockout *);

void lockout_encode(struct buf *, const struct lockout *);
/* False: the octets are none. */
bool lockout_decode(const void *, size_t, struct lockout *);

#endif
