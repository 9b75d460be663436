/*
 * Whose fault it is: the window over callers, the test entries of lists (RFC 5782 5), runs of equal
 * answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "filters/breaker.h"
#include "lib/dns.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* One network with a broken zone, however often it calls, breaks nothing. */
static void
test_one_network(void **state)
{
	struct breaker b = { .n = 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(breaker_note(&b, 7, true), BREAKER_SAME);
	assert_false(b.broken);
}

static void
test_most(void **state)
{
	struct breaker b = { .n = 0 };
	unsigned i;

	(void)state;
	for (i = 1; i < BREAKER_LEAST; i++)
		assert_int_equal(breaker_note(&b, i, true), BREAKER_SAME);
	assert_int_equal(breaker_note(&b, i, true), BREAKER_BROKE);
	assert_int_equal(breaker_note(&b, 100, true), BREAKER_SAME);
	/* nine fail; as many must answer */
	for (i = 200; i < 207; i++)
		assert_int_equal(breaker_note(&b, i, false), BREAKER_SAME);
	assert_int_equal(breaker_note(&b, 1, false), BREAKER_MENDED);
	assert_false(b.broken);
}

/* A third that fails is the world as it is. */
static void
test_some(void **state)
{
	struct breaker b = { .n = 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(breaker_note(&b, i, i % 3 == 0), BREAKER_SAME);
}

static void
test_trip(void **state)
{
	struct breaker b = { .n = 0 };

	(void)state;
	assert_int_equal(breaker_trip(&b), BREAKER_BROKE);
	assert_int_equal(breaker_trip(&b), BREAKER_SAME);
	assert_int_equal(breaker_note(&b, 1, true), BREAKER_SAME);
	assert_int_equal(breaker_note(&b, 2, false), BREAKER_MENDED);
}

static void
test_judge(void **state)
{
	static const struct {
		enum list_entry must_be, must_not_be;
		enum list_state state;
	} cases[] = {
		{ ENTRY_LISTED, ENTRY_ABSENT, LIST_WELL },
		{ ENTRY_LISTED, ENTRY_LISTED, LIST_ALL },
		{ ENTRY_ABSENT, ENTRY_ABSENT, LIST_NONE },
		{ ENTRY_ABSENT, ENTRY_LISTED, LIST_ALL },
		{ ENTRY_ODD, ENTRY_ODD, LIST_ODD },
		{ ENTRY_LISTED, ENTRY_ODD, LIST_ODD },
		{ ENTRY_SILENT, ENTRY_ABSENT, LIST_SILENT },
		{ ENTRY_LISTED, ENTRY_SILENT, LIST_SILENT },
		{ ENTRY_OUTAGE, ENTRY_SILENT, LIST_UNPROVEN },
		{ ENTRY_LISTED, ENTRY_OUTAGE, LIST_UNPROVEN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		assert_int_equal(list_judge(cases[i].must_be, cases[i].must_not_be), cases[i].state);
	assert_string_equal(list_state_name(LIST_ALL), "lists-everybody");
}

static void
test_entries(void **state)
{
	struct dns_record listed = { .ip = { AF_INET, { 127, 0, 0, 2 } } }, odd = { .ip = { AF_INET, { 192, 0, 2, 1 } } };
	const struct {
		struct dns_answer answer;
		enum list_entry entry;
	} cases[] = {
		{ { .status = DNS_OK, .records_n = 1, .records = &listed }, ENTRY_LISTED },
		{ { .status = DNS_OK, .records_n = 1, .records = &odd }, ENTRY_ODD },
		{ { .status = DNS_NXDOMAIN }, ENTRY_ABSENT },
		{ { .status = DNS_NODATA }, ENTRY_ABSENT },
		{ { .status = DNS_TEMP }, ENTRY_SILENT },
		{ { .status = DNS_TEMP, .outage = true }, ENTRY_OUTAGE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		assert_int_equal(list_entry(&cases[i].answer), cases[i].entry);
}

/* A run of the same answers makes us look, again and again while it lasts. */
static void
test_runs(void **state)
{
	struct list_record r = { 0 };
	unsigned i, looks = 0;

	(void)state;
	for (i = 0; i < 150; i++)
		looks += list_note(&r, DNSBL_LISTED);
	assert_int_equal(looks, 3);
	for (i = 0; i < 999; i++)
		assert_false(list_note(&r, DNSBL_NOT_LISTED));
	assert_true(list_note(&r, DNSBL_NOT_LISTED));
	assert_false(list_note(&r, DNSBL_FAILED));
	assert_false(list_note(&r, DNSBL_FAILED));
	assert_false(list_note(&r, DNSBL_LISTED));
	for (i = 0; i < 2; i++)
		assert_false(list_note(&r, DNSBL_FAILED));
	assert_true(list_note(&r, DNSBL_FAILED));
	assert_int_equal(r.asked, 150 + 1000 + 6);
	assert_int_equal(r.listed, 151);
	assert_int_equal(r.failed, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_network),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_some),
		cmocka_unit_test(test_trip),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
