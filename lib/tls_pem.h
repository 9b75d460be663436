/*
 * PEM and DER in memory become OpenSSL's objects: what tls_pair.c looks through and tls_server.c
 * serves.  Each function gives NULL for what cannot be read, and leaves OpenSSL's queue of errors
 * empty.
 */
#ifndef LIB_TLS_PEM_H
#define LIB_TLS_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ocsp.h>
#include <openssl/x509.h>

/* The first certificate, and in REST (never NULL when there is a first) those behind it; the caller
 * frees both. */
X509 *tls_pem_chain(const void *pem, size_t len, STACK_OF(X509) **rest);
/* LOCKED (may be NULL): there is one, under a passphrase. */
EVP_PKEY *tls_pem_key(const void *pem, size_t len, bool *locked);
/* NULL also when the responder answered with an error. */
OCSP_RESPONSE *tls_ocsp(const void *der, size_t len);
enum tls_ocsp_status { TLS_OCSP_GOOD, TLS_OCSP_REVOKED, TLS_OCSP_OTHER };
/* What it says of LEAF, and UNTIL when (tls_time); INT64_MAX: no end is set.  Its signature is the
 * client's to verify. */
enum tls_ocsp_status tls_ocsp_status(OCSP_RESPONSE *, X509 *leaf, X509 *issuer, int64_t *until);
/* Seconds since 1970; 0 for what is no time. */
int64_t tls_time(const ASN1_TIME *);

#endif
