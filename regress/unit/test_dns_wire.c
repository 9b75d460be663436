/*
 * The pure parts of DNS: names, questions, answer packets good and bad, answers as messages between
 * roles, resolv.conf. Packets lie in memory of exactly their size, so that the sanitizer sees any
 * read behind them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "lib/dns_wire.h"
#include "lib/mem.h"
#include "lib/resolvconf.h"
#include "lib/resolver_wire.h"
#include "regress/unit/exact.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- names and questions --- */

static void
test_normalize(void **state)
{
	static const struct {
		const char *name;
		const char *expect; /* NULL: impossible */
	} rows[] = {
		{ "", "" },
		{ ".", "" },
		{ "example.org", "example.org" },
		{ "Example.ORG.", "example.org" },
		{ "_25._tcp.mx.example.org", "_25._tcp.mx.example.org" },
		{ "6.0/25.2.0.192.in-addr.arpa", "6.0/25.2.0.192.in-addr.arpa" },
		{ "..", NULL },
		{ ".org", NULL },
		{ "a..org", NULL },
		{ "a.org..", NULL },
		{ "a b.org", NULL },
		{ "a\tb.org", NULL },
		{ "a\\.b.org", NULL },
		{ "\xe3\x81\x82.org", NULL },
		{ "a\x7f.org", NULL },
		{ "a\\032B.org", "a\\032b.org" },
		{ "\\227\\129\\130.org", "\\227\\129\\130.org" },
		{ "a\\046\\092.org", "a\\046\\092.org" },
		{ "\\065.org", "a.org" },
		{ "a\\256.org", NULL },
		{ "a\\25.org", NULL },
		{ "a\\", NULL },
	};
	char out[DNS_NAME_TEXT_MAX], label[80], *longest;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_int_equal(dns_name_normalize(rows[i].name, out), rows[i].expect != NULL);
		if (rows[i].expect != NULL)
			assert_string_equal(out, rows[i].expect);
	}
	memset(label, 'a', sizeof(label));
	label[63] = '\0';
	assert_true(dns_name_normalize(label, out));
	label[63] = 'a';
	label[64] = '\0';
	assert_false(dns_name_normalize(label, out));
	/* 253 octets of text are 255 on the wire (RFC 1035 2.3.4) */
	label[63] = '\0';
	longest = xasprintf("%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(strlen(longest), 253);
	assert_true(dns_name_normalize(longest, out));
	free(longest);
	longest = xasprintf("%s.%s.%s.%.62s", label, label, label, label);
	assert_false(dns_name_normalize(longest, out));
	free(longest);
	/* an escape is one octet of its label */
	memset(label, 'a', 63);
	memcpy(label + 59, "\\0321", 6);
	assert_true(dns_name_normalize(label, out));
}

static void
test_question(void **state)
{
	static const uint8_t expect[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'm', 'x', 3,
		'o', 'r', 'g', 0, 0, 15, 0, 1 };
	uint8_t out[DNS_QUESTION_MAX];

	(void)state;
	assert_int_equal(dns_wire_question(out, 0x1234, "mx.org", DNS_MX), sizeof(expect));
	assert_memory_equal(out, expect, sizeof(expect));
	assert_false(dns_wire_is_response(out, sizeof(expect), 0x1234));
	out[2] |= 0x80;
	assert_true(dns_wire_is_response(out, sizeof(expect), 0x1234));
	assert_false(dns_wire_is_response(out, sizeof(expect), 0x1235));
	assert_false(dns_wire_is_response(out, 11, 0x1234));
	assert_int_equal(dns_wire_question(out, 1, "", DNS_NS), 17);
	assert_int_equal(dns_wire_question(out, 1, "a\\032b.org", DNS_A), 12 + 9 + 4);
	assert_memory_equal(out + 12, "\3a b\3org", 9);
}

/* --- answer packets --- */

/* The question "mx.org" begins at 12, "org" within it at 15; the first record begins at 24. */
#define HEAD(rcode, answers, authorities)                                                          \
	"\0\1\x81" rcode "\0\1\0" answers "\0" authorities "\0\0"                                  \
	"\2mx\3org\0\0\1\0\1"
#define OWNER "\xc0\x0c"
#define IN "\0\1"
#define TTL(t) "\0\0\0" t
#define SOA_ORG "\xc0\x0f\0\6" IN TTL("\100") "\0\26\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\11"

static const struct {
	const char *what;
	const char *packet;
	size_t len;
	uint16_t type;
	enum dns_status status;
	uint32_t ttl;
	unsigned records;
} packets[] = {
#define P(s) s, sizeof(s) - 1
	{ "one address", P(HEAD("\0", "\1", "\0") OWNER "\0\1" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A,
	    DNS_OK, 5, 1 },
	{ "another class is ignored",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\1\0\3" TTL("\5") "\0\4\1\2\3\4"), DNS_A, DNS_NODATA,
	    0, 0 },
	{ "another owner is ignored",
	    P(HEAD("\0", "\1", "\0") "\xc0\x0f\0\1" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A, DNS_NODATA,
	    0, 0 },
	{ "another type is ignored",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\x2e" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A, DNS_NODATA,
	    0, 0 },
	{ "a TTL with the upper bit is 0",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\1" IN "\x80\0\0\1\0\4\1\2\3\4"), DNS_A, DNS_OK, 0,
	    1 },
	{ "owner spelt out, other case",
	    P(HEAD("\0", "\1", "\0") "\2MX\3oRg\0\0\1" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A, DNS_OK,
	    5, 1 },
	{ "MX with a pointer in it",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\17" IN TTL("\5") "\0\6\0\12\1a\xc0\x0f"), DNS_MX,
	    DNS_OK, 5, 1 },
	{ "null MX", P(HEAD("\0", "\1", "\0") OWNER "\0\17" IN TTL("\5") "\0\3\0\0\0"), DNS_MX,
	    DNS_OK, 5, 1 },
	{ "empty TXT", P(HEAD("\0", "\1", "\0") OWNER "\0\20" IN TTL("\5") "\0\1\0"), DNS_TXT,
	    DNS_OK, 5, 1 },
	{ "an alias whose target comes first",
	    P(HEAD("\0", "\2", "\0") "\1a\xc0\x0f\0\1" IN TTL(
		"\5") "\0\4\1\2\3\4" OWNER "\0\5" IN TTL("\3") "\0\4\1a\xc0\x0f"),
	    DNS_A, DNS_OK, 3, 1 },
	{ "an alias to nothing",
	    P(HEAD("\3", "\1", "\1") OWNER "\0\5" IN TTL("\3") "\0\4\1a\xc0\x0f" SOA_ORG), DNS_A,
	    DNS_NXDOMAIN, 3, 0 },
	{ "no such name", P(HEAD("\3", "\0", "\1") SOA_ORG), DNS_A, DNS_NXDOMAIN, 9, 0 },
	{ "no such type", P(HEAD("\0", "\0", "\1") SOA_ORG), DNS_A, DNS_NODATA, 9, 0 },
	{ "no SOA", P(HEAD("\3", "\0", "\0")), DNS_A, DNS_NXDOMAIN, 0, 0 },
	{ "SOA cut short", P(HEAD("\3", "\0", "\1") "\xc0\x0f\0\6" IN TTL("\100") "\0\4\0\0\0\0"),
	    DNS_A, DNS_NXDOMAIN, 0, 0 },
	{ "SERVFAIL", P(HEAD("\2", "\0", "\0")), DNS_A, DNS_TEMP, 0, 0 },
	{ "REFUSED", P(HEAD("\5", "\0", "\0")), DNS_A, DNS_TEMP, 0, 0 },
	{ "nothing", "", 0, DNS_A, DNS_TEMP, 0, 0 },
	{ "a question", P("\0\1\1\0\0\0\0\0\0\0\0\0"), DNS_A, DNS_TEMP, 0, 0 },
	{ "half a header", P("\0\1\x81\0\0\0\0"), DNS_A, DNS_TEMP, 0, 0 },
	{ "question cut short", P("\0\1\x81\0\0\1\0\0\0\0\0\0\2mx\3or"), DNS_A, DNS_TEMP, 0, 0 },
	{ "records promised, none there", P(HEAD("\0", "\1", "\0")), DNS_A, DNS_TEMP, 0, 0 },
	{ "rdata cut short", P(HEAD("\0", "\1", "\0") OWNER "\0\1" IN TTL("\5") "\0\4\1\2\3"),
	    DNS_A, DNS_TEMP, 0, 0 },
	{ "five octets of address",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\1" IN TTL("\5") "\0\5\1\2\3\4\5"), DNS_A, DNS_TEMP,
	    0, 0 },
	{ "three octets of address",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\1" IN TTL("\5") "\0\3\1\2\3"), DNS_A, DNS_TEMP, 0,
	    0 },
	{ "four octets of IPv6",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\34" IN TTL("\5") "\0\4\1\2\3\4"), DNS_AAAA, DNS_TEMP,
	    0, 0 },
	{ "name runs out of its rdata",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\14" IN TTL("\5") "\0\2\3abc\0"), DNS_PTR, DNS_TEMP,
	    0, 0 },
	{ "octets behind the name",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\14" IN TTL("\5") "\0\3\xc0\x0f\0"), DNS_PTR,
	    DNS_TEMP, 0, 0 },
	{ "TXT string runs out of its rdata",
	    P(HEAD("\0", "\1", "\0") OWNER "\0\20" IN TTL("\5") "\0\3\5ab"), DNS_TXT, DNS_TEMP, 0,
	    0 },
	{ "a pointer to itself",
	    P(HEAD("\0", "\1", "\0") "\xc0\x18\0\1" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A, DNS_TEMP,
	    0, 0 },
	{ "a pointer forwards",
	    P(HEAD("\0", "\1", "\0") "\xc0\x22\0\1" IN TTL("\5") "\0\4\0\0\0\0"), DNS_A, DNS_TEMP,
	    0, 0 },
	{ "two pointers in a circle",
	    P(HEAD("\0", "\1", "\0") "\1a\xc0\x18\0\1" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A,
	    DNS_TEMP, 0, 0 },
	{ "a label type of the future",
	    P(HEAD("\0", "\1", "\0") "\x41z\0\0\1" IN TTL("\5") "\0\4\1\2\3\4"), DNS_A, DNS_TEMP, 0,
	    0 },
	{ "an alias of itself", P(HEAD("\0", "\1", "\0") OWNER "\0\5" IN TTL("\3") "\0\2" OWNER),
	    DNS_A, DNS_TEMP, 0, 0 },
	{ "two aliases in a circle",
	    P(HEAD("\0", "\2", "\0") OWNER
		"\0\5" IN TTL("\3") "\0\4\1a\xc0\x0f"
				    "\xc0\x24\0\5" IN TTL("\3") "\0\2" OWNER),
	    DNS_A, DNS_TEMP, 0, 0 },
#undef P
};

static void
test_packets(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(packets); i++) {
		uint8_t *packet = exact(packets[i].packet, packets[i].len);
		struct dns_answer *answer =
		    dns_wire_parse(packet, packets[i].len, "mx.org", packets[i].type);

		free(packet);
		if (answer->status != packets[i].status || answer->ttl != packets[i].ttl ||
		    answer->records_n != packets[i].records)
			fail_msg("%s: status %d ttl %u records %u", packets[i].what, answer->status,
			    answer->ttl, answer->records_n);
		assert_int_equal(answer->status == DNS_TEMP, answer->why != NULL);
		assert_non_null(answer->canonical);
		dns_answer_free(answer);
	}
}

/* Every packet of the table, cut at every place: an answer or DNS_TEMP, never a read behind the
 * end. */
static void
test_cut_packets(void **state)
{
	size_t i, len;

	(void)state;
	for (i = 0; i < COUNT(packets); i++)
		for (len = 0; len < packets[i].len; len++) {
			uint8_t *packet = exact(packets[i].packet, len);

			dns_answer_free(dns_wire_parse(packet, len, "mx.org", packets[i].type));
			free(packet);
		}
}

static struct dns_answer *
parse(const char *packet, size_t len, uint16_t type)
{
	return dns_wire_parse((const uint8_t *)packet, len, "mx.org", type);
}

#define PARSE(s, type) parse(s, sizeof(s) - 1, type)

static void
test_record_contents(void **state)
{
	struct dns_answer *answer;

	(void)state;
	answer =
	    PARSE(HEAD("\0", "\1", "\0") OWNER "\0\17" IN TTL("\5") "\0\6\1\2\1A\xc0\x0f", DNS_MX);
	assert_int_equal(answer->records[0].preference, 258);
	assert_string_equal(answer->records[0].name, "a.org");
	assert_string_equal(answer->canonical, "mx.org");
	dns_answer_free(answer);

	answer = PARSE(HEAD("\0", "\1", "\0") OWNER "\0\17" IN TTL("\5") "\0\3\0\0\0", DNS_MX);
	assert_string_equal(answer->records[0].name, "");
	dns_answer_free(answer);

	answer =
	    PARSE(HEAD("\0", "\1", "\0") OWNER "\0\20" IN TTL("\5") "\0\12\3ab\0\0\4c de", DNS_TXT);
	assert_int_equal(answer->records[0].data_len, 7);
	assert_memory_equal(answer->records[0].data, "ab\0c de", 7);
	dns_answer_free(answer);

	/* what a label may hold and a name may not: it cannot become a dot, a space, a line */
	answer =
	    PARSE(HEAD("\0", "\1", "\0") OWNER "\0\14" IN TTL("\5") "\0\11\5a.b\n\\\1Z\0", DNS_PTR);
	assert_string_equal(answer->records[0].name, "a\\046b\\010\\092.z");
	dns_answer_free(answer);

	answer =
	    PARSE(HEAD("\0", "\1", "\0") OWNER "\0\x34" IN TTL("\5") "\0\4\3\1\1\xaa", DNS_TLSA);
	assert_int_equal(answer->records[0].data_len, 4);
	assert_memory_equal(answer->records[0].data, "\3\1\1\xaa", 4);
	dns_answer_free(answer);
}

/* The longest name that DNS has, each octet needing four of text: it fits; one octet more does not.
 */
static void
test_longest_name(void **state)
{
	char packet[600] = HEAD("\0", "\1", "\0") OWNER "\0\14" IN TTL("\5");
	size_t head = sizeof(HEAD("\0", "\1", "\0") OWNER "\0\14" IN TTL("\5")) - 1, pos;
	struct dns_answer *answer;
	size_t i, last;

	(void)state;
	for (last = 61; last <= 62; last++) {
		size_t lengths[] = { 63, 63, 63, last };

		pos = head + 2;
		for (i = 0; i < COUNT(lengths); i++) {
			packet[pos++] = (char)lengths[i];
			memset(packet + pos, 0xff, lengths[i]);
			pos += lengths[i];
		}
		packet[pos++] = 0;
		packet[head] = (char)((pos - head - 2) >> 8);
		packet[head + 1] = (char)(pos - head - 2);
		answer = parse(packet, pos, DNS_PTR);
		assert_int_equal(answer->status, last == 61 ? DNS_OK : DNS_TEMP);
		if (last == 61)
			assert_int_equal(strlen(answer->records[0].name), 250 * 4 + 3);
		dns_answer_free(answer);
	}
}

static void
test_record_limit(void **state)
{
	static const char head[] = HEAD("\0", "\0", "\0");
	static const char rr[] = OWNER "\0\1" IN TTL("\5") "\0\4\1\2\3";
	size_t n = DNS_RECORDS_MAX + 100, len = sizeof(head) - 1, i;
	char *packet = malloc(len + n * sizeof(rr));
	struct dns_answer *answer;

	(void)state;
	memcpy(packet, head, len);
	packet[6] = (char)(n >> 8);
	packet[7] = (char)n;
	for (i = 0; i < n; i++) {
		memcpy(packet + len, rr, sizeof(rr) - 1);
		packet[len + sizeof(rr) - 1] = (char)i;
		len += sizeof(rr);
	}
	answer = parse(packet, len, DNS_A);
	assert_int_equal(answer->records_n, DNS_RECORDS_MAX);
	assert_int_equal(
	    answer->records[DNS_RECORDS_MAX - 1].ip.bytes[3], (DNS_RECORDS_MAX - 1) & 0xff);
	dns_answer_free(answer);
	free(packet);
}

/* --- between roles --- */

static void
assert_same_answer(const struct dns_answer *a, const struct dns_answer *b)
{
	unsigned i;

	assert_int_equal(a->status, b->status);
	assert_int_equal(a->secure, b->secure);
	assert_int_equal(a->bogus, b->bogus);
	assert_int_equal(a->ttl, b->ttl);
	assert_string_equal(a->canonical, b->canonical);
	assert_int_equal(a->why == NULL, b->why == NULL);
	if (a->why != NULL)
		assert_string_equal(a->why, b->why);
	assert_int_equal(a->records_n, b->records_n);
	for (i = 0; i < a->records_n; i++) {
		const struct dns_record *x = &a->records[i], *y = &b->records[i];

		assert_int_equal(x->type, y->type);
		assert_int_equal(x->preference, y->preference);
		assert_true(ip_equal(&x->ip, &y->ip) || x->ip.family == 0);
		assert_int_equal(x->name == NULL, y->name == NULL);
		if (x->name != NULL)
			assert_string_equal(x->name, y->name);
		assert_int_equal(x->data_len, y->data_len);
		assert_memory_equal(x->data, y->data, x->data_len);
	}
}

static struct dns_answer *
decode(const struct buf *b, size_t len)
{
	struct cursor cursor = cursor_init(b->data, len);
	struct dns_answer *answer = resolver_answer_decode(&cursor);

	assert_int_equal(answer == NULL, cursor.bad);
	return answer;
}

/* Every answer of the table survives the way; cut anywhere, or with an octet more, it is nothing.
 */
static void
test_answer_message(void **state)
{
	struct buf b = { 0 };
	size_t i, len;

	(void)state;
	for (i = 0; i < COUNT(packets); i++) {
		struct dns_answer *answer =
				      parse(packets[i].packet, packets[i].len, packets[i].type),
				  *back;

		answer->secure = answer->status != DNS_TEMP;
		answer->bogus = answer->status == DNS_TEMP;
		buf_clear(&b);
		resolver_answer_encode(&b, answer);
		back = decode(&b, b.len);
		assert_non_null(back);
		assert_same_answer(answer, back);
		dns_answer_free(back);
		for (len = 0; len < b.len; len++)
			assert_null(decode(&b, len));
		buf_add_u8(&b, 0);
		assert_null(decode(&b, b.len));
		dns_answer_free(answer);
	}
	buf_free(&b);
}

/* Answers that no resolver gives. */
static void
test_impossible_messages(void **state)
{
	static const struct dns_record address = { .type = DNS_A,
		.ip = { AF_INET, { 127, 0, 0, 1 } } };
	static const struct dns_record wrong[] = {
		{ .type = DNS_A, .name = "not.an.address" },
		{ .type = DNS_MX, .ip = { AF_INET, { 127, 0, 0, 1 } } },
		{ .type = DNS_TXT, .name = "not.data" },
	};
	const struct dns_answer rows[] = {
		{ .status = DNS_OK, .canonical = "" },
		{ .status = DNS_NXDOMAIN, .canonical = "", .records_n = 1, .records = &address },
		{ .status = DNS_TEMP, .canonical = "" },
		{ .status = DNS_TEMP, .canonical = "", .why = "forged", .secure = true },
		{ .status = DNS_OK,
		    .canonical = "",
		    .records_n = 1,
		    .records = &address,
		    .bogus = true },
		{ .status = DNS_TEMP + 1, .canonical = "", .why = "?" },
		{ .status = DNS_OK, .canonical = "", .records_n = 1, .records = &wrong[0] },
		{ .status = DNS_OK, .canonical = "", .records_n = 1, .records = &wrong[1] },
		{ .status = DNS_OK, .canonical = "", .records_n = 1, .records = &wrong[2] },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		buf_clear(&b);
		resolver_answer_encode(&b, &rows[i]);
		assert_null(decode(&b, b.len));
	}
	buf_free(&b);
}

static void
test_ask_message(void **state)
{
	struct buf b = { 0 };
	struct cursor cursor;
	const char *name;
	uint16_t type;
	size_t len;

	(void)state;
	resolver_ask_encode(&b, "example.org", DNS_MX);
	cursor = cursor_init(b.data, b.len);
	assert_true(resolver_ask_decode(&cursor, &name, &type));
	assert_string_equal(name, "example.org");
	assert_int_equal(type, DNS_MX);
	for (len = 0; len < b.len; len++) {
		cursor = cursor_init(b.data, len);
		assert_false(resolver_ask_decode(&cursor, &name, &type));
	}
	buf_clear(&b);
	resolver_ask_encode(&b, "example.org", 0);
	cursor = cursor_init(b.data, b.len);
	assert_false(resolver_ask_decode(&cursor, &name, &type));
	buf_free(&b);
}

/* --- resolv.conf --- */

static void
test_resolvconf(void **state)
{
	static const struct {
		const char *text;
		const char *expect;
	} rows[] = {
		{ "", "127.0.0.1" },
		{ "search example.org\noptions edns0\n", "127.0.0.1" },
		{ "nameserver 192.0.2.1\n", "192.0.2.1" },
		{ "nameserver 192.0.2.1", "192.0.2.1" },
		{ "  nameserver\t192.0.2.1  # the first\r\nnameserver 2001:db8::1\n",
		    "192.0.2.1 2001:db8::1" },
		{ "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", "127.0.0.1" },
		{ "nameserver fe80::1%eth0\nnameserver here\nnameserver\nnameserver 192.0.2.3\n",
		    "192.0.2.3" },
		{ "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver "
		  "192.0.2.4\n",
		    "192.0.2.1 192.0.2.2 192.0.2.3" },
		{ "nameservers 192.0.2.1\n", "127.0.0.1" },
	};
	struct dns_server servers[RESOLVCONF_SERVERS_MAX];
	struct buf b = { 0 };
	unsigned n, k;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].text);
		uint8_t *text = exact(rows[i].text, len);

		n = resolvconf_parse((const char *)text, len, servers);
		free(text);
		buf_clear(&b);
		for (k = 0; k < n; k++) {
			buf_addf(&b, k == 0 ? "%s" : " %s", ip_text(&servers[k].ip).s);
			assert_int_equal(servers[k].port, 53);
		}
		assert_string_equal(buf_str(&b), rows[i].expect);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalize),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_cut_packets),
		cmocka_unit_test(test_record_contents),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_record_limit),
		cmocka_unit_test(test_answer_message),
		cmocka_unit_test(test_impossible_messages),
		cmocka_unit_test(test_ask_message),
		cmocka_unit_test(test_resolvconf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
