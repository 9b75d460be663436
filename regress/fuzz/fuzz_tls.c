/*
 * Fuzz target: what stands in files of certificates, and the bundle that the master makes of them.
 * Octets are taken once as a bundle and once as a chain, a key and an OCSP response.  Whatever passes
 * the check can be served; what is refused leaves what was served before.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "lib/tls_server.h"
#include "regress/fuzz/target.h"

static void
on_complaint(enum tls_file file, bool fatal, const char *why, void *arg)
{
	require(file <= TLS_OCSP && why != NULL && strlen(why) < 1000);
	*(unsigned *)arg += fatal;
}

static void
check_bundle(const uint8_t *data, size_t size)
{
	char *why = tls_server_load(data, size);

	require(why == NULL || *why != '\0');
	free(why);
}

/* The files are divided by octets of zero. */
static struct tls_pair
pair_of(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size, *a = memchr(data, 0, size);
	const uint8_t *b = a != NULL ? memchr(a + 1, 0, (size_t)(end - a - 1)) : NULL;
	struct tls_pair p = { .chain = data, .chain_len = size };

	if (a != NULL) {
		p.chain_len = (size_t)(a - data);
		p.key = a + 1;
		p.key_len = (size_t)((b != NULL ? b : end) - a - 1);
	}
	if (b != NULL) {
		p.ocsp = b + 1;
		p.ocsp_len = (size_t)(end - b - 1);
	}
	return p;
}

static void
check_pair(const uint8_t *data, size_t size)
{
	static const uint8_t tickets[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	struct tls_pair p = pair_of(data, size);
	struct buf bundle = { 0 };
	unsigned fatal = 0;
	bool ok = tls_pair_check(&p, "mx.example.org", on_complaint, &fatal);
	SSL *ssl;
	char *why;

	require(ok == (fatal == 0));
	require(!ok || tls_pair_kind(&p) != NULL);
	tls_pair_expires(&p);
	tls_authorities(p.chain, p.chain_len);
	if (!ok)
		return;
	tls_bundle_tickets(&bundle, tickets);
	tls_bundle_certificate(&bundle, "x", &p, 1);
	why = tls_server_load(bundle.data, bundle.len);
	require(why == NULL);
	ssl = tls_server_new(0, "x", NULL);
	require(ssl != NULL);
	SSL_free(ssl);
	buf_wipe(&bundle);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1); /* as long as it is, so that a step past it is seen */

	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	check_bundle(copy, size);
	check_pair(copy, size);
	require(ERR_peek_error() == 0);
	free(copy);
	return 0;
}
