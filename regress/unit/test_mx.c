/*
 * The way to the next server, over a small DNS of our own (resolver_stub.h).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/mx.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "regress/unit/resolver_stub.h"

/* --- the DNS --- */

struct zone_line {
	const char *name;
	uint16_t type;
	const char *data; /* "10 mx.example", "192.0.2.1"; "temp" */
};

static const struct zone_line zone[] = {
	{ "one.example", DNS_MX, "10 mx1.example" },
	{ "order.example", DNS_MX, "20 mx2.example" }, { "order.example", DNS_MX, "10 mx1.example" },
	{ "order.example", DNS_MX, "30 mx3.example" },
	{ "equal.example", DNS_MX, "10 mx1.example" }, { "equal.example", DNS_MX, "10 mx2.example" },
	{ "equal.example", DNS_MX, "10 mx3.example" }, { "equal.example", DNS_MX, "20 mx4.example" },
	{ "null.example", DNS_MX, "0 " }, { "null.example", DNS_A, "192.0.2.99" },
	{ "notnull.example", DNS_MX, "0 " }, { "notnull.example", DNS_MX, "10 mx1.example" },
	{ "onlyroots.example", DNS_MX, "0 " }, { "onlyroots.example", DNS_MX, "10 " },
	{ "implicit.example", DNS_A, "192.0.2.20" }, { "implicit.example", DNS_AAAA, "2001:db8::20" },
	{ "nothing.example", DNS_TXT, "x" },
	{ "temp.example", DNS_MX, "temp" },
	{ "hosttemp.example", DNS_MX, "10 down.example" },
	{ "halftemp.example", DNS_MX, "10 down.example" }, { "halftemp.example", DNS_MX, "20 mx1.example" },
	{ "nohost.example", DNS_MX, "10 none.example" }, { "nohost.example", DNS_A, "192.0.2.98" },
	{ "us-best.example", DNS_MX, "10 us.example" }, { "us-best.example", DNS_MX, "20 mx2.example" },
	{ "us-second.example", DNS_MX, "10 mx1.example" }, { "us-second.example", DNS_MX, "20 US.example" },
	{ "us-second.example", DNS_MX, "20 mx2.example" }, { "us-second.example", DNS_MX, "30 mx3.example" },
	{ "us-address.example", DNS_MX, "10 mx1.example" }, { "us-address.example", DNS_MX, "20 alias-us.example" },
	{ "us-address.example", DNS_MX, "30 mx3.example" },
	{ "us-temp.example", DNS_MX, "10 down.example" }, { "us-temp.example", DNS_MX, "20 us.example" },
	{ "zero.example", DNS_MX, "10 zero-host.example" },
	{ "us-implicit.example", DNS_A, "192.0.2.77" },
	{ "zero-host.example", DNS_A, "0.0.0.0" },
	{ "us.example", DNS_A, "192.0.2.70" }, { "alias-us.example", DNS_A, "192.0.2.77" },
	{ "mx1.example", DNS_A, "192.0.2.1" }, { "mx1.example", DNS_AAAA, "2001:db8::1" },
	{ "mx2.example", DNS_A, "192.0.2.2" }, { "mx2.example", DNS_A, "192.0.2.12" },
	{ "mx3.example", DNS_AAAA, "2001:db8::3" },
	{ "mx4.example", DNS_A, "192.0.2.4" },
	{ "down.example", DNS_A, "temp" },
	{ "halfdown.example", DNS_AAAA, "temp" }, { "halfdown.example", DNS_A, "192.0.2.5" },
	{ "many.example", DNS_MX, "many" },
};
#define ZONE_N (sizeof(zone) / sizeof(zone[0]))

static unsigned asked;
static bool backwards; /* answers the last question first */

static void
on_question(const char *name, uint16_t type)
{
	(void)name;
	(void)type;
	asked++;
}

static char many_names[20][24];

static void
read_record(struct dns_record *record, const struct zone_line *line)
{
	char *end;

	record->type = line->type;
	if (line->type == DNS_MX) {
		record->preference = (uint16_t)strtoul(line->data, &end, 10);
		record->name = end + 1;
	} else {
		assert_true(line->type == DNS_TXT || ip_parse(line->data, &record->ip));
	}
}

static void
make_answer(struct dns_answer *answer, struct dns_record *records, const char *name, uint16_t type)
{
	unsigned i;

	*answer = (struct dns_answer){ .status = DNS_NXDOMAIN, .records = records };
	if (strcmp(name, "many.example") == 0 && type == DNS_MX) {
		for (i = 0; i < 20; i++)
			records[answer->records_n++] = (struct dns_record){ .type = DNS_MX,
				.preference = (uint16_t)i, .name = many_names[i] };
		answer->status = DNS_OK;
		return;
	}
	if (strncmp(name, "many", 4) == 0 && type == DNS_A) {
		for (i = 0; i < 12; i++)
			ip_parse("192.0.2.3", &records[answer->records_n++].ip);
		answer->status = DNS_OK;
		return;
	}
	for (i = 0; i < ZONE_N && answer->status != DNS_TEMP; i++) {
		if (strcasecmp(zone[i].name, name) != 0)
			continue;
		if (answer->status == DNS_NXDOMAIN)
			answer->status = DNS_NODATA;
		if (zone[i].type != type)
			continue;
		answer->status = strcmp(zone[i].data, "temp") == 0 ? DNS_TEMP : DNS_OK;
		if (answer->status == DNS_OK)
			read_record(&records[answer->records_n++], &zone[i]);
	}
}

/* One question of those that are open. */
static void
answer_one(void)
{
	struct resolver_query *query = backwards ? TAILQ_LAST(&queries, query_list) : TAILQ_FIRST(&queries);
	struct dns_record records[20] = { { .type = 0 } };
	struct dns_answer answer;

	make_answer(&answer, records, query->name, query->type);
	answer.why = "SERVFAIL";
	resolver_answer(query, &answer);
}

/* --- the tests --- */

static struct ip own[2];
static const struct mx_self self = { "us.example", own, 2 };

static void
on_answer(const struct mx_answer *answer, void *arg)
{
	struct buf *log = arg;
	unsigned i;

	if (answer->status != MX_OK) {
		buf_addf(log, "%s %s", answer->status == MX_TEMP ? "temp" : "perm", answer->why);
		return;
	}
	buf_adds(log, answer->by_mx ? "mx" : "hosts");
	for (i = 0; i < answer->addresses_n; i++) {
		buf_addf(log, " %s[%s]:%u", answer->addresses[i].host, ip_text(&answer->addresses[i].ip).s,
		    answer->addresses[i].port);
		if (i > 0 && answer->addresses[i].rank < answer->addresses[i - 1].rank)
			buf_adds(log, " ranks are wrong");
	}
}

static void
run(const char *destination, struct buf *log)
{
	struct mx_query *q = mx_find(destination, &self, on_answer, log);

	assert_non_null(q);
	assert_int_equal(log->len, 0);
	while (log->len == 0) {
		if (!TAILQ_EMPTY(&queries))
			answer_one();
		else
			event_base_loop(peer_base(), EVLOOP_NONBLOCK);
	}
	assert_true(TAILQ_EMPTY(&queries));
}

#define MX1 " mx1.example[2001:db8::1]:25 mx1.example[192.0.2.1]:25"
#define MX2 " mx2.example[192.0.2.2]:25 mx2.example[192.0.2.12]:25"
#define MX3 " mx3.example[2001:db8::3]:25"

static void
test_answers(void **state)
{
	static const struct {
		const char *destination, *answer;
	} cases[] = {
		{ "mx one.example", "mx" MX1 },
		{ "mx order.example", "mx" MX1 MX2 MX3 },
		/* RFC 5321 5.1: no MX, the domain's own address */
		{ "mx implicit.example", "mx implicit.example[2001:db8::20]:25 implicit.example[192.0.2.20]:25" },
		{ "mx nothing.example", "perm 550 5.1.2 the domain nothing.example has neither a mail server nor an "
		    "address" },
		{ "mx none.example", "perm 550 5.1.2 the domain none.example does not exist" },
		{ "mx temp.example", "temp 451 4.4.3 DNS gives no answer for temp.example now: SERVFAIL" },
		/* RFC 7505 */
		{ "mx null.example", "perm 556 5.1.10 the domain null.example takes no mail (null MX)" },
		{ "mx notnull.example", "mx" MX1 },
		{ "mx onlyroots.example", "perm 550 5.4.4 none of the mail servers of onlyroots.example has an address" },
		/* RFC 5321 5.1: MX that are there are the only way */
		{ "mx nohost.example", "perm 550 5.4.4 none of the mail servers of nohost.example has an address" },
		{ "mx hosttemp.example", "temp 451 4.4.3 DNS gives no answer for the address of down.example now" },
		{ "mx halftemp.example", "mx" MX1 },
		/* ourselves */
		{ "mx us-best.example", "perm 554 5.4.6 mail for us-best.example loops: its best server is this one, "
		    "us.example" },
		{ "mx us-second.example", "mx" MX1 },
		{ "mx us-address.example", "mx" MX1 },
		{ "mx us-temp.example", "temp 451 4.4.3 DNS gives no answer for the address of down.example now" },
		{ "mx us-implicit.example", "perm 554 5.4.6 mail for us-implicit.example loops: its best server is this "
		    "one, us.example" },
		{ "mx us.example", "perm 554 5.4.6 mail for us.example loops: its best server is this one, us.example" },
		{ "mx zero.example", "perm 554 5.4.6 mail for zero.example loops: its best server is this one, us.example" },
		/* what the configuration names is taken as it is */
		{ "[192.0.2.77]:2526", "hosts [192.0.2.77][192.0.2.77]:2526" },
		{ "[2001:db8::9]:25 mx2.example:587",
		    "hosts [2001:db8::9][2001:db8::9]:25 mx2.example[192.0.2.2]:587 mx2.example[192.0.2.12]:587" },
		{ "us.example:2525", "hosts us.example[192.0.2.70]:2525" },
		{ "halfdown.example:25", "hosts halfdown.example[192.0.2.5]:25" },
		{ "none.example:25", "temp 451 4.4.4 the next server none.example has no address" },
		{ "down.example:25", "temp 451 4.4.3 DNS gives no answer for the address of down.example now" },
		{ "mx nohost.example mx4.example:587", "mx mx4.example[192.0.2.4]:587" },
		{ "mx one.example mx4.example:25", "mx" MX1 " mx4.example[192.0.2.4]:25" },
		{ "nonsense", "temp 451 4.3.5 \"nonsense\" is no destination" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const char *destination = cases[i / 2].destination;
		struct buf log = { 0 };

		backwards = i & 1;
		run(destination, &log);
		if (strcmp(buf_str(&log), cases[i / 2].answer) != 0)
			fail_msg("%s\n got: %s\nnot: %s", destination, buf_str(&log), cases[i / 2].answer);
		buf_free(&log);
	}
	backwards = false;
}

/* Equals come in every order, and the worse one always last. */
static void
test_shuffle(void **state)
{
	static const char *const names[] = { " mx1.example[2001:db8::1]", " mx2.example[192.0.2.2]", MX3 };
	unsigned first[3] = { 0 }, i, k;

	(void)state;
	for (i = 0; i < 300; i++) {
		struct buf log = { 0 };

		run("mx equal.example", &log);
		assert_non_null(strstr(log.data, " mx4.example[192.0.2.4]:25"));
		assert_string_equal(strstr(log.data, " mx4"), " mx4.example[192.0.2.4]:25");
		for (k = 0; k < 3; k++)
			first[k] += strncmp(log.data + 2, names[k], strlen(names[k])) == 0;
		buf_free(&log);
	}
	/* each of them 300 times in a row, or never: one in 10^52 */
	assert_int_equal(first[0] + first[1] + first[2], 300);
	assert_true(first[0] > 0 && first[1] > 0 && first[2] > 0);
}

static void
test_limits(void **state)
{
	struct buf log = { 0 };
	unsigned n = 0;
	char *at;

	(void)state;
	asked = 0;
	run("mx many.example", &log);
	assert_int_equal(asked, 1 + 2 * MX_HOSTS_MAX);
	for (at = log.data; (at = strstr(at, "]:25")) != NULL; at++)
		n++;
	assert_int_equal(n, MX_ADDRESSES_MAX);
	assert_null(strstr(log.data, "many10.example"));
	buf_free(&log);
}

static void
never(const struct mx_answer *answer, void *arg)
{
	(void)answer;
	(void)arg;
	fail();
}

static void
test_cancel(void **state)
{
	struct mx_query *q;

	(void)state;
	mx_cancel(NULL);
	q = mx_find("mx order.example", &self, never, NULL);
	mx_cancel(q);
	assert_true(TAILQ_EMPTY(&queries));
	q = mx_find("mx order.example", &self, never, NULL);
	answer_one();
	answer_one();
	mx_cancel(q);
	assert_true(TAILQ_EMPTY(&queries));
	q = mx_find("[192.0.2.1]:25", &self, never, NULL);
	mx_cancel(q);
	event_base_loop(peer_base(), EVLOOP_NONBLOCK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cancel),
	};
	unsigned i;
	int failed;

	for (i = 0; i < 20; i++)
		snprintf(many_names[i], sizeof(many_names[i]), "many%u.example", i);
	ip_parse("192.0.2.77", &own[0]);
	ip_parse("2001:db8::77", &own[1]);
	peer_set_base(event_base_new());
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	event_base_free(peer_base());
	return failed;
}
