/*
 * Addresses and networks: every text that is one, every text that is none, and the way back.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "lib/ip.h"

static struct ip
ip(const char *s)
{
	struct ip parsed;

	if (!ip_parse(s, &parsed))
		fail_msg("%s does not parse", s);
	return parsed;
}

static void
test_parse_and_text(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: is no address */
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		/* RFC 5952 4: lower case, no leading zeros, the first of the longest zero runs */
		{ "2001:DB8::A", "2001:db8::a" },
		{ "2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "1::", "1::" },
		{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
		{ "1:2:3:4:5:6:0:0", "1:2:3:4:5:6::" },
		{ "::2:3", "::2:3" },
		{ "::0.2.0.3", "::2:3" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		/* mapped addresses are IPv4 from here on */
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::FFFF:c000:201", "192.0.2.1" },
		{ "0:0:0:0:0:ffff:c000:0201", "192.0.2.1" },
		{ "::fffe:192.0.2.1", "::fffe:c000:201" },
		{ "64:ff9b::192.0.2.1", "64:ff9b::c000:201" },
		{ "", NULL },
		{ " 192.0.2.1", NULL },
		{ "192.0.2.1 ", NULL },
		{ "192.0.2", NULL },
		{ "192.0.2.1.1", NULL },
		{ "192.0.2.256", NULL },
		{ "192.0.2.01", NULL }, /* octal to some readers */
		{ "0xc0.0.2.1", NULL },
		{ "3221225985", NULL },
		{ "192.0.2.-1", NULL },
		{ "192.0.2.1/32", NULL },
		{ "[192.0.2.1]", NULL },
		{ "1:2:3:4:5:6:7", NULL },
		{ "1:2:3:4:5:6:7:8:9", NULL },
		{ "1::2::3", NULL },
		{ ":::", NULL },
		{ "12345::", NULL },
		{ "g::", NULL },
		{ "fe80::1%lo", NULL },
		{ "::ffff:192.0.2.256", NULL },
		{ "mx.example.net", NULL },
	};
	size_t i;
	struct ip parsed, untouched = { .family = 99 };

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parsed = untouched;
		if (ip_parse(cases[i].in, &parsed) != (cases[i].out != NULL))
			fail_msg("%s", cases[i].in);
		if (cases[i].out != NULL)
			assert_string_equal(ip_text(&parsed).s, cases[i].out);
		else
			assert_true(ip_equal(&parsed, &untouched));
	}
	parsed = (struct ip){ 0 };
	assert_string_equal(ip_text(&parsed).s, "");
}

static void
test_net_parse_and_text(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.0/24" },
		{ "192.0.2.1", "192.0.2.1/32" },
		{ "192.0.2.1/32", "192.0.2.1/32" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "128.0.0.0/1", "128.0.0.0/1" },
		{ "192.0.2.252/30", "192.0.2.252/30" },
		{ "2001:DB8::/32", "2001:db8::/32" },
		{ "2001:db8::1", "2001:db8::1/128" },
		{ "2001:db8:8000::/33", "2001:db8:8000::/33" },
		{ "::/0", "::/0" },
		{ "::ffff:192.0.2.0/120", "192.0.2.0/24" },
		{ "::ffff:0.0.0.0/96", "0.0.0.0/0" },
		{ "::ffff:192.0.2.1", "192.0.2.1/32" },
		/* host bits */
		{ "192.0.2.1/24", NULL },
		{ "192.0.2.254/30", NULL },
		{ "1.0.0.0/0", NULL },
		{ "2001:db8::1/64", NULL },
		{ "2001:db8:c000::/33", NULL },
		{ "::ffff:192.0.2.1/120", NULL },
		/* lengths */
		{ "192.0.2.0/33", NULL },
		{ "2001:db8::/129", NULL },
		{ "::ffff:0.0.0.0/95", NULL },
		{ "192.0.2.0/", NULL },
		{ "192.0.2.0/ 24", NULL },
		{ "192.0.2.0/+24", NULL },
		{ "192.0.2.0/-1", NULL },
		{ "192.0.2.0/024", NULL },
		{ "0.0.0.0/00", NULL },
		{ "192.0.2.0/24x", NULL },
		{ "192.0.2.0/24/24", NULL },
		{ "192.0.2.0/4294967320", NULL },
		{ "192.0.2.0/255.255.255.0", NULL },
		{ "/24", NULL },
		{ "", NULL },
		{ "192.0.2/24", NULL },
		{ "0000000000000000000000000000000000000000000000000000000000000000/8", NULL },
	};
	struct ipnet net;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (ipnet_parse(cases[i].in, &net) != (cases[i].out != NULL))
			fail_msg("%s", cases[i].in);
		if (cases[i].out != NULL)
			assert_string_equal(ipnet_text(&net).s, cases[i].out);
	}
	net = (struct ipnet){ 0 };
	assert_string_equal(ipnet_text(&net).s, "");
}

static void
test_contains(void **state)
{
	static const struct {
		const char *net;
		const char *ip;
		bool contains;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.0", true },
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.128", true },
		{ "192.0.2.1/32", "192.0.2.1", true },
		{ "192.0.2.1/32", "192.0.2.2", false },
		{ "192.0.2.0/31", "192.0.2.1", true },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "192.0.2.0/24", "::ffff:192.0.2.1", true },
		/* one family's all is not the other's */
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "192.0.2.1", false },
		{ "::/0", "2001:db8::1", true },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::", false },
		{ "2001:db8::/127", "2001:db8::1", true },
		{ "2001:db8::/127", "2001:db8::2", false },
		/* the bytes are the same, the families are not */
		{ "1.2.3.4/32", "102:304::", false },
	};
	struct ipnet net;
	struct ip addr, none = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		addr = ip(cases[i].ip);
		assert_true(ipnet_parse(cases[i].net, &net));
		if (ipnet_contains(&net, &addr) != cases[i].contains)
			fail_msg("%s %s", cases[i].net, cases[i].ip);
		assert_false(ipnet_contains(&net, &none));
	}
	net = (struct ipnet){ 0 };
	assert_false(ipnet_contains(&net, &none));
}

static void
test_network(void **state)
{
	static const struct {
		const char *ip;
		uint8_t bits;
		const char *net;
	} cases[] = {
		{ "192.0.2.77", 24, "192.0.2.0/24" },
		{ "192.0.2.77", 32, "192.0.2.77/32" },
		{ "192.0.2.77", 0, "0.0.0.0/0" },
		{ "192.0.2.77", 26, "192.0.2.64/26" },
		{ "192.0.2.77", 64, "192.0.2.77/32" },
		{ "2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64" },
		{ "2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6/128" },
		{ "2001:db8:1:2:3:4:5:6", 255, "2001:db8:1:2:3:4:5:6/128" },
		{ "2001:db8:1:ffff:3:4:5:6", 49, "2001:db8:1:8000::/49" },
	};
	struct ipnet net;
	struct ip addr;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		addr = ip(cases[i].ip);
		net = ip_network(&addr, cases[i].bits);
		assert_string_equal(ipnet_text(&net).s, cases[i].net);
		assert_true(ipnet_contains(&net, &addr));
	}
}

static void
test_literal(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "[192.000.002.001]", "[192.0.2.1]" }, /* Snum = 1*3DIGIT, decimal */
		{ "[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]" },
		{ "[ipv6:::1]", "[IPv6:::1]" },
		{ "[IPv6:::]", "[IPv6:::]" },
		{ "[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1:2:3:4:5:6:7:8]" },
		{ "[IPv6:1:2:3:4:5:6:1.2.3.4]", "[IPv6:1:2:3:4:5:6:102:304]" },
		{ "[IPv6:1:2:3:4:5:6:001.002.003.004]", "[IPv6:1:2:3:4:5:6:102:304]" },
		{ "[IPv6:1111:2222:3333:4444:5555:6666:255.255.255.255]",
		    "[IPv6:1111:2222:3333:4444:5555:6666:ffff:ffff]" },
		{ "[IPv6:1::1.2.3.4]", "[IPv6:1::102:304]" },
		{ "[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]" },
		{ "[IPv6:1:2:3:4:5:6::8]", "[IPv6:1:2:3:4:5:6:0:8]" },
		{ "", NULL },
		{ "[", NULL },
		{ "[]", NULL },
		{ "192.0.2.1", NULL },
		{ "[192.0.2.1", NULL },
		{ "192.0.2.1]", NULL },
		{ "[192.0.2]", NULL },
		{ "[192.0.2.1.]", NULL },
		{ "[.192.0.2.1]", NULL },
		{ "[192.0.2.256]", NULL },
		{ "[192.0.2.0001]", NULL },
		{ "[192.0..1]", NULL },
		{ "[ 192.0.2.1]", NULL },
		{ "[192.0.2.1]]", NULL },
		{ "[[192.0.2.1]", NULL },
		{ "[2001:db8::1]", NULL }, /* the tag is missing */
		{ "[IPv6:]", NULL },
		{ "[IPv6]", NULL },
		{ "[IPv6:192.0.2.1]", NULL },
		{ "[IPv4:192.0.2.1]", NULL },
		{ "[IPv6:1::2:]", NULL },
		{ "[IPv6:1:2:3:4:5:6::7:8]", NULL },
		{ "[IPv6:1:2:3:4:5:6:7:1.2.3.4]", NULL },
		{ "[IPv6:1:2:3:4:5:6:7:8:9]", NULL },
		{ "[IPv6:2001:db8::1%lo]", NULL },
		{ "[IPv6:0000000000000000000000000000000000000000000000000000000:1.2.3.4]", NULL },
		{ "[IPv6:1:2:3:4:5:6:1.2.3.4:]", NULL },
		{ "[x-tag:data]", NULL }, /* General-address-literal: none is registered */
	};
	struct ip addr;
	char text[56];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (ip_parse_literal(cases[i].in, strlen(cases[i].in), &addr) !=
		    (cases[i].out != NULL))
			fail_msg("%s", cases[i].in);
		if (cases[i].out == NULL)
			continue;
		ip_literal(&addr, text, sizeof(text));
		assert_string_equal(text, cases[i].out);
	}
	assert_false(ip_parse_literal("[192.0.2.1\0]", 12, &addr));
	assert_false(ip_parse_literal("[IPv6:::1\0]", 11, &addr));
	assert_true(ip_parse_literal("[192.0.2.1]> SIZE=1", 11, &addr));
}

static void
test_sockaddr(void **state)
{
	static const char *const texts[] = { "192.0.2.1", "2001:db8::1", "0.0.0.0", "::" };
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_storage ss;
	struct ip addr, back, none = { 0 };
	socklen_t len;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		addr = ip(texts[i]);
		len = ip_to_sockaddr(&addr, 2525, &ss);
		assert_int_equal(len, addr.family == AF_INET ? sizeof(struct sockaddr_in) :
							       sizeof(struct sockaddr_in6));
		assert_int_equal(ss.ss_family, addr.family);
		/* sin_port and sin6_port are at the same place */
		assert_int_equal(((struct sockaddr_in *)&ss)->sin_port, htons(2525));
		assert_true(ip_from_sockaddr((struct sockaddr *)&ss, &back));
		assert_true(ip_equal(&addr, &back));
	}
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr), 1);
	assert_true(ip_from_sockaddr((struct sockaddr *)&mapped, &back));
	assert_string_equal(ip_text(&back).s, "192.0.2.1");
	assert_false(ip_from_sockaddr((struct sockaddr *)&local, &back));
	assert_int_equal(ip_to_sockaddr(&none, 25, &ss), 0);
}

static void
test_reverse_name(void **state)
{
	static const struct {
		const char *ip;
		const char *name;
	} cases[] = {
		{ "192.0.2.1", "1.2.0.192.in-addr.arpa" },
		{ "255.255.255.255", "255.255.255.255.in-addr.arpa" },
		{ "2001:db8::567:89ab",
		    "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
		{ "::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa" },
	};
	struct ip addr, none = { 0 };
	char name[74];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		addr = ip(cases[i].ip);
		ip_reverse_name(&addr, name, sizeof(name));
		assert_string_equal(name, cases[i].name);
	}
	ip_reverse_name(&none, name, sizeof(name));
	assert_string_equal(name, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_text),
		cmocka_unit_test(test_net_parse_and_text),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_literal),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_reverse_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
