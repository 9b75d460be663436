/*
 * Units of the store: what it took it keeps, over crashes, damage and errors of the disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "regress/unit/store_checks.h"
#include "regress/unit/store_world.h"

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
			finish_message(&w, id - 2);
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

/* --- what the journal still has --- */

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
			finish_message(&w, id); /* until the segments that were ready are full */
		assert_int_equal(errno, ENOSPC);
		assert_null(add(&w, ++id, 3000));
		assert_int_equal(store_check_room(w.store, 1000), ENOSPC);
		env->recipients[0].attempts = 9;
		store_update(w.store, env, 0);
		assert_there(&w, 1);
		seam_fail(ops[i], 0, 0, 0);
		while (add(&w, ++id, 3000) == NULL)
			; /* it is tried again once a second */
		finish_message(&w, id);
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
		finish_message(&w, 2);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash_at_every_step),
		cmocka_unit_test(test_torn_at_every_octet),
		cmocka_unit_test(test_torn_tail_stays_dead),
		cmocka_unit_test(test_torn_front_stays_dead),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_damage_of_the_last),
		cmocka_unit_test(test_damaged_front),
		cmocka_unit_test(test_damaged_content),
		cmocka_unit_test(test_removed_segment),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_short_write),
		cmocka_unit_test(test_dead_disk),
		cmocka_unit_test(test_dead_disk_comes_back),
		cmocka_unit_test(test_failed_update_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
