/*
 * Units of queue/schedule.c: the order of what is due, retry waits, and windows of destinations as
 * tables of steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue/schedule.h"

/* --- who is due --- */

static void
takes_in_order(void **state)
{
	static const struct schedule_entry in[] = {
		{ 7, 300, 0 },
		{ 5, 100, 1 },
		{ 9, 200, 0 },
		{ 5, 100, 0 },
		{ 4, 100, 3 },
		{ 1, 400, 0 },
		{ 9, 200, 0 },
	};
	static const struct schedule_entry out[] = {
		{ 4, 100, 3 },
		{ 5, 100, 0 },
		{ 5, 100, 1 },
		{ 9, 200, 0 },
		{ 9, 200, 0 },
		{ 7, 300, 0 },
	};
	struct schedule s = { 0 };
	struct schedule_entry e;
	int64_t due;
	size_t i;

	(void)state;
	assert_false(schedule_next(&s, &due));
	for (i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		schedule_add(&s, in[i].due, in[i].message, in[i].recipient);
	assert_true(schedule_next(&s, &due));
	assert_int_equal(due, 100);
	assert_false(schedule_take(&s, 99, &e));
	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		assert_true(schedule_take(&s, 300, &e));
		assert_int_equal(e.message, out[i].message);
		assert_int_equal(e.due, out[i].due);
		assert_int_equal(e.recipient, out[i].recipient);
	}
	assert_false(schedule_take(&s, 399, &e));
	assert_true(schedule_take(&s, 400, &e));
	assert_false(schedule_next(&s, &due));
	schedule_clear(&s);
}

/* Against a plain array, with many equal times. */
static void
many(void **state)
{
	enum { N = 20000 };
	struct schedule s = { 0 };
	struct schedule_entry e;
	uint32_t counts[64] = { 0 }, last = 0;
	unsigned i, taken = 0;

	(void)state;
	assert_int_equal(sizeof(struct schedule_entry), 16);
	srandom(1);
	for (i = 0; i < N; i++) {
		uint32_t due = (uint32_t)random() % 64;

		counts[due]++;
		schedule_add(&s, due, i + 1, 0);
	}
	while (schedule_take(&s, 63, &e)) {
		assert_true(e.due >= last);
		last = e.due;
		counts[e.due]--;
		taken++;
	}
	assert_int_equal(taken, N);
	for (i = 0; i < 64; i++)
		assert_int_equal(counts[i], 0);
	/* its memory went with them */
	assert_true(s.room <= 64);
	schedule_clear(&s);
}

static void
times_are_held_to_32_bits(void **state)
{
	struct schedule s = { 0 };
	struct schedule_entry e;
	int64_t due;

	(void)state;
	schedule_add(&s, INT64_MAX, 1, 0);
	assert_true(schedule_next(&s, &due));
	assert_int_equal(due, UINT32_MAX);
	assert_false(schedule_take(&s, 1700000000, &e));
	schedule_add(&s, -5, 2, 0);
	assert_true(schedule_take(&s, 0, &e));
	assert_int_equal(e.message, 2);
	assert_true(schedule_entry_for(&e, 0));
	assert_true(schedule_entry_for(&e, -5));
	assert_false(schedule_entry_for(&e, 1));
	assert_true(schedule_take(&s, INT64_MAX, &e));
	assert_true(schedule_entry_for(&e, INT64_MAX));
	schedule_clear(&s);
}

/* --- how long to wait --- */

static void
waits_double(void **state)
{
	static const struct {
		struct retry_policy policy;
		unsigned attempts;
		uint32_t least, most;
	} cases[] = {
		{ { 300, 14400 }, 0, 270, 330 },
		{ { 300, 14400 }, 1, 270, 330 },
		{ { 300, 14400 }, 2, 540, 660 },
		{ { 300, 14400 }, 3, 1080, 1320 },
		{ { 300, 14400 }, 6, 8640, 10560 },
		{ { 300, 14400 }, 7, 12960, 15840 },
		{ { 300, 14400 }, 65535, 12960, 15840 },
		{ { 1, 4 }, 1, 1, 1 },
		{ { 0, 0 }, 5, 1, 1 },
		{ { 0, 100 }, 5, 1, 1 },
		{ { 100, 10 }, 1, 9, 11 },
		{ { UINT32_MAX, UINT32_MAX }, 9, 3865470566u, UINT32_MAX },
	};
	size_t i;
	uint64_t seed;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t low = UINT32_MAX, high = 0, wait;

		for (seed = 0; seed < 2000; seed++) {
			wait = retry_wait(&cases[i].policy, cases[i].attempts, seed);
			assert_in_range(wait, cases[i].least, cases[i].most);
			low = wait < low ? wait : low;
			high = wait > high ? wait : high;
			assert_int_equal(
			    wait, retry_wait(&cases[i].policy, cases[i].attempts, seed));
		}
		/* the jitter uses its range */
		if (cases[i].most - cases[i].least > 20 && cases[i].most < UINT32_MAX) {
			assert_true(low <= cases[i].least + (cases[i].most - cases[i].least) / 20);
			assert_true(high >= cases[i].most - (cases[i].most - cases[i].least) / 20);
		}
	}
}

/* --- windows: one letter a step ---
 * b: an attempt begins (must be allowed), B: must not be allowed; s: the oldest running one
 * succeeds; f: it fails; F: it fails, and the destination must be dead now; a: it is abandoned; w:
 * RETRY_AT comes; S: shut, O: not shut; r: it ends with the wish for a rest of 50 seconds, R: for the
 * first time. */

static const struct {
	const char *name;
	uint32_t most;
	const char *steps;
	uint32_t size; /* at the end */
} windows[] = {
	{ "begins with two", 20, "bbB", 2 },
	{ "no more than the limit", 1, "bB", 1 },
	{ "a limit of none is one", 0, "bB", 1 },
	{ "grows by one with each success", 20, "bbssbbbbB", 4 },
	{ "up to the limit", 3, "bbssbbbsssbbbB", 3 },
	{ "is halved by a failure", 20, "bbssbbbbssss" "bbbbbbbb" "f", 4 },
	{ "only once for attempts of one time", 20, "bbssbbbbssss" "bbbbbbbb" "fff", 4 },
	{ "again for later ones", 20, "bbssbbbbssss" "bbbb" "f" "ss", 6 },
	{ "one failure of two is not death", 20, "bbf" "O", 1 },
	{ "two of two are", 20, "bbfF" "SB", 1 },
	{ "a lone message fails twice", 20, "bf" "bF" "SB", 1 },
	{ "a success between forgives", 20, "bbf" "s" "bf" "O", 1 },
	{ "one probe when the time comes", 20, "bbfF" "w" "ObB", 1 },
	{ "a probe that fails", 20, "bbfF" "wbF" "SB", 1 },
	{ "a probe that succeeds", 20, "bbfF" "wbs" "ObbB", 2 },
	{ "a probe that is abandoned leaves room for another", 20, "bbfF" "wba" "ObB", 1 },
	{ "late failures say nothing new", 20, "bbs" "bb" "ffF" "S", 1 },
	{ "a late success revives", 20, "bbs" "b" "bf" "O", 1 },
	{ "a rest begins at once", 20, "bbR" "SB", 1 },
	{ "and is not prolonged by what was under way", 20, "bbs" "bb" "Rrr" "w" "ObB", 1 },
	{ "nor ended by it", 20, "bbs" "bb" "Rss" "SB", 1 },
	{ "but by the probe", 20, "bbR" "s" "wbs" "ObbB", 2 },
	{ "which may want another", 20, "bbR" "s" "wbR" "SB", 1 },
	{ "or fail", 20, "bbR" "s" "wbF" "SB", 1 },
	{ "the dead can ask for a rest", 20, "bbfF" "wbR" "SB", 1 },
	{ "abandoned ones count for nothing", 20, "bba" "bB" "aab", 2 },
};

static void
run_window(size_t n)
{
	const struct retry_policy policy = { 100, 400 };
	uint64_t tickets[64];
	unsigned first = 0, next = 0;
	struct window w;
	int64_t now = 1000;
	const char *step;

	window_init(&w, windows[n].most);
	for (step = windows[n].steps; *step != '\0'; step++) {
		switch (*step) {
		case 'b':
			assert_true(window_open(&w, now));
			tickets[next++] = window_begin(&w);
			break;
		case 'B':
			assert_false(window_open(&w, now));
			break;
		case 's':
			window_succeeded(&w, tickets[first++]);
			break;
		case 'f':
			assert_false(window_failed(&w, tickets[first++], now, &policy, 7));
			break;
		case 'F':
			assert_true(window_failed(&w, tickets[first++], now, &policy, 7));
			assert_true(w.dead);
			break;
		case 'a':
			first++;
			window_abandoned(&w);
			break;
		case 'r':
			assert_false(window_rest(&w, tickets[first++], now, 50));
			break;
		case 'R':
			assert_true(window_rest(&w, tickets[first++], now, 50));
			assert_int_equal(w.retry_at, now + 50);
			break;
		case 'w':
			now = w.retry_at;
			break;
		case 'S':
			assert_true(window_shut(&w, now));
			break;
		case 'O':
			assert_false(window_shut(&w, now));
			break;
		}
	}
	assert_int_equal(w.size, windows[n].size);
}

static void
window_steps(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		print_message("  %s\n", windows[i].name);
		run_window(i);
	}
}

/* Each death waits longer, and one success ends that. */
static void
deaths_wait_longer(void **state)
{
	static const int64_t waits[] = { 100, 200, 400, 400 };
	const struct retry_policy policy = { 100, 400 };
	struct window w;
	int64_t now = 0;
	size_t i;

	(void)state;
	window_init(&w, 1);
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_true(window_open(&w, now));
		assert_true(window_failed(&w, window_begin(&w), now, &policy, i));
		assert_in_range(w.retry_at - now, waits[i] * 9 / 10, waits[i] * 11 / 10);
		now = w.retry_at;
	}
	window_succeeded(&w, window_begin(&w));
	assert_true(window_failed(&w, window_begin(&w), now, &policy, 1));
	assert_in_range(w.retry_at - now, 90, 110);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_in_order),
		cmocka_unit_test(many),
		cmocka_unit_test(times_are_held_to_32_bits),
		cmocka_unit_test(waits_double),
		cmocka_unit_test(window_steps),
		cmocka_unit_test(deaths_wait_longer),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
