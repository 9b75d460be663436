/*
 * The expressions of S25R on every name of the corpus, beside the C library's own matcher, and the
 * client's address in a name.
 */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "filters/s25r.h"
#include "lib/ip.h"
#include "regress/unit/corpus.h"

#define NAME_OCTETS 255

/* As the report prints them; a change to the table in the program must be made here too. */
static const char *const published[S25R_RULES + 1] = {
	NULL,
	"^[^.]*[0-9][^0-9.]+[0-9].*\\.",
	"^[^.]*[0-9]{5}",
	"^([^.]+\\.)?[0-9][^.]*\\.[^.]+\\..+\\.[a-z]",
	"^[^.]*[0-9]\\.[^.]*[0-9]-[0-9]",
	"^[^.]*[0-9]\\.[^.]*[0-9]\\.[^.]+\\..+\\.",
	"^(dhcp|dialup|ppp|[achrsvx]?dsl)[^.]*[0-9]",
};

static regex_t posix[S25R_RULES + 1];

static int
setup(void **state)
{
	int rule;

	(void)state;
	for (rule = 1; rule <= S25R_RULES; rule++) {
		if (regcomp(&posix[rule], published[rule],
			REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
			return -1;
	}
	return 0;
}

static int
teardown(void **state)
{
	int rule;

	(void)state;
	for (rule = 1; rule <= S25R_RULES; rule++)
		regfree(&posix[rule]);
	return 0;
}

static void
test_expressions(void **state)
{
	int rule;

	(void)state;
	for (rule = 1; rule <= S25R_RULES; rule++)
		assert_string_equal(s25r_expression(rule), published[rule]);
	assert_null(s25r_expression(0));
	assert_null(s25r_expression(-1));
	assert_null(s25r_expression(S25R_RULES + 1));
}

/* The first rule of NAME, after asking that every rule says what the C library says. */
static int
match(const char *name)
{
	int rule, first = S25R_PASS;

	for (rule = S25R_RULES; rule > 0; rule--) {
		if (s25r_matches_rule(name, rule) != (regexec(&posix[rule], name, 0, NULL, 0) == 0))
			fail_msg("rule %d: %s", rule, name);
		if (s25r_matches_rule(name, rule))
			first = rule;
	}
	if (s25r_matches_rule(name, 0))
		first = 0;
	assert_int_equal(s25r_match(name), first);
	return first;
}

static void
test_names(void **state)
{
	static const struct {
		const char *name;
		int first;
	} cases[] = {
		{ "", 0 },
		{ "unknown", 0 },
		{ "UNKNOWN", 0 },
		{ "unknown.example.org", S25R_PASS },
		{ "mx.example.org", S25R_PASS },
		{ "a1b2", S25R_PASS }, /* rule 1 wants a dot behind */
		{ "a1b2.example", 1 },
		{ "a1-2.example.org", 1 },
		{ "A1B2.EXAMPLE.ORG", 1 },
		{ "a1.b2.example.org", S25R_PASS },
		{ "a12345", 2 },
		{ "a1234-", S25R_PASS },
		{ "12345.example.org", 2 },
		{ "1.2.example.org", 3 },
		{ "a.1.example.org", S25R_PASS },
		{ "a.1.b.example.org", 3 },
		{ "1.b.example.7", S25R_PASS },
		{ "1.b.example.7a", S25R_PASS },
		{ "1.b.example.a7", 3 },
		{ "a1.b2-3.org", 4 },
		{ "a1.b2-3", 4 },
		{ "a1.2-3b.org", 4 },
		{ "a1x.b2-3.org", S25R_PASS },
		{ "a1.b2.c.d.org", 5 },
		{ "a1.b2.c.org", S25R_PASS },
		{ "DHCP1", 6 },
		{ "dialupx1.example.org", 6 },
		{ "ppp-a1.example.org", 6 },
		{ "dsl1.example.org", 6 },
		{ "xdsl1.example.org", 6 },
		{ "ydsl1.example.org", S25R_PASS },
		{ "my-ppp1.example.org", S25R_PASS },
		{ "ppp.1.org", S25R_PASS },
		{ "192.0.2.1", S25R_PASS },
		{ "2001:db8::1", S25R_PASS },
		{ "a1\xc3\xa9.2.org", S25R_PASS },
		{ "a1\xc3\xa9" "2.org", 1 },
		{ "a1\n2.org", 1 },
		{ "a1-2\n.org", 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (match(cases[i].name) != cases[i].first)
			fail_msg("%s: %d", cases[i].name, s25r_match(cases[i].name));
	}
	assert_int_equal(s25r_match(NULL), 0);
	assert_true(s25r_matches_rule(NULL, 0));
	assert_false(s25r_matches_rule(NULL, 1));
	assert_false(s25r_matches_rule("mx.example.org", 0));
	assert_false(s25r_matches_rule("a12345.example.org", -1));
	assert_false(s25r_matches_rule("a12345.example.org", S25R_RULES + 1));
	/* a name as the DNS prints it: the root is no level */
	assert_int_equal(s25r_match("a1-2."), S25R_PASS);
	assert_int_equal(s25r_match("a1-2.example."), 1);
	assert_int_equal(s25r_match("."), S25R_PASS);
}

static void
test_long_names(void **state)
{
	char name[2 * NAME_OCTETS];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	/* what makes the name match stands before the cut, or behind it */
	memcpy(name + NAME_OCTETS - 5, "12345", 5);
	assert_int_equal(s25r_match(name), 2);
	memset(name, 'a', NAME_OCTETS);
	memcpy(name + NAME_OCTETS - 4, "12345", 5);
	assert_int_equal(s25r_match(name), S25R_PASS);
}

/*
 * The names that cost most are repetitions of what nearly matches.  None may need a tenth of the
 * budget, so that no name escapes by being costly.
 */
static void
test_budget(void **state)
{
	static const char *const parts[] = { "1", "a", ".", "-", "1a", "1-", "a1", "1.", "a.",
		"1a.", "a1.", "1.1-", "1-1.", "a1.1-", ".1", "dsl", "dsl1", "ppp.", "1a1a.1a", "11a" };
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	size_t i, k, offset;
	char name[NAME_OCTETS + 1];
	int rule, error, result;
	pcre2_code *code;

	(void)state;
	pcre2_set_match_limit(limits, 100000);
	for (rule = 1; rule <= S25R_RULES; rule++) {
		code = pcre2_compile((PCRE2_SPTR)published[rule], PCRE2_ZERO_TERMINATED,
		    PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_NO_START_OPTIMIZE, &error, &offset, NULL);
		assert_non_null(code);
		for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			for (k = 0; k < NAME_OCTETS; k++)
				name[k] = parts[i][k % strlen(parts[i])];
			name[NAME_OCTETS] = '\0';
			result = pcre2_match(code, (PCRE2_SPTR)name, NAME_OCTETS, 0, 0, data,
			    limits);
			if (result < 0 && result != PCRE2_ERROR_NOMATCH)
				fail_msg("rule %d: \"%s\"...: error %d", rule, parts[i], result);
			match(name);
		}
		pcre2_code_free(code);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(limits);
}

static int
rule_number(const char *column)
{
	return strcmp(column, "pass") == 0 ? S25R_PASS : atoi(column + 1);
}

static void
test_corpus_edges(void **state)
{
	char line[1024], *column[3], word[16];
	FILE *f = corpus_open("s25r/edge-cases.tsv");
	int rule, seen = 0;

	(void)state;
	while (corpus_columns(f, line, sizeof(line), column, 3) == 3) {
		if (match(column[0]) != rule_number(column[1]))
			fail_msg("%s: %d", column[0], s25r_match(column[0]));
		for (rule = 0; rule <= S25R_RULES; rule++) {
			snprintf(word, sizeof(word), "r%d", rule);
			if (s25r_matches_rule(column[0], rule) != (strstr(column[2], word) != NULL))
				fail_msg("%s: rule %d", column[0], rule);
		}
		seen++;
	}
	fclose(f);
	assert_int_equal(seen, 49);
}

static void
test_corpus_names(void **state)
{
	static const struct {
		const char *file;
		int names;
		int matched;
	} files[] = {
		{ "s25r/dynamic.txt", 231, 218 },
		{ "s25r/legit.txt", 311, 49 },
		{ "s25r/spam-sources.txt", 277, 115 },
	};
	char line[1024], *column[2];
	int names, matched;
	size_t i;
	FILE *f;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		f = corpus_open(files[i].file);
		names = matched = 0;
		while (corpus_columns(f, line, sizeof(line), column, 2) == 2) {
			if (match(column[0]) != rule_number(column[1]))
				fail_msg("%s: %d", column[0], s25r_match(column[0]));
			names++;
			matched += s25r_match(column[0]) != S25R_PASS;
		}
		fclose(f);
		assert_int_equal(names, files[i].names);
		assert_int_equal(matched, files[i].matched);
	}
}

static bool
own(const char *name, const char *address)
{
	struct ip client;

	assert_true(ip_parse(address, &client));
	return s25r_own_address(name, &client);
}

static const struct {
	const char *name;
	const char *client;
	bool own;
} own_addresses[] = {
	/* whole, in order and in reverse */
	{ "132-255-37-205.starman.net.br", "132.255.37.205", true },
	{ "132-255-37-205.starman.net.br", "205.37.255.132", true },
	{ "132-255-37-205.starman.net.br", "132.255.37.206", false },
	{ "132-255-37-205.starman.net.br", "132.255.38.205", false },
	{ "1.2.3.4.dyn.example.net", "1.2.3.4", true },
	{ "4.3.2.1.dyn.example.net", "1.2.3.4", true },
	{ "ppp-58.9.91.183.revip2.asianet.co.th", "58.9.91.183", true },
	{ "c-67-171-0-90.hsd1.wa.comcast.net", "67.171.0.90", true },
	{ "C-67-171-0-90.HSD1.WA.COMCAST.NET.", "67.171.0.90", true },
	{ "host-127-0-0-5.example", "127.0.0.5", true },
	{ "127-0-0-5", "127.0.0.5", true },
	{ "x_10_20_30_40.example.net", "10.20.30.40", true },
	{ "ip10x20x30x40.example.net", "10.20.30.40", true },
	/* padded, run together */
	{ "wbar9.chi1-4-11-085-222.dsl-verizon.net", "4.11.85.222", true },
	{ "YahooBB220030220074.bbtec.net", "220.30.220.74", true },
	{ "YahooBB220030220074.bbtec.net", "220.30.220.75", false },
	{ "chello084010237165.chello.pl", "84.10.237.165", true },
	{ "dsl.dynamic8510023760.ttnet.net.tr", "85.100.237.60", true },
	{ "dsl.dynamic8510023760.ttnet.net.tr", "85.100.23.60", false },
	/* rotated, or spread over labels and with other numbers between */
	{ "m226.net81-66-158.noos.fr", "81.66.158.226", true },
	{ "74.67-201-80.adsl.skynet.be", "80.201.67.74", true },
	{ "modemcable090.28-201-24.mc.videotron.ca", "24.201.28.90", true },
	{ "host35-236-dynamic.0-87-r.retail.telecomitalia.it", "87.0.236.35", true },
	{ "ALamentin-104-1-56-73.w80-8.abo.wanadoo.fr", "80.8.56.73", true },
	{ "lns-vlq-11-62-147-186-141.adsl.proxad.net", "62.147.186.141", true },
	{ "m226.net81-66-158.noos.fr", "81.66.158.227", false },
	/* three octets with the last two */
	{ "113-15-68.adsl.cust.tie.cl", "200.113.15.68", true },
	{ "68-15-113.adsl.cust.tie.cl", "200.113.15.68", true },
	{ "80-66-158.net.example.fr", "80.66.158.226", false },
	{ "15-113-68.adsl.example.cl", "200.113.15.68", true },
	{ "15-200-68.adsl.example.cl", "200.113.15.68", true },
	{ "15-68x.adsl.example.cl", "200.113.68.68", false },
	{ "host1234.example.net", "1.2.3.4", false },
	{ "host234.example.net", "1.2.3.4", false },
	/* the last two */
	{ "fia83-8.dsl.hccnet.nl", "62.251.83.8", true },
	{ "fia83-8.dsl.hccnet.nl", "62.251.8.83", true },
	{ "fia83-8.dsl.hccnet.nl", "83.8.251.62", false },
	{ "cbl-sd-02-79.aster.com.do", "200.88.2.79", true },
	{ "c221106.ppp.asahi-net.or.jp", "61.213.221.106", true },
	{ "u035201.ppp.asahi-net.or.jp", "61.213.35.201", true },
	{ "a96134.upc-a.chello.nl", "62.163.96.134", true },
	{ "cm57081.red.mundo-r.com", "213.60.57.81", true },
	{ "cm89.omega139.maxonline.com.sg", "218.186.139.89", true },
	{ "cm8.omega139.maxonline.com.sg", "218.186.139.8", false }, /* small, apart */
	{ "p1234-ipad01.osaka.ocn.ne.jp", "220.110.12.34", false },
	{ "p1234-ipad01.osaka.ocn.ne.jp", "220.110.34.1", false },
	/* but not one, nor in the upper labels */
	{ "adsl-44.ttn.ru", "80.80.104.44", false },
	{ "host.10-20.ru", "80.80.10.20", false },
	{ "dhcp10.20.ru", "80.80.10.20", false },
	/* hex */
	{ "xc0a80102.example.net", "192.168.1.2", true },
	{ "0201a8c0.example.net", "192.168.1.2", true },
	{ "c0-a8-01-02.example.net", "192.168.1.2", true },
	{ "0x50a46949.virnxx11.adsl-dhcp.tele.dk", "80.164.105.73", true },
	{ "dsl5400BFC3.pool.t-online.hu", "84.0.191.195", true },
	{ "dsl5400BFC3.pool.t-online.hu", "84.0.191.196", false },
	{ "node-c-8b22.a2000.nl", "62.194.139.34", true },
	{ "U154d.u.pppool.de", "89.50.21.77", true },
	{ "node-c-1522.a2000.nl", "62.194.21.34", false }, /* any number */
	{ "node-c-face.a2000.nl", "62.194.250.206", false }, /* any word */
	/*
	 * the large senders: numbered, and where derived from the address a mail word says
	 * so
	 */
	{ "mail-io0-f178.google.com", "209.85.223.178", false },
	{ "mail-lf1-f52.google.com", "209.85.167.52", false },
	{ "mail-gx0-f21.google.com", "209.85.217.21", false },
	{ "mail-eopbgr10051.outbound.protection.outlook.com", "40.107.1.51", false },
	{ "mail-dm6nam12on2089.outbound.protection.outlook.com", "40.107.243.89", false },
	{ "mail-db5eur01on0044.outbound.protection.outlook.com", "104.47.2.44", false },
	{ "a10-219.smtp-out.amazonses.com", "54.240.10.219", false },
	{ "a85-218.smtp-out.us-west-2.amazonses.com", "54.240.85.218", false },
	{ "66-220-155-151.mail-mail.facebook.com", "66.220.155.151", false },
	{ "o167-89-97-77.outbound-mail.sendgrid.net", "167.89.97.77", false },
	{ "o1678917x173.outbound-mail.sendgrid.net", "167.89.17.173", false },
	{ "outbound-402da309.pinterestmail.com", "64.45.163.9", false },
	{ "k2smtpout02-01.prod.mesa1.secureserver.net", "64.202.2.1", false },
	{ "mx-10-20-30-40.example.net", "10.20.30.40", false },
	{ "h04-a1.data-hotel.net", "203.174.65.12", false },
	{ "web10902.mail.bbt.yahoo.co.jp", "202.93.83.190", false },
	/* a word is a word, and the provider's own name is none */
	{ "maxmtax-10-20-30-40.example.net", "10.20.30.40", true },
	{ "router-10-20-30-40.example.net", "10.20.30.40", true },
	{ "10-20-30-40.hotmail.com", "10.20.30.40", true },
	{ "10-20-30-40.cable.example.com.mx", "10.20.30.40", true },
	/* other families are not in it */
	{ "132-255-37-205.starman.net.br", "::84ff:25cd", false },
	{ "unknown", "192.0.2.1", false },
	{ "", "192.0.2.1", false },
	{ ".", "192.0.2.1", false },
	{ "..", "192.0.2.1", false },
	{ "-.-", "192.0.2.1", false },
};

static void
test_own_address(void **state)
{
	struct ip none = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(own_addresses) / sizeof(own_addresses[0]); i++) {
		if (own(own_addresses[i].name, own_addresses[i].client) != own_addresses[i].own)
			fail_msg("%s %s", own_addresses[i].name, own_addresses[i].client);
	}
	assert_true(ip_parse("192.0.2.1", &none));
	assert_false(s25r_own_address(NULL, &none));
	none.family = 0;
	assert_false(s25r_own_address("0-0-0-0.example.net", &none));
}

static void
test_own_address_v6(void **state)
{
	static const struct {
		const char *name;
		const char *client;
		bool own;
	} cases[] = {
		/* all groups: shortest form, as groups, padded */
		{ "2001-db8--1.dyn.example.net", "2001:db8::1", true },
		{ "2001-db8-0-0-0-0-0-1.dyn.example.net", "2001:db8::1", true },
		{ "2001-0db8-0000-0000-0000-0000-0000-0001.example.net", "2001:db8::1", true },
		{ "20010db8000000000000000000000001.example.net", "2001:db8::1", true },
		{ "2001-DB8-1-2--5.example.net", "2001:db8:1:2::5", true },
		{ "2001-db8-1-3--5.example.net", "2001:db8:1:2::5", false },
		{ "2001.db8.1.2.a.b.c.d.example.net", "2001:db8:1:2:a:b:c:d", true },
		/* nibbles in reverse, with dots and without */
		{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.example.net",
		    "2001:db8:1:2::1", true },
		{ "10000000000000002000100008bd01002.example.net", "2001:db8:1:2::1", false },
		{ "1000000000000000200010008bd01002.example.net", "2001:db8:1:2::1", true },
		/* four groups of it */
		{ "1234-5678-9abc-def0.v6.example.net", "2001:db8:1:2:1234:5678:9abc:def0", true },
		{ "ip123456789abcdef0.v6.example.net", "2001:db8:1:2:1234:5678:9abc:def0", true },
		{ "2001-db8-17-29.v6.example.net", "2001:db8:17:29::1", true },
		{ "2001-db8-17-29--2.v6.example.net", "2001:db8:17:29::1", true }, /* the /64 */
		{ "5678-9abc-def0.v6.example.net", "2001:db8:1:2:1234:5678:9abc:def0", false },
		{ "2001-db8-1.v6.example.net", "2001:db8:1:2:1234:5678:9abc:def0", false },
		/* zeros tell nothing */
		{ "0000-0000-0000-0005.v6.example.net", "2001:db8::5", false },
		{ "host5.v6.example.net", "2001:db8::5", false },
		{ "0-0-0-1.v6.example.net", "::1", false },
		/* EUI-64: the network card's address */
		{ "m0211223344ab.v6.example.net", "2001:db8::11:22ff:fe33:44ab", true },
		{ "m02-11-22-33-44-ab.v6.example.net", "2001:db8::11:22ff:fe33:44ab", true },
		{ "m0211223344ac.v6.example.net", "2001:db8::11:22ff:fe33:44ab", false },
		{ "m0211223344ab.v6.example.net", "2001:db8::11:22ff:ff33:44ab", false },
		/* senders */
		{ "mail-lf1-x12b.google.com", "2a00:1450:4864:20::12b", false },
		{ "mail-eopbgr10051.outbound.protection.outlook.com",
		    "2a01:111:f400:fe0c::51", false },
		{ "2001-db8--1.smtp-out.example.net", "2001:db8::1", false },
		{ "mx.example.org", "2001:db8::25", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (own(cases[i].name, cases[i].client) != cases[i].own)
			fail_msg("%s %s", cases[i].name, cases[i].client);
	}
}

/* The first four numbers of NAME with a dot or hyphen between; false when there are none. */
static bool
spelled_address(const char *name, struct ip *ip)
{
	unsigned octet[4];
	char separator[2];
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if (i > 0 && name[i - 1] >= '0' && name[i - 1] <= '9')
			continue;
		if (sscanf(name + i, "%3u%1[-.]%3u%1[-.]%3u%1[-.]%3u", &octet[0], separator,
			&octet[1], separator, &octet[2], separator, &octet[3]) == 7 &&
		    octet[0] < 256 && octet[1] < 256 && octet[2] < 256 && octet[3] < 256) {
			*ip = (struct ip){ AF_INET, { (uint8_t)octet[0], (uint8_t)octet[1],
							(uint8_t)octet[2], (uint8_t)octet[3] } };
			return true;
		}
	}
	return false;
}

/* Home lines that spell an address are at home there, forwards and backwards, and not next door. */
static void
test_corpus_home_lines(void **state)
{
	FILE *f = corpus_open("s25r/dynamic.txt");
	char line[1024], *column[2];
	struct ip client, reverse;
	int i, spelled = 0;

	(void)state;
	while (corpus_columns(f, line, sizeof(line), column, 2) == 2) {
		if (!spelled_address(column[0], &client))
			continue;
		spelled++;
		reverse = client;
		for (i = 0; i < 4; i++)
			reverse.bytes[i] = client.bytes[3 - i];
		if (!s25r_own_address(column[0], &client) || !s25r_own_address(column[0], &reverse))
			fail_msg("%s", column[0]);
		/* no name of the corpus has 100 and 200 besides */
		client.bytes[2] = 100;
		client.bytes[3] = 200;
		if (s25r_own_address(column[0], &client))
			fail_msg("%s at .100.200", column[0]);
	}
	fclose(f);
	assert_true(spelled > 120);
}

/* Mail servers are at home nowhere: no address of a repeatable thousand for each name. */
static void
test_corpus_mail_servers(void **state)
{
	FILE *f = corpus_open("s25r/legit.txt");
	char line[1024], *column[2];
	struct ip client = { .family = AF_INET };
	uint32_t random = 20090201;
	int i, k;

	(void)state;
	while (corpus_columns(f, line, sizeof(line), column, 2) == 2) {
		for (i = 0; i < 1000; i++) {
			for (k = 0; k < 4; k++) {
				random = random * 1664525 + 1013904223;
				client.bytes[k] = (uint8_t)(random >> 24);
			}
			if (s25r_own_address(column[0], &client))
				fail_msg("%s at %s", column[0], ip_text(&client).s);
		}
	}
	fclose(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_corpus_edges),
		cmocka_unit_test(test_corpus_names),
		cmocka_unit_test(test_own_address),
		cmocka_unit_test(test_own_address_v6),
		cmocka_unit_test(test_corpus_home_lines),
		cmocka_unit_test(test_corpus_mail_servers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
