/*
 * What is wrong with a certificate's files, in words for the person who put them there (tls_server.h).
 *
 * The master calls it with what it read, at the start, at `smtpd -n`, and whenever a file changed.
 * Nothing is kept.  What must never happen: that a pair passes which tls_server_load() then cannot use.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/tls_pem.h"
#include "lib/tls_server.h"

struct check {
	const char *name;
	tls_complain complain;
	void *arg;
	bool failed;
	X509 *leaf;
	STACK_OF(X509) *rest;
	EVP_PKEY *key;
};

static void
say(struct check *c, enum tls_file file, bool fatal, const char *why)
{
	c->failed |= fatal;
	c->complain(file, fatal, why, c->arg);
}

static void
say_date(struct check *c, enum tls_file file, const char *what, int64_t when, const char *then)
{
	time_t t = (time_t)when;
	char date[32], *why;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	why = xasprintf("%s %s; %s", what, date, then);
	say(c, file, false, why);
	free(why);
}

static void
check_dates(struct check *c)
{
	int64_t from = tls_time(X509_get0_notBefore(c->leaf)), to = tls_time(X509_get0_notAfter(c->leaf));

	if (to < clock_now())
		say_date(c, TLS_CHAIN, "has expired on", to, "renew it");
	if (from > clock_now())
		say_date(c, TLS_CHAIN, "is not valid before", from, "is the clock right?");
}

static void
check_name(struct check *c)
{
	if (strchr(c->name, '.') == NULL || X509_check_host(c->leaf, c->name, strlen(c->name), 0, NULL) == 1)
		return;
	say(c, TLS_CHAIN, false, "is not made out to the name of this certificate statement");
}

/* Senders complete a chain from nowhere: whoever verifies us needs each step. */
static void
check_order(struct check *c)
{
	X509 *below = c->leaf, *next;
	int i;

	for (i = 0; i < sk_X509_num(c->rest); i++, below = next) {
		next = sk_X509_value(c->rest, i);
		if (X509_check_issued(next, below) == X509_V_OK)
			continue;
		say(c, TLS_CHAIN, false, "is out of order: each certificate must be followed by the one that signed it");
		return;
	}
}

static bool
fits_another(const struct check *c)
{
	int i;

	for (i = 0; i < sk_X509_num(c->rest); i++)
		if (X509_check_private_key(sk_X509_value(c->rest, i), c->key) == 1)
			return true;
	return false;
}

/* OpenSSL has an opinion on keys that are too short and digests that are too old. */
static void
check_usable(struct check *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char *why;

	ERR_clear_error();
	tls_policy(ctx);
	if (SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->rest, 1) != 1) {
		why = xasprintf("cannot be used: %s; get one with an RSA key of 2048 bits or an EC key of 256",
		    ERR_reason_error_string(ERR_peek_error()));
		say(c, TLS_CHAIN, true, why);
		free(why);
	}
	SSL_CTX_free(ctx);
}

static void
check_key(struct check *c, const struct tls_pair *p)
{
	bool locked;

	c->key = tls_pem_key(p->key, p->key_len, &locked);
	if (locked)
		say(c, TLS_KEY, true, "is locked by a passphrase, and a server starts without anybody to ask: store it "
		    "unlocked (openssl pkey -in LOCKED -out KEY), readable by root only");
	else if (c->key == NULL)
		say(c, TLS_KEY, true, "holds no private key; PEM is expected (-----BEGIN PRIVATE KEY-----)");
	else if (c->leaf != NULL && X509_check_private_key(c->leaf, c->key) != 1)
		say(c, TLS_KEY, true, fits_another(c)
		        ? "fits a certificate of the chain that is not the first; the server's own must stand first"
		        : "does not fit the certificate; it belongs to another, or only one of the two was renewed");
	else if (c->leaf != NULL)
		check_usable(c);
	ERR_clear_error();
}

/* One that is missing or out of date is left out: the certificate serves as well without. */
static void
check_ocsp(struct check *c, const struct tls_pair *p)
{
	OCSP_RESPONSE *response = tls_ocsp(p->ocsp, p->ocsp_len);
	X509 *issuer = sk_X509_num(c->rest) > 0 ? sk_X509_value(c->rest, 0) : c->leaf;
	int64_t until;

	if (response == NULL) {
		say(c, TLS_OCSP, false, "is no OCSP response (DER), or one that says that there is none; it is left out");
		return;
	}
	switch (tls_ocsp_status(response, c->leaf, issuer, &until)) {
	case TLS_OCSP_OTHER:
		say(c, TLS_OCSP, false, "says nothing of this certificate; it is left out");
		break;
	case TLS_OCSP_REVOKED:
		say(c, TLS_OCSP, false, "says that this certificate is revoked; get another; it is left out");
		break;
	case TLS_OCSP_GOOD:
		if (until < clock_now())
			say_date(c, TLS_OCSP, "was good until", until, "fetch a new one; it is left out");
		break;
	}
	OCSP_RESPONSE_free(response);
}

bool
tls_pair_check(const struct tls_pair *p, const char *name, tls_complain complain, void *arg)
{
	struct check c = { .name = name, .complain = complain, .arg = arg };

	c.leaf = tls_pem_chain(p->chain, p->chain_len, &c.rest);
	if (c.leaf == NULL)
		say(&c, TLS_CHAIN, true, "holds no certificate; PEM is expected (-----BEGIN CERTIFICATE-----)");
	check_key(&c, p);
	if (c.leaf != NULL) {
		check_dates(&c);
		check_name(&c);
		check_order(&c);
		if (p->ocsp_len > 0)
			check_ocsp(&c, p);
	}
	X509_free(c.leaf);
	sk_X509_pop_free(c.rest, X509_free);
	EVP_PKEY_free(c.key);
	return !c.failed;
}

const char *
tls_pair_kind(const struct tls_pair *p)
{
	EVP_PKEY *key = tls_pem_key(p->key, p->key_len, NULL);
	int id = key != NULL ? EVP_PKEY_get_base_id(key) : 0;

	EVP_PKEY_free(key);
	ERR_clear_error();
	return id != 0 ? OBJ_nid2sn(id) : NULL;
}

int64_t
tls_pair_expires(const struct tls_pair *p)
{
	STACK_OF(X509) *rest = NULL;
	X509 *leaf = tls_pem_chain(p->chain, p->chain_len, &rest);
	int64_t t = leaf != NULL ? tls_time(X509_get0_notAfter(leaf)) : 0;

	X509_free(leaf);
	sk_X509_pop_free(rest, X509_free);
	return t;
}

unsigned
tls_authorities(const void *pem, size_t len)
{
	STACK_OF(X509) *rest = NULL;
	X509 *first = tls_pem_chain(pem, len, &rest);
	unsigned n = first != NULL ? 1 + (unsigned)sk_X509_num(rest) : 0;

	X509_free(first);
	sk_X509_pop_free(rest, X509_free);
	return n;
}
