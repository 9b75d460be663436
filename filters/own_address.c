/*
 * Does a name carry the client's own address?  s25r_own_address() of s25r.h, which the gate and the
 * greylist's identity ask.  Pure; nothing can fail; a name is cut at 255 octets and read a fixed
 * number of times.
 *
 * A provider that names its customers' lines does it by machine, from the address.  A provider that
 * names its own outgoing hosts counts them.  That is the difference between the home lines and the
 * large senders that S25R's expressions match alike.  But Amazon, Facebook, SendGrid and Pinterest
 * derive the names of their senders from the address too (a10-219.smtp-out.amazonses.com is
 * 54.240.10.219), so no count of octets tells them apart.  What does is the word: they say what the
 * host is for, and a line has no use for it.  Such a word helps no home line to lie: the name is
 * verified, and its provider chose it.
 *
 * Measured on the names of corpora s25r that an expression matches; "last two" counts a name that
 * is found when the client has the address that the name spells, the legitimate ones being the
 * bound, as most spell none on purpose:
 *
 *                                            218 home lines     49 mail servers
 *     three octets or four, anywhere           183  84 %          10  20 %
 *     also the last two alone                  211  97 %          31  63 %
 *     the same, less hosts with a mail word    211  97 %           7  14 %     <- this file
 *
 * One of those 7 may well have the address that it spells (n2.59-106-41-68.mixi.jp), the others
 * spell some by accident: for a random one the odds are below 1 in 100,000 a name.  The lines that
 * are missed carry a customer's number.  None of the home lines has a mail word.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/s25r.h"
#include "lib/ip.h"

#define NAME_MAX_OCTETS 255
#define OCTETS 4
#define ALL_OCTETS 0xf  /* bit 0 is the first octet */
#define LAST_OCTETS 0xc /* the third and the fourth */
#define JOINED_MIN 7    /* digits that octets written together without padding must have */
#define PAIR_JOINED_MIN 5
#define SPELLINGS (2 * OCTETS * OCTETS)

#define GROUPS 8
#define GROUPS_MIN 4      /* of an IPv6 address, when not all are there */
#define TELLING_NIBBLES 6 /* that are not 0, in what is found: 24 bits, and 2001:db8::1 has them */

/* A name in lower case, without the top-level label. */
struct host {
	char text[NAME_MAX_OCTETS + 1];
	size_t own_len; /* of the labels below the two upper ones, but at least the first label */
};

/* How octets are written one behind the other. */
struct style {
	const char *separator;
	bool hex;
	bool padded;
};

/* Some octets of an address, written together. */
struct spelling {
	char text[3 * OCTETS + 1];
	unsigned set;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static struct host
host_of(const char *name)
{
	struct host host = { .own_len = 0 };
	size_t i, len = strnlen(name, NAME_MAX_OCTETS);
	char *dot;

	if (len > 1 && name[len - 1] == '.')
		len--;
	memcpy(host.text, name, len);
	for (i = 0; i < len; i++) {
		if (name[i] >= 'A' && name[i] <= 'Z')
			host.text[i] = (char)(name[i] - 'A' + 'a');
	}
	if ((dot = strrchr(host.text, '.')) != NULL)
		*dot = '\0';
	dot = strrchr(host.text, '.');
	host.own_len = dot != NULL ? (size_t)(dot - host.text) : strlen(host.text);
	return host;
}

/* A word that says that a host sends or takes mail. */
static bool
is_mail_word(const char *word, size_t len)
{
	static const char *const whole[] = { "mx", "mta", "out", "mout", "outbound", "outgoing",
		"sender", "bounce" };
	static const char *const part[] = { "mail", "smtp", "relay" };
	size_t i;

	for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		if (strlen(whole[i]) == len && memcmp(word, whole[i], len) == 0)
			return true;
	}
	for (i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		if (memmem(word, len, part[i], strlen(part[i])) != NULL)
			return true;
	}
	return false;
}

/*
 * True when such a word stands below the two upper labels.  Whoever owns the reverse zone chose it,
 * and needs no such word to look like a server, so it opens nothing that was closed.
 */
static bool
is_mail_host(const struct host *host)
{
	const char *s = host->text, *end = s + host->own_len, *word;

	for (; s < end; s++) {
		for (word = s; s < end && is_letter(*s); s++)
			;
		if (is_mail_word(word, (size_t)(s - word)))
			return true;
	}
	return false;
}

/* Writes the octets FROM to TO of IP, backwards when FROM is higher, and returns their set. */
static unsigned
spell(char *out, size_t size, const struct ip *ip, int from, int to, const struct style *style)
{
	int i, step = from <= to ? 1 : -1;
	unsigned set = 0;
	size_t at = 0;

	for (i = from; i != to + step; i += step) {
		at += strlcpy(out + at, i == from ? "" : style->separator, size - at);
		at += (size_t)snprintf(out + at, size - at,
		    style->hex ? "%02x" : style->padded ? "%03u" : "%u", ip->bytes[i]);
		set |= 1u << i;
	}
	return set;
}

/*
 * Fills LIST with every way to write neighbouring octets of IP as one run of digits; returns how
 * many there are.
 */
static size_t
spell_all(struct spelling list[SPELLINGS], const struct ip *ip)
{
	static const struct style plain = { "", false, false }, padded = { "", false, true };
	struct spelling *one;
	size_t n = 0;
	int from, to;

	for (from = 0; from < OCTETS; from++) {
		for (to = 0; to < OCTETS; to++) {
			one = &list[n];
			one->set = spell(one->text, sizeof(one->text), ip, from, to, &plain);
			/* "1234" may be 1.2.3.4, 12.34 or a number: only long runs tell */
			if (from == to || strlen(one->text) >= JOINED_MIN)
				n++;
			if (from == to)
				continue;
			one = &list[n++];
			one->set = spell(one->text, sizeof(one->text), ip, from, to, &padded);
		}
	}
	return n;
}

/*
 * REACHED is the set of the sets of octets that distinct runs can account for so far, bit M
 * standing for the set M; returns it with those that one more run, LEN digits, adds.
 */
static unsigned
account(unsigned reached, const struct spelling *list, size_t n, const char *run, size_t len)
{
	unsigned result = reached, m;
	size_t i;

	for (; len > 1 && len <= 3 && *run == '0'; len--)
		run++;
	for (i = 0; i < n; i++) {
		if (strlen(list[i].text) != len || memcmp(list[i].text, run, len) != 0)
			continue;
		for (m = 0; m <= ALL_OCTETS; m++) {
			if ((reached & 1u << m) != 0)
				result |= 1u << (m | list[i].set);
		}
	}
	return result;
}

/* Three octets or four, among them the last two, in any order. */
static bool
has_most_octets(const struct host *host, const struct ip *ip)
{
	struct spelling list[SPELLINGS];
	size_t n = spell_all(list, ip);
	unsigned reached = 1;
	const char *s = host->text, *run;

	while (*s != '\0') {
		for (run = s; is_digit(*s); s++)
			;
		if (s > run)
			reached = account(reached, list, n, run, (size_t)(s - run));
		else
			s++;
	}
	return (reached & (1u << ALL_OCTETS | 1u << (LAST_OCTETS | 1) | 1u << (LAST_OCTETS | 2))) !=
	    0;
}

/* The whole address in hex, eight digits together or in pairs. */
static bool
has_hex(const struct host *host, const struct ip *ip)
{
	static const struct style styles[] = {
		{ "", true, true },
		{ "-", true, true },
		{ ".", true, true },
	};
	char text[3 * OCTETS + 1];
	size_t i;

	for (i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
		spell(text, sizeof(text), ip, 0, 3, &styles[i]);
		if (strstr(host->text, text) != NULL)
			return true;
		spell(text, sizeof(text), ip, 3, 0, &styles[i]);
		if (strstr(host->text, text) != NULL)
			return true;
	}
	return false;
}

/* A run of one to three digits as an octet, or -1. */
static int
octet(const char *run, size_t len)
{
	int value = 0;

	if (len < 1 || len > 3)
		return -1;
	for (; len > 0; run++, len--)
		value = value * 10 + (*run - '0');
	return value <= 255 ? value : -1;
}

/*
 * RUN is the two octets A and B written together, padded or not; four digits and fewer are any
 * number.
 */
static bool
is_joined(const char *run, size_t len, int a, int b)
{
	size_t split;

	for (split = 1; split <= 3 && len >= PAIR_JOINED_MIN; split++) {
		if (octet(run, split) == a && octet(run + split, len - split) == b)
			return true;
	}
	return false;
}

/*
 * The last two octets in decimal: in two runs that follow each other, or in one.  Side by side any
 * two count; with a word or a label between them only long ones, because small numbers are in every
 * name.
 */
static bool
has_last_decimal(const struct host *host, const struct ip *ip)
{
	const char *s = host->text, *end = s + host->own_len, *run, *last_end = NULL;
	int last = -1, value, c = ip->bytes[2], d = ip->bytes[3];
	size_t len;

	for (; s < end; s++) {
		for (run = s; s < end && is_digit(*s); s++)
			;
		if ((len = (size_t)(s - run)) == 0)
			continue;
		value = octet(run, len);
		if (((last == c && value == d) || (last == d && value == c)) &&
		    (run - last_end == 1 || (last >= 10 && value >= 10)))
			return true;
		if (is_joined(run, len, c, d) || is_joined(run, len, d, c))
			return true;
		last = value;
		last_end = s;
	}
	return false;
}

/*
 * The last two octets as four hex digits that are a word of their own, or but for one letter in
 * front: letters and numerals mixed, so that it is no English word and no number.
 */
static bool
has_last_hex(const struct host *host, const struct ip *ip)
{
	static const struct style hex = { "", true, true };
	const char *s = host->text, *end = s + host->own_len, *word, *digits;
	char forward[5], backward[5];
	size_t numerals;

	spell(forward, sizeof(forward), ip, 2, 3, &hex);
	spell(backward, sizeof(backward), ip, 3, 2, &hex);
	for (; s < end; s++) {
		numerals = 0;
		for (word = s; s < end && (is_digit(*s) || is_letter(*s)); s++)
			numerals += is_digit(*s);
		if (s - word < 4 || s - word > 5 || (s - word == 5 && !is_letter(*word)))
			continue;
		digits = s - 4;
		if (numerals > 0 && numerals < 4 &&
		    (memcmp(digits, forward, 4) == 0 || memcmp(digits, backward, 4) == 0))
			return true;
	}
	return false;
}

static bool
has_v4(const struct host *host, const struct ip *ip)
{
	return has_most_octets(host, ip) || has_hex(host, ip) || has_last_decimal(host, ip) ||
	    has_last_hex(host, ip);
}

/*
 * True when TEXT is long enough to mean something and stands in HOST, separators left out on both
 * sides.
 */
static bool
has_nibbles(const char *squeezed, const char *text)
{
	char wanted[2 * GROUPS * 4 + 1];
	size_t telling = 0, n = 0;

	for (; *text != '\0'; text++) {
		telling += *text != ':' && *text != '0';
		if (*text != ':')
			wanted[n++] = *text;
	}
	wanted[n] = '\0';
	return telling >= TELLING_NIBBLES && strstr(squeezed, wanted) != NULL;
}

/*
 * COUNT groups of IP from FIRST on, padded, not padded, and padded with its nibbles in reverse as
 * in ip6.arpa.
 */
static bool
has_groups(const char *squeezed, const struct ip *ip, int first, int count)
{
	char padded[4 * GROUPS + 1], plain[4 * GROUPS + 1], reverse[4 * GROUPS + 1];
	size_t at = 0, i, len = 0;
	unsigned group;

	for (; count > 0; first++, count--) {
		group = (unsigned)ip->bytes[2 * first] << 8 | ip->bytes[2 * first + 1];
		at += (size_t)snprintf(plain + at, sizeof(plain) - at, "%x", group);
		len += (size_t)snprintf(padded + len, sizeof(padded) - len, "%04x", group);
	}
	for (i = 0; i < len; i++)
		reverse[i] = padded[len - 1 - i];
	reverse[len] = '\0';
	return has_nibbles(squeezed, padded) || has_nibbles(squeezed, plain) ||
	    has_nibbles(squeezed, reverse);
}

/* The six octets of the network card that an EUI-64 address was made of (RFC 4291 appendix A). */
static bool
has_card(const char *squeezed, const struct ip *ip)
{
	const uint8_t *b = ip->bytes;
	char text[13];

	if (b[11] != 0xff || b[12] != 0xfe)
		return false;
	snprintf(text, sizeof(text), "%02x%02x%02x%02x%02x%02x", b[8] ^ 2u, b[9], b[10], b[13],
	    b[14], b[15]);
	return has_nibbles(squeezed, text);
}

static bool
has_v6(const struct host *host, const struct ip *ip)
{
	char squeezed[NAME_MAX_OCTETS + 1];
	struct ip_text shortest = ip_text(ip);
	const char *s;
	size_t n = 0;
	int first;

	for (s = host->text; *s != '\0'; s++) {
		if (strchr("-._:", *s) == NULL)
			squeezed[n++] = *s;
	}
	squeezed[n] = '\0';
	for (first = 0; first <= GROUPS - GROUPS_MIN; first++) {
		if (has_groups(squeezed, ip, first, GROUPS_MIN))
			return true;
	}
	return has_groups(squeezed, ip, 0, GROUPS) || has_nibbles(squeezed, shortest.s) ||
	    has_card(squeezed, ip);
}

bool
s25r_own_address(const char *name, const struct ip *client)
{
	struct host host;

	if (name == NULL || client->family == 0)
		return false;
	host = host_of(name);
	if (is_mail_host(&host))
		return false;
	return client->family == AF_INET ? has_v4(&host, client) : has_v6(&host, client);
}
