/*
 * A DNS that is a list: every type, NXDOMAIN and NODATA kept apart, CNAMEs, wildcards, silence; and
 * through lib/resolver.h, where answers come from the loop and not after a cancel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "lib/dns_table.h"
#include "lib/peer.h"
#include "lib/resolver.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const char *const records[] = {
	"mail.example.org A 192.0.2.7",
	"Mail.Example.ORG. 60 IN A 192.0.2.8",
	"mail.example.org AAAA 2001:db8::7",
	"7.2.0.192.in-addr.arpa PTR mail.example.org.",
	"example.org MX 10 mail.example.org",
	"example.org MX 0 .",
	"example.org TXT \"v=spf1 \" \"mx -all\"",
	"plain.example.org TXT v=spf1 -all  ",
	"www.example.org CNAME mail.example.org",
	"far.example.org CNAME www.example.org",
	"lost.example.org CNAME nowhere.example.net",
	"a.circle.example CNAME b.circle.example",
	"b.circle.example CNAME a.circle.example",
	"slow.example.org SERVFAIL",
	"to-slow.example.org CNAME slow.example.org",
	"*.wild.example A 192.0.2.9",
	"own.wild.example A 192.0.2.10",
	"deep.under.example A 192.0.2.11",
};

static struct dns_table *
table_new(void)
{
	struct dns_table *t = dns_table_new();
	char *why;
	size_t i;

	for (i = 0; i < N(records); i++) {
		why = dns_table_add(t, records[i]);
		if (why != NULL)
			fail_msg("%s", why);
	}
	return t;
}

static void
test_answers(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		enum dns_status status;
		unsigned n;
		const char *first; /* address, name or text */
	} cases[] = {
		{ "mail.example.org", DNS_A, DNS_OK, 2, "192.0.2.7" },
		{ "MAIL.example.org.", DNS_AAAA, DNS_OK, 1, "2001:db8::7" },
		{ "mail.example.org", DNS_MX, DNS_NODATA, 0, NULL },
		{ "7.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, 1, "mail.example.org" },
		{ "8.2.0.192.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, 0, NULL },
		{ "example.org", DNS_MX, DNS_OK, 2, "mail.example.org" },
		{ "example.org", DNS_TXT, DNS_OK, 1, "v=spf1 mx -all" },
		{ "plain.example.org", DNS_TXT, DNS_OK, 1, "v=spf1 -all" },
		{ "example.org", DNS_A, DNS_NODATA, 0, NULL },
		{ "nobody.example.org", DNS_A, DNS_NXDOMAIN, 0, NULL },
		{ "www.example.org", DNS_A, DNS_OK, 2, "192.0.2.7" },
		{ "far.example.org", DNS_AAAA, DNS_OK, 1, "2001:db8::7" },
		{ "lost.example.org", DNS_A, DNS_NXDOMAIN, 0, NULL },
		{ "a.circle.example", DNS_A, DNS_TEMP, 0, NULL },
		{ "slow.example.org", DNS_A, DNS_TEMP, 0, NULL },
		{ "slow.example.org", DNS_TXT, DNS_TEMP, 0, NULL },
		{ "to-slow.example.org", DNS_A, DNS_TEMP, 0, NULL },
		{ "x.wild.example", DNS_A, DNS_OK, 1, "192.0.2.9" },
		{ "x.y.wild.example", DNS_A, DNS_OK, 1, "192.0.2.9" },
		{ "own.wild.example", DNS_A, DNS_OK, 1, "192.0.2.10" },
		{ "x.own.wild.example", DNS_A, DNS_NXDOMAIN, 0, NULL },
		{ "under.example", DNS_A, DNS_NODATA, 0, NULL }, /* only a name below it */
		{ "", DNS_A, DNS_NXDOMAIN, 0, NULL },
	};
	struct dns_table *t = table_new();
	struct dns_answer a;
	char first[256];
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		dns_table_answer(t, cases[i].name, cases[i].type, &a);
		if (a.status != cases[i].status || a.records_n != cases[i].n)
			fail_msg("%s %d: status %d, %u records", cases[i].name, cases[i].type, a.status,
			    a.records_n);
		assert_true((a.status == DNS_TEMP) == (a.why != NULL));
		if (cases[i].first == NULL)
			continue;
		if (a.records[0].data != NULL)
			snprintf(first, sizeof(first), "%.*s", (int)a.records[0].data_len, a.records[0].data);
		else
			snprintf(first, sizeof(first), "%s",
			    a.records[0].name != NULL ? a.records[0].name : ip_text(&a.records[0].ip).s);
		assert_string_equal(first, cases[i].first);
	}
	dns_table_answer(t, "example.org", DNS_MX, &a);
	assert_int_equal(a.records[0].preference, 10);
	assert_string_equal(a.records[1].name, "");
	dns_table_free(t);
}

static void
test_bad_records(void **state)
{
	static const char *const bad[] = { "", " ", "example.org", "example.org A", "example.org A 2001:db8::1",
		"example.org AAAA 192.0.2.1", "example.org A 300.1.1.1", "example.org MX mail.example.org",
		"example.org MX 10", "example.org PTR", "example.org SOA x", "example.org TXT \"open",
		"example.org CNAME", "example.org IN" };
	struct dns_table *t = dns_table_new();
	char *why;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		why = dns_table_add(t, bad[i]);
		if (why == NULL)
			fail_msg("\"%s\" is taken", bad[i]);
		free(why);
	}
	dns_table_free(t);
}

struct asked {
	unsigned calls;
	enum dns_status status;
	struct asked *then;
};

static void
take(const struct dns_answer *a, void *arg)
{
	struct asked *asked = arg;

	asked->calls++;
	asked->status = a->status;
	if (asked->then != NULL)
		(void)resolver_ask("www.example.org", DNS_A, take, asked->then);
}

static void
test_resolver(void **state)
{
	struct asked one = { 0 }, two = { 0 }, three = { 0 }, cancelled = { 0 };
	struct event_base *base = event_base_new();
	struct dns_table *t = table_new();
	struct resolver_query *q;

	(void)state;
	peer_set_base(base);
	resolver_use_table(t);
	one.then = &three;
	(void)resolver_ask("mail.example.org", DNS_A, take, &one);
	(void)resolver_ask("nobody.example.org", DNS_A, take, &two);
	q = resolver_ask("mail.example.org", DNS_A, take, &cancelled);
	resolver_cancel(q);
	assert_int_equal(one.calls, 0);
	event_base_dispatch(base);
	assert_int_equal(one.calls, 1);
	assert_int_equal(one.status, DNS_OK);
	assert_int_equal(two.calls, 1);
	assert_int_equal(two.status, DNS_NXDOMAIN);
	assert_int_equal(three.calls, 1);
	assert_int_equal(cancelled.calls, 0);
	resolver_use_table(NULL);
	dns_table_free(t);
	peer_set_base(NULL);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_resolver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
