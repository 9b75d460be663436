/*
 * Fuzz target: an account file, and a TLSA record.  Whatever parses has hosts, users and passwords, and is found again
 * under its host; whatever record is called usable has a form that OpenSSL's DANE takes.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "deliver/login.h"
#include "deliver/tlsa.h"
#include "regress/fuzz/target.h"

static void
check_record(const uint8_t *data, size_t size)
{
	static SSL_CTX *ctx;
	SSL *ssl;

	if (!tlsa_is_usable(data, size))
		return;
	if (ctx == NULL) {
		ctx = SSL_CTX_new(TLS_client_method());
		require(SSL_CTX_dane_enable(ctx) == 1);
	}
	ssl = SSL_new(ctx);
	require(SSL_dane_enable(ssl, "mx.example.net") == 1);
	require(SSL_dane_tlsa_add(ssl, data[0], data[1], data[2], data + TLSA_HEAD, size - TLSA_HEAD) == 1);
	SSL_free(ssl);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *why = NULL;
	struct logins *logins = login_parse("f", (const char *)data, size, &why);

	require((logins == NULL) == (why != NULL));
	free(why);
	if (logins != NULL) {
		(void)login_find(logins, "smtp.example.net", 587);
		login_free(logins);
	}
	check_record(data, size);
	return 0;
}
