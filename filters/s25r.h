/*
 * S25R, Selective SMTP Rejection (ASAMI Hideo, 2004; rule 1 as revised 2009-02-01): does a host name look like an end
 * user's line?  Pure functions over the name; nothing is asked and nothing is remembered.
 */
#ifndef FILTERS_S25R_H
#define FILTERS_S25R_H

#include <stdbool.h>

struct ip;

/* Rule 0 is "no verified name" and is not a matter of the name: the caller knows. */
#define S25R_PASS (-1)
#define S25R_RULES 6

/* The first of rules 1 to 6 that NAME matches, case folded; 0 when NAME is NULL, empty or "unknown"; else S25R_PASS. */
int s25r_match(const char *name);
/* True when NAME matches that rule (0 to 6), whichever others match besides. */
bool s25r_matches_rule(const char *name, int rule);
/* The published expression of a rule (1 to 6), for smtpctl and the manual. */
const char *s25r_expression(int rule);
/* True when the digits (or hex digits) in NAME are the client's own address, whole or its last two octets and more, in
 * either order, decimal or hex, padded or not, for IPv6 a run of its groups or nibbles: a home line.  A provider's
 * numbered outgoing host matches the rules and not this, nor does a host with a word for mail in its name, as Amazon's
 * have (own_address.c). */
bool s25r_own_address(const char *name, const struct ip *client);

#endif
