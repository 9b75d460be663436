/*
 * Keys and values of postgrey's databases (postgrey.h).
 *
 * The importer reads with it what it finds in a file, the exporter writes with it.  What does not
 * have postgrey's form exactly is none of its records and is counted, never guessed at.  Addresses
 * stand uncompressed in its keys: lower case in triplets, upper case in the list of clients.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/postgrey.h"

#define NETWORK_V4 24
#define NETWORK_V6 64
#define SHA1_HEX 40

/* A decimal number at *S; moves *S behind it. */
static bool
number(const char **s, const char *end, int64_t *n)
{
	const char *start = *s;

	for (*n = 0; *s < end && isdigit((unsigned char)**s); ++*s) {
		if (*n > INT64_MAX / 100)
			return false;
		*n = *n * 10 + (**s - '0');
	}
	return *s > start;
}

/* "A,B" and, of taRgrey and of old versions, ",anything" behind it. */
static bool
two_numbers(const char *s, size_t len, int64_t *a, int64_t *b)
{
	const char *end = s + len;

	if (!number(&s, end, a) || s == end || *s++ != ',' || !number(&s, end, b))
		return false;
	return s == end || *s == ',';
}

static bool
read_ip(const char *s, size_t len, struct ip *ip)
{
	char text[IP_TEXT_MAX];

	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	return ip_parse(text, ip);
}

/* What has no bit behind the network's length is the network. */
static struct ipnet
network_or_address(const struct ip *ip)
{
	struct ipnet net = ip_network(ip, ip->family == AF_INET6 ? NETWORK_V6 : NETWORK_V4);

	return ip_equal(&net.ip, ip) ? net : ip_network(ip, ip->family == AF_INET6 ? 128 : 32);
}

static bool
is_hash(const char *key, size_t len)
{
	size_t i;

	for (i = 0; i < len && isxdigit((unsigned char)key[i]); i++)
		;
	return len == SHA1_HEX && i == len;
}

/* Where the recipient begins.  Local parts may hold slashes; so the sender ends at the first one
 * behind its '@', or at once when it is null. */
static const char *
recipient_in(const char *s, const char *end)
{
	const char *at;

	if (s < end && *s == '/')
		return s + 1;
	at = memchr(s, '@', (size_t)(end - s));
	s = at != NULL ? memchr(at, '/', (size_t)(end - at)) : NULL;
	return s != NULL ? s + 1 : NULL;
}

static bool
read_triplet(const char *key, size_t len, struct postgrey_triplet *t)
{
	const char *end = key + len, *slash = memchr(key, '/', len), *recipient;
	struct ip ip;

	if (slash == NULL || !read_ip(key, (size_t)(slash - key), &ip))
		return false;
	recipient = recipient_in(slash + 1, end);
	if (recipient == NULL || memchr(recipient, '@', (size_t)(end - recipient)) == NULL ||
	    memchr(key, '\0', len) != NULL)
		return false;
	t->client = network_or_address(&ip);
	t->sender = xstrndup(slash + 1, (size_t)(recipient - 1 - (slash + 1)));
	t->recipient = xstrndup(recipient, (size_t)(end - recipient));
	return true;
}

enum postgrey_kind
postgrey_read(const char *key, size_t key_len, const char *value, size_t len,
    struct postgrey_triplet *t, struct postgrey_client *c)
{
	int64_t a, b;

	*t = (struct postgrey_triplet){ .sender = NULL };
	if (!two_numbers(value, len, &a, &b))
		return POSTGREY_NONE;
	if (is_hash(key, key_len))
		return POSTGREY_HASHED;
	if (read_ip(key, key_len, &c->ip)) {
		c->count = a < UINT32_MAX ? (uint32_t)a : UINT32_MAX;
		c->last = b;
		return POSTGREY_CLIENT;
	}
	t->first = a;
	t->last = b < a ? a : b;
	return read_triplet(key, key_len, t) ? POSTGREY_TRIPLET : POSTGREY_NONE;
}

void
postgrey_triplet_clear(struct postgrey_triplet *t)
{
	free(t->sender);
	free(t->recipient);
	t->sender = t->recipient = NULL;
}

bool
postgrey_passed(const struct postgrey_triplet *t)
{
	return t->last - t->first >= POSTGREY_DELAY;
}

static void
write_ip(struct buf *b, const struct ip *ip, const char *group)
{
	int i;

	if (ip->family != AF_INET6) {
		buf_adds(b, ip_text(ip).s);
		return;
	}
	for (i = 0; i < 16; i += 2) {
		buf_adds(b, i > 0 ? ":" : "");
		buf_addf(b, group[0] == 'X' ? "%X" : "%x",
		    (unsigned)(ip->bytes[i] << 8 | ip->bytes[i + 1]));
	}
}

void
postgrey_triplet_write(const struct postgrey_triplet *t, struct buf *key, struct buf *value)
{
	write_ip(key, &t->client.ip, "x");
	buf_addf(key, "/%s/%s", t->sender, t->recipient);
	buf_addf(value, "%lld,%lld", (long long)t->first, (long long)t->last);
}

void
postgrey_client_write(const struct postgrey_client *c, struct buf *key, struct buf *value)
{
	write_ip(key, &c->ip, "X");
	buf_addf(value, "%u,%lld", c->count, (long long)c->last);
}
