/* Reading certificates, keys and OCSP responses from memory (tls_pem.h). */
#include <limits.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "lib/tls_pem.h"

static BIO *
open_memory(const void *data, size_t len)
{
	return len > 0 && len <= INT_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
}

X509 *
tls_pem_chain(const void *pem, size_t len, STACK_OF(X509) **rest)
{
	BIO *bio = open_memory(pem, len);
	X509 *first = bio != NULL ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL, *next;

	*rest = NULL;
	if (first != NULL) {
		*rest = sk_X509_new_null();
		while ((next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
			sk_X509_push(*rest, next);
	}
	BIO_free(bio);
	ERR_clear_error();
	return first;
}

/* Instead of asking at a terminal. */
static int
on_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

EVP_PKEY *
tls_pem_key(const void *pem, size_t len, bool *locked)
{
	BIO *bio = open_memory(pem, len);
	bool asked = false;
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &asked) : NULL;

	if (locked != NULL)
		*locked = asked;
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

OCSP_RESPONSE *
tls_ocsp(const void *der, size_t len)
{
	const unsigned char *p = der;
	OCSP_RESPONSE *response = len <= LONG_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)len) : NULL;

	if (response != NULL && OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		OCSP_RESPONSE_free(response);
		response = NULL;
	}
	ERR_clear_error();
	return response;
}

/* Responders name a certificate by digests of its issuer, with a digest of their choice. */
static bool
is_about(OCSP_SINGLERESP *single, X509 *leaf, X509 *issuer)
{
	OCSP_CERTID *theirs = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single), *ours;
	ASN1_OBJECT *digest = NULL;
	const EVP_MD *md;
	bool same;

	if (OCSP_id_get0_info(NULL, &digest, NULL, NULL, theirs) != 1 || (md = EVP_get_digestbyobj(digest)) == NULL)
		return false;
	ours = OCSP_cert_to_id(md, leaf, issuer);
	same = ours != NULL && OCSP_id_cmp(ours, theirs) == 0;
	OCSP_CERTID_free(ours);
	return same;
}

int64_t
tls_time(const ASN1_TIME *when)
{
	struct tm tm;

	return when != NULL && ASN1_TIME_to_tm(when, &tm) == 1 ? timegm(&tm) : 0;
}

enum tls_ocsp_status
tls_ocsp_status(OCSP_RESPONSE *response, X509 *leaf, X509 *issuer, int64_t *until)
{
	ASN1_GENERALIZEDTIME *next = NULL;
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
	enum tls_ocsp_status status = TLS_OCSP_OTHER;
	int i, n = basic != NULL ? OCSP_resp_count(basic) : 0;

	*until = INT64_MAX;
	for (i = 0; i < n && status == TLS_OCSP_OTHER; i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

		if (!is_about(single, leaf, issuer))
			continue;
		switch (OCSP_single_get0_status(single, NULL, NULL, NULL, &next)) {
		case V_OCSP_CERTSTATUS_GOOD:
			status = TLS_OCSP_GOOD;
			break;
		case V_OCSP_CERTSTATUS_REVOKED:
			status = TLS_OCSP_REVOKED;
			break;
		}
		if (next != NULL)
			*until = tls_time(next);
	}
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
	return status;
}
