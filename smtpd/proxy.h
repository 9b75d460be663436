/*
 * The header that a proxy sends before the octets of its client (PROXY protocol, versions 1 and 2, HAProxy's
 * proxy-protocol.txt).  Syntax only: no session.
 */
#ifndef SMTPD_PROXY_H
#define SMTPD_PROXY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

#define PROXY_HEADER_MAX 4096 /* octets; what a proxy adds about TLS fits well */

enum proxy_status {
	PROXY_MORE, /* so far it is one; not whole */
	PROXY_DONE,
	PROXY_BAD
};

struct proxy {
	struct ip client; /* family 0: the connection is the proxy's own, or it does not say */
	uint16_t port;
};

/* Reads LEN octets from the first on.  When DONE, *USED are the header's. */
enum proxy_status proxy_parse(const void *, size_t len, struct proxy *, size_t *used);

#endif
