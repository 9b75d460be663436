/*
 * The server's side of TLS in one process: its certificates by name, the keys of its session tickets,
 * and who may sign clients' certificates.  All of it comes in one piece, a bundle, which the master
 * makes of files (smtpd/keys.h) and hands to the processes that serve; so those read no file, and a new
 * bundle takes the old one's place at once and whole.
 *
 * A connection keeps what it began with: contexts go when their last connection does.
 */
#ifndef LIB_TLS_SERVER_H
#define LIB_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/tls.h"

/* The content of a certificate's files; a length of 0: none. */
struct tls_pair {
	const void *chain, *key; /* PEM; the chain's first certificate is the one of the key */
	const void *ocsp;        /* DER (RFC 6960), or NULL */
	size_t chain_len, key_len, ocsp_len;
};
enum tls_file { TLS_CHAIN, TLS_KEY, TLS_OCSP };

/* Looks through a pair.  Each thing that is wrong is told: FATAL when the pair cannot be used, else it
 * is a warning.  WHY reads on behind the name of FILE: "holds no certificate; ...".  False when one was
 * fatal.  NAME: who the certificate is for; compared when it is a host's name. */
typedef void (*tls_complain)(enum tls_file, bool fatal, const char *why, void *arg);
bool tls_pair_check(const struct tls_pair *, const char *name, tls_complain, void *arg);
/* "RSA", "EC" ...: one server certificate may have one pair of each; NULL when there is no key. */
const char *tls_pair_kind(const struct tls_pair *);
/* The seconds since 1970 at which the certificate expires; 0 when there is none. */
int64_t tls_pair_expires(const struct tls_pair *);
/* PEM of those who sign clients' certificates: how many there are. */
unsigned tls_authorities(const void *pem, size_t len);

/* --- the bundle --- */

/* Tickets are made with the key in the middle and taken with all three.  Whoever has the keys shifts
 * them from time to time: every process then knows a key for a whole period before any other makes
 * tickets with it. */
#define TLS_TICKET_KEYS 3
#define TLS_TICKET_KEY_SIZE 80
#define TLS_TICKET_PERIOD 3600 /* seconds; a ticket is good for one */

/* In this order: tickets, then certificates and authorities as they come.  Secrets are in it:
 * buf_wipe() it. */
void tls_bundle_tickets(struct buf *, const uint8_t keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE]);
void tls_bundle_certificate(struct buf *, const char *name, const struct tls_pair *, unsigned n);
void tls_bundle_authorities(struct buf *, const char *path, const void *pem, size_t len);

/* --- serving --- */

/* Takes a bundle's place.  NULL; or why it is none (caller frees), and everything stays as it was. */
char *tls_server_load(const void *bundle, size_t len);
/* A connection on FD, with the certificate NAME unless the client asks for another of ours by name, and
 * asking for the client's certificate when AUTHORITIES (the path it came from) is not NULL.  NULL when
 * there is no such certificate. */
SSL *tls_server_new(int fd, const char *name, const char *authorities);
/* Who the client proved to be by a certificate that our authorities signed: its address, else its
 * common name; NULL: it proved nothing.  The caller frees. */
char *tls_client_name(const SSL *);

#endif
