/*
 * What servers and clients have in common (tls.h).
 *
 * OpenSSL keeps its errors in a queue of the thread.  Each step here begins with an empty queue, and
 * whoever gets TLS_FAILED asks tls_why() before anything else is done with OpenSSL; so no error is ever
 * taken for another connection's.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/tls.h"

/* In the order of our choice.  CBC only with keys agreed on afresh. */
#define CIPHERS_12                                                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"      \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"        \
	"ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:"                  \
	"ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA:"   \
	"ECDHE-RSA-AES128-SHA"
#define CIPHERS_13 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
/* No finite fields: one exponentiation costs us more than the client's whole attack. */
#define GROUPS "X25519:P-256:P-384:P-521"

/* --- memory --- */

static void *
allocate(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void
wipe_and_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* Never in place by realloc(3), which would leave the old block as it was. */
static void *
reallocate(void *p, size_t size, const char *file, int line)
{
	size_t had = p != NULL ? malloc_usable_size(p) : 0;
	void *new;

	if (size > 0 && size <= had)
		return p;
	new = size > 0 ? malloc(size) : NULL;
	if (new != NULL && p != NULL)
		memcpy(new, p, had);
	if (new != NULL || size == 0)
		wipe_and_free(p, file, line);
	return new;
}

void
tls_wipe_freed(void)
{
	if (CRYPTO_set_mem_functions(allocate, reallocate, wipe_and_free) != 1)
		fatal("tls: OpenSSL is in use already");
}

void
tls_policy(SSL_CTX *ctx)
{
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_12) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, CIPHERS_13) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
		fatal("tls: OpenSSL lacks a cipher or a curve that it always had");
	SSL_CTX_set_max_proto_version(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	        SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* a record that is no data, such as a key update, ends the read: else who sends nothing but these keeps us in it */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

struct tls_text
tls_name(const SSL *ssl)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const char *name = cipher != NULL ? SSL_CIPHER_standard_name(cipher) : NULL;
	struct tls_text t = { "" };

	if (name != NULL)
		snprintf(t.s, sizeof(t.s), "%s %s", SSL_get_version(ssl), name);
	return t;
}

/* --- steps --- */

/* What a call that returned N <= 0 means. */
static int
result_of(const SSL *ssl, int n)
{
	switch (SSL_get_error(ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_DONE;
	default:
		return TLS_FAILED;
	}
}

int
tls_handshake(SSL *ssl)
{
	int n, r;

	ERR_clear_error();
	n = SSL_do_handshake(ssl);
	if (n == 1)
		return TLS_DONE;
	r = result_of(ssl, n);
	return r == TLS_DONE ? TLS_FAILED : r; /* he left in the middle */
}

ssize_t
tls_read(SSL *ssl, void *data, size_t size)
{
	size_t n;

	ERR_clear_error();
	if (SSL_read_ex(ssl, data, size, &n) == 1)
		return (ssize_t)n;
	return result_of(ssl, 0);
}

ssize_t
tls_write(SSL *ssl, const void *data, size_t len)
{
	size_t n;
	int r;

	ERR_clear_error();
	if (SSL_write_ex(ssl, data, len, &n) == 1)
		return (ssize_t)n;
	r = result_of(ssl, 0);
	return r == TLS_DONE ? TLS_FAILED : r;
}

void
tls_goodbye(SSL *ssl)
{
	ERR_clear_error();
	if (SSL_is_init_finished(ssl) && !(SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN))
		SSL_shutdown(ssl);
	ERR_clear_error();
}

/* --- words --- */

/* What the peer did.  Alerts are what it says of us (RFC 8446 6). */
static const struct {
	int reason;
	const char *words;
} reasons[] = {
	{ SSL_R_UNSUPPORTED_PROTOCOL, "speaks only TLS 1.1 or older; 1.2 is the least that we take" },
	{ SSL_R_VERSION_TOO_LOW, "speaks only TLS 1.1 or older; 1.2 is the least that we take" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "has no version of TLS in common with us" },
	{ SSL_R_WRONG_VERSION_NUMBER, "sent something that is no TLS" },
	{ SSL_R_HTTP_REQUEST, "speaks HTTP, not TLS" },
	{ SSL_R_HTTPS_PROXY_REQUEST, "speaks HTTP, not TLS" },
	{ SSL_R_BAD_PROTOCOL_VERSION_NUMBER, "sent something that is no TLS" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, "sent something that is no TLS" },
	{ SSL_R_RECORD_LENGTH_MISMATCH, "sent something that is no TLS" },
	{ SSL_R_UNEXPECTED_MESSAGE, "sent a message of TLS where it has no place" },
	{ SSL_R_UNEXPECTED_EOF_WHILE_READING, "left" },
	{ SSL_R_NO_SHARED_CIPHER, "has no cipher in common with us that fits our certificate" },
	{ SSL_R_NO_SHARED_GROUPS, "has no key exchange in common with us" },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, "has no key exchange in common with us" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "takes no signature that our certificate can make" },
	{ SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, "takes no signature that our certificate can make" },
	{ SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, "cannot renegotiate safely (RFC 5746)" },
	{ SSL_R_INAPPROPRIATE_FALLBACK, "came back with an older TLS although we have a newer one in common" },
	{ SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "sent a record that was damaged or forged on the way" },
	{ SSL_R_CERTIFICATE_VERIFY_FAILED, "has a certificate that cannot be verified" },
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "has no certificate" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "finds nothing in common with us (alert handshake_failure)" },
	{ SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, "finds our ciphers too weak (alert insufficient_security)" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "rejects our certificate (alert bad_certificate)" },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "cannot use our kind of certificate (alert unsupported_certificate)" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "says our certificate is revoked (alert certificate_revoked)" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "says our certificate has expired (alert certificate_expired)" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "rejects our certificate (alert certificate_unknown)" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA, "does not know who signed our certificate (alert unknown_ca)" },
	{ SSL_R_TLSV1_ALERT_ACCESS_DENIED, "does not let us in (alert access_denied)" },
	{ SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "has trouble of its own (alert internal_error)" },
	{ SSL_R_TLSV1_ALERT_USER_CANCELLED, "broke off (alert user_canceled)" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "wants a certificate of ours (alert certificate_required)" },
	{ SSL_R_TLSV1_UNRECOGNIZED_NAME, "has no certificate for the name we asked for (alert unrecognized_name)" },
};

char *
tls_error_words(const char *peer, unsigned long error)
{
	char text[256];
	size_t i;

	if (error == 0)
		return xasprintf("the %s left", peer);
	if (ERR_GET_LIB(error) == ERR_LIB_SYS)
		return xasprintf("the connection to the %s is lost: %s", peer, strerror(ERR_GET_REASON(error)));
	for (i = 0; ERR_GET_LIB(error) == ERR_LIB_SSL && i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].reason == ERR_GET_REASON(error))
			return xasprintf("the %s %s", peer, reasons[i].words);
	ERR_error_string_n(error, text, sizeof(text));
	return xasprintf("TLS with the %s failed: %s", peer, text);
}

char *
tls_why(const char *peer)
{
	unsigned long error = ERR_peek_error();

	ERR_clear_error();
	return tls_error_words(peer, error);
}
