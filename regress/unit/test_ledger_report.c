/*
 * What the ledger counts for the report, and the report's arithmetic.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "filters/ledger_role.h"
#include "lib/buf.h"
#include "regress/unit/ledger_world.h"

struct ring {
	uint64_t first, last;
	unsigned n;
};

static enum kv_step
see_event(const struct ledger_item *item, void *arg)
{
	struct ring *ring = arg;

	if (ring->n++ == 0)
		ring->first = item->event.session;
	else
		assert_int_equal(item->event.session, ring->last + 1);
	ring->last = item->event.session;
	return KV_NEXT;
}

static void
test_event_ring(void **state)
{
	struct gate_event e = event;
	struct buf position = { 0 };
	struct ring ring = { .n = 0 };
	uint64_t i;

	(void)state;
	for (i = 1; i <= LEDGER_EVENTS_KEPT + 50; i++) {
		if (i == LEDGER_EVENTS_KEPT / 2) {
			close_ledger();
			open_ledger();
		}
		e.session = i;
		assert_int_equal(ledger_put_event(ledger.store, &e), 1);
	}
	while (ledger_scan(ledger.store, TABLE_EVENT, &position, 100, see_event, &ring) == 100)
		;
	assert_int_equal(ring.n, LEDGER_EVENTS_KEPT);
	assert_int_equal(ring.first, 51);
	assert_int_equal(ring.last, LEDGER_EVENTS_KEPT + 50);
	buf_free(&position);
}

/*
 * Counting
 */

static void
test_count_events(void **state)
{
	static const struct {
		uint64_t session;
		uint16_t rule;
		enum action action;
		bool observe;
		const char *recipient;
		uint32_t waited;
	} events[] = {
		{ 1, 4, ACTION_REJECT, false, "a@y.net", 0 },
		{ 1, 4, ACTION_REJECT, false, "b@y.net", 0 }, /* the same session */
		{ 2, 4, ACTION_REJECT, false, "a@y.net", 0 },
		{ 2, 4, ACTION_REJECT, true, "a@y.net", 0 }, /* another counter */
		{ 3, 2, ACTION_PAUSE, false, NULL, 20 },
		{ 4, 2, ACTION_PAUSE, false, NULL, 20 },
		{ 5, 0, ACTION_COUNT, false, "a@y.net", 0 },
		{ 6, 0, ACTION_COUNT, false, "a@y.net", 130 },
	};
	struct report_counts c;
	struct report_waits w;
	struct gate_event e;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(events); i++) {
		e = (struct gate_event){ .session = events[i].session,
			.time = T0,
			.rule = events[i].rule,
			.line = 10,
			.action = events[i].action,
			.phase = PHASE_RCPT,
			.observe = events[i].observe,
			.recipient = events[i].recipient,
			.left = events[i].session == 3,
			.waited = events[i].waited };
		ledger_take_event(&ledger, &e);
		if (i == 1) {
			close_ledger(); /* counting goes on where it was */
			open_ledger();
		}
	}
	c = counts(T0, 4, 10, ACTION_REJECT, false);
	assert_true(c.sessions == 2 && c.recipients == 3);
	c = counts(T0, 4, 10, ACTION_REJECT, true);
	assert_true(c.sessions == 1 && c.recipients == 1);
	c = counts(T0, 2, 10, ACTION_PAUSE, false);
	assert_true(c.sessions == 2 && c.recipients == 0 && c.seconds == 40);
	assert_true(c.left == 1 && c.stayed == 1);
	ledger_count_pause(ledger.count, ledger.store, 2, 10, 20, T0);
	c = counts(T0, 2, 10, ACTION_PAUSE, false);
	assert_true(c.sessions == 3 && c.left == 1 && c.stayed == 2 && c.seconds == 60);
	c = counts(T0, 0, 0, ACTION_COUNT, false);
	assert_true(c.sessions == 2 && c.recipients == 2 && c.seconds == 130);
	assert_int_equal(ledger_get_waits(ledger.store, report_hour(T0), &w), 1);
	assert_true(w.count == 1 && w.max == 130);
}

static void
test_count_greylist(void **state)
{
	struct report_counts c;
	uint64_t waiting, stopped;

	(void)state;
	(void)try("id", "a@x.org", "b@y.net", 0);
	(void)try("id", "a@x.org", "b@y.net", 60);
	(void)try("id", "b@x.org", "b@y.net", 0);
	(void)try("id", "c@x.org", "b@y.net", 0);
	/* comes back in another hour: counts where it was held */
	(void)try("id", "a@x.org", "b@y.net", 3600);
	(void)try("id", "a@x.org", "b@y.net", 3700);
	c = counts(T0, 3, 10, ACTION_GREYLIST, false);
	assert_true(c.triplets == 3 && c.returned == 1 && c.window == 3600);
	report_unreturned(&c, report_hour(T0), T0 + 3600, &waiting, &stopped);
	assert_true(waiting == 2 && stopped == 0);
	report_unreturned(&c, report_hour(T0), T0 + 3 * 3600, &waiting, &stopped);
	assert_true(waiting == 0 && stopped == 2);
}

/* One unit a rule, and what an observer says would have been. */
static void
test_effect(void **state)
{
	static const struct {
		enum action action;
		bool observe;
		struct report_counts counts;
		struct report_effect in_time, later;
	} cases[] = {
		{ ACTION_GREYLIST, false, { .sessions = 9, .recipients = 12, .triplets = 8, .returned = 3, .window = 7200 },
		    { .delayed = 3, .waiting = 5 }, { .delayed = 3, .stopped = 5 } },
		{ ACTION_TEMPFAIL, false, { .sessions = 9, .recipients = 12, .triplets = 8, .returned = 3, .window = 7200 },
		    { .delayed = 3, .waiting = 5 }, { .delayed = 3, .stopped = 5 } },
		/* came back, but was first seen in another hour */
		{ ACTION_GREYLIST, false, { .sessions = 1, .recipients = 2 }, { .stopped = 0 }, { .stopped = 0 } },
		{ ACTION_TEMPFAIL, false, { .sessions = 4 }, { .stopped = 4 }, { .stopped = 4 } },
		{ ACTION_REJECT, false, { .sessions = 2, .recipients = 5 }, { .stopped = 5 }, { .stopped = 5 } },
		{ ACTION_DROP, false, { .sessions = 2 }, { .stopped = 2 }, { .stopped = 2 } },
		{ ACTION_PAUSE, false, { .sessions = 7, .left = 2, .stayed = 5 }, { .stopped = 2, .delayed = 5 },
		    { .stopped = 2, .delayed = 5 } },
		{ ACTION_TRUST, false, { .sessions = 3 }, { .let_in = 3 }, { .let_in = 3 } },
		{ ACTION_MARK, false, { .sessions = 3 }, { .let_in = 0 }, { .let_in = 0 } },
		{ ACTION_COUNT, false, { .sessions = 3, .recipients = 4 }, { .let_in = 4 }, { .let_in = 4 } },
		{ ACTION_GREYLIST, true, { .sessions = 3, .recipients = 4 }, { .delayed = 4 }, { .delayed = 4 } },
		{ ACTION_REJECT, true, { .sessions = 3, .recipients = 4 }, { .stopped = 4 }, { .stopped = 4 } },
		{ ACTION_TARPIT, true, { .sessions = 3 }, { .delayed = 3 }, { .delayed = 3 } },
	};
	struct report_key key = { .hour = report_hour(T0) };
	struct report_effect e;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		key.action = (uint8_t)cases[i].action;
		key.observe = cases[i].observe;
		report_effect(&key, &cases[i].counts, T0 + 3600, &e);
		if (memcmp(&e, &cases[i].in_time, sizeof(e)) != 0)
			fail_msg("case %zu in time", i);
		report_effect(&key, &cases[i].counts, T0 + 5 * 3600, &e);
		if (memcmp(&e, &cases[i].later, sizeof(e)) != 0)
			fail_msg("case %zu later", i);
	}
}

static void
test_report_keys(void **state)
{
	struct report_key k = { .hour = 0x01020304,
		.rule = 5,
		.line = 6,
		.action = ACTION_COUNT,
		.observe = true },
			  out;
	uint8_t octets[REPORT_KEY_LEN];

	(void)state;
	report_key_encode(octets, &k);
	assert_int_equal(octets[0], 1); /* sorts by hour */
	assert_true(report_key_decode(octets, sizeof(octets), &out));
	assert_true(out.hour == k.hour && out.rule == 5 && out.line == 6 &&
		    out.action == ACTION_COUNT && out.observe);
	assert_false(report_key_decode(octets, sizeof(octets) - 1, &out));
	octets[8] = ACTION_COUNT + 1;
	assert_false(report_key_decode(octets, sizeof(octets), &out));
	octets[8] = 0;
	octets[9] = 2;
	assert_false(report_key_decode(octets, sizeof(octets), &out));
}

static void
test_report_octets(void **state)
{
	struct report_counts c = { .sessions = 1,
		.recipients = 2,
		.triplets = 3,
		.returned = 4,
		.seconds = 5,
		.left = 6,
		.stayed = 7,
		.window = 8 },
			     out;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	memset(&out, 0, sizeof(out));
	report_counts_encode(&b, &c);
	assert_true(report_counts_decode(b.data, b.len, &out));
	/* but for the padding behind it */
	assert_memory_equal(&out, &c, offsetof(struct report_counts, window) + sizeof(c.window));
	for (i = 0; i < b.len; i++)
		assert_false(report_counts_decode(b.data, i, &out));
	b.data[8] = (char)0xff; /* 2^56 and more */
	assert_false(report_counts_decode(b.data, b.len, &out));
	buf_free(&b);
}

static void
test_waits(void **state)
{
	static const struct {
		uint32_t waits[6];
		unsigned n;
		uint32_t median, p90, max;
	} cases[] = {
		{ { 0 }, 0, 0, 0, 0 },
		{ { 7 }, 1, 7, 7, 7 },
		{ { 100000 }, 1, 100000, 100000, 100000 },
		{ { 1, 2, 3, 4, 5 }, 5, 3, 5, 5 },
		{ { 1, 2, 3, 4, 5, 1000 }, 6, 3, 1000, 1000 },
		{ { 1, 1, 1, 1, 20, 31 }, 6, 1, 31, 31 },
		{ { UINT32_MAX, 1 }, 2, 1, UINT32_MAX, UINT32_MAX },
	};
	struct report_waits w, out;
	struct buf b = { 0 };
	uint32_t seconds, p;
	unsigned i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		memset(&w, 0, sizeof(w));
		for (j = 0; j < cases[i].n; j++)
			report_waits_add(&w, cases[i].waits[j]);
		if (report_waits_percentile(&w, 50) != cases[i].median ||
		    report_waits_percentile(&w, 90) != cases[i].p90 || w.max != cases[i].max ||
		    w.count != cases[i].n)
			fail_msg("case %u: %u %u %u", i, report_waits_percentile(&w, 50),
			    report_waits_percentile(&w, 90), w.max);
		buf_clear(&b);
		report_waits_encode(&b, &w);
		assert_true(report_waits_decode(b.data, b.len, &out));
		assert_memory_equal(&out, &w, sizeof(w));
		assert_false(report_waits_decode(b.data, b.len - 1, &out));
	}
	/* never below what was, never more than a sixteenth above */
	for (seconds = 1; seconds < 3000000000u; seconds += seconds / 7 + 1) {
		memset(&w, 0, sizeof(w));
		report_waits_add(&w, seconds);
		report_waits_add(&w, UINT32_MAX);
		p = report_waits_percentile(&w, 50);
		if (p < seconds || p - seconds > seconds / 16)
			fail_msg("%u reads as %u", seconds, p);
	}
	memset(&w, 0, sizeof(w));
	memset(&out, 0, sizeof(out));
	report_waits_add(&w, 10);
	report_waits_add(&out, 30);
	report_waits_merge(&w, &out);
	assert_true(
	    w.count == 2 && w.sum == 40 && w.max == 30 && report_waits_percentile(&w, 50) == 10);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_event_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_count_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_count_greylist, setup, teardown),
		cmocka_unit_test(test_effect),
		cmocka_unit_test(test_report_keys),
		cmocka_unit_test(test_report_octets),
		cmocka_unit_test(test_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
