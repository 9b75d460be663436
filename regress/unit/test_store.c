/*
 * Units of the store: what it takes it keeps, tells, and gives back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "regress/unit/store_checks.h"
#include "regress/unit/store_world.h"

#define MEGABYTE (1 << 20)

/* --- adding, reading, finishing --- */

static void
test_add_and_reopen(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 10000, STORE_INLINE_MAX };
	struct world w;
	uint64_t id;

	(void)state;
	world_new(&w);
	assert_int_equal(w.found, 0);
	for (id = 1; id <= 6; id++) {
		assert_non_null(add(&w, id, sizes[id - 1]));
		assert_there(&w, id);
	}
	assert_int_equal(stats(&w).messages, 6);
	assert_int_equal(stats(&w).recipients, 6);
	world_restart(&w);
	assert_int_equal(w.found, 6);
	assert_int_equal(stats(&w).messages, 6);
	for (id = 1; id <= 6; id++)
		assert_there(&w, id);
	assert_string_equal(store_find(w.store, 3)->recipients[0].address, "user3@example.net");
	finish_message(&w, 3);
	assert_null(store_find(w.store, 3));
	world_restart(&w);
	assert_int_equal(w.found, 5);
	assert_null(store_find(w.store, 3));
	world_end(&w);
}

static void
test_add_refuses(void **state)
{
	struct envelope *env = new_envelope(1, 5);
	struct evbuffer *content = evbuffer_new();
	struct world w;
	struct wait wait = { 0 };

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 5));
	evbuffer_add(content, "12345", 5);
	assert_int_equal(store_add(w.store, env, content, wait_done, &wait), -1); /* not new */
	env->id = 0;
	assert_int_equal(store_add(w.store, env, content, wait_done, &wait), -1);
	env->id = 2;
	envelope_set(&env->recipients[0].address, "");
	assert_int_equal(store_add(w.store, env, content, wait_done, &wait), -1);
	envelope_set(&env->recipients[0].address, "a@b");
	fill_content(content, 2, STORE_INLINE_MAX);
	assert_int_equal(store_add(w.store, env, content, wait_done, &wait), -1);
	envelope_free(env); /* it stayed ours */
	evbuffer_free(content);
	assert_false(wait.done);
	world_end(&w);
}

/* Nobody sees a message before it is acknowledged, and DONE never comes from inside the call. */
static void
test_not_before_done(void **state)
{
	struct world w;
	struct wait wait;

	(void)state;
	world_new(&w);
	begin_add(&w, 1, 100, &wait);
	assert_false(wait.done);
	assert_null(store_find(w.store, 1));
	assert_int_equal(stats(&w).messages, 0);
	assert_non_null(await(&w, &wait));
	assert_non_null(store_find(w.store, 1));
	/* closing tells what is left to tell */
	begin_add(&w, 2, 100, &wait);
	world_stop(&w);
	assert_true(wait.done);
	assert_int_equal(wait.error, 0);
	world_start(&w);
	assert_int_equal(w.found, 2);
	world_end(&w);
}

static void
test_fresh(void **state)
{
	struct world w;
	unsigned long reads;
	uint64_t id;

	(void)state;
	world_new(&w);
	journal_sizes.fresh = 40000;
	for (id = 1; id <= 8; id++)
		assert_non_null(add(&w, id, 8000));
	reads = seam_count(SEAM_READ);
	assert_there(&w, 8);
	assert_there(&w, 5);
	assert_int_equal(seam_count(SEAM_READ), reads);
	assert_there(&w, 1); /* too old */
	assert_true(seam_count(SEAM_READ) > reads);
	finish_message(&w, 8);
	for (id = 9; id <= 20; id++)
		assert_non_null(add(&w, id, 8000));
	for (id = 1; id <= 20; id++)
		if (id != 8)
			assert_there(&w, id);
	world_end(&w);
}

static bool
visit(struct envelope *env, void *arg)
{
	uint64_t *last = arg;

	assert_true(env->id > *last);
	*last = env->id;
	return env->id < 30;
}

static void
test_each(void **state)
{
	static const uint64_t ids[] = { 20, 50, 10, 40, 30 };
	struct world w;
	uint64_t last = 0;
	size_t i;

	(void)state;
	world_new(&w);
	for (i = 0; i < 5; i++)
		assert_non_null(add(&w, ids[i], 10));
	store_each(w.store, visit, &last);
	assert_int_equal(last, 30);
	world_end(&w);
}

/* --- outcomes --- */

static void
test_outcomes(void **state)
{
	struct world w;
	struct envelope *env;

	(void)state;
	world_new(&w);
	assert_non_null(env = add(&w, 1, 10));
	envelope_set(&env->recipients[0].reason, "451 4.7.1 later");
	envelope_set(&env->recipients[0].host, "mx.example.net[192.0.2.1]");
	env->recipients[0].attempts = 1;
	env->recipients[0].due = 12345;
	store_update(w.store, env, 0);
	world_restart(&w);
	env = store_find(w.store, 1);
	assert_string_equal(env->recipients[0].reason, "451 4.7.1 later");
	assert_int_equal(env->recipients[0].attempts, 1);
	assert_int_equal(env->recipients[0].due, 12345);
	assert_int_equal(stats(&w).recipients, 1);
	env->recipients[0].state = RECIPIENT_DELIVERED;
	envelope_set(&env->recipients[0].reason, NULL);
	store_update(w.store, env, 0);
	assert_int_equal(stats(&w).recipients, 0);
	world_restart(&w);
	assert_int_equal(w.found, 1); /* delivered, but nobody said finish */
	env = store_find(w.store, 1);
	assert_true(envelope_finished(env));
	assert_null(env->recipients[0].reason);
	assert_int_equal(stats(&w).recipients, 0);
	world_end(&w);
}

static void
test_whole_envelope(void **state)
{
	struct world w;
	struct envelope *env;
	struct wait wait = { 0 };
	char address[32];
	uint32_t n;
	int i;

	(void)state;
	world_new(&w);
	assert_non_null(env = add(&w, 1, 10));
	env->recipients[0].state = RECIPIENT_EXPANDED;
	for (i = 0; i < 3000; i++) { /* one record, larger than a segment of this test */
		snprintf(address, sizeof(address), "member%d@example.net", i);
		n = envelope_add_recipient(env, address, "list@example.net", 0);
		env->recipients[n].parent = 0;
	}
	store_update_all(w.store, env, wait_done, &wait);
	assert_false(wait.done);
	assert_ptr_equal(await(&w, &wait), env);
	assert_int_equal(stats(&w).recipients, 3000);
	env->recipients[2999].state = RECIPIENT_FAILED;
	store_update(w.store, env, 2999);
	env->held = true;
	store_update_all(w.store, env, NULL, NULL);
	env->recipients[2998].state = RECIPIENT_FAILED;
	store_update(w.store, env, 2998);
	world_restart(&w);
	env = store_find(w.store, 1);
	assert_int_equal(env->recipients_n, 3001);
	assert_true(env->held);
	assert_int_equal(env->recipients[2999].state, RECIPIENT_FAILED);
	assert_int_equal(env->recipients[2998].state, RECIPIENT_FAILED);
	assert_int_equal(env->recipients[1].parent, 0);
	assert_int_equal(stats(&w).recipients, 2998);
	assert_int_equal(check_content(&w, env), 0);
	world_end(&w);
}

/* --- group commit --- */

static void
test_group_commit(void **state)
{
	struct world w;
	struct wait waits[41];
	unsigned long flushes;
	unsigned i;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1000, 10));
	await_keeper();
	flushes = stats(&w).flushes;
	seam_hold(SEAM_SYNC, true);
	begin_add(&w, 1, 100, &waits[0]);
	event_base_loop(w.base, EVLOOP_NONBLOCK);
	seam_await(SEAM_SYNC, ULONG_MAX); /* the first is being flushed */
	for (i = 1; i <= 40; i++)
		begin_add(&w, i + 1, 100, &waits[i]);
	event_base_loop(w.base, EVLOOP_NONBLOCK);
	for (i = 0; i <= 40; i++)
		assert_false(waits[i].done);
	seam_hold(SEAM_SYNC, false);
	assert_non_null(await(&w, &waits[0]));
	for (i = 1; i <= 40; i++)
		assert_non_null(await(&w, &waits[i]));
	assert_int_equal(stats(&w).flushes - flushes, 2);
	world_end(&w);
}

/* Outcomes are written without being asked twice, but cause no flush; the next one covers them. */
static void
test_outcomes_cause_no_flush(void **state)
{
	struct world w;
	unsigned long flushes, writes;
	uint64_t id;

	(void)state;
	world_new(&w);
	for (id = 1; id <= 10; id++)
		assert_non_null(add(&w, id, 10));
	flushes = stats(&w).flushes;
	for (id = 1; id <= 9; id++) {
		writes = seam_count(SEAM_WRITE);
		finish_message(&w, id);
		event_base_loop(w.base, EVLOOP_NONBLOCK);
		seam_await(SEAM_WRITE, writes + 1);
	}
	assert_int_equal(stats(&w).flushes, flushes);
	assert_non_null(add(&w, 11, 10));
	assert_int_equal(stats(&w).flushes, flushes + 1);
	world_end(&w);
}

/* ... or, when no message comes, one of their own after a while. */
static void
test_lingering(void **state)
{
	struct world w;
	unsigned long flushes;

	(void)state;
	world_new(&w);
	journal_sizes.linger_ms = 1;
	assert_non_null(add(&w, 1, 10));
	flushes = stats(&w).flushes;
	finish_message(&w, 1);
	while (stats(&w).live_bytes > 0)
		event_base_loop(w.base, EVLOOP_ONCE);
	assert_int_equal(stats(&w).flushes, flushes + 1);
	world_end(&w);
}

/* --- what the journal still has --- */

struct told {
	bool done;
	unsigned n;
	enum history_kind kinds[64];
	uint16_t attempts[64];
};

static void
on_history(const struct history *h, void *arg)
{
	struct told *told = arg;

	assert_true(told->n < 64 && !told->done);
	told->kinds[told->n] = h->kind;
	told->attempts[told->n++] = h->env->recipients[h->index].attempts;
	/* the messages of these tests were accepted in 1970 */
	assert_true(h->kind == HISTORY_BEFORE || h->kind == HISTORY_ACCEPTED || h->time > 0);
}

static void
history_done(void *arg)
{
	((struct told *)arg)->done = true;
}

static struct told
history(struct world *w, uint64_t id)
{
	struct told told = { .done = false };

	store_history(w->store, id, on_history, history_done, &told);
	assert_false(told.done || told.n > 0); /* not from inside the call */
	while (!told.done)
		event_base_loop(w->base, EVLOOP_ONCE);
	return told;
}

static void
assert_history(struct world *w, uint64_t id, const enum history_kind *kinds, unsigned n)
{
	struct told told = history(w, id);

	assert_int_equal(told.n, n);
	assert_memory_equal(told.kinds, kinds, n * sizeof(*kinds));
}

/* In the open segment, in closed ones by their index, after a restart, when it is finished; and what
 * compaction has moved begins anew. */
static void
test_history(void **state)
{
	static const enum history_kind all[] = { HISTORY_ACCEPTED, HISTORY_OUTCOME, HISTORY_CHANGED,
		HISTORY_OUTCOME, HISTORY_FINISHED };
	static const enum history_kind moved[] = { HISTORY_BEFORE, HISTORY_OUTCOME };
	struct world w;
	struct envelope *env;
	uint64_t id = 10, number;

	(void)state;
	world_new(&w);
	assert_non_null(env = add(&w, 1, 2000));
	env->recipients[0].attempts = 1;
	store_update(w.store, env, 0);
	store_update_all(w.store, env, NULL, NULL);
	assert_non_null(add(&w, 2, 2000));
	assert_history(&w, 1, all, 3);
	assert_int_equal(history(&w, 1).attempts[1], 1);
	assert_history(&w, 77, NULL, 0);
	number = segment_of_message(&w, 1);
	finish_message(&w, 1);
	assert_non_null(add(&w, 3, 2000));
	assert_history(&w, 1, all, 5);
	world_restart(&w);
	assert_history(&w, 1, all, 5);
	while (segment_of_message(&w, 2) == number) {
		assert_non_null(add(&w, ++id, 3000));
		finish_message(&w, id);
		settle(&w);
	}
	env = store_find(w.store, 2);
	env->recipients[0].attempts = 3;
	store_update(w.store, env, 0);
	assert_non_null(add(&w, ++id, 10));
	assert_history(&w, 2, moved, 2);
	assert_history(&w, 1, NULL, 0);
	world_end(&w);
}

/* --- opening --- */

/* Want of descriptors at the start is no reason to set mail aside. */
static void
test_open_fails_clean(void **state)
{
	static const struct {
		enum seam_op op;
		int error;
	} cases[] = { { SEAM_OPEN, EMFILE }, { SEAM_OPEN, EACCES }, { SEAM_READ, ENOMEM } };
	struct world w;
	char *why;
	size_t i;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 2000));
	world_stop(&w);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		seam_fail(cases[i].op, cases[i].error, 0, 1);
		world_open(&w, &why);
		assert_null(w.store);
		assert_non_null(strstr(why, strerror(cases[i].error)));
		free(why);
		world_start(&w);
		assert_there(&w, 1);
		assert_int_equal(w.found, 1);
		world_stop(&w);
	}
	world_end(&w);
}

static void
test_lock(void **state)
{
	struct world w, other;
	char *why;

	(void)state;
	world_new(&w);
	other = w;
	world_open(&other, &why);
	assert_null(other.store);
	assert_non_null(strstr(why, "in use"));
	free(why);
	world_end(&w);
}

/* --- large contents --- */

static void
test_large(void **state)
{
	struct world w;
	char path[256];

	(void)state;
	world_new(&w);
	assert_non_null(add_large(&w, 1, MEGABYTE));
	assert_non_null(add_large(&w, 2, 10)); /* small is allowed */
	assert_there(&w, 1);
	assert_there(&w, 2);
	assert_int_not_equal(store_content_create(w.store, 3), -1);
	close(store_content_create(w.store, 4));
	assert_int_equal(store_content_create(w.store, 4), -1);
	assert_int_equal(errno, EEXIST);
	store_content_discard(w.store, 4);
	assert_becomes(&w, count_files(&w, "content", "") == 3);
	world_restart(&w);
	assert_int_equal(count_files(&w, "content", ""), 2); /* 3 never came */
	assert_there(&w, 1);
	finish_message(&w, 1);
	assert_becomes(&w, count_files(&w, "content", "") == 1);
	/* a crash between rename and record */
	snprintf(path, sizeof(path), "%s/content/0000000000009", w.dir);
	write_file(path, "orphan", 6);
	world_restart(&w);
	assert_int_equal(count_files(&w, "content", ""), 1);
	assert_there(&w, 2);
	/* a file that lost its end */
	snprintf(path, sizeof(path), "%s/content/0000000000002", w.dir);
	assert_int_equal(truncate(path, 9), 0);
	assert_int_equal(check_content(&w, store_find(w.store, 2)), -EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(check_content(&w, store_find(w.store, 2)), -ENOENT);
	world_end(&w);
}

/* --- small files --- */

struct writing {
	bool over;
	int error;
};

static void
on_written(int error, void *arg)
{
	*(struct writing *)arg = (struct writing){ true, error };
}

static int
write_small(struct world *w, const char *text)
{
	struct writing writing = { 0 };
	struct buf bytes = { 0 };

	buf_adds(&bytes, text);
	store_write_file(w->store, "small", &bytes, on_written, &writing);
	buf_free(&bytes);
	while (!writing.over)
		event_base_loop(w->base, EVLOOP_ONCE);
	return writing.error;
}

static void
assert_small(struct world *w, const char *text)
{
	struct buf bytes = { 0 };

	assert_int_equal(store_read_file(w->store, "small", &bytes), 0);
	assert_string_equal(buf_str(&bytes), text);
	buf_free(&bytes);
}

/* The one or the other, whichever call fails. */
static void
test_small_file(void **state)
{
	static const enum seam_op ops[] = { SEAM_OPEN, SEAM_WRITE, SEAM_SYNC, SEAM_RENAME, SEAM_SYNC_NAMES };
	struct buf bytes = { 0 };
	struct world w;
	size_t i, len;
	char *path, *data;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 100));
	await_keeper(); /* that the faults are ours */
	assert_int_equal(store_read_file(w.store, "small", &bytes), -ENOENT);
	assert_int_equal(write_small(&w, "one"), 0);
	assert_small(&w, "one");
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		seam_fail(ops[i], ENOSPC, 0, 1);
		assert_int_equal(write_small(&w, "two"), -ENOSPC);
		if (ops[i] != SEAM_SYNC_NAMES) /* it has its name by then */
			assert_small(&w, "one");
	}
	assert_int_equal(write_small(&w, ""), 0);
	assert_small(&w, "");
	assert_int_equal(write_small(&w, "three"), 0);
	world_restart(&w);
	assert_small(&w, "three");
	/* one that the disk has damaged is none */
	path = xasprintf("%s/small", w.dir);
	data = read_file(path, &len);
	for (i = 0; i < len; i++) {
		data[i] ^= 4;
		write_file(path, data, len);
		assert_int_equal(store_read_file(w.store, "small", &bytes), -EBADMSG);
		data[i] ^= 4;
		write_file(path, data, i);
		assert_int_equal(store_read_file(w.store, "small", &bytes), -EBADMSG);
	}
	free(data);
	free(path);
	buf_free(&bytes);
	world_end(&w);
}

static void
test_check_room(void **state)
{
	struct world w;
	unsigned long asked;

	(void)state;
	world_new(&w);
	assert_int_equal(store_check_room(w.store, 50 * MEGABYTE), 0);
	asked = seam_count(SEAM_STATVFS);
	assert_int_equal(store_check_room(w.store, 50 * MEGABYTE), 0);
	assert_int_equal(seam_count(SEAM_STATVFS), asked); /* cached */
	assert_int_equal(store_check_room(w.store, UINT64_MAX), ENOSPC);
	world_stop(&w);
	seam.vfs.f_favail = 3;
	world_start(&w);
	assert_int_equal(store_check_room(w.store, 1), ENOSPC);
	world_stop(&w);
	seam.vfs.f_files = seam.vfs.f_favail = 0; /* as btrfs */
	world_start(&w);
	assert_int_equal(store_check_room(w.store, 1), 0);
	world_stop(&w);
	seam.vfs.f_bavail = 2000;
	world_start(&w);
	assert_int_equal(store_check_room(w.store, 0), ENOSPC);
	world_stop(&w);
	seam.vfs.f_blocks = 10000; /* a small disk */
	world_start(&w);
	assert_int_equal(store_check_room(w.store, 100000), 0);
	world_stop(&w);
	seam.vfs.f_bavail = 1200;
	world_start(&w);
	assert_int_equal(store_check_room(w.store, 0), ENOSPC);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_reopen),
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_not_before_done),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_whole_envelope),
		cmocka_unit_test(test_group_commit),
		cmocka_unit_test(test_outcomes_cause_no_flush),
		cmocka_unit_test(test_lingering),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_open_fails_clean),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_small_file),
		cmocka_unit_test(test_check_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
