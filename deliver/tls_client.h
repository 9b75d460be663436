/*
 * The client's side of TLS: one OpenSSL context with the authorities that we believe, and for each
 * connection what its server has to prove.  Used by the SMTP client and by the fetch of MTA-STS
 * policies; what TLS is in general is lib/tls.h's.
 */
#ifndef DELIVER_TLS_CLIENT_H
#define DELIVER_TLS_CLIENT_H

#include <stdbool.h>

#include "deliver/tls_policy.h"
#include "deliver/tlsa.h"

struct ssl_st;

/* What the server is asked for, and has to prove. */
struct tls_target {
	enum tls_need need;
	const char *name;	 /* the server's, or its address in brackets */
	const char *dane_name;	 /* DANE: the TLSA base domain (RFC 7672 2.2.3) */
	const char *dane_domain; /* DANE: the domain that the mail is for, or NULL */
	const struct tlsa *tlsa; /* DANE: usable ones */
	unsigned tlsa_n;
};

/* Needs files, none later: before the sandbox.  TRUST is a file of certificates in PEM form, or
 * NULL for the system's, which may be missing: nobody is believed then.  0, or -1 with *WHY (caller
 * frees). */
int tls_client_prepare(const char *trust, char **why);

/* Whether that would succeed. */
int tls_client_check(const char *trust, char **why);

/* A connection that is to be; NULL, with *WHY (caller frees), when OpenSSL cannot do what TARGET
 * needs.  TARGET is not kept. */
struct ssl_st *tls_client_new(const struct tls_target *, char **why);

/* After the handshake: the certificate is the server's by the rules of TARGET's need; for a need
 * that does not verify, by those of TLS_PKIX. */
bool tls_client_verified(const struct ssl_st *);

/* After a handshake that failed with ERROR (bufferevent_get_openssl_error): in words.  The caller
 * frees. */
char *tls_client_why(const struct ssl_st *, unsigned long error);

#endif
