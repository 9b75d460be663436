/*
 * Blocklists: names to ask for, replies, masks, weights and sums (RFC 5782), and questions to
 * several zones at once, with a DNS server of a few records on the test's own loop.
 */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/dnsbl.h"
#include "filters/dnsbl_ask.h"
#include "lib/buf.h"
#include "lib/dns.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "regress/unit/responder.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct ip
ip(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));
	return ip;
}

static void
test_names(void **state)
{
	static const struct {
		const char *client, *name;
	} cases[] = {
		{ "192.0.2.99", "99.2.0.192.bl.example" }, /* RFC 5782 2.1 */
		{ "127.0.0.2", "2.0.0.127.bl.example" },
		{ "2001:db8:1:2:3:4:567:89ab", /* RFC 5782 2.4 */
		    "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example" },
	};
	char out[DNSBL_NAME_MAX], zone[256];
	struct ip client;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		client = ip(cases[i].client);
		assert_true(dnsbl_name(&client, "bl.example", out));
		assert_string_equal(out, cases[i].name);
	}
	/* 253 octets are the most that a name can have */
	memset(zone, 'x', sizeof(zone));
	zone[253 - 64] = '\0';
	assert_true(dnsbl_name(&client, zone, out));
	assert_int_equal(strlen(out), 253);
	zone[253 - 64] = 'x';
	zone[254 - 64] = '\0';
	assert_false(dnsbl_name(&client, zone, out));
}

static void
test_listings(void **state)
{
	static const struct {
		const char *text, *why; /* NULL: it is one */
	} cases[] = {
		{ "zen.example.net", NULL },
		{ "zen.example.net=127.0.0.2", NULL },
		{ "zen.example.net=127.0.0.[2;4-11]", NULL },
		{ "zen.example.net=127.0.[0..2].[0..255]", NULL },
		{ "zen.example.net=127.[0,1].0.1", NULL },
		{ "", "is not the name of a DNS zone" },
		{ "=127.0.0.2", "is not the name of a DNS zone" },
		{ "a b", "is not the name of a DNS zone" },
		{ "[192.0.2.1]", "is not the name of a DNS zone" },
		{ "zen.example.net.", "is not the name of a DNS zone" },
		{ "z=", "has no reply" },
		{ "z=127.0.0", "has no reply" },
		{ "z=127.0.0.", "has no reply" },
		{ "z=127.0.0.2.", "has no reply" },
		{ "z=127.0.0.256", "has no reply" },
		{ "z=127.0.0.99999999999999999999", "has no reply" },
		{ "z=127.0.0.[4-2]", "has no reply" },
		{ "z=127.0.0.[2", "has no reply" },
		{ "z=127.0.0.[2;]", "has no reply" },
		{ "z=127.0.0.[]", "has no reply" },
		{ "z=127.0.0.2]", "has no reply" },
		{ "z=192.0.2.1", "has no reply" }, /* never a listing */
	};
	struct dnsbl_set *set = xcalloc(1, sizeof(*set));
	unsigned known = 0;
	const char *why;
	size_t i;
	int number;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		number = dnsbl_set_add(set, cases[i].text, &why);
		if (cases[i].why == NULL) {
			assert_int_equal(number, known++);
		} else {
			assert_int_equal(number, -1);
			assert_non_null(strstr(why, cases[i].why));
		}
	}
	assert_int_equal(set->n, known);
	dnsbl_set_free(set);
}

/* Each listing once, one question for all listings of a zone. */
static void
test_set(void **state)
{
	struct dnsbl_set *set = xcalloc(1, sizeof(*set));
	const char *why;
	char text[32];
	int i;

	(void)state;
	assert_int_equal(dnsbl_set_add(set, "A.example", &why), 0);
	assert_int_equal(dnsbl_set_add(set, "b.example", &why), 1);
	assert_int_equal(dnsbl_set_add(set, "a.example=127.0.0.3", &why), 2);
	assert_int_equal(dnsbl_set_add(set, "a.EXAMPLE", &why), 0);
	assert_int_equal(set->n, 3);
	assert_int_equal(set->questions_n, 2);
	assert_int_equal(set->listings[2].question, 0);
	assert_string_equal(dnsbl_set_zone(set, 0), "a.example");
	assert_string_equal(dnsbl_set_zone(set, 1), "b.example");
	for (i = 3; i < DNSBL_LISTINGS_MAX; i++) {
		snprintf(text, sizeof(text), "z%d.example", i);
		assert_int_equal(dnsbl_set_add(set, text, &why), i);
	}
	assert_int_equal(dnsbl_set_add(set, "more.example", &why), -1);
	assert_non_null(strstr(why, "one too many"));
	dnsbl_set_free(set);
}

static void
test_weights(void **state)
{
	static const struct {
		const char *text;
		int weight; /* 0: none */
	} cases[] = { { "", 1 }, { "1", 1 }, { "+2", 2 }, { "-2", -2 }, { "1000", 1000 }, { "-1000", -1000 },
		{ "1001", 0 }, { "0", 0 }, { "-0", 0 }, { "99999", 0 }, { "2x", 0 }, { "x", 0 }, { "-", 0 }, { " 1", 0 },
		{ "1.5", 0 } };
	size_t i;
	int weight;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(dnsbl_weight(cases[i].text, &weight), cases[i].weight != 0);
		if (cases[i].weight != 0)
			assert_int_equal(weight, cases[i].weight);
	}
}

/* What is not known may count or not, so that only what is sure decides. */
static void
test_sums(void **state)
{
	struct dnsbl_term list[] = { { 0, 2 }, { 1, 1 }, { 2, -2 } };
	struct dnsbl_terms terms = { list, 3 };
	static const struct {
		struct dnsbl_answers answers;
		int least, greatest;
		bool open;
	} cases[] = {
		{ { 0, 0, 0 }, -2, 3, true },
		{ { 7, 0, 0 }, 0, 0, false },
		{ { 7, 1, 0 }, 2, 2, false },
		{ { 7, 3, 0 }, 3, 3, false },
		{ { 7, 7, 0 }, 1, 1, false },
		{ { 3, 3, 0 }, 1, 3, true },   /* the allowlist has not spoken */
		{ { 7, 3, 4 }, 1, 3, false },  /* and never will */
		{ { 7, 1, 2 }, 2, 3, false },
		{ { 4, 0, 0 }, 0, 3, true },
	};
	size_t i;
	int least, greatest;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		dnsbl_sum(&terms, &cases[i].answers, &least, &greatest);
		assert_int_equal(least, cases[i].least);
		assert_int_equal(greatest, cases[i].greatest);
		assert_int_equal(dnsbl_is_open(&terms, &cases[i].answers), cases[i].open);
	}
	assert_int_equal(dnsbl_most(&terms), 3);
}

/* --- replies --- */

/* "127.0.0.2 127.0.0.4", "nxdomain", "nodata" or "temp" */
static enum dnsbl_reply
judge(const char *replies, const char *listing)
{
	struct dnsbl_set *set = xcalloc(1, sizeof(*set));
	struct dns_record records[4] = { { 0 } };
	struct dns_answer answer = { .status = DNS_OK, .records = records, .canonical = "" };
	char *copy = xstrdup(replies), *rest = copy, *word;
	enum dnsbl_reply reply;
	const char *why;

	if (strcmp(replies, "nxdomain") == 0)
		answer.status = DNS_NXDOMAIN;
	else if (strcmp(replies, "nodata") == 0)
		answer.status = DNS_NODATA;
	else if (strcmp(replies, "temp") == 0)
		answer.status = DNS_TEMP;
	else
		while ((word = strsep(&rest, " ")) != NULL)
			records[answer.records_n++].ip = ip(word);
	assert_int_equal(dnsbl_set_add(set, listing, &why), 0);
	reply = dnsbl_judge(&answer, &set->listings[0].mask);
	dnsbl_set_free(set);
	free(copy);
	return reply;
}

static void
test_replies(void **state)
{
	static const struct {
		const char *listing, *replies;
		enum dnsbl_reply reply;
	} cases[] = {
		{ "z", "nxdomain", DNSBL_NOT_LISTED },
		{ "z", "nodata", DNSBL_NOT_LISTED },
		{ "z", "temp", DNSBL_FAILED },
		{ "z", "127.0.0.2", DNSBL_LISTED },
		{ "z", "127.0.0.2 127.0.0.9", DNSBL_LISTED },
		{ "z", "127.255.255.1 127.0.0.2", DNSBL_FAILED },
		{ "z", "192.0.2.1", DNSBL_FAILED }, /* a domain seller's wildcard */
		{ "z", "127.0.0.2 192.0.2.1", DNSBL_FAILED },
		{ "z", "127.255.255.254", DNSBL_FAILED },
		{ "z", "127.255.255.252", DNSBL_FAILED },
		{ "z", "127.0.0.255", DNSBL_FAILED },
		{ "z", "127.255.0.1", DNSBL_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.0.2", DNSBL_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.0.3", DNSBL_NOT_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.0.4", DNSBL_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.0.11", DNSBL_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.0.12", DNSBL_NOT_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.1.4", DNSBL_NOT_LISTED },
		{ "z=127.0.0.[2;4-11]", "127.0.0.3 127.0.0.5", DNSBL_LISTED },
		{ "z=127.0.[0..255].[1..3]", "127.0.9.3", DNSBL_LISTED },
		{ "z=127.0.[0..255].[1..3]", "127.0.9.0", DNSBL_NOT_LISTED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		if (judge(cases[i].replies, cases[i].listing) != cases[i].reply)
			fail_msg("%s: %s", cases[i].listing, cases[i].replies);
}

/* --- questions --- */

static struct event_base *base;
static struct responder *server;
static struct dns_engine *engine;
static struct dnsbl_set *set;

struct outcome {
	struct dnsbl_answers answers;
	unsigned calls, last;
};

static void
take(const struct dnsbl_answers *answers, bool last, void *arg)
{
	struct outcome *outcome = arg;

	outcome->answers = *answers;
	outcome->calls++;
	outcome->last += last;
}

static struct {
	unsigned calls[3];
	enum dnsbl_reply reply[3];
} observed;

static void
observe(unsigned question, enum dnsbl_reply reply)
{
	observed.calls[question]++;
	observed.reply[question] = reply;
}

static struct dnsbl_query *
ask(const char *client, uint64_t questions, struct outcome *outcome)
{
	struct dnsbl_ask what = { .set = set, .questions = questions, .observe = observe, .done = take,
		.arg = outcome };
	struct ip address = ip(client);

	*outcome = (struct outcome){ 0 };
	memset(&observed, 0, sizeof(observed));
	return dnsbl_ask(&what, &address);
}

static void
run(const struct outcome *outcome)
{
	while (outcome->last == 0)
		event_base_loop(base, EVLOOP_ONCE);
}

static void
test_asking(void **state)
{
	struct outcome outcome;

	(void)state;
	ask("127.0.0.5", UINT64_MAX, &outcome);
	assert_int_equal(outcome.calls, 0); /* never from inside */
	run(&outcome);
	assert_int_equal(outcome.answers.known, 7);
	assert_int_equal(outcome.answers.listed, 1 | 4);
	assert_int_equal(outcome.answers.failed, 0);
	assert_int_equal(outcome.calls, 2); /* two zones */
	assert_int_equal(observed.reply[0], DNSBL_LISTED);
	assert_int_equal(observed.reply[1], DNSBL_NOT_LISTED);
	ask("127.0.0.6", UINT64_MAX, &outcome);
	run(&outcome);
	assert_int_equal(outcome.answers.listed, 1); /* with another reply than the second asks for */
	ask("2001:db8::5", UINT64_MAX, &outcome);
	run(&outcome);
	assert_int_equal(outcome.answers.listed, 2);
	/* a zone that is out of order is not asked */
	ask("127.0.0.7", 2, &outcome);
	run(&outcome);
	assert_int_equal(outcome.answers.failed, 1 | 4);
	assert_int_equal(outcome.answers.known, 7);
	assert_int_equal(observed.calls[0], 0);
	assert_int_equal(responder_seen(server, "7.0.0.127.a.example", 1), 0);
	assert_true(responder_seen(server, "7.0.0.127.b.example", 1) > 0);
	ask("127.0.0.7", 0, &outcome);
	assert_int_equal(outcome.calls, 0);
	run(&outcome);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.answers.failed, 7);
}

static void
test_trouble(void **state)
{
	struct outcome outcome;

	(void)state;
	server->deaf_below = "b.example";
	ask("127.0.0.8", UINT64_MAX, &outcome);
	while (outcome.calls == 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(outcome.answers.known, 1 | 4); /* told before the silent one gives up */
	run(&outcome);
	assert_int_equal(outcome.answers.failed, 2);
	assert_int_equal(observed.reply[1], DNSBL_FAILED);
	server->deaf_below = NULL;
}

static void
test_cancel(void **state)
{
	struct outcome outcome, other;
	struct dnsbl_query *query;

	(void)state;
	query = ask("127.0.0.9", UINT64_MAX, &outcome);
	dnsbl_cancel(query);
	query = ask("127.0.0.9", 0, &outcome);
	dnsbl_cancel(query);
	ask("127.0.0.10", UINT64_MAX, &other);
	run(&other);
	assert_int_equal(outcome.calls, 0);
}

static int
open_world(void **state)
{
	static struct dns_server to = { .ip = { .family = AF_INET, .bytes = { 127, 0, 0, 1 } } };
	struct dns_conf conf = { .servers = &to, .servers_n = 1, .timeout_ms = 400 };
	const char *why;
	char *reason = NULL;

	(void)state;
	base = event_base_new();
	peer_set_base(base);
	server = responder_new(base);
	to.port = server->port;
	responder_add(server, "5.0.0.127.a.example", DNS_A, 300, "127.0.0.3");
	responder_add(server, "6.0.0.127.a.example", DNS_A, 300, "127.0.0.2");
	responder_add(server,
	    "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.b.example", DNS_A, 300,
	    "127.0.0.2");
	engine = dns_engine_new(base, &conf, &reason);
	assert_non_null(engine);
	resolver_use_engine(engine);
	set = xcalloc(1, sizeof(*set));
	assert_int_equal(dnsbl_set_add(set, "a.example", &why), 0);
	assert_int_equal(dnsbl_set_add(set, "b.example", &why), 1);
	assert_int_equal(dnsbl_set_add(set, "a.example=127.0.0.3", &why), 2);
	return 0;
}

static int
close_world(void **state)
{
	(void)state;
	dnsbl_set_free(set);
	dns_engine_free(engine);
	responder_free(server);
	event_base_free(base);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_listings),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_asking),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
