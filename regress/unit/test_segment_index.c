/*
 * Units of queue/segment_index.c: an index gives the records of its segment, or nothing at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "queue/segment_index.h"

#define NUMBER 42

/* Three records as they stand in a segment from FROM on. */
static void
make_segment(struct buf *b, uint64_t from)
{
	static const char *const metas[] = { "first", "the second one", "" };
	struct buf record = { 0 };
	unsigned i;

	buf_reserve(b, from);
	memset(b->data, 0, from);
	b->len = from;
	for (i = 0; i < 3; i++) {
		buf_clear(&record);
		record_begin(&record);
		buf_adds(&record, metas[i]);
		record_content(&record, i == 1 ? RECORD_OPENED : RECORD_MESSAGE, 0, 100 + i, 4 * i);
		buf_add(&record, "contents", 4 * i);
		record_end(&record);
		record_seal(&record, segment_seed(NUMBER));
		buf_add(b, record.data, record.len);
	}
	buf_free(&record);
}

static ssize_t
read_buf(void *arg, void *data, size_t len, uint64_t offset)
{
	const struct buf *b = arg;
	size_t n = offset < b->len ? b->len - offset : 0;

	n = n < len ? n : len;
	memcpy(data, b->data + offset, n);
	return (ssize_t)n;
}

static uint64_t
make_index(struct buf *segment, struct buf *index)
{
	struct segment_reader r = { .read = read_buf, .arg = segment,
		.seed = segment_seed(NUMBER), .offset = SEGMENT_BLOCK };
	struct record_view v;

	make_segment(segment, SEGMENT_BLOCK);
	r.limit = segment->len;
	index_begin(index);
	while (segment_next(&r, &v) == SEGMENT_RECORD)
		index_add(index, &v);
	index_seal(index, NUMBER, r.offset);
	assert_int_equal(r.offset, segment->len);
	buf_free(&r.window);
	return r.offset;
}

static void
test_records(void **state)
{
	struct buf segment = { 0 }, index = { 0 };
	uint64_t end = make_index(&segment, &index);
	struct index_reader r;
	struct record_view v;

	(void)state;
	assert_true(index_open(&r, index.data, index.len, NUMBER, end));
	assert_true(index_next(&r, &v));
	assert_int_equal(v.type, RECORD_MESSAGE);
	assert_int_equal(v.id, 100);
	assert_int_equal(v.offset, SEGMENT_BLOCK);
	assert_int_equal(v.meta_len, 5);
	assert_memory_equal(v.meta, "first", 5);
	/* OPENED is about other segments */
	assert_true(index_next(&r, &v));
	assert_int_equal(v.id, 102);
	assert_int_equal(v.content_len, 8);
	assert_memory_equal(segment.data + v.content_offset, "contents", 8);
	assert_int_equal(v.offset + v.length, end);
	assert_false(index_next(&r, &v));
	buf_free(&segment);
	buf_free(&index);
}

static void
test_another_segment(void **state)
{
	struct buf segment = { 0 }, index = { 0 };
	uint64_t end = make_index(&segment, &index);
	struct index_reader r;

	(void)state;
	assert_false(index_open(&r, index.data, index.len, NUMBER + 1, end));
	assert_false(index_open(&r, index.data, index.len, NUMBER, end - 8));
	assert_false(index_open(&r, index.data, index.len, NUMBER, end + 8));
	assert_true(index_open(&r, index.data, index.len, NUMBER, end));
	buf_free(&segment);
	buf_free(&index);
}

/* Every octet counts, and so does their number. */
static void
test_damage(void **state)
{
	struct buf segment = { 0 }, index = { 0 };
	uint64_t end = make_index(&segment, &index);
	struct index_reader r;
	char *copy;
	size_t i;

	(void)state;
	for (i = 0; i < index.len; i++) {
		copy = xmalloc(i + 1);
		memcpy(copy, index.data, i);
		assert_false(index_open(&r, copy, i, NUMBER, end));
		free(copy);
		/* the last four of the header are 0 and stand for nothing yet */
		if (i >= 36 && i < 40)
			continue;
		index.data[i] ^= 1;
		assert_false(index_open(&r, index.data, index.len, NUMBER, end));
		index.data[i] ^= 1;
	}
	buf_free(&segment);
	buf_free(&index);
}

/* Right sums over nonsense, as only a mistake of ours would make: refused before anything is
 * given out. */
static void
test_nonsense(void **state)
{
	struct buf segment = { 0 }, index = { 0 };
	uint64_t end = make_index(&segment, &index);
	struct index_reader r;

	(void)state;
	/* the length of META of the first record */
	memset(index.data + 40 + 8 + 16, 0xff, 4);
	index_seal(&index, NUMBER, end);
	assert_false(index_open(&r, index.data, index.len, NUMBER, end));
	buf_free(&segment);
	buf_free(&index);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_another_segment),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
