/*
 * A wall clock that is set by a year, there and back, while the queue waits, and over a restart: nobody is given up for an age
 * that he has not, nobody waits for a time that will not come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/calendar.h"
#include "regress/unit/child.h"
#include "regress/unit/queue_world.h"

#define SENDER "alice@sender.test"
#define DAY 86400
#define YEAR (365 * DAY)

static void
set_clock(int64_t seconds)
{
	world.set += seconds;
	world.now += seconds;
}

/* Pure: what lies ahead. */
static void
pulls_back(void **state)
{
	static const struct {
		int64_t time, release, due;
		uint16_t attempts;
		int64_t expires_after, release_after, due_after; /* of a life of 5 days */
	} cases[] = {
		{ 1000000, 0, 1000600, 1, 1432000, 0, 1000600 },
		/* a clock that is a little off */
		{ 1000200, 0, 1000200, 0, 1432200, 0, 1000200 },
		/* put off while the clock was ahead */
		{ 900000, 0, 1000000 + YEAR, 3, 1332000, 0, 1000000 },
		/* somebody said so */
		{ 900000, 0, 1000000 + YEAR, 0, 1332000, 0, 1000000 + YEAR },
		{ 900000, 1000000 + YEAR, 1000000 + YEAR, 0, 1332000, 1000000 + YEAR, 1000000 + YEAR },
		/* accepted while the clock was ahead */
		{ 1000000 + YEAR, 0, 1000000 + YEAR, 0, 1432000, 0, 1000000 },
		{ 1000000 + YEAR, 1003600 + YEAR, 1003600 + YEAR, 0, 1432000, 1003600, 1003600 },
	};
	struct envelope *env;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env = new_envelope(SENDER, "a@b.test", 0);
		env->time = cases[i].time;
		env->release = cases[i].release;
		env->expires = env->time + 5 * DAY;
		env->recipients[0].due = cases[i].due;
		env->recipients[0].attempts = cases[i].attempts;
		calendar_pull_back(env, 1000000, DAY);
		if (env->expires != cases[i].expires_after || env->release != cases[i].release_after ||
		    env->recipients[0].due != cases[i].due_after)
			fail_msg("case %zu: expires %lld release %lld due %lld", i, (long long)env->expires,
			    (long long)env->release, (long long)env->recipients[0].due);
		assert_false(calendar_pull_back(env, 1000000, DAY));
		envelope_free(env);
	}
}

/* While it runs. */
static void
goes_on(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	submit(SENDER, "temp@before.test host@dead.test", 0);
	until(is_told("queue show to=temp@before.test", "Not now"));
	until(is_told("queue show to=temp@before.test", "Connection refused"));
	set_clock(YEAR);
	until(is_told("queue show to=temp@before.test", "attempts=2"));
	submit(SENDER, "temp@wrong.test busy@pause.test", 0);
	until(is_told("queue show to=temp@wrong.test", "attempts=1"));
	world.now += 3600;
	until(is_told("queue show to=temp@before.test", "attempts=3"));
	settle();
	/* not even a word of delay */
	assert_int_equal(reached(SENDER), told);
	set_clock(-YEAR);
	until(is_told("queue show to=temp@before.test", "attempts=4"));
	until(is_told("queue show to=temp@wrong.test", "attempts=3"));
	world.now += 3 * 3600;
	until(is_told("queue show to=temp@wrong.test", "attempts=4"));
	settle();
	assert_int_equal(reached(SENDER), told);
	/* and all of it ends as if nothing had been, the one from the wrong year as well */
	world.now += 5 * DAY;
	until(is_empty());
	assert_int_equal(reached(SENDER), told + 2);
}

/* The machine slept, and it is really a week later: it is tried for some hours before it is given up. */
static void
sleeps(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	submit(SENDER, "temp@slept.test", NOTIFY_FAILURE);
	until(is_told("queue show to=temp@slept.test", "attempts=1"));
	set_clock(7 * DAY);
	until(is_told("queue show to=temp@slept.test", "attempts=2"));
	world.now += 5 * 3600;
	until(is_told("queue show to=temp@slept.test", "attempts=3"));
	settle();
	assert_int_equal(reached(SENDER), told);
	world.now += 3 * 3600;
	until(reached(SENDER) == told + 1);
	until(is_empty());
}

/* --- over a restart --- */

static int
life_in_a_wrong_year(void *arg)
{
	(void)arg;
	world.now = WORLD_START + YEAR;
	begin_world();
	submit(SENDER, "temp@one.test", 0);
	until(is_told("queue show to=temp@one.test", "attempts=1"));
	submit(SENDER, "ok@flush.test", 0);
	until(reached("ok@flush.test") == 1);
	_exit(0);
}

static int
right_life(void *arg)
{
	(void)arg;
	world.now = WORLD_START;
	begin_world();
	world.healed = true;
	world.now += 2 * 3600;
	until(reached("temp@one.test") == 1);
	world.healed = false;
	submit(SENDER, "temp@two.test", NOTIFY_FAILURE);
	until(is_told("queue show to=temp@two.test", "attempts=1"));
	submit(SENDER, "ok@flush.test", 0);
	until(reached("ok@flush.test") == 1);
	_exit(0);
}

static int
life_ahead(void *arg)
{
	(void)arg;
	world.now = WORLD_START + YEAR;
	begin_world();
	until(is_told("queue show to=temp@two.test", "attempts=2"));
	settle();
	if (reached(SENDER) != 0)
		_exit(99);
	submit(SENDER, "ok@flush.test", 0);
	until(reached("ok@flush.test") == 1);
	_exit(0);
}

static int
last_life(void *arg)
{
	(void)arg;
	world.now = WORLD_START + 3 * 3600;
	begin_world();
	world.healed = true;
	world.now += 2 * 3600;
	until(reached("temp@two.test") == 1);
	until(is_empty());
	_exit(0);
}

static void
begins_again(void **state)
{
	static int (*const lives[])(void *) = { life_in_a_wrong_year, right_life, life_ahead, last_life };
	static char err[CHILD_STDERR_MAX];
	size_t i;

	(void)state;
	strcpy(world.dir, "/tmp/genkan-queue.XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	for (i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		int status = child_run(lives[i], NULL, err);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("life %zu: status %d\n%s", i + 1, status, err);
	}
	remove_tree(world.dir);
	world.dir[0] = '\0';
}

static int
begin(void **state)
{
	(void)state;
	begin_world();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	remove_tree(world.dir);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest lives[] = { cmocka_unit_test(begins_again) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pulls_back),
		cmocka_unit_test(goes_on),
		cmocka_unit_test(sleeps),
	};
	int failed = cmocka_run_group_tests_name("calendar, over restarts", lives, NULL, NULL);

	return failed + cmocka_run_group_tests_name("calendar", tests, begin, end);
}
