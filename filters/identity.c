/*
 * Two keys of the greylist: who calls, and for whom.
 *
 * The gate asks once per session and once per MAIL.  Pure functions over strings that others
 * verified: NAME leads forward to the client and back, SPF was authenticated and its record is no
 * blanket pass.  Nothing here can fail. What must never happen: that strangers share an identity,
 * for one of them would pass on the other's waiting.  So where a name does not clearly stand for
 * one provider's pool, the network answers.
 *
 * The sender's rules are postgrey's, to the letter where a letter decides ('_' is part of a word,
 * as in \b of its expressions), so that what a postgrey has learnt can be taken over.  In one point
 * the order differs: the tag of BATV goes first, because a tag of digits alone would otherwise
 * already be "#" and no tag any more.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "filters/identity.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"

#define NETWORK_V4 24
#define NETWORK_V6 64
#define BATV_TAG_LEN 10 /* K DDD SSSSSS */

static void
add_lower(struct buf *buf, const char *s, size_t len)
{
	for (; len > 0; s++, len--)
		buf_addc(buf, *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s);
}

/*
 * "co.jp", "com.br", "asso.fr": registries below a country, told by their form, so that names of
 * three labels such as "example.co.jp" do not all become one caller.  A second label of more than
 * two letters is one only when it is of these: "gmx.de" and "web.de" are providers.
 */
static bool
is_registry(const char *second, size_t len)
{
	static const char *const words[] = { "asn", "asso", "biz", "com", "coop", "edu", "firm",
		"gen", "gob", "gouv", "gov", "idv", "ind", "info", "int", "k12", "ltd", "med",
		"mil", "mobi", "name", "net", "ngo", "nhs", "nom", "org", "plc", "priv", "pro",
		"rec", "sch" };
	size_t i;

	if (len <= 2)
		return true;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i]) == len && strncasecmp(second, words[i], len) == 0)
			return true;
	}
	return false;
}

/*
 * The pool that NAME, LEN octets, belongs to: all but its first label, when that can be a pool of
 * one provider.  NULL when it cannot.
 */
static const char *
pool_of(const char *name, size_t len)
{
	const char *end = name + len;
	const char *pool = memchr(name, '.', len), *last, *s;

	if (pool == NULL || pool++ == name)
		return NULL;
	last = memrchr(pool, '.', (size_t)(end - pool));
	if (last == NULL || last == pool || last + 1 == end)
		return NULL;
	s = memchr(pool, '.', (size_t)(end - pool));
	if (s == last && end - last == 3 && is_registry(pool, (size_t)(last - pool)))
		return NULL;
	return pool;
}

/*
 * Somebody's line, whose neighbours are strangers: its name holds the address, or has a form that lines
 * have and no large sender's hosts.  Rules 1, 2 and 5 match those as well.
 */
static bool
is_line(const char *name, const struct ip *client)
{
	return s25r_own_address(name, client) || s25r_matches_rule(name, 3) || s25r_matches_rule(name, 4) ||
	    s25r_matches_rule(name, 6);
}

char *
identity_of(const struct ip *client, const char *name, const char *spf)
{
	struct buf key = { 0 };
	struct ipnet net;
	const char *pool = NULL;
	size_t len = name != NULL ? strlen(name) : 0;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len > 0 && !is_line(name, client))
		pool = pool_of(name, len);
	if (spf != NULL && spf[0] != '\0') {
		buf_adds(&key, "spf:");
		add_lower(&key, spf, strlen(spf));
	} else if (pool != NULL) {
		buf_adds(&key, "name:");
		add_lower(&key, pool, len - (size_t)(pool - name));
	} else {
		net = ip_network(client, client->family == AF_INET6 ? NETWORK_V6 : NETWORK_V4);
		buf_addf(&key, "net:%s", ipnet_text(&net).s);
	}
	return buf_take(&key);
}

char *
identity_of_address(const struct ip *client)
{
	struct ipnet net = ip_network(client, client->family == AF_INET6 ? 128 : 32);

	return xasprintf("net:%s/%u", ip_text(&net.ip).s, net.bits);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A word character of postgrey's \b; bytes of UTF-8 letters count as letters. */
static bool
is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (c & 0x80) != 0;
}

static bool
is_batv_tag(const char *s, const char *end)
{
	if (end - s != BATV_TAG_LEN)
		return false;
	for (; s < end; s++) {
		if (!is_digit(*s) && !(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z'))
			return false;
	}
	return true;
}

/*
 * "prvs=TAG=local" as the draft has it, and "prvs=local=TAG" as some write it: narrows [*S, *END)
 * to the local part.
 */
static void
drop_batv(const char **s, const char **end)
{
	static const char prefix[] = "prvs=";
	const size_t prefix_len = sizeof(prefix) - 1;
	const char *first, *second;

	if ((size_t)(*end - *s) < prefix_len || strncasecmp(*s, prefix, prefix_len) != 0)
		return;
	first = *s + prefix_len;
	second = memchr(first, '=', (size_t)(*end - first));
	if (second == NULL)
		return;
	if (is_batv_tag(first, second)) {
		*s = second + 1;
	} else if (is_batv_tag(second + 1, *end)) {
		*s = first;
		*end = second;
	}
}

/* Adds [S, END) with every run of digits that no word character touches as one '#'. */
static void
add_without_numbers(struct buf *key, const char *s, const char *end)
{
	const char *start = s, *digits;

	while (s < end) {
		for (digits = s; s < end && is_digit(*s); s++)
			;
		if (s == digits)
			add_lower(key, s++, 1);
		else if ((digits > start && is_word(digits[-1])) || (s < end && is_word(*s)))
			buf_add(key, digits, (size_t)(s - digits));
		else
			buf_addc(key, '#');
	}
}

char *
identity_sender(const char *address)
{
	struct buf key = { 0 };
	const char *s = address, *domain = strrchr(address, '@'), *end, *plus;

	if (domain == NULL) {
		add_lower(&key, address, strlen(address));
		return buf_take(&key);
	}
	end = domain;
	drop_batv(&s, &end);
	plus = memchr(s, '+', (size_t)(end - s));
	add_without_numbers(&key, s, plus != NULL ? plus : end);
	add_lower(&key, domain, strlen(domain));
	return buf_take(&key);
}

char *
identity_recipient(const char *address)
{
	struct buf key = { 0 };

	add_lower(&key, address, strlen(address));
	return buf_take(&key);
}
