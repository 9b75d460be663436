/*
 * Berkeley DB files read without the library, against files that the library wrote: both byte
 * orders, several page sizes, many pairs, deleted ones, items that overflow a page, db_dump's text;
 * and damaged files, which are an error and never more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <db.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/btree_file.h"

static char path[64];

static int
setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/genkan-btree-%ld", (long)getpid());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return 0;
}

static DB *
create(int order, unsigned page_size)
{
	DB *db;

	(void)unlink(path);
	assert_int_equal(db_create(&db, NULL, 0), 0);
	assert_int_equal(db->set_lorder(db, order), 0);
	assert_int_equal(db->set_pagesize(db, page_size), 0);
	assert_int_equal(db->open(db, NULL, path, NULL, DB_BTREE, DB_CREATE | DB_EXCL, 0600), 0);
	return db;
}

static void
put(DB *db, const char *key, const char *value)
{
	DBT k = { .data = (void *)(uintptr_t)key, .size = (u_int32_t)strlen(key) };
	DBT v = { .data = (void *)(uintptr_t)value, .size = (u_int32_t)strlen(value) };

	assert_int_equal(db->put(db, NULL, &k, &v, 0), 0);
}

static void
delete(DB *db, const char *key)
{
	DBT k = { .data = (void *)(uintptr_t)key, .size = (u_int32_t)strlen(key) };

	assert_int_equal(db->del(db, NULL, &k, 0), 0);
}

static void
load(struct buf *file)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	do {
		n = fread(buf_reserve(file, 65536), 1, 65536, f);
		file->len += n;
	} while (n > 0);
	fclose(f);
}

/* Sums up what was read, whatever the order: "key=value;" hashed. */
struct sum {
	unsigned n;
	uint64_t hash;
	size_t longest;
};

static void
add(struct sum *sum, const void *key, size_t key_len, const void *value, size_t len)
{
	const uint8_t *p = key;
	uint64_t h = 14695981039346656037u;
	size_t i;

	for (i = 0; i < key_len; i++)
		h = (h ^ p[i]) * 1099511628211u;
	h = (h ^ 256) * 1099511628211u;
	for (i = 0, p = value; i < len; i++)
		h = (h ^ p[i]) * 1099511628211u;
	sum->hash += h;
	sum->n++;
	if (len > sum->longest)
		sum->longest = len;
}

static void
on_pair(const void *key, size_t key_len, const void *value, size_t len, void *arg)
{
	add(arg, key, key_len, value, len);
}

static char *
read_all(const struct buf *file, struct sum *sum)
{
	struct btree_visitor visitor = { on_pair, sum };

	*sum = (struct sum){ 0 };
	return btree_file_read(file->data, file->len, &visitor);
}

/* N pairs, every fifth deleted, a long value every hundredth: the file, and what should be in it. */
static void
make_file(int order, unsigned page_size, unsigned n, struct buf *file, struct sum *expected)
{
	DB *db = create(order, page_size);
	char key[128], *value;
	unsigned i;

	*expected = (struct sum){ 0 };
	for (i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "192.0.%u.0/sender%u@example.org/bob@example.net",
		    i % 250, i);
		value = xasprintf("%u,%u%*s", 1700000000 + i, 1700000400 + i,
		    i % 100 == 99 ? 9000 : 0, "");
		put(db, key, value);
		if (i % 5 != 4)
			add(expected, key, strlen(key), value, strlen(value));
		free(value);
	}
	for (i = 4; i < n; i += 5) {
		snprintf(key, sizeof(key), "192.0.%u.0/sender%u@example.org/bob@example.net",
		    i % 250, i);
		delete(db, key);
	}
	assert_int_equal(db->close(db, 0), 0);
	buf_clear(file);
	load(file);
}

static void
test_files(void **state)
{
	static const struct {
		int order;
		unsigned page_size, n;
	} cases[] = {
		{ 1234, 4096, 0 },
		{ 1234, 4096, 3 },
		{ 4321, 4096, 3 },
		{ 1234, 4096, 5000 },
		{ 4321, 512, 3000 },
		{ 1234, 512, 3000 },
		{ 1234, 65536, 3000 },
	};
	struct buf file = { 0 };
	struct sum expected, sum;
	char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_file(cases[i].order, cases[i].page_size, cases[i].n, &file, &expected);
		assert_true(btree_file_is(file.data, file.len));
		why = read_all(&file, &sum);
		if (why != NULL)
			fail_msg("case %zu: %s", i, why);
		assert_int_equal(sum.n, expected.n);
		assert_true(sum.hash == expected.hash);
		assert_int_equal(sum.longest, expected.longest);
	}
	buf_free(&file);
}

/* Whatever is cut off or turned round: an error or other pairs, never a wild read (sanitizers). */
static void
test_damage(void **state)
{
	struct buf file = { 0 }, copy = { 0 };
	struct sum expected, sum;
	size_t i;

	(void)state;
	make_file(1234, 512, 300, &file, &expected);
	for (i = 0; i < file.len; i += i < 1200 ? 1 : 97) {
		buf_clear(&copy);
		buf_add(&copy, file.data, i);
		free(read_all(&copy, &sum));
		buf_clear(&copy);
		buf_add(&copy, file.data, file.len);
		copy.data[i] = (char)~copy.data[i];
		free(read_all(&copy, &sum));
	}
	buf_free(&file);
	buf_free(&copy);
}

/* An item chain that leads back to itself ends. */
static void
test_circle(void **state)
{
	struct buf file = { 0 };
	struct sum sum;
	char *why, *value;
	size_t page;
	DB *db;

	(void)state;
	db = create(1234, 512);
	value = xasprintf("%*s", 5000, "x");
	put(db, "key", value);
	free(value);
	assert_int_equal(db->close(db, 0), 0);
	load(&file);
	for (page = 512; page < file.len; page += 512)
		if (file.data[page + 25] == 7) {
			uint32_t self = (uint32_t)(page / 512);

			memcpy(file.data + page + 16, &self, 4);
		}
	why = read_all(&file, &sum);
	/* it brings the octets it promises, all of one page */
	free(why);
	assert_true(sum.longest <= 5000);
	buf_free(&file);
}

static void
test_dump(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		const char *why;
	} cases[] = {
		{ "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n a/b\n 1,2\n \\5c\\\\\\0a\n x\nDATA=END\n",
		    2, NULL },
		{ "VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n 612f62\n 312c32\nDATA=END\n", 1, NULL },
		{ "VERSION=3\nformat=print\nHEADER=END\nDATA=END", 0, NULL },
		{ "VERSION=3\nformat=print\nHEADER=END\n a\n", 0, "the dump has no end; it was cut off" },
		{ "VERSION=3\nformat=print\nHEADER=END\n a\nDATA=END\n", 0, "line 5 of the dump cannot be read" },
		{ "VERSION=3\nformat=print\nHEADER=END\na\n b\nDATA=END\n", 0, "line 4 of the dump cannot be read" },
		{ "VERSION=3\nformat=print\nHEADER=END\n \\zz\n b\nDATA=END\n", 0, "line 4 of the dump cannot be read" },
		{ "VERSION=3\nHEADER=END\n 616\n 62\nDATA=END\n", 0, "line 3 of the dump cannot be read" },
	};
	struct buf file = { 0 };
	struct sum sum;
	char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&file);
		buf_adds(&file, cases[i].text);
		assert_true(btree_file_is(file.data, file.len));
		why = read_all(&file, &sum);
		assert_int_equal(sum.n, cases[i].n);
		if (cases[i].why == NULL)
			assert_null(why);
		else
			assert_string_equal(why, cases[i].why);
		free(why);
	}
	buf_free(&file);
}

static void
test_other_files(void **state)
{
	struct buf file = { 0 };
	struct sum sum;
	char *why;
	DB *db;

	(void)state;
	buf_adds(&file, "#!/usr/bin/perl\n");
	assert_false(btree_file_is(file.data, file.len));
	why = read_all(&file, &sum);
	assert_string_equal(why, "no Berkeley DB file");
	free(why);
	buf_clear(&file);
	(void)unlink(path);
	assert_int_equal(db_create(&db, NULL, 0), 0);
	assert_int_equal(db->set_flags(db, DB_CHKSUM), 0);
	assert_int_equal(db->open(db, NULL, path, NULL, DB_BTREE, DB_CREATE, 0600), 0);
	assert_int_equal(db->close(db, 0), 0);
	load(&file);
	why = read_all(&file, &sum);
	assert_non_null(strstr(why, "db_dump -p"));
	free(why);
	buf_free(&file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_circle),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_other_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
