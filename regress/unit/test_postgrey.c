/*
 * postgrey's keys and values: what it writes is understood, what it does not write is not, and what
 * is written back is the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "smtpctl/postgrey.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void
test_triplets(void **state)
{
	static const struct {
		const char *key, *value;
		const char *client, *sender, *recipient;
		int64_t first, last;
		bool passed;
	} cases[] = {
		{ "192.0.2.0/alice@example.org/bob@example.net", "1700000000,1700000400", "192.0.2.0/24",
		    "alice@example.org", "bob@example.net", 1700000000, 1700000400, true },
		{ "192.0.2.0/alice@example.org/bob@example.net", "1700000000,1700000299", "192.0.2.0/24",
		    "alice@example.org", "bob@example.net", 1700000000, 1700000299, false },
		/* taRgrey; an old version */
		{ "192.0.2.0/a@x.org/b@y.net", "1700000000,1700000300,2", "192.0.2.0/24", "a@x.org", "b@y.net",
		    1700000000, 1700000300, true },
		{ "192.0.2.0/a@x.org/b@y.net", "1700000000,1700000300,mx.x.org", "192.0.2.0/24", "a@x.org",
		    "b@y.net", 1700000000, 1700000300, true },
		/* the null sender; VERP; --lookup-by-host */
		{ "198.51.100.0//bob@example.net", "1,2", "198.51.100.0/24", "", "bob@example.net", 1, 2, false },
		{ "192.0.2.7/a@x.org/b@y.net", "1,2", "192.0.2.7/32", "a@x.org", "b@y.net", 1, 2, false },
		{ "2001:db8:1:2:0:0:0:0/list-bounces-#-bob=y.net@lists.x.org/bob@y.net", "1,2",
		    "2001:db8:1:2::/64", "list-bounces-#-bob=y.net@lists.x.org", "bob@y.net", 1, 2, false },
		/* slashes */
		{ "192.0.2.0/a/b@x.org/c/d@y.net", "1,2", "192.0.2.0/24", "a/b@x.org", "c/d@y.net", 1, 2, false },
		/* a clock that went back */
		{ "192.0.2.0/a@x.org/b@y.net", "20,10", "192.0.2.0/24", "a@x.org", "b@y.net", 20, 20, false },
	};
	struct postgrey_triplet t;
	struct postgrey_client c;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(postgrey_read(cases[i].key, strlen(cases[i].key), cases[i].value,
				     strlen(cases[i].value), &t, &c),
		    POSTGREY_TRIPLET);
		assert_string_equal(ipnet_text(&t.client).s, cases[i].client);
		assert_string_equal(t.sender, cases[i].sender);
		assert_string_equal(t.recipient, cases[i].recipient);
		assert_int_equal(t.first, cases[i].first);
		assert_int_equal(t.last, cases[i].last);
		assert_int_equal(postgrey_passed(&t), cases[i].passed);
		postgrey_triplet_clear(&t);
	}
}

static void
test_clients(void **state)
{
	struct postgrey_triplet t;
	struct postgrey_client c;

	(void)state;
	assert_int_equal(postgrey_read("192.0.2.77", 10, "6,1700000400", 12, &t, &c), POSTGREY_CLIENT);
	assert_string_equal(ip_text(&c.ip).s, "192.0.2.77");
	assert_int_equal(c.count, 6);
	assert_int_equal(c.last, 1700000400);
	assert_int_equal(postgrey_read("2001:DB8:1:2:AAAA:0:0:9", 23, "1,2", 3, &t, &c), POSTGREY_CLIENT);
	assert_string_equal(ip_text(&c.ip).s, "2001:db8:1:2:aaaa::9");
}

static void
test_others(void **state)
{
	static const struct {
		const char *key, *value;
		enum postgrey_kind kind;
	} cases[] = {
		{ "da39a3ee5e6b4b0d3255bfef95601890afd80709", "1,2", POSTGREY_HASHED },
		{ "192.0.2.0/a@x.org/b@y.net", "", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org/b@y.net", "1", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org/b@y.net", "1,", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org/b@y.net", "1,2x", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org/b@y.net", "-1,2", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org/b@y.net", "99999999999999999999,2", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org", "1,2", POSTGREY_NONE },
		{ "192.0.2.0/a@x.org/nobody", "1,2", POSTGREY_NONE },
		{ "192.0.2.0//", "1,2", POSTGREY_NONE },
		{ "192.0.2/a@x.org/b@y.net", "1,2", POSTGREY_NONE },
		{ "mail.x.org/a@x.org/b@y.net", "1,2", POSTGREY_NONE },
		{ "", "1,2", POSTGREY_NONE },
		{ "last_cleanup", "1,2", POSTGREY_NONE },
	};
	struct postgrey_triplet t;
	struct postgrey_client c;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(postgrey_read(cases[i].key, strlen(cases[i].key), cases[i].value,
				     strlen(cases[i].value), &t, &c),
		    cases[i].kind);
		postgrey_triplet_clear(&t);
	}
	/* a NUL in a key */
	assert_int_equal(postgrey_read("192.0.2.0/a\0@x/b@y", 18, "1,2", 3, &t, &c), POSTGREY_NONE);
	postgrey_triplet_clear(&t);
}

static void
test_there_and_back(void **state)
{
	static const char *const keys[] = { "192.0.2.0/alice@example.org/bob@example.net",
		"192.0.2.7/a@x.org/b@y.net", "198.51.100.0//bob@example.net",
		"2001:db8:1:2:0:0:0:0/a@x.org/b@y.net" };
	struct buf key = { 0 }, value = { 0 };
	struct postgrey_triplet t;
	struct postgrey_client c;
	size_t i;

	(void)state;
	for (i = 0; i < N(keys); i++) {
		postgrey_read(keys[i], strlen(keys[i]), "1700000000,1700000400", 21, &t, &c);
		buf_clear(&key);
		buf_clear(&value);
		postgrey_triplet_write(&t, &key, &value);
		assert_string_equal(buf_str(&key), keys[i]);
		assert_string_equal(buf_str(&value), "1700000000,1700000400");
		postgrey_triplet_clear(&t);
	}
	postgrey_read("2001:DB8:1:2:AAAA:0:0:9", 23, "6,17", 4, &t, &c);
	buf_clear(&key);
	buf_clear(&value);
	postgrey_client_write(&c, &key, &value);
	assert_string_equal(buf_str(&key), "2001:DB8:1:2:AAAA:0:0:9");
	assert_string_equal(buf_str(&value), "6,17");
	buf_free(&key);
	buf_free(&value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_triplets),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
