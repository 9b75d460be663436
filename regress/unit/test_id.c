/*
 * Ids and clocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "regress/unit/child.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char err[CHILD_STDERR_MAX];

/* --- id --- */

static void
test_id_text(void **state)
{
	static const struct {
		uint64_t id;
		const char *text;
	} cases[] = {
		{ 1, "0000000000001" },
		{ 31, "000000000000Z" },
		{ 32, "0000000000010" },
		{ UINT64_MAX, "FZZZZZZZZZZZZ" },
		{ 0x8000000000000000, "8000000000000" },
		{ 0x0123456789abcdef, "028T5CY4TQKFF" },
	};
	uint64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_string_equal(id_text(cases[i].id).s, cases[i].text);
		assert_true(id_parse(cases[i].text, &id));
		assert_int_equal(id, cases[i].id);
	}
}

static void
test_id_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t id; /* 0: none */
	} cases[] = {
		{ "028t5cy4tqkff", 0x0123456789abcdef },
		{ "O28T5CY4TQKFF", 0x0123456789abcdef },
		{ "o000000000ILi", 1057 },
		{ "000000000000l", 1 },
		{ "", 0 },
		{ "0", 0 },
		{ "0000000000000", 0 },	 /* never an id */
		{ "028T5CY4TQKF", 0 },	 /* short */
		{ "028T5CY4TQKFF0", 0 }, /* long */
		{ "028T5CY4TQKFF ", 0 },
		{ " 28T5CY4TQKFF", 0 },
		{ "G000000000001", 0 }, /* the 65th bit */
		{ "028T5CY4TQKFU", 0 },
		{ "028T5CY4-QKFF", 0 },
		{ "028T5CY4\xc3\xa9KFF", 0 },
	};
	char *text;
	uint64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		text = xstrdup(cases[i].text);
		id = 0;
		assert_int_equal(id_parse(text, &id), cases[i].id != 0);
		assert_int_equal(id, cases[i].id);
		free(text);
	}
}

static void
test_id_new(void **state)
{
	int64_t before, after;
	uint64_t id, back;
	int i, repeated = 0;
	uint32_t last = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		before = clock_now();
		id = id_new();
		after = clock_now();
		assert_true((int64_t)(id >> 32) >= before && (int64_t)(id >> 32) <= after);
		repeated += (uint32_t)id == last;
		last = (uint32_t)id;
		assert_true(id_parse(id_text(id).s, &back));
		assert_int_equal(back, id);
	}
	assert_true(repeated < 2);
}

/* --- clock --- */

struct clock_case {
	const char *path; /* %s is replaced with the temporary file */
	const char *bytes;
	size_t len;
	bool as_root;
	bool is_test;
	int64_t offset;
	const char *says; /* NULL: nothing */
	/* filled in by the test */
	char *env;
	int fd;
};

/* Apart from the real one by OFFSET, give or take the seconds between two readings. */
static bool
is_off_by(int64_t offset)
{
	int64_t apart;

	apart = clock_now() - (int64_t)time(NULL);
	return apart >= offset - 1 && apart <= offset + 1;
}

/* Time that passes moves both clocks; what is set only the one on the wall. */
static int
clock_was_moved(int fd)
{
	static const uint8_t back[8] = { 0x80, 0xae, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff }, little[8] = { 0x81, 0xae, 0xfe, 0xff,
		0xff, 0xff, 0xff, 0xff }, none[8] = { 0 };
	struct clock_watch watch = { 0 };
	int64_t steady = clock_steady(), by;

	if (clock_was_set(&watch) != 0)
		return 20;
	if (pwrite(fd, back, sizeof(back), 8) != sizeof(back) || !is_off_by(0))
		return 21;
	by = clock_was_set(&watch);
	if (by < -86401 || by > -86399 || clock_was_set(&watch) != 0)
		return 22;
	if (clock_steady() < steady || clock_steady() > steady + 60)
		return 23;
	if (pwrite(fd, little, sizeof(little), 8) != sizeof(little) || clock_was_set(&watch) != 0)
		return 24;
	if (pwrite(fd, none, sizeof(none), 0) != sizeof(none) || clock_was_set(&watch) != 0)
		return 25;
	return clock_steady() > steady - 86400 + 60 ? 26 : 0;
}

static int
clock_child(void *arg)
{
	struct clock_case *k = arg;
	static const uint8_t later[8] = { 0x80, 0x51, 0x01, 0, 0, 0, 0, 0 };
	uint64_t start;

	if (!k->as_root && getuid() == 0 && setuid(65534) == -1)
		return 10;
	setenv("GENKAN_CLOCK", k->env, 1);
	clock_init();
	if (clock_is_test() != k->is_test)
		return 11;
	if (!is_off_by(k->offset))
		return 12;
	if (!k->is_test)
		return 0;
	start = clock_ms();
	if (pwrite(k->fd, later, sizeof(later), 0) != sizeof(later))
		return 13;
	if (!is_off_by(86400))
		return 14;
	if (k->len >= 16)
		return clock_was_moved(k->fd);
	return clock_ms() < start || clock_ms() - start > 3600 * 1000 ? 15 : 0;
}

static void
check_clock(struct clock_case *k)
{
	char path[] = "/tmp/genkan-clock-XXXXXX";
	int status;

	k->fd = mkstemp(path);
	assert_true(k->fd != -1);
	assert_int_equal(fchmod(k->fd, 0644), 0);
	assert_int_equal(write(k->fd, k->bytes, k->len), k->len);
	k->env = xstrdup(k->path != NULL ? k->path : path);
	status = child_run(clock_child, k, err);
	unlink(path);
	close(k->fd);
	if (k->says == NULL)
		assert_string_equal(err, "");
	else
		assert_true(strstr(err, k->says) != NULL && strstr(err, k->env) != NULL);
	free(k->env);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_clock(void **state)
{
	static struct clock_case cases[] = {
		{ .bytes = "\x10\x0e\0\0\0\0\0\0", .len = 8, .is_test = true, .offset = 3600 },
		{ .bytes = "\x10\x0e\0\0\0\0\0\0\0\0\0\0\0\0\0\0", .len = 16, .is_test = true, .offset = 3600 },
		{ .bytes = "\xf0\xf1\xff\xff\xff\xff\xff\xff more",
		    .len = 13,
		    .is_test = true,
		    .offset = -3600 },
		/* too far for any clock */
		{ .bytes = "\xff\xff\xff\xff\xff\xff\xff\x7f",
		    .len = 8,
		    .is_test = true,
		    .offset = 0 },
		{ .bytes = "\0\0\0\0\0\0\0", .len = 7, .says = "at least 8 octets" },
		{ .bytes = "", .len = 0, .says = "at least 8 octets" },
		{ .path = "/tmp", .bytes = "", .says = "at least 8 octets" },
		{ .path = "/nonexistent/clock", .bytes = "", .says = "No such file" },
		{ .path = "", .bytes = "", .says = "No such file" },
	};
	struct clock_case root = { .bytes = "\x10\x0e\0\0\0\0\0\0",
		.len = 8,
		.as_root = true,
		.says = "root has no test clock" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		check_clock(&cases[i]);
	if (getuid() == 0)
		check_clock(&root);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_text),
		cmocka_unit_test(test_id_parse),
		cmocka_unit_test(test_id_new),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
