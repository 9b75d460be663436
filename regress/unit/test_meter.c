/*
 * The meter: a sliding window over two counts, many callers in a table of fixed size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "filters/meter.h"
#include "lib/mem.h"

#define MINUTE 60000

static struct meter *meter;

/* Different callers: the tag is in the upper half, the set in the lower. */
static uint64_t
caller(uint64_t n)
{
	return (n + 1) << 33 | n % METER_SETS;
}

static void
test_window(void **state)
{
	uint64_t start = 100 * MINUTE;
	unsigned i;

	(void)state;
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start), 0);
	for (i = 0; i < 60; i++)
		meter_add(meter, caller(1), MINUTE, start + i * 1000);
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + 59999), 60);
	assert_int_equal(meter_read(meter, caller(2), MINUTE, start + 59999), 0);
	/* the window before fades */
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + MINUTE), 60);
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + MINUTE + 15000), 45);
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + MINUTE + 59000), 1);
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + 2 * MINUTE), 0);
	/* one more in the next window keeps both */
	meter_add(meter, caller(1), MINUTE, start + MINUTE + 15000);
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + MINUTE + 15000), 46);
	/* after a pause of more than a window nothing is left */
	meter_add(meter, caller(1), MINUTE, start + 3 * MINUTE);
	assert_int_equal(meter_read(meter, caller(1), MINUTE, start + 3 * MINUTE), 1);
}

/* More callers than fit: the one seen least lately is forgotten, nobody is counted for another. */
static void
test_full(void **state)
{
	uint64_t i, n;

	(void)state;
	for (i = 0; i <= METER_WAYS; i++)
		for (n = 0; n <= i; n++)
			meter_add(meter, caller(i * METER_SETS), MINUTE, (100 + i) * MINUTE);
	assert_int_equal(meter_read(meter, caller(0), MINUTE, 100 * MINUTE), 0);
	for (i = 1; i <= METER_WAYS; i++)
		assert_int_equal(meter_read(meter, caller(i * METER_SETS), MINUTE, (100 + i) * MINUTE), i + 1);
}

static void
test_clear(void **state)
{
	(void)state;
	meter_add(meter, caller(7), MINUTE, MINUTE);
	meter_clear(meter);
	assert_int_equal(meter_read(meter, caller(7), MINUTE, MINUTE), 0);
	meter_add(meter, caller(7), MINUTE, MINUTE);
	assert_int_equal(meter_read(meter, caller(7), MINUTE, MINUTE), 1);
}

static int
begin(void **state)
{
	(void)state;
	meter = xcalloc(1, sizeof(*meter));
	return 0;
}

static int
end(void **state)
{
	(void)state;
	free(meter);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_window, begin, end),
		cmocka_unit_test_setup_teardown(test_full, begin, end),
		cmocka_unit_test_setup_teardown(test_clear, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
