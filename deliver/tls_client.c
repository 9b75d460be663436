/*
 * Outgoing TLS (tls_client.h).
 *
 * OpenSSL verifies: names by RFC 6125 with no partial wildcards, chains against the authorities
 * read at the start, TLSA records by its own DANE (RFC 7671).  A server that need not prove
 * anything is looked at all the same, so that the log and policies in testing mode know.  What must
 * never happen: a connection whose target wants proof and that goes on without; so the mode is set
 * here, once, from the target alone, and a target that cannot be set up is an error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "deliver/tls_client.h"
#include "lib/fatal.h"
#include "lib/ip.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/tls.h"

#ifndef TRUST_SYSTEM /* under valgrind to read that would be most of what a start does */
#define TRUST_SYSTEM "/etc/ssl/certs/ca-certificates.crt"
#endif

static SSL_CTX *ctx;

int
tls_client_check(const char *trust, char **why)
{
	int r = tls_client_prepare(trust, why);

	SSL_CTX_free(ctx);
	ctx = NULL;
	return r;
}

int
tls_client_prepare(const char *trust, char **why)
{
	const char *path = trust != NULL ? trust : TRUST_SYSTEM;

	SSL_CTX_free(ctx);
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		fatal("tls: OpenSSL makes no context");
	tls_policy(ctx);
	if (SSL_CTX_dane_enable(ctx) != 1)
		fatal("tls: OpenSSL has no DANE");
	if (trust == NULL && access(path, R_OK) < 0) {
		log_warning("tls.no_trust", F_STR("file", path),
		    F_STR("effect", "no server's certificate can be verified by its authority"));
		return 0;
	}
	if (SSL_CTX_load_verify_file(ctx, path) == 1) {
		ERR_clear_error();
		return 0;
	}
	*why = xasprintf("%s: %s", path,
	    access(path, R_OK) < 0 ? strerror(errno) : "there are no certificates in PEM form in it");
	ERR_clear_error();
	return -1;
}

/* The name that the certificate must have, and that the server is told. */
static bool
set_name(SSL *ssl, const char *name)
{
	size_t len = strlen(name);
	char *address;
	bool ok;

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (name[0] != '[')
		return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
	address = xstrndup(name + 1, len > 2 ? len - 2 : 0);
	ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address) == 1;
	free(address);
	return ok;
}

/* RFC 7672 3.1 and 3.2: names count for trust anchors only, and then the next-hop domain's does
 * too. */
static bool
set_dane(SSL *ssl, const struct tls_target *target)
{
	unsigned i, n = 0;

	if (SSL_dane_enable(ssl, target->dane_name) != 1)
		return false;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	if (target->dane_domain != NULL && SSL_add1_host(ssl, target->dane_domain) != 1)
		return false;
	for (i = 0; i < target->tlsa_n; i++) {
		const struct tlsa *t = &target->tlsa[i];

		n += SSL_dane_tlsa_add(ssl, t->data[0], t->data[1], t->data[2],
			 t->data + TLSA_HEAD, t->len - TLSA_HEAD) > 0;
	}
	return n > 0;
}

struct ssl_st *
tls_client_new(const struct tls_target *target, char **why)
{
	SSL *ssl = SSL_new(ctx);
	bool ok;

	if (ssl == NULL)
		fatal("tls: no memory for a connection");
	SSL_set_connect_state(ssl);
	SSL_set_verify(
	    ssl, target->need >= TLS_PKIX ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	ok = target->need == TLS_DANE ? set_dane(ssl, target) : set_name(ssl, target->name);
	if (ok || target->need < TLS_PKIX) {
		ERR_clear_error();
		return ssl;
	}
	*why = tls_error_words("server", ERR_peek_error());
	ERR_clear_error();
	SSL_free(ssl);
	return NULL;
}

bool
tls_client_verified(const SSL *ssl)
{
	return SSL_get_verify_result(ssl) == X509_V_OK && SSL_get0_peer_certificate(ssl) != NULL;
}

char *
tls_client_why(const SSL *ssl, unsigned long error)
{
	long verified = SSL_get_verify_result(ssl);

	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
	    ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return xasprintf("the server's certificate cannot be verified: %s",
		    X509_verify_cert_error_string(verified));
	/* without a library it is none of OpenSSL's: libevent's word for a lost connection */
	return tls_error_words("server", ERR_GET_LIB(error) != 0 ? error : 0);
}
