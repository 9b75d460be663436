/*
 * Does a name carry the client's own address?  (s25r_own_address() of s25r.h)
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

/* A name in lower case, without the top-level label. */
struct host {
	char text[NAME_MAX_OCTETS + 1];
	size_t own_len; /* of the labels below the two upper ones, but at least the first label */
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
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
	for (i = 0; i < len; i++)
		host.text[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	if ((dot = strrchr(host.text, '.')) != NULL)
		*dot = '\0';
	dot = strrchr(host.text, '.');
	host.own_len = dot != NULL ? (size_t)(dot - host.text) : strlen(host.text);
	return host;
}

/*
 * True when a word says that the host sends or takes mail.  Whoever owns the reverse zone chose it, and whoever owns the
 * zone needs no such word to look like a server, so it opens nothing that was closed.
 */
static bool
is_mail_host(const struct host *host)
{
	static const char *const whole[] = { "mx", "mxs", "mta", "mtaout", "out", "outbound", "outgoing", "mout", "relay",
		"sender", "bounce", "news", "newsletter" };
	static const char *const part[] = { "mail", "smtp" };
	const char *s = host->text, *end = s + host->own_len, *word;
	size_t i, k, len;

	while (s < end) {
		for (word = s; s < end && is_letter(*s); s++)
			;
		len = (size_t)(s - word);
		for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
			if (strlen(whole[i]) == len && memcmp(word, whole[i], len) == 0)
				return true;
		}
		for (i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
			for (k = 0; k + strlen(part[i]) <= len; k++) {
				if (memcmp(word + k, part[i], strlen(part[i])) == 0)
					return true;
			}
		}
		if (len == 0)
			s++;
	}
	return false;
}

/*
 * Appends to SPELLED the octets FROM to TO of IP (backwards when FROM is higher), each in FORMAT, which takes one
 * unsigned, and returns their set.
 */
static unsigned
spell(char *spelled, size_t size, const struct ip *ip, int from, int to, const char *separator, bool hex, bool padded)
{
	int i, step = from <= to ? 1 : -1;
	unsigned set = 0;
	size_t at = 0;

	for (i = from;; i += step) {
		at += (size_t)snprintf(spelled + at, size - at, hex ? "%s%02x" : padded ? "%s%03u" : "%s%u",
		    i == from ? "" : separator, ip->bytes[i]);
		set |= 1u << i;
		if (i == to)
			return set;
	}
}

/*
 * RUN, LEN digits, was read: REACHED is the set of the sets of octets that distinct runs can account for so far (bit M
 * for the set M); returns it with those that this run adds.  A run is one octet, padded or not, or several neighbours
 * written together.
 */
static unsigned
account(unsigned reached, const struct ip *ip, const char *run, size_t len)
{
	unsigned result = reached, sets[2 * OCTETS * OCTETS], n = 0, set, m, i;
	char text[3 * OCTETS + 1];
	int from, to, padded;

	while (len > 1 && len <= 3 && *run == '0') {
		run++;
		len--;
	}
	for (from = 0; from < OCTETS; from++) {
		for (to = 0; to < OCTETS; to++) {
			for (padded = 0; padded < 2; padded++) {
				set = spell(text, sizeof(text), ip, from, to, "", false, padded);
				if (from == to && padded)
					continue;
				/* two octets run together are told apart only by their padding */
				if ((from - to == 1 || to - from == 1) && !padded)
					continue;
				if (strlen(text) == len && memcmp(text, run, len) == 0)
					sets[n++] = set;
			}
		}
	}
	for (m = 0; m <= ALL_OCTETS; m++) {
		for (i = 0; i < n && (reached & 1u << m) != 0; i++) {
			if ((m & sets[i]) == 0)
				result |= 1u << (m | sets[i]);
		}
	}
	return result;
}

/* Three octets or four, among them the last two, in any order. */
static bool
has_most_octets(const struct host *host, const struct ip *ip)
{
	unsigned reached = 1;
	const char *s = host->text, *run;

	while (*s != '\0') {
		for (run = s; is_digit(*s); s++)
			;
		if (s > run)
			reached = account(reached, ip, run, (size_t)(s - run));
		else
			s++;
	}
	return (reached & (1u << ALL_OCTETS | 1u << (LAST_OCTETS | 1) | 1u << (LAST_OCTETS | 2))) != 0;
}

static bool
contains(const struct host *host, const char *text)
{
	return strstr(host->text, text) != NULL;
}

/* The whole address in hex, eight digits together or in pairs. */
static bool
has_hex(const struct host *host, const struct ip *ip)
{
	static const char *const separators[] = { "", "-", "." };
	char text[3 * OCTETS + 1];
	size_t i;

	for (i = 0; i < sizeof(separators) / sizeof(separators[0]); i++) {
		spell(text, sizeof(text), ip, 0, 3, separators[i], true, true);
		if (contains(host, text))
			return true;
		spell(text, sizeof(text), ip, 3, 0, separators[i], true, true);
		if (contains(host, text))
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

/* The last two octets side by side in decimal: two runs with one character between them, or six digits. */
static bool
has_last_decimal(const struct host *host, const struct ip *ip)
{
	const char *s = host->text, *end = s + host->own_len, *run, *last_end = NULL;
	int last = -1, value, c = ip->bytes[2], d = ip->bytes[3];

	for (; s < end; s++) {
		for (run = s; s < end && is_digit(*s); s++)
			;
		if (s == run)
			continue;
		value = octet(run, (size_t)(s - run));
		if (value >= 0 && last >= 0 && run - last_end == 1 &&
		    ((last == c && value == d) || (last == d && value == c)))
			return true;
		if (s - run == 6 && (last = octet(run, 3)) >= 0 && (value = octet(run + 3, 3)) >= 0 &&
		    ((last == c && value == d) || (last == d && value == c)))
			return true;
		last = value;
		last_end = s;
	}
	return false;
}

/* The last two octets as a run of just four hex digits, of which one is a letter and one is none. */
static bool
has_last_hex(const struct host *host, const struct ip *ip)
{
	const char *s = host->text, *end = s + host->own_len, *run;
	char forward[5], backward[5];
	int letters;

	spell(forward, sizeof(forward), ip, 2, 3, "", true, true);
	spell(backward, sizeof(backward), ip, 3, 2, "", true, true);
	for (; s < end; s++) {
		letters = 0;
		for (run = s; s < end && is_hex(*s); s++)
			letters += is_letter(*s);
		if (s - run == 4 && letters > 0 && letters < 4 &&
		    (memcmp(run, forward, 4) == 0 || memcmp(run, backward, 4) == 0))
			return true;
	}
	return false;
}

bool
s25r_own_address(const char *name, const struct ip *client)
{
	struct host host;

	if (name == NULL || client->family != AF_INET)
		return false;
	host = host_of(name);
	if (is_mail_host(&host))
		return false;
	return has_most_octets(&host, client) || has_hex(&host, client) ||
	    has_last_decimal(&host, client) || has_last_hex(&host, client);
}
