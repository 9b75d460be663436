/*
 * Paranoid DNS: the four outcomes, liars, several names, both families, cancelling at any moment.
 * Real packets from a small DNS server on the test's own loop, through an engine in this process.
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

#include "filters/rdns.h"
#include "lib/buf.h"
#include "lib/dns.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/resolver.h"
#include "regress/unit/responder.h"
#include "regress/unit/until.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIMEOUT_MS 400

static struct event_base *base;
static struct responder *server;
static struct dns_engine *engine;

struct outcome {
	unsigned calls;
	struct buf text;
};

/* "pass mail.example.org (mail.example.org www.example.org), claimed other.example.org" */
static void
take(const struct rdns *rdns, void *arg)
{
	struct outcome *outcome = arg;
	unsigned i;

	outcome->calls++;
	buf_clear(&outcome->text);
	buf_adds(&outcome->text, rdns_status_name(rdns->status));
	if (rdns->name != NULL)
		buf_addf(&outcome->text, " %s", rdns->name);
	for (i = 0; i < rdns->names_n; i++)
		buf_addf(&outcome->text, "%s%s%s", i == 0 ? " (" : " ", rdns->names[i],
		    i + 1 == rdns->names_n ? ")" : "");
	if (rdns->claimed != NULL)
		buf_addf(&outcome->text, ", claimed %s", rdns->claimed);
	assert_non_null(rdns->why);
	assert_int_equal(rdns->status == RDNS_PASS, rdns->name != NULL);
}

static void
ptr(const char *reverse, const char *name)
{
	responder_add(server, reverse, DNS_PTR, 300, name);
}

static void
address(const char *name, const char *ip)
{
	responder_add(server, name, strchr(ip, ':') != NULL ? DNS_AAAA : DNS_A, 300, ip);
}

#define V6_LOOPBACK "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"

/* One client for each thing that the world does. */
static void
fill(void)
{
	ptr("1.0.0.127.in-addr.arpa", "mail.example.org");
	address("mail.example.org", "127.0.0.1");
	/* leads elsewhere; leads nowhere; has another family only */
	ptr("2.0.0.127.in-addr.arpa", "mail.example.org");
	ptr("3.0.0.127.in-addr.arpa", "nowhere.example.org");
	ptr("4.0.0.127.in-addr.arpa", "six.example.org");
	address("six.example.org", "::4");
	/* liars */
	ptr("5.0.0.127.in-addr.arpa", "localhost");
	ptr("6.0.0.127.in-addr.arpa", "liar.localhost");
	ptr("7.0.0.127.in-addr.arpa", "127.0.0.7");
	ptr("8.0.0.127.in-addr.arpa", "mail");
	address("mail", "127.0.0.8");
	ptr("9.0.0.127.in-addr.arpa", "a b.example.org");
	ptr("10.0.0.127.in-addr.arpa", "mail!x.example.org");
	address("mail!x.example.org", "127.0.0.10");
	/* one of several names leads back, by its second address */
	ptr("11.0.0.127.in-addr.arpa", "other.example.org");
	ptr("11.0.0.127.in-addr.arpa", "localhost");
	ptr("11.0.0.127.in-addr.arpa", "eleven.example.org");
	address("other.example.org", "192.0.2.1");
	address("eleven.example.org", "192.0.2.1");
	address("eleven.example.org", "127.0.0.11");
	/* of the verified names the one least like a home line, whatever the order */
	ptr("12.0.0.127.in-addr.arpa", "127-0-0-12.dyn.example.org");
	ptr("12.0.0.127.in-addr.arpa", "a12-34.example.org");
	ptr("12.0.0.127.in-addr.arpa", "www.example.org");
	ptr("12.0.0.127.in-addr.arpa", "mx.example.org");
	address("127-0-0-12.dyn.example.org", "127.0.0.12");
	address("a12-34.example.org", "127.0.0.12");
	address("www.example.org", "127.0.0.12");
	address("mx.example.org", "127.0.0.12");
	/* RFC 2317, and a name that is an alias itself */
	responder_add(
	    server, "13.0.0.127.in-addr.arpa", DNS_CNAME, 300, "13.0/25.0.0.127.in-addr.arpa");
	ptr("13.0/25.0.0.127.in-addr.arpa", "alias.example.org");
	responder_add(server, "alias.example.org", DNS_CNAME, 300, "thirteen.example.org");
	address("thirteen.example.org", "127.0.0.13");
	/* trouble: with the PTR; with the only name; with one name beside one that leads back, or
	 * does not */
	responder_behave(server, "14.0.0.127.in-addr.arpa", RESPONDS_SERVFAIL);
	ptr("15.0.0.127.in-addr.arpa", "broken.example.org");
	responder_behave(server, "broken.example.org", RESPONDS_SERVFAIL);
	ptr("16.0.0.127.in-addr.arpa", "broken.example.org");
	ptr("16.0.0.127.in-addr.arpa", "sixteen.example.org");
	address("sixteen.example.org", "127.0.0.16");
	ptr("17.0.0.127.in-addr.arpa", "broken.example.org");
	ptr("17.0.0.127.in-addr.arpa", "mail.example.org");
	ptr("18.0.0.127.in-addr.arpa", "slow.example.org");
	responder_behave(server, "slow.example.org", RESPONDS_NEVER);
	/* the same name twice, in two spellings; an underscore is fine */
	ptr("19.0.0.127.in-addr.arpa", "Host_19.Example.ORG");
	ptr("19.0.0.127.in-addr.arpa", "host_19.example.org");
	address("host_19.example.org", "127.0.0.19");
	/* a PTR to the root; an alias to no PTR at all */
	ptr("20.0.0.127.in-addr.arpa", ".");
	responder_add(server, "21.0.0.127.in-addr.arpa", DNS_CNAME, 300, "nowhere.example.org");
	responder_add(server, "22.0.0.127.in-addr.arpa", DNS_TXT, 300, "no PTR");
	ptr(V6_LOOPBACK, "v6.example.org");
	/* a resolver gives every name below localhost this address by itself (RFC 6761 6.3) */
	ptr(V6_LOOPBACK, "liar.localhost");
	address("v6.example.org", "::2");
	address("v6.example.org", "::1");
	ptr("4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	    "mail.example.org");
}

static const struct {
	const char *client;
	const char *expect;
} clients[] = {
	{ "127.0.0.1", "pass mail.example.org (mail.example.org)" },
	{ "127.0.0.2", "mismatch, claimed mail.example.org" },
	{ "127.0.0.3", "mismatch, claimed nowhere.example.org" },
	{ "127.0.0.4", "mismatch, claimed six.example.org" },
	{ "127.0.0.5", "mismatch, claimed localhost" },
	{ "127.0.0.6", "mismatch, claimed liar.localhost" },
	{ "127.0.0.7", "mismatch, claimed 127.0.0.7" },
	{ "127.0.0.8", "mismatch, claimed mail" },
	{ "127.0.0.9", "mismatch, claimed a\\032b.example.org" },
	{ "127.0.0.10", "mismatch, claimed mail!x.example.org" },
	{ "127.0.0.11", "pass eleven.example.org (eleven.example.org), claimed localhost" },
	{ "127.0.0.12",
	    "pass mx.example.org (127-0-0-12.dyn.example.org a12-34.example.org mx.example.org "
	    "www.example.org)" },
	{ "127.0.0.13", "pass alias.example.org (alias.example.org)" },
	{ "127.0.0.14", "temperror" },
	{ "127.0.0.15", "temperror, claimed broken.example.org" },
	{ "127.0.0.16",
	    "pass sixteen.example.org (sixteen.example.org), claimed broken.example.org" },
	{ "127.0.0.17", "temperror, claimed mail.example.org" },
	{ "127.0.0.18", "temperror, claimed slow.example.org" },
	{ "127.0.0.19", "pass host_19.example.org (host_19.example.org)" },
	{ "127.0.0.20", "mismatch, claimed " },
	{ "127.0.0.21", "none" },
	{ "127.0.0.22", "none" },
	{ "127.0.0.99", "none" },
	{ "::ffff:127.0.0.1", "pass mail.example.org (mail.example.org)" },
	{ "::1", "pass v6.example.org (v6.example.org), claimed liar.localhost" },
	{ "::4", "mismatch, claimed mail.example.org" },
	{ "::5", "none" },
};

static int
setup(void **state)
{
	static const struct log_conf to_stderr = { .to_stderr = true };
	struct dns_server where = { .port = 0 };
	struct dns_conf conf = { .servers = &where, .servers_n = 1, .timeout_ms = TIMEOUT_MS };
	char *why = NULL;

	(void)state;
	log_init(&to_stderr, "test");
	base = event_base_new();
	server = responder_new(base);
	fill();
	ip_parse("127.0.0.1", &where.ip);
	where.port = server->port;
	engine = dns_engine_new(base, &conf, &why);
	resolver_use_engine(engine);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	resolver_use_engine(NULL);
	dns_engine_free(engine);
	responder_free(server);
	event_base_free(base);
	return 0;
}

static struct rdns_query *
ask(const char *client, struct outcome *outcome)
{
	struct ip ip;

	assert_true(ip_parse(client, &ip));
	return rdns_ask(&ip, take, outcome);
}

static void
test_outcomes(void **state)
{
	struct outcome outcomes[COUNT(clients)] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(clients); i++)
		ask(clients[i].client, &outcomes[i]);
	for (i = 0; i < COUNT(clients); i++) {
		assert_int_equal(outcomes[i].calls > 1, 0);
		run_until(base, &outcomes[i].calls, 1);
		if (strcmp(buf_str(&outcomes[i].text), clients[i].expect) != 0)
			fail_msg("%s: %s, expected %s", clients[i].client,
			    buf_str(&outcomes[i].text), clients[i].expect);
		buf_free(&outcomes[i].text);
	}
	/* names that cannot be a host's are not even asked */
	assert_int_equal(responder_seen(server, "localhost", DNS_A), 0);
	assert_int_equal(responder_seen(server, "mail", DNS_A), 0);
	assert_int_equal(responder_seen(server, "mail!x.example.org", DNS_A), 0);
	/* only the client's own family */
	assert_int_equal(responder_seen(server, "six.example.org", DNS_AAAA), 0);
}

/* A client with a thousand names is judged by ten. */
static void
test_many_names(void **state)
{
	struct outcome outcome = { 0 };
	unsigned i, seen = 0;
	char *names[30];

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		names[i] = xasprintf("n%02u.example.org", i);
		ptr("50.0.0.127.in-addr.arpa", names[i]);
		if (i >= 9)
			address(names[i], "127.0.0.50");
	}
	ask("127.0.0.50", &outcome);
	run_until(base, &outcome.calls, 1);
	assert_string_equal(buf_str(&outcome.text),
	    "pass n09.example.org (n09.example.org), claimed n00.example.org");
	for (i = 0; i < COUNT(names); i++)
		seen += responder_seen(server, names[i], DNS_A);
	assert_int_equal(seen, RDNS_NAMES_MAX);
	for (i = 0; i < COUNT(names); i++)
		free(names[i]);
	buf_free(&outcome.text);
}

/* The caller leaves while the PTR is asked; while the names are. */
static void
test_cancel(void **state)
{
	struct outcome outcome = { 0 }, other = { 0 };
	struct rdns_query *query;
	unsigned asked;

	(void)state;
	rdns_cancel(ask("127.0.0.1", &outcome));
	ask("127.0.0.99", &other);
	run_until(base, &other.calls, 1);
	asked = responder_seen(server, "1.0.0.127.in-addr.arpa", DNS_PTR);
	assert_int_equal(asked, 0);

	query = ask("127.0.0.18", &outcome);
	while (responder_seen(server, "slow.example.org", DNS_A) == 0)
		event_base_loop(base, EVLOOP_ONCE);
	rdns_cancel(query);
	/* what waits as long would have been told by now */
	ask("127.0.0.18", &other);
	run_until(base, &other.calls, 2);
	assert_string_equal(buf_str(&other.text), "temperror, claimed slow.example.org");
	assert_int_equal(outcome.calls, 0);
	buf_free(&other.text);
}

static void
test_resolver_dead(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	responder_close(server);
	ask("127.0.0.1", &outcome);
	run_until(base, &outcome.calls, 1);
	assert_string_equal(buf_str(&outcome.text), "temperror");
	buf_free(&outcome.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outcomes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resolver_dead, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
