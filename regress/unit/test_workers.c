/*
 * Threads for work (workers.h): what is urgent comes first, what was withdrawn does not come, and too much is refused.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "lib/workers.h"

#define MOST 3

struct letter {
	struct work work;
	char name;
};

static struct event_base *base;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* the one thread waits here while work gathers */
static pthread_barrier_t begun;
static char done[16];

static void
wait_at_gate(struct work *work)
{
	(void)work;
	pthread_barrier_wait(&begun);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void
do_nothing(struct work *work)
{
	(void)work;
}

static void
note(struct work *work)
{
	strncat(done, &((struct letter *)work)->name, 1);
	if (((struct letter *)work)->name == 'z')
		event_base_loopbreak(base);
}

static void
test_order(void **state)
{
	struct letter first = { { .run = wait_at_gate, .done = note }, '1' };
	struct letter l[] = { { { .run = do_nothing, .done = note }, 'a' }, { { .run = do_nothing, .done = note }, 'b' },
		{ { .run = do_nothing, .done = note }, 'z' }, { { .run = do_nothing, .done = note }, 'x' },
		{ { .run = do_nothing, .done = note }, 'U' }, { { .run = do_nothing, .done = note }, 'V' } };
	struct workers *w;

	(void)state;
	base = event_base_new();
	pthread_barrier_init(&begun, NULL, 2);
	pthread_mutex_lock(&gate);
	w = workers_new(base, 1, MOST);
	assert_true(workers_add(w, &first.work, false));
	pthread_barrier_wait(&begun);
	assert_false(workers_withdraw(w, &first.work));
	assert_true(workers_add(w, &l[0].work, false));
	assert_true(workers_add(w, &l[1].work, false));
	assert_true(workers_add(w, &l[2].work, false));
	assert_false(workers_add(w, &l[3].work, false));
	assert_false(workers_withdraw(w, &l[3].work));
	assert_true(workers_add(w, &l[4].work, true)); /* there is room for it all the same */
	assert_true(workers_add(w, &l[5].work, true));
	assert_true(workers_withdraw(w, &l[1].work));
	assert_false(workers_withdraw(w, &l[1].work));
	pthread_mutex_unlock(&gate);
	event_base_dispatch(base);
	assert_string_equal(done, "1UVaz");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
