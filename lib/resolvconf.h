/*
 * resolv.conf(5): which name servers the system uses.  Search lists and options are not for mail.
 */
#ifndef LIB_RESOLVCONF_H
#define LIB_RESOLVCONF_H

#include <stddef.h>

#include "lib/dns.h"

/* glibc looks at three */
#define RESOLVCONF_SERVERS_MAX 3

/* Reads TEXT of LEN octets: the "nameserver" lines, in order, up to RESOLVCONF_SERVERS_MAX, port
 * 53; 127.0.0.1 when there is none, as the C library does.  An address with a scope (fe80::1%eth0)
 * is left out.  Returns how many. */
unsigned resolvconf_parse(
    const char *text, size_t len, struct dns_server out[RESOLVCONF_SERVERS_MAX]);
/* The same of /etc/resolv.conf; without the file, 127.0.0.1. */
unsigned resolvconf_read(struct dns_server out[RESOLVCONF_SERVERS_MAX]);

#endif
