/*
 * Stored passwords (password.h): telling the kinds apart, and crypt(3).
 *
 * Called in the vault's threads.  What can fail is a hash that this machine's crypt(3) does not know: nobody logs in by
 * it.  What must never happen: that a locked account ("!" or "*" before the hash) or an empty password opens.
 */
#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "vault/password.h"

/* What is computed for a name that does not exist, so that time does not tell: the usual cost of SHA512-CRYPT. */
#define DUMMY "$6$genkangenkangenk$"

static const struct scheme {
	const char *name;
	enum password_kind kind;
	const char *scram;
} schemes[] = {
	{ "CRYPT", PASSWORD_CRYPT, NULL },
	{ "MD5-CRYPT", PASSWORD_CRYPT, NULL },
	{ "SHA256-CRYPT", PASSWORD_CRYPT, NULL },
	{ "SHA512-CRYPT", PASSWORD_CRYPT, NULL },
	{ "BLF-CRYPT", PASSWORD_CRYPT, NULL },
	{ "SCRAM-SHA-256", PASSWORD_SCRAM, "SCRAM-SHA-256" },
	{ "SCRAM-SHA-1", PASSWORD_SCRAM, "SCRAM-SHA-1" },
	{ "PLAIN", PASSWORD_PLAIN, NULL },
	{ "CLEARTEXT", PASSWORD_PLAIN, NULL },
};

static const struct scheme *
find_scheme(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strlen(schemes[i].name) == len && strncasecmp(schemes[i].name, name, len) == 0)
			return &schemes[i];
	return NULL;
}

struct password
password_parse(const char *stored)
{
	struct password p = { .kind = PASSWORD_NONE, .text = "" };
	const char *close = stored[0] == '{' ? strchr(stored, '}') : NULL;
	const struct scheme *scheme;

	if (stored[0] == '$') {
		p.kind = PASSWORD_CRYPT;
		p.text = stored;
	} else if (close != NULL) {
		scheme = find_scheme(stored + 1, (size_t)(close - stored) - 1);
		if (scheme == NULL)
			return p;
		p.kind = scheme->kind;
		p.scram = scheme->scram;
		p.text = close + 1;
	}
	p.len = p.kind == PASSWORD_PLAIN ? strlen(p.text) : strcspn(p.text, ":");
	if (p.len == 0 || (p.kind == PASSWORD_CRYPT && p.text[0] != '$'))
		p.kind = PASSWORD_NONE; /* old DES hashes have eight letters' worth of password */
	return p;
}

static bool
check_crypt(const char *hash, const char *given)
{
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	const char *computed = crypt_r(given, hash, data);
	size_t len = strlen(hash);
	bool same = computed != NULL && computed[0] != '*' && strlen(computed) == len &&
	    CRYPTO_memcmp(computed, hash, len) == 0;

	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return same;
}

/* --- SCRAM (RFC 5802 3) --- */

struct scram {
	int iterations;
	struct buf salt, stored_key, server_key;
	char *text[3]; /* of the three */
};

static void
scram_free(struct scram *s)
{
	int i;

	for (i = 0; i < 3; i++)
		free(s->text[i]);
	buf_free(&s->salt);
	buf_free(&s->stored_key);
	buf_free(&s->server_key);
}

/* "4096,salt,stored-key,server-key" */
static bool
scram_parse(const struct password *p, struct scram *s)
{
	struct buf *parts[] = { &s->salt, &s->stored_key, &s->server_key };
	char *copy = xstrndup(p->text, p->len), *at = copy, *part = strsep(&at, ",");
	bool ok;
	int i;

	memset(s, 0, sizeof(*s));
	s->iterations = (int)strtol(part, NULL, 10);
	ok = s->iterations > 0 && s->iterations <= 10000000 && strspn(part, "0123456789") == strlen(part);
	for (i = 0; i < 3 && ok; i++) {
		part = strsep(&at, ",");
		ok = part != NULL && base64_decode(parts[i], part, strlen(part)) && parts[i]->len > 0;
		s->text[i] = ok ? xstrdup(part) : NULL;
	}
	ok = ok && at == NULL;
	free(copy);
	if (!ok)
		scram_free(s);
	return ok;
}

/* StoredKey = H(HMAC(Hi(password, salt, i), "Client Key")) */
static bool
check_scram(const struct password *p, const char *given)
{
	const EVP_MD *md = strcmp(p->scram, "SCRAM-SHA-1") == 0 ? EVP_sha1() : EVP_sha256();
	size_t len = (size_t)EVP_MD_get_size(md), got = 0;
	unsigned char salted[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE];
	struct scram s;
	bool same;

	if (!scram_parse(p, &s))
		return false;
	same = PKCS5_PBKDF2_HMAC(given, (int)strlen(given), (const unsigned char *)s.salt.data, (int)s.salt.len,
	    s.iterations, md, (int)len, salted) == 1 &&
	    EVP_Q_mac(NULL, "HMAC", NULL, EVP_MD_get0_name(md), NULL, salted, len, (const unsigned char *)"Client Key",
	    10, key, sizeof(key), &got) != NULL && got == len &&
	    EVP_Digest(key, len, stored, NULL, md, NULL) == 1 && s.stored_key.len == len &&
	    CRYPTO_memcmp(stored, s.stored_key.data, len) == 0;
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(key, sizeof(key));
	scram_free(&s);
	return same;
}

bool
password_check(const struct password *p, const char *given)
{
	char *hash;
	bool same = false;

	switch (p->kind) {
	case PASSWORD_CRYPT:
		hash = xstrndup(p->text, p->len);
		same = check_crypt(hash, given);
		free(hash);
		break;
	case PASSWORD_SCRAM:
		same = check_scram(p, given);
		break;
	case PASSWORD_PLAIN:
		same = strlen(given) == p->len && CRYPTO_memcmp(given, p->text, p->len) == 0;
		break;
	case PASSWORD_NONE:
		(void)check_crypt(DUMMY, given);
		break;
	}
	return same && *given != '\0';
}

char *
password_scram_text(const struct password *p)
{
	struct scram s;
	char *text;

	if (p->kind != PASSWORD_SCRAM || !scram_parse(p, &s))
		return NULL;
	text = xasprintf("%s$%d:%s$%s:%s", p->scram, s.iterations, s.text[0], s.text[1], s.text[2]);
	scram_free(&s);
	return text;
}
