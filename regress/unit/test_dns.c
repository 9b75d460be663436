/*
 * The DNS engine against a small server of our own on 127.0.0.1 (responder.h): what each kind of
 * answer becomes, what is asked how often, limits, cancelling, servers that die and come back,
 * DNSSEC present, forged and stripped.
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

#include "lib/buf.h"
#include "lib/dns.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "regress/unit/responder.h"
#include "regress/unit/until.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* Long enough for a loaded machine where an answer is expected; short where none is. */
#define PATIENT_MS 20000
#define IMPATIENT_MS 200

static struct event_base *base;
static struct responder *server;
static struct dns_engine *engine;

/* One question and what came of it. */
struct asked {
	unsigned calls;
	struct buf text; /* the answer, as render() has it */
	enum dns_status status;
	bool secure, bogus;
	uint32_t ttl;
	struct dns_query *query;
};

static void
render_record(struct buf *b, const struct dns_record *record)
{
	size_t i;

	buf_addf(b, "%u", record->type);
	if (record->type == DNS_MX)
		buf_addf(b, " %u", record->preference);
	if (record->ip.family != 0)
		buf_addf(b, " %s", ip_text(&record->ip).s);
	if (record->name != NULL)
		buf_addf(b, " %s.", record->name);
	for (i = 0; i < record->data_len; i++)
		buf_addf(b, i == 0 ? " %c" : "%c", record->data[i]);
}

/* "ok mail.example.org: 1 127.0.0.5, 1 127.0.0.6" */
static void
render(struct buf *b, const struct dns_answer *answer)
{
	static const char *const names[] = { "ok", "nxdomain", "nodata", "temp" };
	unsigned i;

	buf_adds(b, names[answer->status]);
	if (answer->status == DNS_OK)
		buf_addf(b, " %s:", answer->canonical);
	for (i = 0; i < answer->records_n; i++) {
		buf_adds(b, i == 0 ? " " : ", ");
		render_record(b, &answer->records[i]);
	}
}

static void
take(const struct dns_answer *answer, void *arg)
{
	struct asked *asked = arg;

	asked->calls++;
	asked->query = NULL;
	asked->status = answer->status;
	asked->secure = answer->secure;
	asked->bogus = answer->bogus;
	asked->ttl = answer->ttl;
	assert_true((answer->status == DNS_TEMP) <= (answer->why != NULL));
	buf_clear(&asked->text);
	render(&asked->text, answer);
}

static void
run_until_seen(const char *name, uint16_t type)
{
	unsigned next = server->seen_n;

	while (responder_seen(server, name, type) == 0)
		run_until(base, &server->seen_n, ++next);
}

static void
ask(struct asked *asked, const char *name, uint16_t type)
{
	asked->query = dns_engine_query(engine, name, type, take, asked);
	assert_non_null(asked->query);
}

static void
ask_and_wait(struct asked *asked, const char *name, uint16_t type)
{
	unsigned before = asked->calls;

	ask(asked, name, type);
	/* never from inside the call */
	assert_int_equal(asked->calls, before);
	run_until(base, &asked->calls, before + 1);
}

static struct dns_stats
stats(void)
{
	struct dns_stats s;

	dns_engine_stats(engine, &s);
	return s;
}

static void
start_engine(unsigned timeout_ms, unsigned running_max, const char *anchor)
{
	const char *const anchors[] = { anchor, NULL };
	struct dns_server where = { .port = server->port };
	struct dns_conf conf = { .servers = &where,
		.servers_n = 1,
		.validate = anchor != NULL,
		.anchors = anchors,
		.timeout_ms = timeout_ms,
		.running_max = running_max };
	char *why = NULL;

	assert_true(ip_parse("127.0.0.1", &where.ip));
	engine = dns_engine_new(base, &conf, &why);
	assert_non_null(engine);
}

static int
setup(void **state)
{
	static const struct log_conf to_stderr = { .to_stderr = true };

	(void)state;
	log_init(&to_stderr, "test");
	base = event_base_new();
	server = responder_new(base);
	engine = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dns_engine_free(engine);
	responder_free(server);
	event_base_free(base);
	return 0;
}

/* --- what an answer becomes --- */

static void
fill(struct responder *r)
{
	responder_add(r, "mail.example.org", DNS_A, 300, "127.0.0.5");
	responder_add(r, "mail.example.org", DNS_AAAA, 300, "2001:db8::5");
	responder_add(r, "two.example.org", DNS_A, 300, "192.0.2.1");
	responder_add(r, "two.example.org", DNS_A, 200, "192.0.2.2");
	responder_add(r, "mapped.example.org", DNS_AAAA, 300, "::ffff:192.0.2.1");
	responder_add(r, "example.org", DNS_MX, 300, "20 backup.example.org");
	responder_add(r, "example.org", DNS_MX, 300, "10 Mail.Example.ORG");
	responder_add(r, "example.org", DNS_TXT, 300, "v=spf1 |ip4:192.0.2.0/24| -all");
	responder_add(r, "null.example.org", DNS_MX, 300, "0 .");
	responder_add(r, "alias.example.org", DNS_CNAME, 30, "other.example.org");
	responder_add(r, "other.example.org", DNS_CNAME, 300, "mail.example.org");
	responder_add(r, "dangling.example.org", DNS_CNAME, 300, "nowhere.example.org");
	responder_add(r, "5.0.0.127.in-addr.arpa", DNS_PTR, 300, "mail.example.org");
	responder_add(r, "5.0.0.127.in-addr.arpa", DNS_PTR, 300, "www.example.org");
	/* RFC 2317: the reverse zone of a part of a /24 */
	responder_add(r, "6.2.0.192.in-addr.arpa", DNS_CNAME, 300, "6.0/25.2.0.192.in-addr.arpa");
	responder_add(r, "6.0/25.2.0.192.in-addr.arpa", DNS_PTR, 300, "six.example.org");
	responder_add(r, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	    DNS_PTR, 300, "v6.example.org");
	responder_add(r, "host.test", DNS_A, 300, "192.0.2.9");
	responder_add(r, "", DNS_NS, 300, "ns");
	responder_behave(r, "broken.example.org", RESPONDS_SERVFAIL);
}

static const struct {
	const char *name;
	uint16_t type;
	const char *expect;
} answers[] = {
	{ "mail.example.org", DNS_A, "ok mail.example.org: 1 127.0.0.5" },
	{ "MAIL.Example.org.", DNS_A, "ok mail.example.org: 1 127.0.0.5" },
	{ "mail.example.org", DNS_AAAA, "ok mail.example.org: 28 2001:db8::5" },
	{ "two.example.org", DNS_A, "ok two.example.org: 1 192.0.2.1, 1 192.0.2.2" },
	{ "mapped.example.org", DNS_AAAA, "ok mapped.example.org: 28 192.0.2.1" },
	{ "example.org", DNS_MX,
	    "ok example.org: 15 20 backup.example.org., 15 10 mail.example.org." },
	{ "example.org", DNS_TXT, "ok example.org: 16 v=spf1 ip4:192.0.2.0/24 -all" },
	{ "example.org", DNS_A, "nodata" },
	{ "null.example.org", DNS_MX, "ok null.example.org: 15 0 ." },
	{ "alias.example.org", DNS_A, "ok mail.example.org: 1 127.0.0.5" },
	{ "alias.example.org", DNS_CNAME, "ok alias.example.org: 5 other.example.org." },
	{ "alias.example.org", DNS_MX, "nodata" },
	{ "dangling.example.org", DNS_A, "nxdomain" },
	{ "5.0.0.127.in-addr.arpa", DNS_PTR,
	    "ok 5.0.0.127.in-addr.arpa: 12 mail.example.org., 12 www.example.org." },
	{ "6.2.0.192.in-addr.arpa", DNS_PTR,
	    "ok 6.0/25.2.0.192.in-addr.arpa: 12 six.example.org." },
	{ "7.0.0.127.in-addr.arpa", DNS_PTR, "nxdomain" },
	{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", DNS_PTR,
	    "ok 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa: 12 "
	    "v6.example.org." },
	{ "host.test", DNS_A, "ok host.test: 1 192.0.2.9" },
	{ ".", DNS_NS, "ok : 2 ns." },
	{ "nowhere.example.com", DNS_A, "nxdomain" },
	{ "broken.example.org", DNS_A, "temp" },
	/* not asked */
	{ "a..example.org", DNS_A, "nxdomain" },
	{ ".example.org", DNS_A, "nxdomain" },
	{ "b\xc3\xbc.example.org", DNS_A, "nxdomain" },
	{ "a b.example.org", DNS_A, "nxdomain" },
	{ "a\\046b.example.org", DNS_A, "nxdomain" },
	{ "0123456789012345678901234567890123456789012345678901234567890123.org", DNS_A,
	    "nxdomain" },
};

static void
test_answers(void **state)
{
	struct asked asked[COUNT(answers)] = { 0 };
	size_t i;

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 0, NULL);
	/* all at once, then one after the other, from the cache where there is one */
	for (i = 0; i < COUNT(answers); i++)
		ask(&asked[i], answers[i].name, answers[i].type);
	for (i = 0; i < COUNT(answers); i++) {
		run_until(base, &asked[i].calls, 1);
		assert_string_equal(buf_str(&asked[i].text), answers[i].expect);
	}
	for (i = 0; i < COUNT(answers); i++) {
		ask_and_wait(&asked[i], answers[i].name, answers[i].type);
		assert_string_equal(buf_str(&asked[i].text), answers[i].expect);
		assert_int_equal(asked[i].calls, 2);
		buf_free(&asked[i].text);
	}
	assert_int_equal(responder_seen(server, "mail.example.org", DNS_A), 1);
	assert_int_equal(responder_seen(server, "a..example.org", DNS_A), 0);
	assert_int_equal(stats().asked, 2 * COUNT(answers));
	assert_int_equal(stats().answered + stats().failed, 2 * COUNT(answers));
	assert_int_equal(stats().failed, 2);
	assert_false(stats().validating);
}

static void
test_ttl(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		uint32_t most;
	} rows[] = {
		{ "mail.example.org", DNS_A, 300 },
		{ "two.example.org", DNS_A, 200 },
		{ "alias.example.org", DNS_A, 30 },
		{ "nowhere.example.com", DNS_A, 7 },
		{ "example.org", DNS_A, 7 },
	};
	struct asked asked = { 0 };
	size_t i;

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 0, NULL);
	for (i = 0; i < COUNT(rows); i++) {
		ask_and_wait(&asked, rows[i].name, rows[i].type);
		/* the cache may have counted a second */
		assert_in_range(asked.ttl, rows[i].most - 2, rows[i].most);
	}
	buf_free(&asked.text);
}

/* --- how often is asked, and how much at once --- */

static void
test_asked_once(void **state)
{
	struct asked asked[50] = { 0 };
	size_t i;

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 0, NULL);
	for (i = 0; i < COUNT(asked); i++)
		ask(&asked[i], i % 2 ? "mail.example.org" : "MAIL.example.org.", DNS_A);
	assert_int_equal(stats().waiting, 1);
	for (i = 0; i < COUNT(asked); i++) {
		run_until(base, &asked[i].calls, 1);
		assert_string_equal(buf_str(&asked[i].text), "ok mail.example.org: 1 127.0.0.5");
		buf_free(&asked[i].text);
	}
	assert_int_equal(responder_seen(server, "mail.example.org", DNS_A), 1);
}

static void
test_running_max(void **state)
{
	struct asked asked[10] = { 0 }, first = { 0 };
	size_t i;

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 2, NULL);
	ask_and_wait(&first, "mail.example.org", DNS_A);
	server->holding = true;
	for (i = 0; i < COUNT(asked); i++) {
		char *name = xasprintf("h%zu.example.org", i);

		ask(&asked[i], name, DNS_A);
		free(name);
	}
	run_until(base, &server->held_n, 2);
	assert_int_equal(stats().running, 2);
	assert_int_equal(stats().waiting, 8);
	responder_release(server);
	for (i = 0; i < COUNT(asked); i++) {
		run_until(base, &asked[i].calls, 1);
		assert_int_equal(asked[i].status, DNS_NXDOMAIN);
		buf_free(&asked[i].text);
	}
	assert_int_equal(stats().running + stats().waiting, 0);
	buf_free(&first.text);
}

/* Running 1, so 100 may wait. */
static void
test_waiting_max(void **state)
{
	struct asked asked[120] = { 0 };
	unsigned refused = 0;
	size_t i;

	(void)state;
	server->holding = true;
	start_engine(PATIENT_MS, 1, NULL);
	for (i = 0; i < COUNT(asked); i++) {
		char *name = xasprintf("h%zu.example.org", i);

		ask(&asked[i], name, DNS_A);
		free(name);
	}
	run_until(base, &asked[COUNT(asked) - 1].calls, 1);
	for (i = 0; i < COUNT(asked); i++) {
		refused += asked[i].calls == 1 && asked[i].status == DNS_TEMP;
		buf_free(&asked[i].text);
	}
	assert_int_equal(refused, 20);
	assert_int_equal(stats().waiting + stats().running, 100);
}

/* --- cancelling --- */

static void
test_cancel(void **state)
{
	struct asked asked[6] = { 0 };
	size_t i;

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 2, NULL);
	/* before anything was sent */
	ask(&asked[0], "mail.example.org", DNS_A);
	dns_engine_cancel(asked[0].query);
	assert_int_equal(stats().waiting, 0);
	ask_and_wait(&asked[1], "two.example.org", DNS_A);
	server->holding = true;
	/* one of two who wait for a question under way; the only one; one still waiting */
	ask(&asked[2], "mail.example.org", DNS_A);
	ask(&asked[3], "mail.example.org", DNS_A);
	ask(&asked[4], "example.org", DNS_MX);
	ask(&asked[5], "alias.example.org", DNS_A);
	run_until(base, &server->held_n, 2);
	assert_int_equal(stats().waiting, 1);
	dns_engine_cancel(asked[2].query);
	dns_engine_cancel(asked[4].query);
	dns_engine_cancel(asked[5].query);
	assert_int_equal(stats().waiting, 0);
	/* what nobody waits for still costs */
	assert_int_equal(stats().running, 2);
	responder_release(server);
	run_until(base, &asked[3].calls, 1);
	ask_and_wait(&asked[3], "two.example.org", DNS_A);
	for (i = 0; i < COUNT(asked); i++) {
		assert_int_equal(asked[i].calls, i == 1 ? 1 : i == 3 ? 2 : 0);
		buf_free(&asked[i].text);
	}
	assert_int_equal(stats().cancelled, 4);
	assert_int_equal(responder_seen(server, "mail.example.org", DNS_A), 1);
}

/* A callback that cancels its neighbour and asks again, from the cache. */
struct meddler {
	struct asked *neighbour;
	struct asked again;
	unsigned calls;
};

static void
meddle(const struct dns_answer *answer, void *arg)
{
	struct meddler *meddler = arg;

	assert_int_equal(answer->status, DNS_OK);
	if (meddler->neighbour->query != NULL)
		dns_engine_cancel(meddler->neighbour->query);
	meddler->neighbour->query = NULL;
	if (++meddler->calls < 100)
		dns_engine_query(engine, "mail.example.org", DNS_A, meddle, meddler);
}

static void
test_callback_meddles(void **state)
{
	struct asked neighbour = { 0 };
	struct meddler meddler = { .neighbour = &neighbour };

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 0, NULL);
	dns_engine_query(engine, "mail.example.org", DNS_A, meddle, &meddler);
	ask(&neighbour, "mail.example.org", DNS_A);
	run_until(base, &meddler.calls, 100);
	assert_int_equal(neighbour.calls, 0);
	assert_int_equal(responder_seen(server, "mail.example.org", DNS_A), 1);
}

static void
test_free_while_asking(void **state)
{
	struct asked asked[8] = { 0 };
	size_t i;

	(void)state;
	start_engine(PATIENT_MS, 4, NULL);
	server->holding = true;
	/* the probe is held too: let it pass, so that questions go out */
	run_until(base, &server->held_n, 1);
	responder_release(server);
	server->holding = true;
	for (i = 0; i < COUNT(asked); i++) {
		char *name = xasprintf("h%zu.example.org", i);

		ask(&asked[i], name, DNS_A);
		free(name);
	}
	run_until(base, &server->held_n, 4);
	dns_engine_free(engine);
	engine = NULL;
	responder_release(server);
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (i = 0; i < COUNT(asked); i++)
		assert_int_equal(asked[i].calls, 0);
}

/* --- servers that do not answer --- */

/* A name that nobody answers for runs out of time; others are answered, so the servers are not to
 * blame. */
static void
test_timeout(void **state)
{
	struct asked slow = { 0 }, good = { 0 };

	(void)state;
	fill(server);
	responder_behave(server, "slow.example.org", RESPONDS_NEVER);
	start_engine(IMPATIENT_MS, 0, NULL);
	ask_and_wait(&slow, "slow.example.org", DNS_A);
	assert_int_equal(slow.status, DNS_TEMP);
	assert_int_equal(stats().timed_out, 1);
	ask_and_wait(&good, "mail.example.org", DNS_A);
	assert_int_equal(good.status, DNS_OK);
	/* it is still under way: who asks again joins */
	ask_and_wait(&slow, "slow.example.org", DNS_A);
	assert_int_equal(slow.status, DNS_TEMP);
	buf_free(&slow.text);
	buf_free(&good.text);
}

/* Hundreds of names whose own servers are dead hold up nobody else. */
static void
test_slow_names_hinder_nobody(void **state)
{
	struct asked slow[500] = { 0 }, good = { 0 };
	char *names[COUNT(slow)];
	size_t i;

	(void)state;
	fill(server);
	start_engine(PATIENT_MS, 0, NULL);
	server->deaf_below = "slow.example.org";
	for (i = 0; i < COUNT(slow); i++) {
		names[i] = xasprintf("h%zu.slow.example.org", i);
		ask(&slow[i], names[i], DNS_A);
	}
	for (i = 0; i < COUNT(slow); i++)
		run_until_seen(names[i], DNS_A);
	ask_and_wait(&good, "mail.example.org", DNS_A);
	assert_int_equal(good.status, DNS_OK);
	assert_int_equal(stats().running, COUNT(slow));
	for (i = 0; i < COUNT(slow); i++)
		free(names[i]);
	buf_free(&good.text);
}

/* Nothing listens: thousands of questions fail at once and cost the network nothing; then a server
 * comes up. */
static void
test_dead_then_alive(void **state)
{
	static struct asked asked[10000];
	struct asked after = { 0 };
	size_t i;

	(void)state;
	fill(server);
	responder_close(server);
	start_engine(IMPATIENT_MS, 0, NULL);
	for (i = 0; i < COUNT(asked); i++) {
		char *name = xasprintf("h%zu.example.org", i);

		ask(&asked[i], name, DNS_A);
		free(name);
	}
	for (i = 0; i < COUNT(asked); i++) {
		run_until(base, &asked[i].calls, 1);
		assert_int_equal(asked[i].status, DNS_TEMP);
		buf_free(&asked[i].text);
	}
	assert_int_equal(stats().timed_out, 0);
	assert_int_equal(stats().running, 0);
	responder_open(server);
	do
		ask_and_wait(&after, "mail.example.org", DNS_A);
	while (after.status == DNS_TEMP);
	assert_string_equal(buf_str(&after.text), "ok mail.example.org: 1 127.0.0.5");
	buf_free(&after.text);
}

/* A server that was alive falls silent: soon questions fail without waiting, and none is sent; it
 * comes back. */
static void
test_outage(void **state)
{
	struct asked asked = { 0 };
	uint64_t timed_out;
	unsigned i;

	(void)state;
	fill(server);
	start_engine(IMPATIENT_MS, 0, NULL);
	ask_and_wait(&asked, "mail.example.org", DNS_A);
	assert_int_equal(asked.status, DNS_OK);
	server->silent = true;
	/* until a question is refused without having waited */
	for (i = 0, timed_out = UINT64_MAX; stats().running > 0 || stats().timed_out != timed_out;
	     i++) {
		char *name = xasprintf("h%u.example.org", i);

		timed_out = stats().timed_out;
		ask_and_wait(&asked, name, DNS_A);
		assert_int_equal(asked.status, DNS_TEMP);
		free(name);
	}
	ask_and_wait(&asked, "unsent.example.org", DNS_A);
	assert_int_equal(asked.status, DNS_TEMP);
	assert_int_equal(responder_seen(server, "unsent.example.org", DNS_A), 0);
	server->silent = false;
	do
		ask_and_wait(&asked, "two.example.org", DNS_A);
	while (asked.status == DNS_TEMP);
	assert_int_equal(asked.status, DNS_OK);
	buf_free(&asked.text);
}

/* Of two servers one is dead. */
static void
test_second_server(void **state)
{
	struct dns_server where[2] = { { .port = 9 }, { .port = server->port } };
	struct dns_conf conf = { .servers = where, .servers_n = 2, .timeout_ms = PATIENT_MS };
	struct asked asked = { 0 };
	char *why = NULL;

	(void)state;
	fill(server);
	ip_parse("127.0.0.1", &where[0].ip);
	ip_parse("127.0.0.1", &where[1].ip);
	engine = dns_engine_new(base, &conf, &why);
	ask_and_wait(&asked, "mail.example.org", DNS_A);
	assert_int_equal(asked.status, DNS_OK);
	ask_and_wait(&asked, "two.example.org", DNS_A);
	assert_int_equal(asked.status, DNS_OK);
	buf_free(&asked.text);
}

/* --- DNSSEC --- */

static void
fill_signed(struct responder *r)
{
	responder_add(r, "secure.example.org", DNS_A, 300, "192.0.2.1");
	responder_add(r, "forged.example.org", DNS_A, 300, "192.0.2.2");
	responder_behave(r, "forged.example.org", RESPONDS_FORGED);
}

static void
test_secure(void **state)
{
	char *anchor = responder_sign(server);
	struct asked asked = { 0 };

	(void)state;
	fill_signed(server);
	start_engine(PATIENT_MS, 0, anchor);
	ask_and_wait(&asked, "secure.example.org", DNS_A);
	assert_string_equal(buf_str(&asked.text), "ok secure.example.org: 1 192.0.2.1");
	assert_true(asked.secure);
	assert_true(stats().validating);
	/* a denial can be secure too */
	ask_and_wait(&asked, "secure.example.org", DNS_MX);
	assert_string_equal(buf_str(&asked.text), "nodata");
	assert_true(asked.secure);
	/* forged: no records, no verdict, and it says why */
	ask_and_wait(&asked, "forged.example.org", DNS_A);
	assert_string_equal(buf_str(&asked.text), "temp");
	assert_true(asked.bogus);
	assert_false(asked.secure);
	buf_free(&asked.text);
	free(anchor);
}

/* The way to the servers strips DNSSEC: mail goes on, unvalidated; when it lets DNSSEC through
 * again, that is noticed. */
static void
test_stripped(void **state)
{
	char *anchor = responder_sign(server);
	EVP_PKEY *key = server->key;
	struct asked asked = { 0 };

	(void)state;
	fill_signed(server);
	server->key = NULL;
	start_engine(IMPATIENT_MS, 0, anchor);
	ask_and_wait(&asked, "secure.example.org", DNS_A);
	assert_string_equal(buf_str(&asked.text), "ok secure.example.org: 1 192.0.2.1");
	assert_false(asked.secure);
	assert_false(stats().validating);
	server->key = key;
	do
		ask_and_wait(&asked, "secure.example.org", DNS_A);
	while (!asked.secure);
	assert_true(stats().validating);
	buf_free(&asked.text);
	free(anchor);
}

/* The anchor's keys are never answered, other questions are. */
static void
test_anchor_unanswered(void **state)
{
	char *anchor = responder_sign(server);
	struct asked asked = { 0 };

	(void)state;
	fill(server);
	memcpy(anchor, "_", 1); /* "_ IN DNSKEY ...": the zone "_" */
	responder_behave(server, "_", RESPONDS_NEVER);
	EVP_PKEY_free(server->key);
	server->key = NULL;
	start_engine(2 * IMPATIENT_MS, 0, anchor);
	ask_and_wait(&asked, "mail.example.org", DNS_A);
	assert_int_equal(asked.status, DNS_OK);
	assert_false(stats().validating);
	buf_free(&asked.text);
	free(anchor);
}

static void
test_bad_anchor(void **state)
{
	const char *const anchors[] = { "a..b IN DS 1 8 2 00", NULL };
	struct dns_conf conf = { .validate = true, .anchors = anchors };
	char *why = NULL;

	(void)state;
	assert_null(dns_engine_new(base, &conf, &why));
	assert_non_null(strstr(why, "a..b"));
	free(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ttl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_running_max, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_max, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callback_meddles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_names_hinder_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_then_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stripped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_anchor_unanswered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_anchor, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
