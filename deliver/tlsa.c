/*
 * Which TLSA records can be used (tlsa.h).
 *
 * The relay asks for every record before it promises itself to verify by one: a record that looks
 * usable and that OpenSSL then does not take would be a promise that cannot be kept.
 */
#include <openssl/x509.h>

#include "deliver/tlsa.h"

enum { USAGE_DANE_TA = 2, USAGE_DANE_EE = 3 };
enum { SELECTOR_CERTIFICATE = 0, SELECTOR_KEY = 1 };
enum { MATCHING_WHOLE = 0, MATCHING_SHA256 = 1, MATCHING_SHA512 = 2 };

static bool
is_certificate(const uint8_t *der, size_t len)
{
	const unsigned char *at = der;
	X509 *certificate = d2i_X509(NULL, &at, (long)len);
	bool ok = certificate != NULL && at == der + len && X509_get0_pubkey(certificate) != NULL;

	X509_free(certificate);
	return ok;
}

static bool
is_key(const uint8_t *der, size_t len)
{
	const unsigned char *at = der;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)len);
	bool ok = key != NULL && at == der + len;

	EVP_PKEY_free(key);
	return ok;
}

bool
tlsa_is_usable(const void *rdata, size_t len)
{
	const uint8_t *r = rdata;

	if (len <= TLSA_HEAD || (r[0] != USAGE_DANE_TA && r[0] != USAGE_DANE_EE) ||
	    r[1] > SELECTOR_KEY)
		return false;
	switch (r[2]) {
	case MATCHING_WHOLE:
		return r[1] == SELECTOR_CERTIFICATE ? is_certificate(r + TLSA_HEAD, len - TLSA_HEAD)
						    : is_key(r + TLSA_HEAD, len - TLSA_HEAD);
	case MATCHING_SHA256:
		return len == TLSA_HEAD + 32;
	case MATCHING_SHA512:
		return len == TLSA_HEAD + 64;
	default:
		return false;
	}
}
