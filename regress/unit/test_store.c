/*
 * Units of the store: what it takes it keeps, over restarts, crashes, damage and errors of the
 * disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/index.h"
#include "regress/unit/store_world.h"

#define MEGABYTE (1 << 20)

/* What the keeper and compaction do takes some turns; how many is nobody's business. */
#define assert_becomes(w, condition)                             \
	do {                                                     \
		int turns_;                                      \
                                                                 \
		for (turns_ = 0; turns_ < 500 && !(condition); turns_++) \
			settle(w);                               \
		assert_true(condition);                          \
	} while (0)

/* After the first add: folder and two segments are flushed, the keeper does nothing more by
 * itself, the next call that is to fail or to wait is the flush thread's. */
static void
await_keeper(void)
{
	seam_await(SEAM_SYNC_NAMES, 3);
}

static struct store_stats
stats(struct world *w)
{
	struct store_stats s;

	store_stats(w->store, &s);
	return s;
}

static void
assert_there(struct world *w, uint64_t id)
{
	struct envelope *env = store_find(w->store, id);

	assert_non_null(env);
	assert_int_equal(check_content(w, env), 0);
}

static void
segment_path(const struct world *w, uint64_t number, char path[256])
{
	snprintf(path, 256, "%s/journal/%010llu", w->dir, (unsigned long long)number);
}

/* The number of the segment where a message's record is. */
static uint64_t
segment_of_message(struct world *w, uint64_t id)
{
	return message_find(w->store, id)->segment->number;
}

static bool
segment_exists(struct world *w, uint64_t number)
{
	char path[256];

	segment_path(w, number, path);
	return access(path, F_OK) == 0;
}

/* Adds and finishes messages until records go to a segment that is later than NUMBER. */
static void
fill_past(struct world *w, uint64_t number, uint64_t *id)
{
	uint64_t at;

	do {
		assert_non_null(add(w, ++*id, 3000));
		at = segment_of_message(w, *id);
		finish(w, *id);
	} while (at <= number);
}

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
	finish(&w, 3);
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
	finish(&w, 8);
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
		finish(&w, id);
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
	finish(&w, 1);
	while (stats(&w).live_bytes > 0)
		event_base_loop(w.base, EVLOOP_ONCE);
	assert_int_equal(stats(&w).flushes, flushes + 1);
	world_end(&w);
}

/* --- segments --- */

/* What is finished makes room, and files are used again instead of being written with zeros. */
static void
test_segments_are_used_again(void **state)
{
	struct world w;
	uint64_t id = 0;
	unsigned i;

	(void)state;
	world_new(&w);
	for (i = 0; i < 30; i++)
		fill_past(&w, i, &id);
	assert_becomes(&w, stats(&w).segments <= 3);
	assert_becomes(&w, count_files(&w, "journal", "") <= 7);
	assert_becomes(&w, count_files(&w, "journal", "spare.") > 0);
	world_restart(&w);
	assert_int_equal(w.found, 0);
	assert_non_null(add(&w, ++id, 10));
	assert_becomes(&w, count_files(&w, "journal", "") <= 7);
	world_end(&w);
}

/*
 * The rule of compact.c: message 1 is finished in a later segment than its own, whose other
 * message stays.  That later segment has nothing alive in it, and must outlive the first all the
 * same.
 */
static void
test_finish_outlives_message(void **state)
{
	struct world w, old;
	uint64_t id = 10, first, second;

	(void)state;
	world_new(&w);
	journal_sizes.slack = 1 << 30; /* no compaction */
	assert_non_null(add(&w, 1, 100));
	assert_non_null(add(&w, 2, 100));
	first = segment_of_message(&w, 1);
	fill_past(&w, first, &id);
	finish(&w, 1); /* the statement is in the second segment */
	assert_non_null(add(&w, ++id, 100));
	second = segment_of_message(&w, id);
	assert_true(second > first);
	finish(&w, id);
	fill_past(&w, second + 3, &id);
	settle(&w);
	assert_true(segment_exists(&w, first));
	assert_true(segment_exists(&w, second));
	world_crash(&w, &old);
	assert_null(store_find(w.store, 1));
	assert_there(&w, 2);
	/* after the restart the needs are known again */
	fill_past(&w, second + 6, &id);
	settle(&w);
	assert_true(segment_exists(&w, first));
	assert_true(segment_exists(&w, second));
	/* and when the first may go, so may the second */
	finish(&w, 2);
	fill_past(&w, second + 9, &id);
	assert_becomes(&w, !segment_exists(&w, first));
	assert_becomes(&w, !segment_exists(&w, second));
	world_end(&w);
	world_end(&old);
}

/*
 * The same for a move.  Segment R speaks of a message in the first and so must stay; it is
 * poisoned, so message 2 is moved out of it, and then finished.  Its record in R is still there,
 * and must not be the last word.
 */
static void
test_finish_outlives_moved_message(void **state)
{
	struct world w, old;
	uint64_t id = 10, poisoned, moved;

	(void)state;
	world_new(&w);
	journal_sizes.slack = 1 << 30;
	assert_non_null(add(&w, 1, 100));
	fill_past(&w, segment_of_message(&w, 1), &id);
	store_update(w.store, store_find(w.store, 1), 0);
	assert_non_null(add(&w, 2, 100));
	poisoned = segment_of_message(&w, 2);
	seam_await(SEAM_SYNC_NAMES, 4); /* the third segment is ready */
	seam_fail(SEAM_SYNC, EIO, 0, 1);
	assert_null(add(&w, ++id, 100));
	assert_becomes(&w, segment_of_message(&w, 2) > poisoned);
	moved = segment_of_message(&w, 2);
	fill_past(&w, moved, &id);
	finish(&w, 2);
	fill_past(&w, moved + 4, &id);
	settle(&w);
	assert_true(segment_exists(&w, poisoned)); /* or this proves nothing */
	world_crash(&w, &old);
	assert_there(&w, 1);
	assert_null(store_find(w.store, 2));
	world_end(&w);
	world_end(&old);
}

/* One message that waits must not keep all that came after it. */
static void
test_compaction(void **state)
{
	struct world w;
	struct envelope *env;
	uint64_t id = 10, i;

	(void)state;
	world_new(&w);
	assert_non_null(env = add(&w, 1, 5000));
	assert_non_null(add(&w, 2, 500));
	env->recipients[0].attempts = 7;
	store_update(w.store, env, 0);
	for (i = 0; i < 40; i++)
		fill_past(&w, i, &id);
	assert_becomes(&w, stats(&w).segments <= 8);
	assert_there(&w, 1);
	assert_there(&w, 2);
	assert_true(segment_of_message(&w, 1) > 20);
	world_restart(&w);
	assert_int_equal(w.found, 2);
	assert_there(&w, 1);
	assert_int_equal(store_find(w.store, 1)->recipients[0].attempts, 7);
	for (i = 40; i < 80; i++)
		fill_past(&w, i, &id);
	assert_becomes(&w, stats(&w).segments <= 8);
	assert_there(&w, 1);
	world_end(&w);
}

/* Each change in the middle of a move. */
static void
test_compaction_meets_changes(void **state)
{
	struct world w, old;
	uint64_t id = 1000, i, m;

	(void)state;
	world_new(&w);
	for (m = 1; m <= 100; m++)
		assert_non_null(add(&w, m, 900));
	for (i = 0; i < 60; i++) {
		struct envelope *env = store_find(w.store, i + 1);

		env->recipients[0].attempts = 3;
		store_update(w.store, env, 0);
		if (i % 3 == 0)
			finish(&w, i + 1);
		fill_past(&w, i / 2, &id);
	}
	settle(&w);
	world_crash(&w, &old);
	for (m = 1; m <= 100; m++) {
		struct envelope *env = store_find(w.store, m);

		assert_int_equal(env == NULL, m <= 60 && m % 3 == 1);
		if (env == NULL)
			continue;
		assert_int_equal(env->recipients[0].attempts, m <= 60 ? 3 : 0);
		assert_int_equal(check_content(&w, env), 0);
	}
	world_end(&w);
	world_end(&old);
}

/* --- crashes and damage --- */

/* The directory copied after each step; and so nothing but what was acknowledged, and all of it. */
static void
test_crash_at_every_step(void **state)
{
	struct world w, copy;
	uint64_t id;

	(void)state;
	world_new(&w);
	for (id = 1; id <= 60; id++) {
		assert_non_null(add(&w, id, 2000));
		if (id > 2)
			finish(&w, id - 2);
		copy = w;
		strcat(copy.dir, "x");
		copy_tree(w.dir, copy.dir);
		world_start(&copy);
		assert_there(&copy, id);
		if (id > 1)
			assert_there(&copy, id - 1);
		if (id > 3)
			assert_null(store_find(
			    copy.store, id - 3)); /* its finish was flushed with this add */
		assert_in_range(copy.found, id < 3 ? id : 2, 3);
		world_end(&copy);
	}
	world_end(&w);
}

/* The last segment cut short, and changed, at every octet of its last records. */
static void
test_torn_at_every_octet(void **state)
{
	struct world w, copy;
	const struct queued *m;
	char path[256], *data;
	size_t len, at, from[4];
	uint64_t id;
	int cut;

	(void)state;
	world_new(&w);
	for (id = 1; id <= 3; id++) {
		assert_non_null(add(&w, id, 40));
		m = message_find(w.store, id);
		from[id] = m->offset;
	}
	at = m->offset + m->length;
	copy = w;
	strcat(copy.dir, "x");
	for (at = from[2]; at < from[3] + 200; at++)
		for (cut = 0; cut < 2; cut++) {
			copy_tree(w.dir, copy.dir);
			segment_path(&copy, m->segment->number, path);
			data = read_file(path, &len);
			data[at] = (char)(data[at] ^ 0x40);
			write_file(path, data, cut ? at : len);
			free(data);
			world_start(&copy);
			assert_there(&copy, 1);
			if (at >= from[3])
				assert_there(&copy, 2);
			assert_true(copy.found <= 3);
			if (copy.found == 3)
				assert_there(&copy, 3);
			/* and it goes on */
			assert_non_null(add(&copy, 9, 40));
			world_restart(&copy);
			assert_there(&copy, 9);
			assert_there(&copy, 1);
			world_end(&copy);
			if (at % 16 != 0 && at > from[2] + 64 && at < from[3] - 8)
				break; /* padding: each octet once is enough */
		}
	world_end(&w);
}

/* Two records of a write that no flush followed, the first of them torn: the second is not reached by what is
 * written after the restart. */
static void
test_torn_tail_stays_dead(void **state)
{
	struct world w;
	const struct queued *m;
	char path[256], *data;
	size_t len, torn, whole, length;
	uint64_t id;

	(void)state;
	world_new(&w);
	for (id = 1; id <= 5; id++)
		assert_non_null(add(&w, id, 40));
	m = message_find(w.store, 4);
	segment_path(&w, m->segment->number, path);
	torn = m->offset;
	m = message_find(w.store, 5);
	whole = m->offset;
	length = m->length;
	world_stop(&w);
	data = read_file(path, &len);
	data[torn + 9] ^= 1;
	/* both have the same length, and there is no padding behind either */
	memmove(data + torn + length, data + whole, length);
	memset(data + torn + 2 * length, 0, len - torn - 2 * length);
	write_file(path, data, len);
	free(data);
	world_start(&w);
	assert_int_equal(w.found, 3);
	/* of the same length */
	assert_non_null(add(&w, 12, 40));
	world_restart(&w);
	assert_int_equal(w.found, 4);
	for (id = 1; id <= 3; id++)
		assert_there(&w, id);
	assert_there(&w, 12);
	world_end(&w);
}

/* The same for a segment whose very first write was torn: it is used again, under a number that
 * nobody had. */
static void
test_torn_front_stays_dead(void **state)
{
	struct world w;
	char path[256], *data;
	uint64_t id = 100, number;
	size_t len;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 40));
	fill_past(&w, segment_of_message(&w, 1), &id);
	for (id = 200; id < 205; id++)
		assert_non_null(add(&w, id, 3000));
	number = segment_of_message(&w, 200);
	assert_int_equal(segment_of_message(&w, 204), number);
	world_stop(&w);
	segment_path(&w, number, path);
	data = read_file(path, &len);
	data[SEGMENT_BLOCK + 9] ^= 1; /* OPENED */
	memset(data + 2 * SEGMENT_BLOCK, 0, len - 2 * SEGMENT_BLOCK); /* all but that write */
	write_file(path, data, len);
	free(data);
	segment_path(
	    &w, number + 1, path); /* was ready; without it the torn file is the next to be used */
	assert_int_equal(unlink(path), 0);
	segment_path(&w, number, path);
	world_start(&w);
	assert_null(store_find(w.store, 204));
	assert_int_equal(access(path, F_OK), -1);
	assert_non_null(add(&w, 300, 3000));
	world_restart(&w);
	for (id = 200; id < 205; id++)
		assert_null(store_find(w.store, id));
	assert_there(&w, 1);
	assert_there(&w, 300);
	world_end(&w);
}

static void
remove_indexes(const struct world *w)
{
	char path[256];
	uint64_t number;

	for (number = 1; number < 100; number++) {
		segment_path(w, number, path);
		strcat(path, JOURNAL_INDEX);
		unlink(path);
	}
}

/* A closed segment is damaged: what stands before and behind is kept and moved, the file is kept aside, the
 * rest is read. */
static void
test_damage(void **state)
{
	struct world w;
	const struct queued *m;
	char path[256], *data;
	size_t len, offset;
	uint64_t id, number;

	(void)state;
	world_new(&w);
	for (id = 1; id <= 60; id++)
		assert_non_null(add(&w, id, 2000));
	m = message_find(w.store, 30);
	number = m->segment->number;
	offset = m->offset;
	assert_true(number > 1 && number < segment_of_message(&w, 60));
	segment_path(&w, number, path);
	world_stop(&w);
	remove_indexes(&w);
	data = read_file(path, &len);
	data[offset + 9] ^= 1;
	write_file(path, data, len);
	free(data);
	world_start(&w);
	assert_null(store_find(w.store, 30));
	for (id = 1; id <= 60; id++)
		if (id != 30)
			assert_there(&w, id);
	assert_becomes(&w, access(path, F_OK) == -1);
	strcat(path, JOURNAL_DAMAGED);
	assert_int_equal(access(path, F_OK), 0);
	world_restart(&w);
	for (id = 1; id <= 60; id++)
		if (id != 30)
			assert_there(&w, id);
	assert_int_equal(access(path, F_OK), 0);
	world_end(&w);
}

/* The segment that was written last is damaged at a record that was flushed: only what is broken is lost, and the file is
 * kept aside. */
static void
test_damage_of_the_last(void **state)
{
	static const struct {
		size_t at, n; /* which octets of the record of message 3 */
			} cases[] = {
		{ 0, 1 },   /* magic */
		{ 9, 1 },   /* id */
		{ 40, 1 },  /* meta */
		{ 3000, 1 }, /* content */
		{ 3000, 1000 },
		{ 17, 1 },   /* lengths */
		{ 0, 64 },
		{ 0, SEGMENT_BLOCK },
	};
	struct world w;
	const struct queued *m;
	char path[256], *data;
	size_t len, offset, i, k;
	uint64_t id;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_new(&w);
		for (id = 1; id <= 6; id++)
			assert_non_null(add(&w, id, 5000));
		m = message_find(w.store, 3);
		segment_path(&w, m->segment->number, path);
		offset = m->offset;
		assert_int_equal(segment_of_message(&w, 6), m->segment->number);
		world_stop(&w);
		remove_indexes(&w);
		data = read_file(path, &len);
		for (k = 0; k < cases[i].n; k++)
			data[offset + cases[i].at + k] ^= 0x5a;
		write_file(path, data, len);
		free(data);
		world_start(&w);
		assert_int_equal(w.found, 5);
		assert_null(store_find(w.store, 3));
		assert_becomes(&w, access(path, F_OK) == -1);
		strcat(path, JOURNAL_DAMAGED);
		assert_int_equal(access(path, F_OK), 0);
		assert_non_null(add(&w, 7, 5000));
		world_restart(&w);
		assert_int_equal(w.found, 6);
		for (id = 1; id <= 7; id++)
			if (id != 3)
				assert_there(&w, id);
		world_end(&w);
	}
}

/* The header of a segment, or its first record, is damaged: what else is in it is not lost. */
static void
test_damaged_front(void **state)
{
	/* the last is its length: what stands in the same block, message 7, is not found behind it */
	static const size_t at[] = { 0, 8, 16, SEGMENT_BLOCK, SEGMENT_BLOCK + 9, SEGMENT_BLOCK + 17 };
	struct world w;
	char path[256], *data;
	size_t len, i;
	uint64_t id, lost;

	(void)state;
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		world_new(&w);
		for (id = 1; id <= 6; id++)
			assert_non_null(add(&w, id, 5000));
		world_restart(&w);
		for (id = 7; id <= 9; id++)
			assert_non_null(add(&w, id, 5000));
		segment_path(&w, segment_of_message(&w, 9), path);
		world_stop(&w);
		data = read_file(path, &len);
		data[at[i]] ^= 1;
		write_file(path, data, len);
		free(data);
		lost = at[i] == SEGMENT_BLOCK + 17 ? 7 : 0;
		world_start(&w);
		assert_int_equal(w.found, lost == 0 ? 9 : 8);
		assert_becomes(&w, access(path, F_OK) == -1);
		strcat(path, JOURNAL_DAMAGED);
		assert_int_equal(access(path, F_OK), 0);
		world_restart(&w);
		for (id = 1; id <= 9; id++)
			if (id != lost)
				assert_there(&w, id);
		world_end(&w);
	}
}

/* --- indexes --- */

static unsigned
closed_segments(const struct world *w)
{
	const struct segment *s;
	unsigned n = 0;

	TAILQ_FOREACH(s, journal_segments(w->store->journal), entry)
		n += s->closed;
	return n;
}

/* Closed segments have indexes, in time; the sixty messages fill several. */
static void
fill_indexed(struct world *w)
{
	uint64_t id;

	world_new(w);
	for (id = 1; id <= 60; id++)
		assert_non_null(add(w, id, 2000));
	w->store->compact_after = UINT64_MAX;
	assert_true(closed_segments(w) > 2);
	assert_becomes(w, count_files(w, "journal", JOURNAL_INDEX) == closed_segments(w));
}

static void
assert_all_there(struct world *w)
{
	uint64_t id;

	assert_int_equal(w->found, 60);
	for (id = 1; id <= 60; id++)
		assert_there(w, id);
}

static bool
is_indexed(const struct world *w, uint64_t number)
{
	return journal_find(w->store->journal, number)->indexed;
}

/* A start reads the index and not the segment: what is broken there is not seen, until it is
 * wanted. */
static void
test_index_is_read(void **state)
{
	struct world w;
	const struct queued *m;
	char path[256], *data;
	size_t len, offset;

	(void)state;
	fill_indexed(&w);
	m = message_find(w.store, 5);
	offset = m->offset;
	segment_path(&w, m->segment->number, path);
	world_stop(&w);
	data = read_file(path, &len);
	data[offset + 9] ^= 1;
	write_file(path, data, len);
	free(data);
	world_start(&w);
	assert_int_equal(w.found, 60);
	assert_int_equal(check_content(&w, store_find(w.store, 5)), -EBADMSG);
	assert_there(&w, 4);
	assert_there(&w, 6);
	world_end(&w);
}

/* One that is cut, changed, empty or another segment's does not count; the segment does, and
 * another index is made. */
static void
test_index_that_does_not_fit(void **state)
{
	enum { CUT, CHANGED, EMPTY, ANOTHERS, FAULTS };
	struct world w;
	char path[256], *data, *other;
	size_t len, other_len;
	uint64_t number;
	int fault;

	(void)state;
	fill_indexed(&w);
	number = message_find(w.store, 5)->segment->number;
	segment_path(&w, number + 1, path);
	strcat(path, JOURNAL_INDEX);
	other = read_file(path, &other_len);
	segment_path(&w, number, path);
	strcat(path, JOURNAL_INDEX);
	for (fault = 0; fault < FAULTS; fault++) {
		world_stop(&w);
		data = read_file(path, &len);
		data[len / 2] ^= fault == CHANGED;
		if (fault == ANOTHERS)
			write_file(path, other, other_len);
		else
			write_file(path, data, fault == CUT ? len - 1 : fault == EMPTY ? 0 : len);
		free(data);
		world_start(&w);
		assert_all_there(&w);
		data = read_file(path, &len);
		free(data);
	}
	free(other);
	assert_becomes(&w, is_indexed(&w, number));
	world_end(&w);
}

/* A segment that goes takes its index along; one that a crash has left behind goes at the start;
 * and a full disk costs nothing but the index. */
static void
test_index_comes_and_goes(void **state)
{
	struct world w;
	char path[256];
	uint64_t id;

	(void)state;
	fill_indexed(&w);
	segment_path(&w, 4711, path);
	strcat(path, JOURNAL_INDEX);
	write_file(path, "stray", 5);
	world_restart(&w);
	assert_int_equal(access(path, F_OK), -1);
	for (id = 1; id <= 60; id++)
		store_finish(w.store, store_find(w.store, id));
	journal_sizes.linger_ms = 1;
	assert_non_null(add(&w, 61, 2000));
	assert_becomes(&w, count_files(&w, "journal", JOURNAL_INDEX) <= closed_segments(&w) &&
	    closed_segments(&w) < 3);
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
	finish(&w, 1);
	assert_non_null(add(&w, 3, 2000));
	assert_history(&w, 1, all, 5);
	world_restart(&w);
	assert_history(&w, 1, all, 5);
	while (segment_of_message(&w, 2) == number) {
		assert_non_null(add(&w, ++id, 3000));
		finish(&w, id);
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

/* A content that is damaged in a closed segment: the message says so when it is wanted, and its
 * segment stays. */
static void
test_damaged_content(void **state)
{
	struct world w;
	const struct queued *m;
	char path[256];
	uint64_t id = 10, number;
	unsigned i;
	int fd;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 2000));
	assert_non_null(add(&w, 2, 2000));
	m = message_find(w.store, 1);
	number = m->segment->number;
	segment_path(&w, number, path);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "damage", 6, (off_t)m->offset + 1000), 6);
	close(fd);
	assert_int_equal(check_content(&w, store_find(w.store, 1)), -EBADMSG);
	for (i = 0; i < 30; i++)
		fill_past(&w, number + i, &id);
	assert_becomes(&w, segment_of_message(&w, 2) > number);
	settle(&w);
	assert_true(segment_exists(&w, number));
	assert_int_equal(segment_of_message(&w, 1), number);
	assert_there(&w, 2);
	assert_int_equal(check_content(&w, store_find(w.store, 1)), -EBADMSG);
	world_end(&w);
}

/* Somebody removes the segment that is written: nothing is promised that only its unnamed rest would hold. */
static void
test_removed_segment(void **state)
{
	struct world w;
	char path[256];

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 2000));
	segment_path(&w, segment_of_message(&w, 1), path);
	assert_int_equal(unlink(path), 0);
	assert_null(add(&w, 2, 2000));
	assert_non_null(add(&w, 3, 2000));
	world_restart(&w);
	assert_int_equal(w.found, 1);
	assert_there(&w, 3);
	world_end(&w);
}

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

static struct envelope *
add_large(struct world *w, uint64_t id, size_t size)
{
	struct evbuffer *content = evbuffer_new();
	struct wait wait = { 0 };
	int fd = store_content_create(w->store, id);

	assert_int_not_equal(fd, -1);
	fill_content(content, id, size);
	while (evbuffer_get_length(content) > 0)
		assert_true(evbuffer_write(content, fd) > 0);
	close(fd);
	evbuffer_free(content);
	assert_int_equal(store_add(w->store, new_envelope(id, size), NULL, wait_done, &wait), 0);
	return await(w, &wait);
}

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
	finish(&w, 1);
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

static void
test_large_moves(void **state)
{
	struct world w;
	uint64_t id = 10;
	unsigned i;

	(void)state;
	world_new(&w);
	assert_non_null(add_large(&w, 1, 5000));
	for (i = 0; i < 30; i++)
		fill_past(&w, i, &id);
	assert_becomes(&w, segment_of_message(&w, 1) > 1);
	world_restart(&w);
	assert_there(&w, 1);
	world_end(&w);
}

/* --- errors of the disk --- */

struct fault {
	enum seam_op op;
	int error;
	bool large; /* the message that is refused */
	unsigned long skip;
};

/* One message before, one refused, one after; no trace of the refused one even after a crash. */
static void
check_fault(const struct fault *f)
{
	struct world w, old;
	struct envelope *env;

	world_new(&w);
	assert_non_null(add(&w, 1, 3000));
	assert_non_null(env = add(&w, 2, 3000));
	await_keeper();
	env->recipients[0].attempts = 5;
	store_update(w.store, env, 0); /* in the same write as the one that fails */
	seam_fail(f->op, f->error, f->skip, 1);
	assert_null(f->large ? add_large(&w, 3, 3000) : add(&w, 3, 3000));
	assert_int_equal(errno, f->error);
	assert_null(store_find(w.store, 3));
	assert_int_equal(stats(&w).messages, 2);
	assert_int_equal(store_check_room(w.store, 1000), 0);
	world_crash(&w, &old);
	assert_null(store_find(w.store, 3));
	assert_there(&w, 1);
	assert_there(&w, 2);
	if (!f->large) /* that one fails before anything is flushed */
		assert_int_equal(store_find(w.store, 2)->recipients[0].attempts, 5);
	assert_int_equal(count_files(&w, "content", ""), 0);
	world_end(&w);
	w = old;
	assert_non_null(add(&w, 4, 3000));
	assert_there(&w, 1);
	world_restart(&w);
	assert_int_equal(w.found, 3);
	assert_there(&w, 4);
	assert_null(store_find(w.store, 3));
	world_end(&w);
}

static void
test_faults(void **state)
{
	static const struct fault faults[] = {
		{ SEAM_WRITE, EIO, false, 0 },
		{ SEAM_WRITE, ENOSPC, false, 0 },
		{ SEAM_SYNC, EIO, false, 0 },
		{ SEAM_SYNC, ENOSPC, false, 0 },
		{ SEAM_SYNC, EIO, true, 0 },
		{ SEAM_OPEN, EMFILE, true, 1 }, /* the first creates it */
		{ SEAM_RENAME, EIO, true, 0 },
		{ SEAM_SYNC_NAMES, EIO, true, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		check_fault(&faults[i]);
}

static void
test_short_write(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 3000));
	seam_fail(SEAM_WRITE, -1, 0, 3);
	assert_non_null(add(&w, 2, 3000));
	world_restart(&w);
	assert_there(&w, 1);
	assert_there(&w, 2);
	world_end(&w);
}

/* The disk takes nothing for a while: refused, nothing lost, and service returns. */
static void
test_dead_disk(void **state)
{
	static const enum seam_op ops[] = { SEAM_WRITE, SEAM_SYNC, SEAM_RENAME };
	struct world w;
	struct envelope *env;
	uint64_t id = 10;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		world_new(&w);
		assert_non_null(env = add(&w, 1, 3000));
		seam_fail(ops[i], ENOSPC, 0, ULONG_MAX);
		while (add(&w, ++id, 3000) != NULL)
			finish(&w, id); /* until the segments that were ready are full */
		assert_int_equal(errno, ENOSPC);
		assert_null(add(&w, ++id, 3000));
		assert_int_equal(store_check_room(w.store, 1000), ENOSPC);
		env->recipients[0].attempts = 9;
		store_update(w.store, env, 0);
		assert_there(&w, 1);
		seam_fail(ops[i], 0, 0, 0);
		while (add(&w, ++id, 3000) == NULL)
			; /* it is tried again once a second */
		finish(&w, id);
		assert_int_equal(store_check_room(w.store, 1000), 0);
		world_restart(&w);
		assert_int_equal(w.found, 1);
		assert_int_equal(store_find(w.store, 1)->recipients[0].attempts, 9);
		assert_there(&w, 1);
		world_end(&w);
	}
}

/* Whoever asks for room first sends nothing while the disk is dead: that it lives again must show
 * by itself. */
static void
test_dead_disk_comes_back(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	assert_non_null(add(&w, 1, 3000));
	seam_fail(SEAM_SYNC, EIO, 0, ULONG_MAX);
	while (add(&w, 2, 3000) != NULL)
		finish(&w, 2);
	assert_int_equal(store_check_room(w.store, 1000), EIO);
	seam_fail(SEAM_SYNC, 0, 0, 0);
	while (store_check_room(w.store, 1000) != 0)
		event_base_loop(w.base, EVLOOP_ONCE);
	assert_non_null(add(&w, 3, 3000));
	assert_there(&w, 1);
	world_end(&w);
}

/* An expansion that could not be flushed is told, and written all the same when the disk is back.
 */
static void
test_failed_update_all(void **state)
{
	struct world w;
	struct envelope *env;
	struct wait wait = { 0 };

	(void)state;
	world_new(&w);
	assert_non_null(env = add(&w, 1, 100));
	await_keeper();
	env->recipients[0].state = RECIPIENT_EXPANDED;
	assert_int_equal(envelope_add_recipient(env, "b@example.net", NULL, 0), 1);
	env->recipients[1].parent = 0;
	seam_fail(SEAM_SYNC, EIO, 0, 1);
	store_update_all(w.store, env, wait_done, &wait);
	assert_null(await(&w, &wait));
	assert_int_equal(errno, EIO);
	assert_ptr_equal(wait.env, env);
	env->recipients[1].attempts = 2;
	store_update(w.store, env, 1);
	world_restart(&w);
	env = store_find(w.store, 1);
	assert_int_equal(env->recipients_n, 2);
	assert_int_equal(env->recipients[1].attempts, 2);
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

/* Where room is scarce segments are small, so that one more can be had for outcomes. */
static void
test_small_segments(void **state)
{
	struct world w;
	struct stat file;
	char path[256];
	uint64_t id = 100, number;
	unsigned i;

	(void)state;
	world_new(&w);
	seam.vfs.f_bavail = (journal_sizes.segment * 4 - 1) / 4096;
	for (i = 0; i < 3; i++) {
		assert_non_null(add(&w, id, 40));
		number = segment_of_message(&w, id++);
		fill_past(&w, number, &id);
	}
	assert_non_null(add(&w, id, 40));
	segment_path(&w, segment_of_message(&w, id), path);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_size, journal_sizes.first);
	assert_true(journal_sizes.first < journal_sizes.segment);
	world_restart(&w);
	assert_there(&w, 100);
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
		cmocka_unit_test(test_segments_are_used_again),
		cmocka_unit_test(test_finish_outlives_message),
		cmocka_unit_test(test_finish_outlives_moved_message),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_compaction_meets_changes),
		cmocka_unit_test(test_crash_at_every_step),
		cmocka_unit_test(test_torn_at_every_octet),
		cmocka_unit_test(test_torn_tail_stays_dead),
		cmocka_unit_test(test_torn_front_stays_dead),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_damage_of_the_last),
		cmocka_unit_test(test_damaged_front),
		cmocka_unit_test(test_index_is_read),
		cmocka_unit_test(test_index_that_does_not_fit),
		cmocka_unit_test(test_index_comes_and_goes),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_damaged_content),
		cmocka_unit_test(test_removed_segment),
		cmocka_unit_test(test_open_fails_clean),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_large_moves),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_short_write),
		cmocka_unit_test(test_dead_disk),
		cmocka_unit_test(test_dead_disk_comes_back),
		cmocka_unit_test(test_failed_update_all),
		cmocka_unit_test(test_small_file),
		cmocka_unit_test(test_check_room),
		cmocka_unit_test(test_small_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
