/*
 * Ways to destinations, with what DNS says of their TLS, over a small DNS of our own (resolver_stub.h): whose TLSA records
 * are asked for, which name they are judged by, how long a way is kept, and that many who ask make one question.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/way.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "regress/unit/resolver_stub.h"

/* --- the DNS --- */

#define SIGNED true
#define PLAIN false
#define TEMP "temp"

static const struct zone_line {
	const char *name;
	uint16_t type;
	const char *data; /* "10 mx.example", an address, a name; of TLSA the three numbers */
	bool secure;
	uint32_t ttl;
} zone[] = {
	{ "good.example", DNS_MX, "10 mx.example", SIGNED, 300 },
	{ "mx.example", DNS_A, "192.0.2.1", SIGNED, 200 },
	{ "_25._tcp.mx.example", DNS_TLSA, "3 1 1", SIGNED, 100 },
	{ "_25._tcp.mx.example", DNS_TLSA, "1 1 1", SIGNED, 100 },
	{ "_25._tcp.mx.example", DNS_TLSA, "2 0 1", SIGNED, 100 },
	{ "_587._tcp.mx.example", DNS_TLSA, "3 0 1", SIGNED, 100 },
	/* the chain breaks at the MX; at an address; at the records */
	{ "plain.example", DNS_MX, "10 mx.example", PLAIN, 300 },
	{ "half.example", DNS_MX, "10 half-host.example", SIGNED, 300 },
	{ "half-host.example", DNS_A, "192.0.2.2", SIGNED, 300 },
	{ "half-host.example", DNS_AAAA, "2001:db8::2", PLAIN, 300 },
	{ "_25._tcp.half-host.example", DNS_TLSA, "3 1 1", SIGNED, 300 },
	{ "norecord.example", DNS_MX, "10 norecord-host.example", SIGNED, 300 },
	{ "norecord-host.example", DNS_A, "192.0.2.3", SIGNED, 300 },
	{ "_25._tcp.norecord-host.example", DNS_TLSA, "3 1 1", PLAIN, 300 },
	{ "unusable.example", DNS_MX, "10 unusable-host.example", SIGNED, 300 },
	{ "unusable-host.example", DNS_A, "192.0.2.4", SIGNED, 300 },
	{ "_25._tcp.unusable-host.example", DNS_TLSA, "0 0 1", SIGNED, 300 },
	{ "failed.example", DNS_MX, "10 failed-host.example", SIGNED, 300 },
	{ "failed-host.example", DNS_A, "192.0.2.5", SIGNED, 300 },
	{ "_25._tcp.failed-host.example", DNS_TLSA, TEMP, PLAIN, 300 },
	/* aliases */
	{ "alias.example", DNS_MX, "10 alias-host.example", SIGNED, 300 },
	{ "alias-host.example", DNS_CNAME, "mx.example", SIGNED, 300 },
	{ "own.example", DNS_MX, "10 own-host.example", SIGNED, 300 },
	{ "own-host.example", DNS_CNAME, "norecord-host.example", SIGNED, 300 },
	{ "_25._tcp.own-host.example", DNS_TLSA, "2 0 2", SIGNED, 300 },
	{ "out.example", DNS_MX, "10 out-host.example", SIGNED, 300 },
	{ "out-host.example", DNS_CNAME, "elsewhere.example", SIGNED, 300 },
	{ "elsewhere.example", DNS_A, "192.0.2.6", PLAIN, 300 },
	{ "_25._tcp.out-host.example", DNS_TLSA, "3 1 1", SIGNED, 300 },
	{ "through.example", DNS_MX, "10 through-host.example", SIGNED, 300 },
	{ "through-host.example", DNS_CNAME, "elsewhere.example", PLAIN, 300 },
	{ "_25._tcp.through-host.example", DNS_TLSA, "3 1 1", SIGNED, 300 },
	/* no MX: the denial is what must be signed */
	{ "mxless.example", DNS_A, "192.0.2.7", SIGNED, 300 },
	{ "_25._tcp.mxless.example", DNS_TLSA, "3 1 1", SIGNED, 300 },
	{ "short.example", DNS_MX, "10 mx.example", PLAIN, 0 },
	{ "gone.example", DNS_MX, TEMP, PLAIN, 300 },
};
#define ZONE_N (sizeof(zone) / sizeof(zone[0]))

static unsigned asked_mx;
static struct buf asked_tlsa;

static void
on_question(const char *name, uint16_t type)
{
	asked_mx += type == DNS_MX;
	if (type == DNS_TLSA)
		buf_addf(&asked_tlsa, " %s", name);
}

static void
read_record(struct dns_record *record, const struct zone_line *line, uint8_t *rdata)
{
	char *end;

	switch (line->type) {
	case DNS_MX:
		record->preference = (uint16_t)strtoul(line->data, &end, 10);
		record->name = end + 1;
		break;
	case DNS_TLSA:
		rdata[0] = (uint8_t)(line->data[0] - '0');
		rdata[1] = (uint8_t)(line->data[2] - '0');
		rdata[2] = (uint8_t)(line->data[4] - '0');
		record->data = rdata;
		record->data_len = 3 + (rdata[2] == 1 ? 32 : 64);
		break;
	case DNS_CNAME:
		record->name = line->data;
		break;
	default:
		assert_true(ip_parse(line->data, &record->ip));
	}
}

static const struct zone_line *
find_line(const char *name, uint16_t type)
{
	size_t i;

	for (i = 0; i < ZONE_N; i++) {
		if (strcasecmp(zone[i].name, name) == 0 && zone[i].type == type)
			return &zone[i];
	}
	return NULL;
}

/* As a validating resolver answers: an alias is followed, and all of the way has to be signed. */
static void
answer_query(struct resolver_query *query)
{
	static uint8_t rdata[8][3 + 64];
	struct dns_record records[8] = { { .type = 0 } };
	struct dns_answer answer = { .status = DNS_NODATA, .secure = true, .ttl = 300, .records = records, .why = "SERVFAIL" };
	const char *name = query->name;
	const struct zone_line *line = find_line(name, DNS_CNAME);
	size_t i;

	if (line != NULL && query->type != DNS_CNAME) {
		answer.secure = line->secure;
		answer.canonical = name = line->data;
	}
	for (i = 0; i < ZONE_N; i++) {
		line = &zone[i];
		if (strcasecmp(line->name, name) != 0 || line->type != query->type)
			continue;
		answer.status = strcmp(line->data, TEMP) == 0 ? DNS_TEMP : DNS_OK;
		answer.secure &= line->secure;
		answer.ttl = line->ttl;
		if (answer.status == DNS_OK) {
			read_record(&records[answer.records_n], line, rdata[answer.records_n]);
			answer.records_n++;
		}
	}
	resolver_answer(query, &answer);
}

static void
turn(void)
{
	struct resolver_query *query = TAILQ_FIRST(&queries);

	if (query != NULL)
		answer_query(query);
	event_base_loop(peer_base(), EVLOOP_NONBLOCK);
}

/* --- the tests --- */

static const struct mx_self self = { "us.example", NULL, 0 };
static const struct way *found;
static unsigned answers;

static void
on_way(const struct way *way, void *arg)
{
	(void)arg;
	answers++;
	way_drop(found);
	found = way_keep(way);
}

static const struct way *
find(const char *destination)
{
	unsigned before = answers;

	(void)way_find(destination, &self, on_way, NULL);
	assert_int_equal(answers, before);
	while (answers == before)
		turn();
	return found;
}

static void
test_dane(void **state)
{
	static const char *const states[] = { "none", "usable", "unusable", "failed" };
	static const struct {
		const char *destination, *result, *asked;
	} cases[] = {
		{ "mx good.example", "usable mx.example 2", " _25._tcp.mx.example" },
		{ "mx.example:587", "usable mx.example 1", " _587._tcp.mx.example" },
		{ "mx plain.example", "none", "" },
		{ "mx half.example", "none", "" },
		{ "mx norecord.example", "none", " _25._tcp.norecord-host.example" },
		{ "mx unusable.example", "unusable unusable-host.example 0", " _25._tcp.unusable-host.example" },
		{ "mx failed.example", "failed", " _25._tcp.failed-host.example" },
		{ "mx alias.example", "usable mx.example 2", " _25._tcp.mx.example" },
		{ "mx own.example", "usable own-host.example 1", " _25._tcp.norecord-host.example _25._tcp.own-host.example" },
		{ "mx out.example", "usable out-host.example 1", " _25._tcp.out-host.example" },
		{ "mx through.example", "none", "" },
		{ "mx mxless.example", "usable mxless.example 1", " _25._tcp.mxless.example" },
		{ "mx good.example tls off", "none", "" },
		{ "[192.0.2.1]:25", "none", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mx_server *server;
		struct buf got = { 0 };

		buf_clear(&asked_tlsa);
		assert_int_equal(find(cases[i].destination)->mx->status, MX_OK);
		server = found->mx->addresses[0].server;
		buf_adds(&got, states[server->dane]);
		if (server->dane_name != NULL)
			buf_addf(&got, " %s %u", server->dane_name, server->tlsa_n);
		if (strcmp(buf_str(&got), cases[i].result) != 0 || strcmp(buf_str(&asked_tlsa), cases[i].asked) != 0)
			fail_msg("%s: %s, asked%s", cases[i].destination, buf_str(&got), buf_str(&asked_tlsa));
		buf_free(&got);
	}
	/* the least of all that it rests on */
	assert_int_equal(find("mx good.example")->mx->ttl, 100);
}

static void
test_kept(void **state)
{
	const struct way *first;
	unsigned i;

	(void)state;
	first = way_keep(find("mx plain.example"));
	asked_mx = 0;
	for (i = 0; i < 10; i++)
		assert_ptr_equal(find("mx plain.example"), first);
	assert_int_equal(asked_mx, 0);
	way_drop(first);
	/* what does not hold serves those who wait for it and nobody else */
	for (i = 1; i <= 3; i++) {
		find("mx short.example");
		assert_int_equal(asked_mx, i);
	}
	/* that there is none, the first job, too, that comes when the queue was told so */
	for (i = 0; i < 2; i++) {
		assert_int_equal(find("mx gone.example")->mx->status, MX_TEMP);
		assert_int_equal(asked_mx, 4);
	}
}

static void
test_many_ask_once(void **state)
{
	struct way_query *queries_made[5];
	unsigned i;

	(void)state;
	asked_mx = 0;
	answers = 0;
	for (i = 0; i < 5; i++)
		queries_made[i] = way_find("mx short.example", &self, on_way, NULL);
	way_cancel(queries_made[1]);
	way_cancel(queries_made[4]);
	way_cancel(NULL);
	while (answers < 3)
		turn();
	for (i = 0; i < 10; i++)
		turn();
	assert_int_equal(answers, 3);
	assert_int_equal(asked_mx, 1);
}

static void
ask_again(const struct way *way, void *arg)
{
	unsigned *left = arg;

	(void)way;
	answers++;
	if (--*left > 0)
		(void)way_find("mx short.example", &self, ask_again, left);
}

/* From the callback, for a way that does not hold: what was told is gone meanwhile. */
static void
test_ask_from_callback(void **state)
{
	unsigned left = 4;

	(void)state;
	answers = 0;
	(void)way_find("mx short.example", &self, ask_again, &left);
	while (answers < 4)
		turn();
	assert_int_equal(left, 0);
}

static int
teardown(void **state)
{
	(void)state;
	way_drop(found);
	buf_free(&asked_tlsa);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dane),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_many_ask_once),
		cmocka_unit_test(test_ask_from_callback),
	};

	peer_set_base(event_base_new());
	return cmocka_run_group_tests(tests, NULL, teardown);
}
