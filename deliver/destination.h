/*
 * Destinations: the stable text of a list of hops, by which the queue counts and the relay finds
 * its way. destination_parse, the way back, is lookup.h's.
 */
#ifndef DELIVER_DESTINATION_H
#define DELIVER_DESTINATION_H

#include "deliver/domain.h"

#define SMTP_PORT 25

#define SMTPS_PORT 465 /* RFC 8314 3.3: TLS from the first octet */

/* "mx example.net", "[192.0.2.1]:25 mail.example.net:587 tls verify login /etc/account"; DOMAIN is
 * the recipient's.  The caller frees. */
char *destination_text(const struct hop *hops, unsigned n, const char *domain);
/* What a person names: "mail.example.net:25", "[192.0.2.9]" (port 25), "mx example.net".  NULL: that
 * is none.  The caller frees. */
char *destination_named(const char *text);
/* "off", "required", "verify"; "may" is no word of the configuration. */
const char *hop_tls_name(enum hop_tls);
/* Frees what destination_parse made. */
void destination_free(struct hop *hops, unsigned n, char *domain);

#endif
