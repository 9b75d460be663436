/*
 * TLSA records (RFC 6698 2.1), as far as mail uses them (RFC 7672 3.1).  Pure.
 */
#ifndef DELIVER_TLSA_H
#define DELIVER_TLSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The rdata: usage, selector, matching type, and what is to match. */
struct tlsa {
	uint8_t *data;
	size_t len;
};
#define TLSA_HEAD 3

/* True for a trust anchor (DANE-TA) or a server's own certificate or key (DANE-EE) in a form that
 * is defined: whole and well formed, or as SHA-256 or SHA-512.  The others (PKIX-TA, PKIX-EE, what
 * is to come) are unusable for mail. */
bool tlsa_is_usable(const void *rdata, size_t len);

#endif
