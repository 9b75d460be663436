/*
 * Addresses and networks as text, as bytes and as sockaddr.
 *
 * Everything that names a peer goes through here: listeners, the gate's tables, the resolver's
 * questions, address literals in HELO and in mail addresses.  Pure functions; what can fail is the
 * reading of text, and then the result is false and the output is not touched.
 *
 * One address must have one form, or a table that names 192.0.2.1 would not know a caller who
 * arrives as ::ffff:192.0.2.1.  So mapped addresses become IPv4 in the only places where an address
 * is made, and the bytes that a family does not use are 0, which lets keys and comparisons take all
 * 16.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/ip.h"

#define MAPPED_BITS 96

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static unsigned
family_bits(uint8_t family)
{
	return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

static struct ip
ip_from_v4(const void *bytes)
{
	struct ip ip = { .family = AF_INET };

	memcpy(ip.bytes, bytes, 4);
	return ip;
}

static struct ip
ip_from_v6(const uint8_t *bytes)
{
	struct ip ip = { .family = AF_INET6 };

	if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return ip_from_v4(bytes + sizeof(mapped_prefix));
	memcpy(ip.bytes, bytes, 16);
	return ip;
}

bool
ip_parse(const char *s, struct ip *ip)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, s, bytes) == 1)
		*ip = ip_from_v4(bytes);
	else if (inet_pton(AF_INET6, s, bytes) == 1)
		*ip = ip_from_v6(bytes);
	else
		return false;
	return true;
}

/* One to three digits and nothing else; "0" but not "00", so that a network has one spelling. */
static bool
parse_length(const char *s, unsigned *bits)
{
	size_t len = strspn(s, "0123456789");

	if (len == 0 || len > 3 || s[len] != '\0' || (len > 1 && s[0] == '0'))
		return false;
	for (*bits = 0; *s != '\0'; s++)
		*bits = *bits * 10 + (unsigned)(*s - '0');
	return true;
}

bool
ipnet_parse(const char *s, struct ipnet *net)
{
	const char *slash = strchr(s, '/');
	char text[IP_TEXT_MAX];
	struct ipnet masked;
	struct ip ip;
	unsigned bits;
	size_t len = slash != NULL ? (size_t)(slash - s) : strlen(s);

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (!ip_parse(text, &ip))
		return false;
	bits = family_bits(ip.family);
	if (slash != NULL && !parse_length(slash + 1, &bits))
		return false;
	if (slash != NULL && ip.family == AF_INET && strchr(text, ':') != NULL) {
		/* ::ffff:192.0.2.0/120 is 192.0.2.0/24 */
		if (bits < MAPPED_BITS)
			return false;
		bits -= MAPPED_BITS;
	}
	if (bits > family_bits(ip.family))
		return false;
	masked = ip_network(&ip, (uint8_t)bits);
	if (!ip_equal(&masked.ip, &ip))
		return false;
	*net = masked;
	return true;
}

bool
ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&sin, sa, sizeof(sin));
		*ip = ip_from_v4(&sin.sin_addr);
		return true;
	case AF_INET6:
		memcpy(&sin6, sa, sizeof(sin6));
		*ip = ip_from_v6(sin6.sin6_addr.s6_addr);
		return true;
	default:
		return false;
	}
}

socklen_t
ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memset(ss, 0, sizeof(*ss));
	switch (ip->family) {
	case AF_INET:
		memcpy(&sin.sin_addr, ip->bytes, 4);
		memcpy(ss, &sin, sizeof(sin));
		return sizeof(sin);
	case AF_INET6:
		memcpy(&sin6.sin6_addr, ip->bytes, 16);
		memcpy(ss, &sin6, sizeof(sin6));
		return sizeof(sin6);
	default:
		return 0;
	}
}

/* The first longest run of two or more zero groups (RFC 5952 4.2); LEN 0 when there is none. */
static void
longest_zeros(const uint16_t *group, int *start, int *len)
{
	int i, run = 0;

	*start = *len = 0;
	for (i = 0; i < 8; i++) {
		run = group[i] == 0 ? run + 1 : 0;
		if (run > *len && run > 1) {
			*len = run;
			*start = i - run + 1;
		}
	}
}

/*
 * inet_ntop(3) is not used for IPv6: the C library writes ::2:3 as ::0.2.0.3, others do not, and
 * this text is a key in files that may move between machines.
 */
static void
format_v6(const uint8_t *bytes, char *out, size_t size)
{
	uint16_t group[8];
	int i, zeros, nzeros;
	size_t at = 0;

	for (i = 0; i < 8; i++)
		group[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
	longest_zeros(group, &zeros, &nzeros);
	for (i = 0; i < 8; i++) {
		if (nzeros > 0 && i == zeros) {
			at += (size_t)snprintf(out + at, size - at, "::");
			i += nzeros - 1;
			continue;
		}
		at += (size_t)snprintf(out + at, size - at, "%s%x",
		    i == 0 || (nzeros > 0 && i == zeros + nzeros) ? "" : ":", group[i]);
	}
}

/* "192.0.2.1"; not by snprintf(3), because every line of the log has one. */
static void
format_v4(const uint8_t *b, char *out)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (b[i] >= 100)
			*out++ = (char)('0' + b[i] / 100);
		if (b[i] >= 10)
			*out++ = (char)('0' + b[i] / 10 % 10);
		*out++ = (char)('0' + b[i] % 10);
		*out++ = i < 3 ? '.' : '\0';
	}
}

struct ip_text
ip_text(const struct ip *ip)
{
	struct ip_text text = { "" };
	const uint8_t *b = ip->bytes;

	if (ip->family == AF_INET)
		format_v4(b, text.s);
	else if (ip->family == AF_INET6)
		format_v6(b, text.s, sizeof(text.s));
	return text;
}

struct ip_text
ipnet_text(const struct ipnet *net)
{
	struct ip_text text = ip_text(&net->ip);
	size_t len = strlen(text.s);

	if (net->ip.family != 0)
		snprintf(text.s + len, sizeof(text.s) - len, "/%u", net->bits);
	return text;
}

void
ip_literal(const struct ip *ip, char *out, size_t size)
{
	struct ip_text text = ip_text(ip);

	snprintf(out, size, "[%s%s]", ip->family == AF_INET6 ? "IPv6:" : "", text.s);
}

/*
 * Snum 3("." Snum) of RFC 5321 4.1.3: one to three decimal digits each.  Leading zeros are decimal
 * there, while inet_pton(3) refuses them because other readers take them for octal.
 */
static bool
parse_snums(const char *s, const char *end, uint8_t bytes[4])
{
	unsigned value;
	int i, digits;

	for (i = 0; i < 4; i++) {
		if (i > 0 && (s == end || *s++ != '.'))
			return false;
		value = 0;
		for (digits = 0; s < end && *s >= '0' && *s <= '9'; digits++)
			value = value * 10 + (unsigned)(*s++ - '0');
		if (digits < 1 || digits > 3 || value > 255)
			return false;
		bytes[i] = (uint8_t)value;
	}
	return s == end;
}

/*
 * IPv6-addr of RFC 5321 4.1.3.  Two differences from inet_pton(3): leading zeros in an IPv4 tail,
 * and "::" for a single group, which RFC 5321 does not have but RFC 4291 does; both are taken,
 * neither can be misread.
 */
static bool
parse_literal_v6(const char *s, size_t len, struct ip *ip)
{
	char text[IP_TEXT_MAX];
	uint8_t tail[4], bytes[16];
	const char *colon = memrchr(s, ':', len);
	size_t head = colon != NULL ? (size_t)(colon + 1 - s) : 0;

	if (memchr(s, '\0', len) != NULL || len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (colon != NULL && parse_snums(colon + 1, s + len, tail))
		snprintf(text + head, sizeof(text) - head, "%u.%u.%u.%u", tail[0], tail[1], tail[2],
		    tail[3]);
	if (inet_pton(AF_INET6, text, bytes) != 1)
		return false;
	*ip = ip_from_v6(bytes);
	return true;
}

bool
ip_parse_literal(const char *s, size_t len, struct ip *ip)
{
	static const char tag[] = "IPv6:";
	const size_t tag_len = sizeof(tag) - 1;
	uint8_t bytes[4];

	if (len < 2 || s[0] != '[' || s[len - 1] != ']')
		return false;
	s++;
	len -= 2;
	if (len > tag_len && strncasecmp(s, tag, tag_len) == 0)
		return parse_literal_v6(s + tag_len, len - tag_len, ip);
	if (!parse_snums(s, s + len, bytes))
		return false;
	*ip = ip_from_v4(bytes);
	return true;
}

bool
ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool
ipnet_contains(const struct ipnet *net, const struct ip *ip)
{
	struct ipnet around = ip_network(ip, net->bits);

	return net->ip.family != 0 && ip_equal(&around.ip, &net->ip);
}

struct ipnet
ip_network(const struct ip *ip, uint8_t bits)
{
	struct ipnet net = { .ip = *ip, .bits = bits };
	unsigned whole;

	if (net.bits > family_bits(ip->family))
		net.bits = (uint8_t)family_bits(ip->family);
	whole = net.bits / 8;
	if (whole < sizeof(net.ip.bytes)) {
		net.ip.bytes[whole] &= (uint8_t)(0xff00 >> net.bits % 8);
		memset(net.ip.bytes + whole + 1, 0, sizeof(net.ip.bytes) - whole - 1);
	}
	return net;
}

void
ip_reverse_name(const struct ip *ip, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = ip->bytes;
	char nibbles[65];
	int i;

	if (ip->family == AF_INET) {
		snprintf(out, size, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
	} else if (ip->family == AF_INET6) {
		for (i = 0; i < 16; i++) {
			nibbles[4 * i] = hex[b[15 - i] & 15];
			nibbles[4 * i + 1] = '.';
			nibbles[4 * i + 2] = hex[b[15 - i] >> 4];
			nibbles[4 * i + 3] = '.';
		}
		nibbles[64] = '\0';
		snprintf(out, size, "%sip6.arpa", nibbles);
	} else if (size > 0) {
		out[0] = '\0';
	}
}
