/*
 * What the client says of itself: the name in HELO (RFC 5321 4.1.1.1, 4.1.3) and the sender's domain
 * (RFC 5321 5.1, RFC 7505), with a DNS server of a few records on the test's own loop.
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

#include "filters/helo.h"
#include "filters/sender_domain.h"
#include "lib/dns.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "regress/unit/responder.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct event_base *base;
static struct responder *server;
static struct dns_engine *engine;

static void
test_kinds(void **state)
{
	static const struct {
		const char *helo;
		enum helo_kind kind;
	} cases[] = {
		{ "mail.example.org", HELO_NAME },
		{ "MAIL.Example.ORG", HELO_NAME },
		{ "under_score.example", HELO_NAME },
		{ "mail.example.org.", HELO_NAME },
		{ "xn--bcher-kva.example", HELO_NAME },
		{ "1.2.3.4.example", HELO_NAME },
		{ "[192.0.2.1]", HELO_LITERAL },
		{ "[IPv6:2001:db8::1]", HELO_LITERAL },
		{ "", HELO_INVALID },
		{ ".", HELO_INVALID },
		{ "localhost", HELO_INVALID },
		{ "localhost.", HELO_INVALID },
		{ "192.0.2.1", HELO_INVALID },
		{ "example.1", HELO_INVALID },
		{ "a..example", HELO_INVALID },
		{ ".example.org", HELO_INVALID },
		{ "-a.example", HELO_INVALID },
		{ "a-.example", HELO_INVALID },
		{ "a b.example", HELO_INVALID },
		{ "[192.0.2.1", HELO_INVALID },
		{ "[mail.example]", HELO_INVALID },
		{ "a234567890123456789012345678901234567890123456789012345678901234.example", HELO_INVALID },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		if (helo_kind(cases[i].helo) != cases[i].kind)
			fail_msg("%s: %s", cases[i].helo, helo_kind_name(helo_kind(cases[i].helo)));
	assert_string_equal(helo_kind_name(HELO_OWN_NAME), "own-name");
}

/* --- does it lead to the client? --- */

struct outcome {
	unsigned calls;
	char text[32];
};

static void
take_helo(bool resolves, bool failed, void *arg)
{
	struct outcome *outcome = arg;

	outcome->calls++;
	snprintf(outcome->text, sizeof(outcome->text), "%s", failed ? "failed" : resolves ? "yes" : "no");
}

static void
take_domain(enum sender_domain result, void *arg)
{
	struct outcome *outcome = arg;

	outcome->calls++;
	snprintf(outcome->text, sizeof(outcome->text), "%s", sender_domain_name(result));
}

static void
run(const struct outcome *outcome)
{
	assert_int_equal(outcome->calls, 0); /* never from inside the call that asks */
	while (outcome->calls == 0)
		event_base_loop(base, EVLOOP_ONCE);
}

static void
test_resolves(void **state)
{
	static const struct {
		const char *helo, *client, *want;
		bool asked;
	} cases[] = {
		{ "mail.small.example", "192.0.2.7", "yes", true },
		{ "MAIL.small.example", "192.0.2.7", "yes", false }, /* from the cache */
		{ "mail.small.example", "192.0.2.8", "no", false },
		{ "mail.small.example", "2001:db8::7", "yes", true },
		{ "two.small.example", "192.0.2.8", "yes", true },
		{ "none.small.example", "192.0.2.7", "no", true },
		{ "dead.broken.example", "192.0.2.7", "failed", true },
		/* what cannot be a server's name is not asked for: by form, by address, no name at all */
		{ "ppp17.small.example", "192.0.2.7", "no", false },
		{ "192-0-2-7.small.example", "192.0.2.7", "no", false },
		{ "small", "192.0.2.7", "no", false },
		{ "[192.0.2.7]", "192.0.2.7", "no", false },
	};
	struct outcome outcome;
	struct ip client;
	unsigned seen;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		outcome = (struct outcome){ 0 };
		assert_true(ip_parse(cases[i].client, &client));
		/* on a busy machine the resolver may have asked twice: not for this one */
		event_base_loop(base, EVLOOP_NONBLOCK);
		seen = server->seen_n;
		helo_ask(cases[i].helo, &client, take_helo, &outcome);
		run(&outcome);
		if (strcmp(outcome.text, cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].helo, outcome.text);
		assert_int_equal(server->seen_n > seen, cases[i].asked);
	}
}

static void
test_domains(void **state)
{
	static const struct {
		const char *sender, *want;
	} cases[] = {
		{ "a@mx.example", "resolves" },
		{ "a@address.example", "resolves" },
		{ "a@six.example", "resolves" },
		{ "a@null.example", "nullmx" },
		{ "a@half.example", "resolves" }, /* RFC 7505 3: a null MX stands alone; this is none */
		{ "a@nowhere.example", "none" },
		{ "a@text.example", "none" },
		{ "a@mx.broken.example", "temperror" },
		{ "", "resolves" },
		{ "a@[192.0.2.1]", "resolves" },
		{ "\"a@b\"@mx.example", "resolves" },
	};
	struct outcome outcome;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		outcome = (struct outcome){ 0 };
		sender_domain_ask(cases[i].sender, take_domain, &outcome);
		run(&outcome);
		if (strcmp(outcome.text, cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].sender, outcome.text);
	}
}

static void
test_cancel(void **state)
{
	struct outcome gone = { 0 }, other = { 0 };
	struct ip client;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &client));
	helo_cancel(helo_ask("new.small.example", &client, take_helo, &gone));
	helo_cancel(helo_ask("small", &client, take_helo, &gone));
	sender_domain_cancel(sender_domain_ask("a@new.example", take_domain, &gone));
	sender_domain_cancel(sender_domain_ask("", take_domain, &gone));
	sender_domain_ask("a@mx.example", take_domain, &other);
	run(&other);
	assert_int_equal(gone.calls, 0);
}

static int
open_world(void **state)
{
	static struct dns_server to = { .ip = { .family = AF_INET, .bytes = { 127, 0, 0, 1 } } };
	struct dns_conf conf = { .servers = &to, .servers_n = 1, .timeout_ms = 400 };
	char *why = NULL;

	(void)state;
	base = event_base_new();
	peer_set_base(base);
	server = responder_new(base);
	to.port = server->port;
	responder_add(server, "mail.small.example", DNS_A, 300, "192.0.2.7");
	responder_add(server, "mail.small.example", DNS_AAAA, 300, "2001:db8::7");
	responder_add(server, "two.small.example", DNS_A, 300, "192.0.2.1");
	responder_add(server, "two.small.example", DNS_A, 300, "192.0.2.8");
	responder_add(server, "mx.example", DNS_MX, 300, "10 mail.mx.example");
	responder_add(server, "address.example", DNS_A, 300, "192.0.2.1");
	responder_add(server, "six.example", DNS_AAAA, 300, "2001:db8::1");
	responder_add(server, "null.example", DNS_MX, 300, "0 .");
	responder_add(server, "half.example", DNS_MX, 300, "0 .");
	responder_add(server, "half.example", DNS_MX, 300, "10 mail.mx.example");
	responder_add(server, "text.example", DNS_TXT, 300, "hello");
	server->deaf_below = "broken.example";
	engine = dns_engine_new(base, &conf, &why);
	assert_non_null(engine);
	resolver_use_engine(engine);
	return 0;
}

static int
close_world(void **state)
{
	(void)state;
	dns_engine_free(engine);
	responder_free(server);
	event_base_free(base);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_resolves),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
