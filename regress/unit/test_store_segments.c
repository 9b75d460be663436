/*
 * Units of the store: how segments are used, emptied, read by their indexes, and used again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "regress/unit/store_checks.h"
#include "regress/unit/store_world.h"

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
	finish_message(&w, 1); /* the statement is in the second segment */
	assert_non_null(add(&w, ++id, 100));
	second = segment_of_message(&w, id);
	assert_true(second > first);
	finish_message(&w, id);
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
	finish_message(&w, 2);
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
	finish_message(&w, 2);
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
			finish_message(&w, i + 1);
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

/* --- large contents --- */

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

/* --- small files --- */

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
		cmocka_unit_test(test_segments_are_used_again),
		cmocka_unit_test(test_finish_outlives_message),
		cmocka_unit_test(test_finish_outlives_moved_message),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_compaction_meets_changes),
		cmocka_unit_test(test_index_is_read),
		cmocka_unit_test(test_index_that_does_not_fit),
		cmocka_unit_test(test_index_comes_and_goes),
		cmocka_unit_test(test_large_moves),
		cmocka_unit_test(test_small_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
