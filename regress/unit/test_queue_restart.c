/*
 * What the queue role remembers when it ends without a word: each life is a child process on the
 * same store, among the peers of queue_world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/pause.h"
#include "regress/unit/child.h"
#include "regress/unit/queue_world.h"

/* Nothing is asserted in a child: cmocka's jumps end in the parent.  The exit code says which step
 * failed. */
#define need(what)                        \
	do {                              \
		if (!(what))              \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

static int
first_life(void *arg)
{
	(void)arg;
	begin_world();
	submit(SENDER, "ok@one.test temp@one.test wait@one.test", 0);
	submit(SENDER, "temp@held.test", 0);
	until(is_told("queue show to=temp@one.test", "attempts=1"));
	until(is_told("queue show to=temp@held.test", "attempts=1"));
	ctl("queue hold to=temp@held.test");
	submit(SENDER, "ok@last.test", 0); /* a flush that covers it all */
	until(reached("ok@last.test") == 1);
	need(reached("ok@one.test") == 1);
	submit(SENDER, "ok@flush.test", 0);
	_exit(0);
}

static int
second_life(void *arg)
{
	(void)arg;
	world.now = WORLD_START + 10;
	begin_world();
	/* what was under way is tried again, what was done is not, what waits still waits */
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 1);
	need(is_told("queue show to=temp@one.test", "recipient=ok@one.test state=delivered"));
	need(is_told("queue show to=temp@one.test", "reason=\"451 4.2.1 Not now\""));
	need(is_told("queue list state=held", "recipients=temp@held.test"));
	need(reached("ok@one.test") == 0 && reached("ok@last.test") == 0);
	need(world.attempts == 1 || (world.attempts == 2 && reached("ok@flush.test") == 1));
	world.healed = true;
	world.now += 1000;
	until(reached("temp@one.test") == 1);
	finish_waiting(&world.relays[0]);
	finish_waiting(&world.relays[1]);
	until(is_told("queue list", "state=held") && !is_told("queue list", "one.test"));
	ctl("queue release all");
	until(reached("temp@held.test") == 1);
	until(is_empty());
	submit(SENDER, "ok@flush.test", 0);
	until(is_empty());
	_exit(0);
}

static int
third_life(void *arg)
{
	(void)arg;
	world.now = WORLD_START + 2000;
	begin_world();
	until(is_empty());
	/* at worst the very last outcome was not on disk */
	need(world.attempts <= 1 && world.attempts == reached("ok@flush.test"));
	_exit(0);
}

/* --- what the operator has paused --- */

static int
pausing_life(void *arg)
{
	(void)arg;
	begin_world();
	need(is_told("pause out one.test", "destination_paused=\"mx one.test\""));
	ctl("pause out [192.0.2.9]");
	ctl("resume out [192.0.2.9]");
	ctl("pause local");
	submit(SENDER, "ok@one.test ok@two.test box@here.test", 0);
	until(reached("ok@two.test") == 1);
	_exit(0);
}

static int
resuming_life(void *arg)
{
	(void)arg;
	world.now = WORLD_START + 10;
	begin_world();
	submit(SENDER, "ok@three.test", 0);
	until(reached("ok@three.test") == 1);
	need(reached("ok@one.test") == 0 && world.starts == 0);
	need(!is_told("resume out one.test", "destination_paused"));
	until(reached("ok@one.test") == 1);
	need(world.starts == 0);
	need(is_told("resume local", "local_paused=no") || is_told("stats", "local_paused=false"));
	until(reached("box@here.test") == 1);
	until(is_empty());
	_exit(0);
}

static int
free_life(void *arg)
{
	(void)arg;
	world.now = WORLD_START + 20;
	begin_world();
	/* others than before, whose last outcome need not have been on disk */
	submit(SENDER, "ok-again@one.test box-again@here.test", 0);
	until(reached("ok-again@one.test") == 1 && reached("box-again@here.test") == 1);
	_exit(0);
}

/* A file that is none pauses nothing, and ends nothing. */
static int
puzzled_life(void *arg)
{
	FILE *file;

	(void)arg;
	file = fopen(xasprintf("%s/paused", world.dir), "r+");
	need(file != NULL);
	need(fputc('x', file) == 'x' && fclose(file) == 0);
	return free_life(arg);
}

static void
run_lives(int (*const *lives)(void *), size_t n)
{
	static char err[CHILD_STDERR_MAX];
	size_t i;

	strcpy(world.dir, "/tmp/genkan-queue.XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	for (i = 0; i < n; i++) {
		int status = child_run(lives[i], NULL, err);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("life %zu: status %d\n%s", i + 1, status, err);
	}
	remove_tree(world.dir);
}

static void
remembers(void **state)
{
	static int (*const lives[])(void *) = { first_life, second_life, third_life };

	(void)state;
	run_lives(lives, 3);
}

static void
stays_paused(void **state)
{
	static int (*const lives[])(void *) = { pausing_life, resuming_life, free_life };
	static int (*const others[])(void *) = { pausing_life, puzzled_life };

	(void)state;
	run_lives(lives, 3);
	run_lives(others, 2);
}

static void
reads_what_it_wrote(void **state)
{
	const char *names[] = { "mx a.example", "[192.0.2.1]:25" };
	struct paused in = { .relay = true, .n = 2, .destinations = names }, out;
	struct buf bytes = { 0 };
	size_t len;

	(void)state;
	paused_encode(&bytes, &in);
	assert_true(paused_decode(&bytes, &out));
	assert_true(out.relay && !out.local && out.n == 2);
	assert_string_equal(out.destinations[1], names[1]);
	free(out.destinations);
	for (len = bytes.len; len-- > 0;) {
		bytes.len = len;
		assert_false(paused_decode(&bytes, &out));
	}
	buf_free(&bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers),
		cmocka_unit_test(stays_paused),
		cmocka_unit_test(reads_what_it_wrote),
	};

	return cmocka_run_group_tests_name("queue_restart", tests, NULL, NULL);
}
