/*
 * Contexts of a server, chosen by name (tls_server.h).
 *
 * What OpenSSL calls back for is found in two places.  What belongs to one certificate (its names, what
 * to staple) hangs on its context and goes with it.  What is of the whole process (the other
 * certificates, the tickets' keys) is CURRENT, replaced whole by tls_server_load(): a handshake that is
 * under way then goes on with the new one.  What must never happen: that a bundle which is refused
 * halfway leaves half of it served.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "lib/clock.h"
#include "lib/cursor.h"
#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/tls_pem.h"
#include "lib/tls_server.h"

#define PAIRS_MAX 8
#define ITEM_CERTIFICATE 1
#define ITEM_AUTHORITIES 2

/* Of one certificate statement, behind its context. */
struct site {
	unsigned n;
	struct {
		X509 *leaf;
		unsigned char *ocsp; /* or NULL */
		size_t ocsp_len;
		int64_t ocsp_until;
	} pairs[PAIRS_MAX];
};

struct named_context {
	char *name;
	SSL_CTX *ctx;
};
struct authorities {
	char *path;
	uint8_t digest[SHA256_DIGEST_LENGTH]; /* of the PEM: tickets are good for these only */
	X509_STORE *store;
	STACK_OF(X509_NAME) *names;
};
struct server {
	struct named_context *contexts;
	unsigned contexts_n;
	struct authorities *authorities;
	unsigned authorities_n;
	uint8_t tickets[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
};

static struct server *current;
static int site_index = -1; /* of a context's extra data */

/* --- the bundle --- */

void
tls_bundle_tickets(struct buf *b, const uint8_t keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE])
{
	buf_add(b, keys, (size_t)TLS_TICKET_KEYS * TLS_TICKET_KEY_SIZE);
}

void
tls_bundle_certificate(struct buf *b, const char *name, const struct tls_pair *pairs, unsigned n)
{
	unsigned i;

	buf_add_u8(b, ITEM_CERTIFICATE);
	buf_add_str(b, name);
	buf_add_u32(b, n);
	for (i = 0; i < n; i++) {
		buf_add_blob(b, pairs[i].chain, pairs[i].chain_len);
		buf_add_blob(b, pairs[i].key, pairs[i].key_len);
		buf_add_blob(b, pairs[i].ocsp, pairs[i].ocsp_len);
	}
}

void
tls_bundle_authorities(struct buf *b, const char *path, const void *pem, size_t len)
{
	buf_add_u8(b, ITEM_AUTHORITIES);
	buf_add_str(b, path);
	buf_add_blob(b, pem, len);
}

/* --- stapling (RFC 6066 8) --- */

static void
free_site(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct site *site = ptr;
	unsigned i;

	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	for (i = 0; site != NULL && i < site->n; i++) {
		X509_free(site->pairs[i].leaf);
		free(site->pairs[i].ocsp);
	}
	free(site);
}

static int
on_status(SSL *ssl, void *unused)
{
	const struct site *site = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), site_index);
	const X509 *leaf = SSL_get_certificate(ssl);
	unsigned char *copy;
	unsigned i;

	(void)unused;
	for (i = 0; leaf != NULL && i < site->n; i++) {
		if (site->pairs[i].ocsp == NULL || X509_cmp(site->pairs[i].leaf, leaf) != 0 ||
		    site->pairs[i].ocsp_until < clock_now())
			continue;
		copy = OPENSSL_memdup(site->pairs[i].ocsp, site->pairs[i].ocsp_len);
		if (copy == NULL)
			break;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)site->pairs[i].ocsp_len);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* --- tickets (RFC 5077, RFC 8446 4.6.1) --- */

static bool
set_up_ticket(const uint8_t *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
	static EVP_CIPHER *aes;
	OSSL_PARAM params[3] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)(key + 48), 32),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};

	if (aes == NULL)
		aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	return aes != NULL && EVP_CipherInit_ex2(cipher, aes, key + 16, iv, enc, NULL) == 1 &&
	    EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* A key is its name (16 octets), for AES (32) and for HMAC (32). */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
	const uint8_t *key = current->tickets[TLS_TICKET_KEYS / 2];
	unsigned i;

	(void)ssl;
	if (enc) {
		memcpy(name, key, 16);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
		return set_up_ticket(key, iv, cipher, mac, 1) ? 1 : -1;
	}
	for (i = 0; i < TLS_TICKET_KEYS; i++) {
		if (memcmp(name, current->tickets[i], 16) != 0)
			continue;
		if (!set_up_ticket(current->tickets[i], iv, cipher, mac, 0))
			return -1;
		return i <= TLS_TICKET_KEYS / 2 ? 1 : 2; /* 2: a new one for the old */
	}
	return 0;
}

/* --- names (RFC 6066 3) --- */

static bool
is_for(const SSL_CTX *ctx, const char *name)
{
	const struct site *site = SSL_CTX_get_ex_data(ctx, site_index);
	unsigned i;

	for (i = 0; i < site->n; i++)
		if (X509_check_host(site->pairs[i].leaf, name, strlen(name), 0, NULL) == 1)
			return true;
	return false;
}

/* Who may sign the client's certificate is kept with our own, and is the listener's business. */
static void
switch_context(SSL *ssl, SSL_CTX *ctx)
{
	X509_STORE *store = NULL;

	SSL_get0_verify_cert_store(ssl, &store);
	if (store != NULL)
		X509_STORE_up_ref(store);
	SSL_set_SSL_CTX(ssl, ctx);
	SSL_set0_verify_cert_store(ssl, store);
}

static int
on_name(SSL *ssl, int *alert, void *unused)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	unsigned i;

	(void)alert;
	(void)unused;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (is_for(SSL_get_SSL_CTX(ssl), name))
		return SSL_TLSEXT_ERR_OK;
	for (i = 0; i < current->contexts_n; i++) {
		const struct named_context *c = &current->contexts[i];

		if (strcasecmp(c->name, name) != 0 && !is_for(c->ctx, name))
			continue;
		switch_context(ssl, c->ctx);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK; /* the listener's own will do (RFC 6066 3: no alert) */
}

/* --- contexts --- */

static void
free_server(struct server *s)
{
	unsigned i;

	if (s == NULL)
		return;
	for (i = 0; i < s->contexts_n; i++) {
		SSL_CTX_free(s->contexts[i].ctx);
		free(s->contexts[i].name);
	}
	for (i = 0; i < s->authorities_n; i++) {
		X509_STORE_free(s->authorities[i].store);
		sk_X509_NAME_pop_free(s->authorities[i].names, X509_NAME_free);
		free(s->authorities[i].path);
	}
	free(s->contexts);
	free(s->authorities);
	explicit_bzero(s->tickets, sizeof(s->tickets));
	free(s);
}

static SSL_CTX *
new_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct site *site = xcalloc(1, sizeof(*site));

	if (ctx == NULL)
		fatal("tls: no context");
	tls_policy(ctx);
	SSL_CTX_set_timeout(ctx, TLS_TICKET_PERIOD);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	SSL_CTX_set_ex_data(ctx, site_index, site);
	return ctx;
}

static void
add_staple(struct site *site, const struct tls_pair *p, X509 *issuer)
{
	OCSP_RESPONSE *response = p->ocsp_len > 0 ? tls_ocsp(p->ocsp, p->ocsp_len) : NULL;
	unsigned i = site->n - 1;
	int64_t until;

	if (response != NULL && tls_ocsp_status(response, site->pairs[i].leaf, issuer, &until) == TLS_OCSP_GOOD) {
		site->pairs[i].ocsp = xmalloc(p->ocsp_len);
		memcpy(site->pairs[i].ocsp, p->ocsp, p->ocsp_len);
		site->pairs[i].ocsp_len = p->ocsp_len;
		site->pairs[i].ocsp_until = until;
	}
	OCSP_RESPONSE_free(response);
}

static bool
add_pair(SSL_CTX *ctx, const struct tls_pair *p)
{
	struct site *site = SSL_CTX_get_ex_data(ctx, site_index);
	STACK_OF(X509) *rest;
	X509 *leaf = tls_pem_chain(p->chain, p->chain_len, &rest);
	EVP_PKEY *key = tls_pem_key(p->key, p->key_len, NULL);
	bool ok = leaf != NULL && key != NULL && site->n < PAIRS_MAX &&
	    SSL_CTX_use_cert_and_key(ctx, leaf, key, rest, 1) == 1;

	if (ok) {
		X509_up_ref(leaf);
		site->pairs[site->n++].leaf = leaf;
		add_staple(site, p, sk_X509_num(rest) > 0 ? sk_X509_value(rest, 0) : leaf);
	}
	X509_free(leaf);
	sk_X509_pop_free(rest, X509_free);
	EVP_PKEY_free(key);
	return ok;
}

static char *
take_certificate(struct server *s, struct cursor *c)
{
	const char *name = cursor_str(c);
	uint32_t n = cursor_u32(c), i;
	struct named_context *to;
	char *why = NULL;

	s->contexts = xreallocarray(s->contexts, s->contexts_n + 1, sizeof(s->contexts[0]));
	to = &s->contexts[s->contexts_n++];
	*to = (struct named_context){ xstrdup(name), new_context() };
	for (i = 0; i < n && !c->bad && why == NULL; i++) {
		struct tls_pair p;

		p.chain = cursor_blob(c, &p.chain_len);
		p.key = cursor_blob(c, &p.key_len);
		p.ocsp = cursor_blob(c, &p.ocsp_len);
		if (!c->bad && !add_pair(to->ctx, &p))
			why = xasprintf("certificate \"%s\" cannot be used: %s", name,
			    ERR_reason_error_string(ERR_peek_error()));
	}
	return why;
}

static char *
take_authorities(struct server *s, struct cursor *c)
{
	const char *path = cursor_str(c);
	size_t len;
	const void *pem = cursor_blob(c, &len);
	struct authorities *a;
	STACK_OF(X509) *rest;
	X509 *x;

	if (c->bad || (x = tls_pem_chain(pem, len, &rest)) == NULL)
		return xstrdup("no certificate of an authority");
	s->authorities = xreallocarray(s->authorities, s->authorities_n + 1, sizeof(s->authorities[0]));
	a = &s->authorities[s->authorities_n++];
	*a = (struct authorities){ .path = xstrdup(path), .store = X509_STORE_new(),
		.names = sk_X509_NAME_new_null() };
	EVP_Digest(pem, len, a->digest, NULL, EVP_sha256(), NULL);
	for (; x != NULL; x = sk_X509_shift(rest)) {
		X509_STORE_add_cert(a->store, x);
		sk_X509_NAME_push(a->names, X509_NAME_dup(X509_get_subject_name(x)));
		X509_free(x);
	}
	sk_X509_free(rest);
	return NULL;
}

char *
tls_server_load(const void *bundle, size_t len)
{
	struct cursor c = cursor_init(bundle, len);
	struct server *s = xcalloc(1, sizeof(*s));
	const void *tickets = cursor_bytes(&c, sizeof(s->tickets));
	char *why = NULL;
	uint8_t item;

	if (site_index < 0)
		site_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_site);
	if (tickets != NULL)
		memcpy(s->tickets, tickets, sizeof(s->tickets));
	while (!c.bad && !cursor_done(&c) && why == NULL) {
		item = cursor_u8(&c);
		if (item == ITEM_CERTIFICATE)
			why = take_certificate(s, &c);
		else if (item == ITEM_AUTHORITIES)
			why = take_authorities(s, &c);
		else
			c.bad = true;
	}
	if (c.bad && why == NULL)
		why = xstrdup("the bundle is damaged");
	ERR_clear_error(); /* a certificate that is odd and usable leaves one */
	free_server(why == NULL ? current : s);
	if (why == NULL)
		current = s;
	return why;
}

/* --- connections --- */

/* A chain that does not lead to an authority of ours is no reason to hang up: it proves nothing, that
 * is all. */
static int
on_verify(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

/* Tickets of one listener prove nothing at another that trusts other authorities. */
static void
set_authorities(SSL *ssl, const char *path)
{
	static const uint8_t none[SHA256_DIGEST_LENGTH];
	const struct authorities *a = NULL;
	unsigned i;

	for (i = 0; path != NULL && i < current->authorities_n; i++)
		if (strcmp(current->authorities[i].path, path) == 0)
			a = &current->authorities[i];
	SSL_set_session_id_context(ssl, a != NULL ? a->digest : none, sizeof(none));
	if (a == NULL)
		return;
	SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
	SSL_set_client_CA_list(ssl, SSL_dup_CA_list(a->names));
	SSL_set1_verify_cert_store(ssl, a->store);
}

SSL *
tls_server_new(int fd, const char *name, const char *authorities)
{
	SSL *ssl = NULL;
	unsigned i;

	for (i = 0; current != NULL && i < current->contexts_n && ssl == NULL; i++)
		if (strcmp(current->contexts[i].name, name) == 0)
			ssl = SSL_new(current->contexts[i].ctx);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	set_authorities(ssl, authorities);
	SSL_set_accept_state(ssl);
	return ssl;
}

/* The first address it was given for mail (RFC 5280 4.2.1.6), else what it is called. */
static char *
name_of(X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(x);
	unsigned char *text = NULL;
	char *name = NULL;
	int i, len = -1;

	for (i = 0; i < sk_GENERAL_NAME_num(names) && len < 0; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type == GEN_EMAIL)
			len = ASN1_STRING_to_UTF8(&text, g->d.rfc822Name);
	}
	i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (len < 0 && i >= 0)
		len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
	if (len > 0 && memchr(text, '\0', (size_t)len) == NULL)
		name = xstrndup((const char *)text, (size_t)len);
	OPENSSL_free(text);
	GENERAL_NAMES_free(names);
	return name;
}

char *
tls_client_name(const SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl);

	return x != NULL && SSL_get_verify_result(ssl) == X509_V_OK ? name_of(x) : NULL;
}
