/*
 * Sender rewriting for forwarded mail (srs.h).
 *
 * The lookup role rewrites when a message leaves by way of an alias or a .forward, and takes back
 * what returns.  What must never happen: that an address which we did not make ourselves is taken
 * back, because then anybody could send through us to everybody.  So the hash is compared in full
 * and in constant time; its letters' case is not, as some servers change it.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "deliver/srs.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"

#define HASH_LEN 4
#define STAMP_LEN 2
#define DAY 86400
#define STAMP_RANGE 1024 /* 32 * 32 */
#define SECRET_BYTES 24  /* 32 characters */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* --- stamps --- */

static void
add_stamp(struct buf *out, int64_t now)
{
	unsigned day = (unsigned)(now / DAY) % STAMP_RANGE;

	buf_addc(out, base32[day >> 5]);
	buf_addc(out, base32[day & 31]);
}

static int
digit(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	at = c != '\0' ? strchr(base32, c) : NULL;
	return at != NULL ? (int)(at - base32) : -1;
}

/* Of the day of the stamp until NOW; a clock that went back a day is no offence. */
static bool
is_recent(const char *stamp, int64_t now)
{
	int high = digit(stamp[0]), low = digit(stamp[1]);
	unsigned today = (unsigned)(now / DAY) % STAMP_RANGE, age;

	if (high < 0 || low < 0)
		return false;
	age = (today + STAMP_RANGE - (unsigned)(high << 5 | low)) % STAMP_RANGE;
	return age <= SRS_DAYS || age == STAMP_RANGE - 1;
}

/* --- hashes --- */

/* The first characters of the HMAC in base64, over the parts in small letters. */
static void
make_hash(const struct srs *srs, const char *const *parts, unsigned n, char hash[HASH_LEN + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE], text[(EVP_MAX_MD_SIZE + 2) / 3 * 4 + 1];
	struct buf bytes = { 0 };
	unsigned len = 0, i;
	const char *s;

	for (i = 0; i < n; i++)
		for (s = parts[i]; *s != '\0'; s++)
			buf_addc(&bytes, *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s);
	HMAC(EVP_sha1(), srs->secret, (int)srs->len, (const unsigned char *)buf_str(&bytes),
	    bytes.len, digest, &len);
	EVP_EncodeBlock(text, digest, (int)len);
	memcpy(hash, text, HASH_LEN);
	hash[HASH_LEN] = '\0';
	buf_free(&bytes);
}

static bool
hash_fits(const struct srs *srs, const char *const *parts, unsigned n, const char *given)
{
	char hash[HASH_LEN + 1];
	unsigned char differ = 0;
	unsigned i;

	make_hash(srs, parts, n, hash);
	for (i = 0; i < HASH_LEN; i++) {
		char a = hash[i], b = given[i];

		a = a >= 'a' && a <= 'z' ? (char)(a - 'a' + 'A') : a;
		b = b >= 'a' && b <= 'z' ? (char)(b - 'a' + 'A') : b;
		differ |= (unsigned char)(a ^ b);
	}
	return differ == 0;
}

/* --- forward --- */

/* Of an ordinary sender. */
static void
add_srs0(const struct srs *srs, struct buf *out, const struct mailaddr *sender, int64_t now)
{
	struct buf stamp = { 0 };
	const char *parts[3];
	char hash[HASH_LEN + 1];

	add_stamp(&stamp, now);
	parts[0] = buf_str(&stamp);
	parts[1] = sender->domain;
	parts[2] = sender->local;
	make_hash(srs, parts, 3, hash);
	buf_addf(out, "SRS0=%s=%s=%s=%s", hash, parts[0], sender->domain, sender->local);
	buf_free(&stamp);
}

/* HOST is who rewrote it first, REST what stands behind "SRS0" there, its separator included. */
static void
add_srs1(const struct srs *srs, struct buf *out, const char *host, const char *rest)
{
	const char *parts[2] = { host, rest };
	char hash[HASH_LEN + 1];

	make_hash(srs, parts, 2, hash);
	buf_addf(out, "SRS1=%s=%s=%s", hash, host, rest);
}

static bool
is_tag(const char *local, const char *tag)
{
	return strncasecmp(local, tag, 4) == 0 && local[4] != '\0' && strchr("=+-", local[4]) != NULL;
}

/* "SRS1=HHHH=host=rest": where host begins, and rest; NULL: it is none. */
static const char *
srs1_parts(const char *local, char **host)
{
	const char *at = strchr(local + 5, '='), *end;

	end = at != NULL ? strchr(at + 1, '=') : NULL;
	if (end == NULL || end[1] == '\0' || strchr("=+-", end[1]) == NULL)
		return NULL;
	*host = xstrndup(at + 1, (size_t)(end - at - 1));
	return end + 1;
}

char *
srs_forward(const struct srs *srs, const char *sender, const char *ours, int64_t now)
{
	struct mailaddr from, new;
	struct buf local = { 0 };
	const char *why, *rest;
	char *host, *address;

	if (srs->len == 0 || !mailaddr_parse(sender, strlen(sender), MAILADDR_UTF8, &from, &why))
		return NULL;
	if (is_tag(from.local, "SRS0")) {
		add_srs1(srs, &local, from.domain, from.local + 4);
	} else if (is_tag(from.local, "SRS1") && (rest = srs1_parts(from.local, &host)) != NULL) {
		add_srs1(srs, &local, host, rest);
		free(host);
	} else {
		add_srs0(srs, &local, &from, now);
	}
	mailaddr_free(&from);
	new = (struct mailaddr){ local.data, (char *)(uintptr_t)ours };
	address = mailaddr_format(&new);
	buf_free(&local);
	if (mailaddr_parse(address, strlen(address), MAILADDR_UTF8, &new, &why)) {
		mailaddr_free(&new);
		return address;
	}
	free(address);
	return NULL;
}

/* --- back --- */

static enum srs_result
give_back(const char *local, size_t local_len, const char *domain, size_t domain_len, char **out)
{
	struct mailaddr original = { xstrndup(local, local_len), xstrndup(domain, domain_len) }, parsed;
	char *text = mailaddr_format(&original);
	const char *why;
	enum srs_result result = SRS_FORGED;

	/* what is no address cannot have come from us */
	if (mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &parsed, &why)) {
		*out = mailaddr_format(&parsed);
		mailaddr_free(&parsed);
		result = SRS_GOOD;
	}
	free(text);
	mailaddr_free(&original);
	return result;
}

/* "HHHH=TT=domain=local" */
static enum srs_result
reverse_srs0(const struct srs *srs, const char *s, int64_t now, char **address)
{
	const char *stamp = s + HASH_LEN + 1, *domain = stamp + STAMP_LEN + 1, *local;
	char *parts[3];
	enum srs_result result;
	bool fits;
	unsigned i;

	if (strlen(s) < HASH_LEN + 1 + STAMP_LEN + 1 || s[HASH_LEN] != '=' ||
	    stamp[STAMP_LEN] != '=' || (local = strchr(domain, '=')) == NULL)
		return SRS_FORGED;
	parts[0] = xstrndup(stamp, STAMP_LEN);
	parts[1] = xstrndup(domain, (size_t)(local - domain));
	parts[2] = xstrdup(local + 1);
	fits = hash_fits(srs, (const char *const *)parts, 3, s);
	if (!fits)
		result = SRS_FORGED;
	else if (!is_recent(parts[0], now))
		result = SRS_EXPIRED;
	else
		result = give_back(parts[2], strlen(parts[2]), parts[1], strlen(parts[1]), address);
	for (i = 0; i < 3; i++)
		free(parts[i]);
	return result;
}

/* "HHHH=host=rest" */
static enum srs_result
reverse_srs1(const struct srs *srs, const char *local, char **address)
{
	char *host = NULL, *first;
	const char *rest = srs1_parts(local, &host), *parts[2];
	enum srs_result result = SRS_FORGED;

	if (rest == NULL)
		return SRS_FORGED;
	parts[0] = host;
	parts[1] = rest;
	if (strlen(local + 5) > HASH_LEN && local[5 + HASH_LEN] == '=' &&
	    hash_fits(srs, parts, 2, local + 5)) {
		first = xasprintf("SRS0%s", rest);
		result = give_back(first, strlen(first), host, strlen(host), address);
		free(first);
	}
	free(host);
	return result;
}

enum srs_result
srs_reverse(const struct srs *srs, const char *local, int64_t now, char **address)
{
	*address = NULL;
	if (is_tag(local, "SRS0"))
		return srs->len == 0 ? SRS_FORGED : reverse_srs0(srs, local + 5, now, address);
	if (is_tag(local, "SRS1"))
		return srs->len == 0 ? SRS_FORGED : reverse_srs1(srs, local, address);
	return SRS_NONE;
}

/* --- the secret --- */

static char *
failed(const char *path, int error)
{
	return xasprintf("%s: %s", path, strerror(error));
}

static char *
make_secret(const char *path)
{
	unsigned char bytes[SECRET_BYTES], text[SECRET_BYTES / 3 * 4 + 2];
	char *new = xasprintf("%s.new", path), *why = NULL;
	int fd, n;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
		free(new);
		return xstrdup("no random numbers for the secret of return addresses");
	}
	n = EVP_EncodeBlock(text, bytes, sizeof(bytes));
	text[n++] = '\n';
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* the name only when the secret is on disk: addresses made with it must be known tomorrow */
	if (fd < 0 || write(fd, text, (size_t)n) != n || fsync(fd) < 0 || rename(new, path) < 0)
		why = failed(path, errno);
	if (fd >= 0)
		close(fd);
	free(new);
	return why;
}

static char *
read_secret(struct srs *srs, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return failed(path, errno);
	n = read(fd, srs->secret, sizeof(srs->secret));
	close(fd);
	if (n < 0)
		return failed(path, errno);
	while (n > 0 && (unsigned char)srs->secret[n - 1] <= ' ')
		n--;
	srs->len = (size_t)n;
	return n >= 16 ? NULL : xasprintf("%s: the secret is too short", path);
}

char *
srs_load(struct srs *srs, const char *path, bool make)
{
	char *why = NULL;

	srs->len = 0;
	if (make && access(path, F_OK) < 0 && errno == ENOENT)
		why = make_secret(path);
	if (why == NULL)
		why = read_secret(srs, path);
	if (why != NULL)
		srs->len = 0;
	return why;
}
