/*
 * Who a caller is for the greylist, so that a provider's pool of outgoing hosts is one caller and a provider's pool of
 * home lines is not (design: identity).  First that applies:
 *   1. the domain that SPF authenticated, unless its record is a blanket pass: "spf:example.org"
 *   2. the verified name without its first label, unless the name carries the client's own address, has fewer than
 *      three labels, or what is left would be a public suffix of two short labels ("co.jp"): "name:google.com"
 *   3. the network, /24 or /64: "net:192.0.2.0/24"
 */
#ifndef FILTERS_IDENTITY_H
#define FILTERS_IDENTITY_H

struct ip;

/* NAME: the verified name or NULL; SPF: the authenticated domain or NULL.  The caller frees the string. */
char *identity_of(const struct ip *client, const char *name, const char *spf);
/* The address alone, as `greylist by address` has it: "net:192.0.2.7/32".  The caller frees. */
char *identity_of_address(const struct ip *client);
/* The sender as a greylist key: lower case, extension after '+' dropped, digit runs between non-letters become '#'
 * (VERP), BATV's prvs= tag dropped (the rules of postgrey 1.37).  "" for the null sender.  The caller frees. */
char *identity_sender(const char *address);
/* The recipient as a greylist key: lower case, as postgrey has it, for whoever comes back may spell it as the writer did. */
char *identity_recipient(const char *address);

#endif
