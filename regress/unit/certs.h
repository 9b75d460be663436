/*
 * Certificates for tests, made in memory: who signs, for what name, from when to when.
 */
#ifndef REGRESS_UNIT_CERTS_H
#define REGRESS_UNIT_CERTS_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/buf.h"

#define DAY 86400

struct cert {
	X509 *x;
	EVP_PKEY *key;
};

static inline void
cert_extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* ALT: "DNS:a.example,email:b@c.example", or NULL: an authority.  KEY becomes the certificate's.
 * ISSUER NULL: itself. */
static inline struct cert
cert_make(EVP_PKEY *key, const char *name, const char *alt, const struct cert *issuer, long from_day, long to_day)
{
	static long serial;
	struct cert c = { .x = X509_new(), .key = key };
	X509_NAME *subject = X509_get_subject_name(c.x);

	X509_set_version(c.x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.x), from_day * DAY - 60);
	X509_gmtime_adj(X509_getm_notAfter(c.x), to_day * DAY);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(c.x, issuer != NULL ? X509_get_subject_name(issuer->x) : subject);
	X509_set_pubkey(c.x, key);
	if (alt != NULL)
		cert_extend(c.x, NID_subject_alt_name, alt);
	else
		cert_extend(c.x, NID_basic_constraints, "critical,CA:TRUE");
	X509_sign(c.x, issuer != NULL ? issuer->key : key, EVP_sha256());
	return c;
}

static inline void
cert_free(struct cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
}

static inline void
cert_take_bio(BIO *bio, struct buf *out)
{
	char *data;
	long n = BIO_get_mem_data(bio, &data);

	buf_add(out, data, (size_t)n);
	BIO_free(bio);
}

/* Appends PEM. */
static inline void
cert_pem(struct buf *out, const struct cert *c)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(bio, c->x);
	cert_take_bio(bio, out);
}

/* PASSPHRASE NULL: unlocked. */
static inline void
key_pem(struct buf *out, EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, passphrase,
	    passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL);
	cert_take_bio(bio, out);
}

/* What ISSUER says of C: STATUS is V_OCSP_CERTSTATUS_*, good for DAYS. */
static inline void
ocsp_der(struct buf *out, const struct cert *c, const struct cert *issuer, int status, long days)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), c->x, issuer->x);
	ASN1_TIME *from = X509_gmtime_adj(NULL, -100 * DAY), *to = X509_gmtime_adj(NULL, days * DAY);
	unsigned char *der = NULL;
	OCSP_RESPONSE *response;
	int n;

	OCSP_basic_add1_status(basic, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL, from, to);
	OCSP_basic_sign(basic, issuer->x, issuer->key, EVP_sha256(), NULL, 0);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(response, &der);
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

#endif
