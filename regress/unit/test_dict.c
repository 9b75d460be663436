/*
 * The table in memory: what was put is found, values stay where they are, nothing else is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dict.h"

#define MANY 100000

struct value {
	uint64_t number;
	char odd[5];
};

static void
sum(const void *key, size_t len, void *value, void *arg)
{
	assert_true(len >= 4);
	assert_memory_equal(key, "key ", 4);
	*(uint64_t *)arg += ((struct value *)value)->number;
}

static void
test_many(void **state)
{
	struct dict *d = dict_new(sizeof(struct value));
	struct value *first = NULL, *v;
	uint64_t total = 0;
	char key[32];
	unsigned i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "key %u", i);
		assert_null(dict_get(d, key, strlen(key)));
		v = dict_put(d, key, strlen(key));
		assert_int_equal(v->number, 0);
		assert_int_equal((uintptr_t)v % _Alignof(uint64_t), 0);
		v->number = i;
		if (i == 0)
			first = v;
	}
	assert_int_equal(dict_count(d), MANY);
	for (i = 0; i < MANY; i += 7) {
		snprintf(key, sizeof(key), "key %u", i);
		v = dict_get(d, key, strlen(key));
		assert_non_null(v);
		assert_int_equal(v->number, i);
		assert_ptr_equal(dict_put(d, key, strlen(key)), v);
		assert_null(dict_get(d, key, strlen(key) + 1));
	}
	assert_ptr_equal(dict_get(d, "key 0", 5), first);
	dict_each(d, sum, &total);
	assert_int_equal(total, (uint64_t)MANY * (MANY - 1) / 2);
	dict_free(d);
}

static void
test_any_octets(void **state)
{
	struct dict *d = dict_new(1);
	static char large[3 * 1024 * 1024];

	(void)state;
	dict_put(d, "", 0);
	dict_put(d, "a\0b", 3);
	dict_put(d, "a\0c", 3);
	dict_put(d, large, sizeof(large));
	assert_int_equal(dict_count(d), 4);
	assert_non_null(dict_get(d, "", 0));
	assert_non_null(dict_get(d, "a\0c", 3));
	assert_null(dict_get(d, "a", 1));
	assert_null(dict_get(d, "a\0", 2));
	assert_non_null(dict_get(d, large, sizeof(large)));
	assert_null(dict_get(d, large, sizeof(large) - 1));
	dict_free(d);
	dict_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_any_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
