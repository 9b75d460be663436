/*
 * Both versions of the PROXY protocol (proxy.h).
 *
 * Version 1 is one line, of at most 107 octets; version 2 a signature that no line begins with, a length, addresses, and
 * values that nobody here asks for.  Nothing is repaired: whoever is listed and sends something else is misconfigured, and
 * a client would be taken for another.
 */
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "smtpd/proxy.h"

#define V1_MAX 107
#define V1_WORDS 6 /* PROXY TCP4 source destination port port */
#define V2_HEAD 16

static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";
#define START_LEN(start) (sizeof(start) - 1)

/* --- version 1 --- */

/* No sign, no zero in front. */
static bool
read_port(const char *s, uint16_t *port)
{
	unsigned long n = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 5; i++)
		n = n * 10 + (unsigned long)(s[i] - '0');
	*port = (uint16_t)n;
	return i > 0 && s[i] == '\0' && n <= UINT16_MAX && (s[0] != '0' || i == 1);
}

static bool
read_address(const char *s, const char *kind, struct ip *ip)
{
	/* an IPv4 address in IPv6's clothes is IPv4 to us, and TCP6 to the proxy */
	return ip_parse(s, ip) && (strchr(s, ':') != NULL) == (strcmp(kind, "TCP6") == 0);
}

/* LINE without its CRLF. */
static enum proxy_status
read_line(char *line, struct proxy *out)
{
	char *word[V1_WORDS], *p = line;
	struct ip destination;
	uint16_t port;
	unsigned n;

	if (strncmp(line, "PROXY UNKNOWN", 13) == 0 && (line[13] == '\0' || line[13] == ' '))
		return PROXY_DONE;
	for (n = 0; n < V1_WORDS && p != NULL; n++)
		word[n] = strsep(&p, " ");
	if (n != V1_WORDS || p != NULL || (strcmp(word[1], "TCP4") != 0 && strcmp(word[1], "TCP6") != 0))
		return PROXY_BAD;
	if (!read_address(word[2], word[1], &out->client) || !read_address(word[3], word[1], &destination) ||
	    !read_port(word[4], &out->port) || !read_port(word[5], &port))
		return PROXY_BAD;
	return PROXY_DONE;
}

static enum proxy_status
parse_v1(const char *s, size_t len, struct proxy *out, size_t *used)
{
	size_t most = len < V1_MAX ? len : V1_MAX;
	const char *lf = memchr(s, '\n', most);
	char line[V1_MAX + 1];

	if (lf == NULL)
		return len < V1_MAX ? PROXY_MORE : PROXY_BAD;
	if (lf[-1] != '\r' || memchr(s, '\0', (size_t)(lf - s)) != NULL)
		return PROXY_BAD;
	memcpy(line, s, (size_t)(lf - s) - 1);
	line[lf - s - 1] = '\0';
	*used = (size_t)(lf - s) + 1;
	return read_line(line, out);
}

/* --- version 2 --- */

static struct ip
mapped(int family, const uint8_t *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct ip ip = { 0 };

	if (family == AF_INET) {
		memcpy(&in.sin_addr, address, 4);
		ip_from_sockaddr((const struct sockaddr *)&in, &ip);
	} else {
		memcpy(&in6.sin6_addr, address, 16);
		ip_from_sockaddr((const struct sockaddr *)&in6, &ip);
	}
	return ip;
}

static enum proxy_status
parse_v2(const uint8_t *s, size_t len, struct proxy *out, size_t *used)
{
	size_t size, address;
	int family;

	if (len < V2_HEAD)
		return PROXY_MORE;
	size = (size_t)s[14] << 8 | s[15];
	if (s[12] >> 4 != 2 || (s[12] & 15) > 1 || V2_HEAD + size > PROXY_HEADER_MAX)
		return PROXY_BAD;
	if (len < V2_HEAD + size)
		return PROXY_MORE;
	*used = V2_HEAD + size;
	if ((s[12] & 15) == 0 || s[13] == 0) /* LOCAL, UNSPEC */
		return PROXY_DONE;
	family = s[13] == 0x11 ? AF_INET : s[13] == 0x21 ? AF_INET6 : 0; /* over TCP */
	address = family == AF_INET ? 4 : 16;
	if (family == 0 || size < 2 * address + 4)
		return PROXY_BAD;
	out->client = mapped(family, s + V2_HEAD);
	out->port = (uint16_t)(s[V2_HEAD + 2 * address] << 8 | s[V2_HEAD + 2 * address + 1]);
	return PROXY_DONE;
}

/* --- either --- */

static bool
begins(const void *s, size_t len, const char *start, size_t start_len)
{
	return memcmp(s, start, len < start_len ? len : start_len) == 0;
}

enum proxy_status
proxy_parse(const void *s, size_t len, struct proxy *out, size_t *used)
{
	*out = (struct proxy){ .port = 0 };
	*used = 0;
	if (begins(s, len, v2_start, START_LEN(v2_start)))
		return len <= START_LEN(v2_start) ? PROXY_MORE : parse_v2(s, len, out, used);
	if (begins(s, len, v1_start, START_LEN(v1_start)))
		return len <= START_LEN(v1_start) ? PROXY_MORE : parse_v1(s, len, out, used);
	return PROXY_BAD;
}
