/*
 * The greylist's decision over a table of times, and its records on their way to disk and back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "filters/grey.h"
#include "lib/buf.h"

#define T0 1700000000
#define DELAY 120
#define WINDOW (2 * 86400)
#define LIFETIME (36 * 86400)

static const struct grey_question question = {
	.identity = "net:192.0.2.0/24",
	.sender = "a@example.org",
	.recipient = "b@example.net",
	.delay = DELAY,
	.window = WINDOW,
	.lifetime = LIFETIME,
	.trust_after = 3,
	.rule = 5,
	.line = 14,
};

/* One try: at T0 + AT, what is answered and what is then known. */
struct
try {
	int64_t at;
	enum grey_state state;
	uint32_t left, waited;
	bool first_pass;
	int64_t first; /* of the record, from T0 */
};

#define TRIES_MAX 8
static const struct {
	const char *what;
	struct try tries[TRIES_MAX];
	unsigned n;
} rounds[] = {
	{ "comes back in time, and stays known",
	    { { 0, GREY_NEW, 120, 0, false, 0 }, { 119, GREY_EARLY, 1, 0, false, 0 },
		{ 120, GREY_PASS, 0, 120, true, 0 }, { 121, GREY_PASS, 0, 0, false, 0 },
		{ LIFETIME + 121, GREY_PASS, 0, 0, false, 0 } },
	    5 },
	{ "an early retry does not start the delay again",
	    { { 0, GREY_NEW, 120, 0, false, 0 }, { 60, GREY_EARLY, 60, 0, false, 0 },
		{ 110, GREY_EARLY, 10, 0, false, 0 }, { 125, GREY_PASS, 0, 125, true, 0 } },
	    4 },
	{ "the last second of the window",
	    { { 0, GREY_NEW, 120, 0, false, 0 }, { WINDOW, GREY_PASS, 0, WINDOW, true, 0 } }, 2 },
	{ "after the window it begins again",
	    { { 0, GREY_NEW, 120, 0, false, 0 },
		{ WINDOW + 1, GREY_NEW, 120, 0, false, WINDOW + 1 },
		{ WINDOW + 121, GREY_PASS, 0, 120, true, WINDOW + 1 } },
	    3 },
	{ "the window counts from the first try, early ones do not stretch it",
	    { { 0, GREY_NEW, 120, 0, false, 0 }, { 100, GREY_EARLY, 20, 0, false, 0 },
		{ WINDOW + 50, GREY_NEW, 120, 0, false, WINDOW + 50 } },
	    3 },
	{ "the lifetime counts from the last mail",
	    { { 0, GREY_NEW, 120, 0, false, 0 }, { 200, GREY_PASS, 0, 200, true, 0 },
		{ LIFETIME, GREY_PASS, 0, 0, false, 0 },
		{ 2 * LIFETIME, GREY_PASS, 0, 0, false, 0 },
		{ 3 * (int64_t)LIFETIME + 1, GREY_NEW, 120, 0, false, 3 * (int64_t)LIFETIME + 1 } },
	    5 },
	{ "the clock was a year ahead at the first try",
	    { { 31536000, GREY_NEW, 120, 0, false, 31536000 }, { 0, GREY_EARLY, 120, 0, false, 0 },
		{ 120, GREY_PASS, 0, 120, true, 0 } },
	    3 },
	{ "the clock was a year ahead when it passed",
	    { { 0, GREY_NEW, 120, 0, false, 0 }, { 1000, GREY_PASS, 0, 1000, true, 0 },
		{ 500, GREY_PASS, 0, 0, false, 0 }, { LIFETIME + 500, GREY_PASS, 0, 0, false, 0 },
		{ 2 * LIFETIME + 501, GREY_NEW, 120, 0, false, 2 * LIFETIME + 501 } },
	    5 },
	{ "the clock goes back a little between tries",
	    { { 100, GREY_NEW, 120, 0, false, 100 }, { 90, GREY_EARLY, 120, 0, false, 90 },
		{ 209, GREY_EARLY, 1, 0, false, 90 }, { 210, GREY_PASS, 0, 120, true, 90 } },
	    4 },
};

static void
assert_round(const char *what, const struct grey_question *q, const struct try *tries, unsigned n)
{
	struct grey_record r;
	struct grey_answer a;
	struct buf b = { 0 };
	unsigned i;

	memset(&r, 0, sizeof(r));
	for (i = 0; i < n; i++) {
		grey_decide(&r, q, T0 + tries[i].at, &a);
		if (a.state != tries[i].state || a.left != tries[i].left ||
		    a.waited != tries[i].waited || a.first_pass != tries[i].first_pass ||
		    r.first != T0 + tries[i].first || a.first != r.first)
			fail_msg("%s: try %u: %s left %u waited %u first %lld", what, i + 1,
			    grey_state_name(a.state), a.left, a.waited, (long long)(r.first - T0));
		assert_int_equal(r.last, T0 + tries[i].at);
		/* what is known always survives the disk */
		buf_clear(&b);
		grey_record_encode(&b, &r);
		if (!grey_record_decode(b.data, b.len, &r))
			fail_msg("%s: try %u: the record does not decode", what, i + 1);
	}
	buf_free(&b);
}

static void
test_rounds(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++)
		assert_round(rounds[i].what, &question, rounds[i].tries, rounds[i].n);
}

/* No delay: lets everybody in and counts it as passed. */
static void
test_no_delay(void **state)
{
	static const struct try tries[] = { { 0, GREY_PASS, 0, 0, true, 0 },
		{ 1, GREY_PASS, 0, 0, false, 0 } };
	struct grey_question q = question;

	(void)state;
	q.delay = 0;
	assert_round("no delay", &q, tries, 2);
}

/* A window that ends before the delay: still somebody can pass. */
static void
test_window_below_delay(void **state)
{
	static const struct try tries[] = { { 0, GREY_NEW, 120, 0, false, 0 },
		{ 120, GREY_PASS, 0, 120, true, 0 } };
	struct grey_question q = question;

	(void)state;
	q.window = 60;
	assert_round("window below delay", &q, tries, 2);
}

static void
test_waive(void **state)
{
	struct grey_record r;
	struct grey_answer a;

	(void)state;
	memset(&r, 0, sizeof(r));
	grey_decide(&r, &question, T0, &a);
	assert_string_equal(grey_record_state(&r, T0), "waiting");
	assert_int_equal(grey_record_left(&r, T0 + 20), 100);
	assert_string_equal(grey_record_state(&r, T0 + 120), "ready");
	assert_string_equal(grey_record_state(&r, T0 + WINDOW + 1), "expired");
	grey_waive(&r, T0 + 10);
	assert_int_equal(grey_record_left(&r, T0 + 10), 0);
	assert_string_equal(grey_record_state(&r, T0 + 10), "ready");
	grey_decide(&r, &question, T0 + 11, &a);
	assert_int_equal(a.state, GREY_PASS);
	assert_true(a.first_pass);
	assert_int_equal(a.waited, 11);
	assert_false(r.waived);
	assert_string_equal(grey_record_state(&r, T0 + 11), "passed");

	/* it comes late: the window counts from the operator's word */
	memset(&r, 0, sizeof(r));
	grey_decide(&r, &question, T0, &a);
	grey_waive(&r, T0 + WINDOW - 10);
	grey_decide(&r, &question, T0 + 2 * WINDOW - 10, &a);
	assert_int_equal(a.state, GREY_PASS);
	/* later than that it begins anew */
	memset(&r, 0, sizeof(r));
	grey_decide(&r, &question, T0, &a);
	grey_waive(&r, T0 + 10);
	grey_decide(&r, &question, T0 + WINDOW + 11, &a);
	assert_int_equal(a.state, GREY_NEW);
	assert_false(r.waived);
}

static void
test_rule_is_the_first(void **state)
{
	struct grey_question q = question;
	struct grey_record r;
	struct grey_answer a;

	(void)state;
	memset(&r, 0, sizeof(r));
	grey_decide(&r, &q, T0, &a);
	q.rule = 9;
	q.line = 99;
	grey_decide(&r, &q, T0 + 200, &a);
	assert_int_equal(r.rule, 5);
	assert_int_equal(r.line, 14);
	assert_int_equal(r.count, 2);
}

static void
test_trust(void **state)
{
	struct grey_question q = question;
	struct grey_identity id;

	(void)state;
	memset(&id, 0, sizeof(id));
	assert_false(grey_identity_trusted(&id, &q, T0));
	grey_identity_passed(&id, &q, T0, true);
	grey_identity_passed(&id, &q, T0 + 1, true);
	assert_false(grey_identity_trusted(&id, &q, T0 + 2));
	grey_identity_passed(&id, &q, T0 + 2, true);
	assert_true(grey_identity_trusted(&id, &q, T0 + 2));
	assert_true(grey_identity_trusted(&id, &q, T0 + 2 + LIFETIME));
	assert_false(grey_identity_trusted(&id, &q, T0 + 3 + LIFETIME));
	/* a clock that was ahead does not take trust away */
	assert_true(grey_identity_trusted(&id, &q, T0 - 1000));
	/* use keeps it, without counting */
	assert_false(grey_identity_stale(&id, T0 + 100));
	assert_true(grey_identity_stale(&id, T0 + 86400));
	grey_identity_passed(&id, &q, T0 + LIFETIME, false);
	assert_int_equal(id.count, 3);
	assert_true(grey_identity_trusted(&id, &q, T0 + 2 * LIFETIME));
	/* unused for too long: begins at one */
	grey_identity_passed(&id, &q, T0 + 3 * (int64_t)LIFETIME, true);
	assert_int_equal(id.count, 1);
	assert_false(grey_identity_trusted(&id, &q, T0 + 3 * (int64_t)LIFETIME));
	/* switched off */
	id.count = 100;
	q.trust_after = 0;
	assert_false(grey_identity_trusted(&id, &q, T0 + 3 * (int64_t)LIFETIME));
}

static const struct grey_record good = { .first = T0,
	.last = T0 + 10,
	.passed = T0 + 5,
	.expires = T0 + 100,
	.count = 3,
	.delay = 120,
	.rule = 1,
	.line = 2 };

/* One field at a time that could not have been written. */
static void
test_impossible_records(void **state)
{
	struct grey_record bad[8], out, zero;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	for (i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].count = 0;
	bad[1].first = T0 + 11;
	bad[2].passed = T0 - 1;
	bad[3].passed = T0 + 11;
	bad[4].waived = true; /* and passed */
	bad[5].expires = -1;
	bad[6].last = INT64_MAX;
	bad[7].first = -5;
	for (i = 0; i < 8; i++) {
		buf_clear(&b);
		grey_record_encode(&b, &bad[i]);
		memset(&out, 0xff, sizeof(out));
		if (grey_record_decode(b.data, b.len, &out))
			fail_msg("impossible record %zu decodes", i);
		assert_memory_equal(&out, &zero, sizeof(out));
	}
	buf_free(&b);
}

static void
test_record_octets(void **state)
{
	struct grey_record out;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	grey_record_encode(&b, &good);
	assert_true(grey_record_decode(b.data, b.len, &out));
	assert_int_equal(out.first, good.first);
	assert_int_equal(out.last, good.last);
	assert_int_equal(out.passed, good.passed);
	assert_int_equal(out.expires, good.expires);
	assert_int_equal(out.count, 3);
	assert_int_equal(out.delay, 120);
	assert_int_equal(out.rule, 1);
	assert_int_equal(out.line, 2);
	for (i = 0; i < b.len; i++)
		assert_false(grey_record_decode(b.data, i, &out));
	b.data[0]++; /* another version */
	assert_false(grey_record_decode(b.data, b.len, &out));
	b.data[0]--;
	b.data[1] |= 0x40; /* a flag that is none */
	assert_false(grey_record_decode(b.data, b.len, &out));
	b.data[1] = 0;
	buf_addc(&b, 0); /* too long */
	assert_false(grey_record_decode(b.data, b.len, &out));
	buf_free(&b);
}

static void
test_identity_octets(void **state)
{
	struct grey_identity id = { .last = T0, .expires = T0 + 9, .count = 2, .trust_after = 3 },
			     out;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	grey_identity_encode(&b, &id);
	assert_true(grey_identity_decode(b.data, b.len, &out));
	assert_int_equal(out.last, id.last);
	assert_int_equal(out.expires, id.expires);
	assert_int_equal(out.count, 2);
	assert_int_equal(out.trust_after, 3);
	for (i = 0; i < b.len; i++)
		assert_false(grey_identity_decode(b.data, i, &out));
	b.data[0] = 9;
	assert_false(grey_identity_decode(b.data, b.len, &out));
	buf_clear(&b);
	id.count = 0;
	grey_identity_encode(&b, &id);
	assert_false(grey_identity_decode(b.data, b.len, &out));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_no_delay),
		cmocka_unit_test(test_window_below_delay),
		cmocka_unit_test(test_waive),
		cmocka_unit_test(test_rule_is_the_first),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_impossible_records),
		cmocka_unit_test(test_record_octets),
		cmocka_unit_test(test_identity_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
