/*
 * Addresses and networks, IPv4 and IPv6.  An IPv4-mapped IPv6 address is IPv4 from the moment it is read.
 */
#ifndef LIB_IP_H
#define LIB_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct ip {
	uint8_t family;    /* AF_INET, AF_INET6, or 0: none */
	uint8_t bytes[16]; /* network order; the first 4 for IPv4, the others 0 */
};

struct ipnet {
	struct ip ip; /* host bits are 0 */
	uint8_t bits;
};

#define IP_TEXT_MAX 46 /* with the NUL */
struct ip_text {
	char s[IP_TEXT_MAX + 4]; /* room for "/128" */
};

/* "192.0.2.1", "2001:db8::1"; no brackets, no scope.  False when it is none. */
bool ip_parse(const char *, struct ip *);
/* Also "192.0.2.0/24"; without a length the whole address.  Host bits that are set make it false. */
bool ipnet_parse(const char *, struct ipnet *);
/* False for families other than IPv4 and IPv6. */
bool ip_from_sockaddr(const struct sockaddr *, struct ip *);
/* Fills SS; returns its length, 0 when IP is none. */
socklen_t ip_to_sockaddr(const struct ip *, uint16_t port, struct sockaddr_storage *ss);
/* Lower case, shortest form (RFC 5952). */
struct ip_text ip_text(const struct ip *);
struct ip_text ipnet_text(const struct ipnet *);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" as RFC 5321 4.1.3 has it; SIZE at least 56. */
void ip_literal(const struct ip *, char *out, size_t size);
/* "[192.0.2.1]" or "[IPv6:...]" back; LEN bytes. */
bool ip_parse_literal(const char *, size_t len, struct ip *);
bool ip_equal(const struct ip *, const struct ip *);
bool ipnet_contains(const struct ipnet *, const struct ip *);
/* The network of that many leading bits around IP. */
struct ipnet ip_network(const struct ip *, uint8_t bits);
/* "1.2.0.192.in-addr.arpa", nibbles under ip6.arpa; SIZE at least 74. */
void ip_reverse_name(const struct ip *, char *out, size_t size);

#endif
