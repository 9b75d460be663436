/*
 * Fuzz target: text that may be an address, a network or a literal, and bytes that are one.  What
 * is read prints in one form, and that form is read as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/ip.h"
#include "regress/fuzz/target.h"

static void
check_ip(const struct ip *ip)
{
	struct sockaddr_storage ss;
	struct ip_text text = ip_text(ip);
	char literal[56], name[74];
	struct ipnet net;
	struct ip again;
	unsigned bits;

	require(strlen(text.s) < IP_TEXT_MAX);
	require(ip_parse(text.s, &again) && ip_equal(ip, &again));
	ip_literal(ip, literal, sizeof(literal));
	require(ip_parse_literal(literal, strlen(literal), &again) && ip_equal(ip, &again));
	require(ip_to_sockaddr(ip, 25, &ss) > 0);
	require(ip_from_sockaddr((struct sockaddr *)&ss, &again) && ip_equal(ip, &again));
	ip_reverse_name(ip, name, sizeof(name));
	require(strlen(name) > 12 && strcmp(name + strlen(name) - 5, ".arpa") == 0);
	for (bits = 0; bits <= 128; bits += 7) {
		net = ip_network(ip, (uint8_t)bits);
		require(ipnet_contains(&net, ip));
	}
}

static void
check_net(const struct ipnet *net)
{
	struct ipnet again;

	require(ipnet_parse(ipnet_text(net).s, &again));
	require(again.bits == net->bits && ip_equal(&again.ip, &net->ip));
	require(ipnet_contains(net, &net->ip));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct ipnet net;
	struct ip ip;

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (ip_parse(text, &ip))
		check_ip(&ip);
	if (ipnet_parse(text, &net))
		check_net(&net);
	if (ip_parse_literal(text, size, &ip))
		check_ip(&ip);
	free(text);
	if (size >= 5) {
		ip = (struct ip){ .family = data[0] & 1 ? AF_INET : AF_INET6 };
		memcpy(ip.bytes, data + 1, data[0] & 1 ? 4 : size - 1 < 16 ? size - 1 : 16);
		net = ip_network(&ip, data[0] >> 1);
		/* mapped addresses are IPv6 only until they are read */
		if (ip.family == AF_INET || ip.bytes[10] != 0xff)
			check_net(&net);
	}
	return 0;
}
