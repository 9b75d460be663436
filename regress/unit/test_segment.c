/*
 * Units of queue/checksum.c and queue/segment.c: the format of the journal.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "queue/checksum.h"
#include "queue/segment.h"

/* A segment in memory. */
struct image {
	uint8_t *bytes;
	size_t len;
	int error;
};

static ssize_t
read_image(void *arg, void *data, size_t len, uint64_t offset)
{
	const struct image *image = arg;

	if (image->error != 0) {
		errno = image->error;
		return -1;
	}
	if (offset >= image->len)
		return 0;
	if (len > image->len - offset)
		len = image->len - offset;
	memcpy(data, image->bytes + offset, len);
	return (ssize_t)len;
}

static struct segment_reader
reader(struct image *image, uint64_t number)
{
	return (struct segment_reader){ .read = read_image,
		.arg = image,
		.seed = segment_seed(number),
		.offset = SEGMENT_BLOCK,
		.limit = image->len,
		.check_contents = true };
}

static void
add_record(struct buf *out, uint64_t number, enum record_type type, uint64_t id, size_t meta,
    size_t content)
{
	struct buf b = { 0 };
	char *fill = xmalloc(meta + content + 1);

	memset(fill, (int)id, meta + content + 1);
	record_begin(&b);
	buf_add(&b, fill, meta);
	record_content(&b, type, 0, id, (uint32_t)content);
	buf_add(&b, fill, content);
	record_end(&b);
	record_seal(&b, segment_seed(number));
	buf_add(out, b.data, b.len);
	buf_free(&b);
	free(fill);
}

static void
begin_segment(struct buf *out, uint64_t number)
{
	segment_header_encode((uint8_t *)buf_reserve(out, SEGMENT_BLOCK), number);
	out->len += SEGMENT_BLOCK;
}

static void
add_pad(struct buf *out, uint64_t number, size_t len)
{
	record_pad((uint8_t *)buf_reserve(out, len), len, segment_seed(number));
	memset(out->data + out->len + RECORD_HEADER, 0, len - RECORD_HEADER);
	out->len += len;
}

/* How many records can be read; STEP is how it ended. */
static unsigned
count_records(struct image *image, uint64_t number, enum segment_step *step)
{
	struct segment_reader r = reader(image, number);
	struct record_view v;
	unsigned n = 0;

	while ((*step = segment_next(&r, &v)) == SEGMENT_RECORD)
		n++;
	buf_free(&r.window);
	return n;
}

/* RFC 3720 B.4 */
static void
test_checksum(void **state)
{
	static const struct {
		int first, step;
		uint32_t sum;
	} cases[] = { { 0, 0, 0x8a9136aa }, { 255, 0, 0x62a8ab43 }, { 0, 1, 0x46dd794e },
		{ 31, -1, 0x113fdb5c } };
	uint8_t bytes[256];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (n = 0; n < 32; n++)
			bytes[n] = (uint8_t)(cases[i].first + cases[i].step * (int)n);
		assert_int_equal(checksum(0, bytes, 32), cases[i].sum);
		assert_int_equal(checksum_portable(0, bytes, 32), cases[i].sum);
	}
	assert_int_equal(checksum(0, "123456789", 9), 0xe3069283);
	for (n = 0; n < sizeof(bytes); n++) {
		bytes[n] = (uint8_t)(n * 7);
		assert_int_equal(
		    checksum((uint32_t)n, bytes, n), checksum_portable((uint32_t)n, bytes, n));
		assert_int_equal(checksum(checksum(5, bytes, n / 3), bytes + n / 3, n - n / 3),
		    checksum(5, bytes, n));
	}
}

static void
test_header(void **state)
{
	uint8_t block[SEGMENT_BLOCK];
	uint64_t number;
	size_t i;

	(void)state;
	segment_header_encode(block, 42);
	assert_true(segment_header_decode(block, sizeof(block), &number));
	assert_int_equal(number, 42);
	assert_false(segment_header_decode(block, sizeof(block) - 1, &number));
	for (i = 0; i < 20; i++) {
		block[i] ^= 1;
		assert_false(segment_header_decode(block, sizeof(block), &number));
		block[i] ^= 1;
	}
}

static void
test_records(void **state)
{
	static const struct {
		enum record_type type;
		size_t meta, content;
	} cases[] = {
		{ RECORD_OPENED, 4, 0 },
		{ RECORD_MESSAGE, 100, 4096 },
		{ RECORD_OUTCOME, 1, 0 },
		{ RECORD_MESSAGE, 7, 262144 },
		{ RECORD_ENVELOPE, 300000, 0 },
		{ RECORD_FINISH, 0, 0 },
		{ RECORD_MOVE, 33, 1 },
	};
	struct buf b = { 0 };
	struct image image;
	struct segment_reader r;
	struct record_view v;
	size_t i, j;

	(void)state;
	begin_segment(&b, 9);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add_record(&b, 9, cases[i].type, i + 1, cases[i].meta, cases[i].content);
		assert_int_equal(b.len % 8, 0);
	}
	image = (struct image){ .bytes = (uint8_t *)b.data, .len = b.len };
	r = reader(&image, 9);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t *content;
		uint32_t content_len;

		assert_int_equal(segment_next(&r, &v), SEGMENT_RECORD);
		assert_int_equal(v.type, cases[i].type);
		assert_int_equal(v.id, i + 1);
		assert_int_equal(v.meta_len, cases[i].meta);
		assert_int_equal(v.content_len, cases[i].content);
		for (j = 0; j < v.meta_len; j++)
			assert_int_equal(v.meta[j], i + 1);
		assert_true(record_check(image.bytes + v.offset, (size_t)v.length, r.seed, i + 1,
		    &content, &content_len));
		assert_int_equal(content_len, cases[i].content);
		assert_true(content_len == 0 || content[content_len - 1] == i + 1);
		assert_false(record_check(image.bytes + v.offset, (size_t)v.length, r.seed, i + 2,
		    &content, &content_len));
		assert_false(record_check(image.bytes + v.offset, (size_t)v.length - 8, r.seed,
		    i + 1, &content, &content_len));
	}
	assert_int_equal(segment_next(&r, &v), SEGMENT_END);
	buf_free(&r.window);
	buf_free(&b);
}

/* Padding is skipped, also when there is no room for a header before the end of the block. */
static void
test_padding(void **state)
{
	struct buf b = { 0 };
	struct image image;
	enum segment_step step;

	(void)state;
	begin_segment(&b, 1);
	add_record(&b, 1, RECORD_OPENED, 0, 4, 0);
	add_pad(&b, 1, SEGMENT_BLOCK - b.len % SEGMENT_BLOCK);
	add_record(&b, 1, RECORD_MESSAGE, 1, SEGMENT_BLOCK - RECORD_HEADER - 16, 0);
	add_pad(&b, 1, 16 + SEGMENT_BLOCK);
	add_record(&b, 1, RECORD_FINISH, 1, 0, 0);
	image = (struct image){ .bytes = (uint8_t *)b.data, .len = b.len };
	assert_int_equal(count_records(&image, 1, &step), 5);
	assert_int_equal(step, SEGMENT_END);
	buf_free(&b);
}

/* Cut anywhere, or changed anywhere: what stands before is read, and nothing else. */
static void
test_cut_and_changed(void **state)
{
	static const size_t content[] = { 40, 0, 100 };
	struct buf b = { 0 };
	size_t ends[4], i, at, n;
	struct image image;
	enum segment_step step;

	(void)state;
	begin_segment(&b, 7);
	ends[0] = b.len;
	for (i = 0; i < 3; i++) {
		add_record(&b, 7, RECORD_MESSAGE, i + 1, 20, content[i]);
		ends[i + 1] = b.len;
	}
	for (at = ends[0]; at < b.len; at++) {
		for (n = 0; ends[n + 1] <= at; n++)
			;
		image = (struct image){ .bytes = (uint8_t *)b.data, .len = at };
		assert_int_equal(count_records(&image, 7, &step), n);
		assert_int_equal(step, at == ends[n] ? SEGMENT_END : SEGMENT_BROKEN);

		image.len = b.len;
		b.data[at] = (char)(b.data[at] ^ 0x10);
		/* only the zeros that align a record are covered by nothing */
		if (at < ends[n] + 32 + 20 + content[n]) {
			assert_int_equal(count_records(&image, 7, &step), n);
			assert_int_equal(step, SEGMENT_BROKEN);
		} else
			assert_int_equal(count_records(&image, 7, &step), 3);
		b.data[at] = (char)(b.data[at] ^ 0x10);
	}
	buf_free(&b);
}

/* A file in its second life: new number, new records over a part of the old ones. */
static void
test_recycled(void **state)
{
	struct buf old = { 0 }, new = { 0 };
	struct image image;
	enum segment_step step;
	uint64_t number;
	unsigned n;

	(void)state;
	begin_segment(&old, 3);
	for (n = 0; n < 50; n++)
		add_record(&old, 3, RECORD_MESSAGE, n + 1, 24, 8);
	for (number = 4; number < 300; number++) {
		/* records of the same size, so that each old one starts where a new one would */
		begin_segment(&new, number);
		for (n = 0; n < number % 50; n++)
			add_record(&new, number, RECORD_MESSAGE, n + 100, 24, 8);
		image = (struct image){ .bytes = xmalloc(old.len), .len = old.len };
		memcpy(image.bytes, old.data, old.len);
		memcpy(image.bytes, new.data, new.len);
		assert_int_equal(count_records(&image, number, &step), number % 50);
		assert_int_equal(step, SEGMENT_BROKEN);
		free(image.bytes);
		buf_clear(&new);
	}
	buf_free(&old);
	buf_free(&new);
}

/* What a stranger wrote into a content is not a record, whatever it looks like and wherever the
 * segment breaks. */
static void
test_forged_content(void **state)
{
	struct buf b = { 0 }, forged = { 0 }, outer = { 0 };
	struct image image;
	enum segment_step step;

	(void)state;
	add_record(&forged, 5, RECORD_FINISH, 1, 0, 0);
	begin_segment(&b, 5);
	add_record(&b, 5, RECORD_MESSAGE, 1, 16, 8);
	record_begin(&outer);
	record_content(&outer, RECORD_MESSAGE, 0, 2, (uint32_t)forged.len);
	buf_add(&outer, forged.data, forged.len);
	record_end(&outer);
	record_seal(&outer, segment_seed(5));
	outer.data[9] = (char)(outer.data[9] ^ 1); /* the message's own header is damaged */
	buf_add(&b, outer.data, outer.len);
	image = (struct image){ .bytes = (uint8_t *)b.data, .len = b.len };
	assert_int_equal(count_records(&image, 5, &step), 1);
	assert_int_equal(step, SEGMENT_BROKEN);
	buf_free(&b);
	buf_free(&forged);
	buf_free(&outer);
}

static void
test_unreadable(void **state)
{
	struct image image = { .bytes = NULL, .len = 65536, .error = EIO };
	enum segment_step step;

	(void)state;
	assert_int_equal(count_records(&image, 5, &step), 0);
	assert_int_equal(step, SEGMENT_UNREADABLE);
}

/* Without checking contents only headers and META count: a damaged content is found when it is
 * wanted. */
static void
test_contents_unchecked(void **state)
{
	struct buf b = { 0 };
	struct image image;
	struct segment_reader r;
	struct record_view v;
	const uint8_t *content;
	uint32_t len;

	(void)state;
	begin_segment(&b, 6);
	add_record(&b, 6, RECORD_MESSAGE, 1, 16, 64);
	add_record(&b, 6, RECORD_FINISH, 1, 0, 0);
	b.data[SEGMENT_BLOCK + RECORD_HEADER + 16 + 5] ^= 1;
	image = (struct image){ .bytes = (uint8_t *)b.data, .len = b.len };
	r = reader(&image, 6);
	r.check_contents = false;
	assert_int_equal(segment_next(&r, &v), SEGMENT_RECORD);
	assert_false(
	    record_check(image.bytes + v.offset, (size_t)v.length, r.seed, 1, &content, &len));
	assert_int_equal(segment_next(&r, &v), SEGMENT_RECORD);
	assert_int_equal(segment_next(&r, &v), SEGMENT_END);
	buf_free(&r.window);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_cut_and_changed),
		cmocka_unit_test(test_recycled),
		cmocka_unit_test(test_forged_content),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_contents_unchecked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
