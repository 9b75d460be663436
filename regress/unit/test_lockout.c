/*
 * Counting failed logins (lockout.h): rows, bans that grow, who is known, records on disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/lockout.h"
#include "lib/buf.h"

#define NOW 1000000

/* Failures until the ban, at most 1000; 0: there was none. */
static unsigned
fail_until_banned(struct lockout *l, enum lockout_subject s, int64_t now, int64_t step)
{
	unsigned n;

	for (n = 1; n <= 1000; n++, now += step)
		if (lockout_fail(l, s, now))
			return n;
	return 0;
}

static void
test_bans(void **state)
{
	static const struct {
		enum lockout_subject subject;
		unsigned failures;
	} rows[] = { { LOCKOUT_ADDRESS, 10 }, { LOCKOUT_NETWORK, 50 }, { LOCKOUT_ACCOUNT, 30 }, { LOCKOUT_PAIR, 0 } };
	struct lockout l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		l = (struct lockout){ 0 };
		assert_int_equal(fail_until_banned(&l, rows[i].subject, NOW, 1), rows[i].failures);
		l = (struct lockout){ 0 }; /* one an hour and a bit is a person's */
		assert_int_equal(fail_until_banned(&l, rows[i].subject, NOW, 3601), 0);
	}
}

static void
test_bans_grow(void **state)
{
	static const uint32_t seconds[] = { 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 86400, 86400 };
	struct lockout l = { 0 };
	int64_t now = NOW;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		assert_int_equal(lockout_left(&l, now), 0);
		assert_int_equal(fail_until_banned(&l, LOCKOUT_ADDRESS, now, 0), 10);
		assert_int_equal(lockout_left(&l, now), seconds[i]);
		assert_int_equal(lockout_left(&l, now + seconds[i] - 1), 1);
		assert_true(lockout_expires(&l) >= now + seconds[i]);
		now += seconds[i];
	}
}

/* What was counted while the clock was a year ahead is forgotten when it is right; by a little it may be off. */
static void
test_clock_set_back(void **state)
{
	struct lockout l = { 0 };
	const int64_t ahead = NOW + 365 * 86400;

	(void)state;
	assert_int_equal(fail_until_banned(&l, LOCKOUT_ADDRESS, ahead, 0), 10);
	assert_int_equal(lockout_left(&l, ahead - 60), 660);
	assert_int_equal(lockout_left(&l, NOW), 0);
	l.failures = 9;
	assert_int_equal(lockout_failures(&l, NOW), 0);
	assert_int_equal(fail_until_banned(&l, LOCKOUT_ADDRESS, NOW, 0), 10);
	assert_int_equal(lockout_left(&l, NOW), 1200);
}

static void
test_known(void **state)
{
	struct lockout l = { 0 };
	unsigned i;

	(void)state;
	assert_false(lockout_knows(&l, NOW));
	lockout_pass(&l, NOW);
	assert_true(lockout_knows(&l, NOW + 60 * 86400));
	assert_false(lockout_knows(&l, NOW + 60 * 86400 + 1));
	for (i = 0; i < 19; i++)
		lockout_fail(&l, LOCKOUT_PAIR, NOW);
	assert_true(lockout_knows(&l, NOW));
	lockout_fail(&l, LOCKOUT_PAIR, NOW);
	assert_false(lockout_knows(&l, NOW));       /* so many are a guesser behind the same address */
	assert_true(lockout_knows(&l, NOW + 3601)); /* until he gives up, */
	lockout_pass(&l, NOW);                      /* or the owner was here */
	assert_true(lockout_knows(&l, NOW));
}

static void
test_delays(void **state)
{
	static const uint32_t seconds[] = { 0, 1, 2, 4, 8, 16, 30, 30 };
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++)
		assert_int_equal(lockout_delay(i), seconds[i]);
	assert_int_equal(lockout_delay(UINT32_MAX), 30);
}

static void
test_networks(void **state)
{
	struct ip v4, v6;

	(void)state;
	assert_true(ip_parse("192.0.2.77", &v4) && ip_parse("2001:db8:1:2:3:4:5:6", &v6));
	assert_string_equal(lockout_net_text(LOCKOUT_ADDRESS, &v4).s, "192.0.2.77");
	assert_string_equal(lockout_net_text(LOCKOUT_NETWORK, &v4).s, "192.0.2.0/24");
	assert_string_equal(lockout_net_text(LOCKOUT_ADDRESS, &v6).s, "2001:db8:1:2::/64");
	assert_string_equal(lockout_net_text(LOCKOUT_NETWORK, &v6).s, "2001:db8:1::/48");
}

static void
test_on_disk(void **state)
{
	struct lockout l = { .failures = 3, .bans = 2, .last = NOW, .until = NOW + 5, .passed = 7 }, back;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	lockout_encode(&b, &l);
	assert_true(lockout_decode(b.data, b.len, &back));
	assert_memory_equal(&back, &l, sizeof(l));
	for (i = 0; i < b.len; i++)
		assert_false(lockout_decode(b.data, i, &back));
	b.data[0] = 9; /* of a later version */
	assert_false(lockout_decode(b.data, b.len, &back));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_bans_grow),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
