/*
 * Tries of a mail that was put off: measured schedules and what programs that send spam do instead, who is proposed, how
 * long a record is kept, and its octets.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/gate.h"
#include "filters/tries.h"
#include "lib/buf.h"
#include "regress/unit/corpus.h"

#define T0 1800000000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ip
ip(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));
	return ip;
}

static void
add(struct tries *t, int64_t at, const char *client)
{
	struct ip from = ip(client);

	tries_add(t, T0 + at, &from, "mx.example.org", "mx");
}

/* Seconds after the first try; the end is a negative one.  PROPOSED: at which of them, or -1. */
static const struct {
	const char *who;
	int tries[20];
	int proposed;
} schedules[] = {
	{ "once", { 0, -1 }, -1 },
	{ "at once", { 0, 1, 2, 3, -1 }, -1 },
	{ "after a quarter of an hour", { 0, 900, -1 }, -1 },
	{ "every half minute", { 0, 30, 60, 90, 120, 150, 180, 600, 630, 660, 690, -1 }, -1 },
	{ "twice, hammering", { 0, 1, 2, 3, 4, 5, 6, 900, 901, 902, 1800, -1 }, -1 },
	{ "three in nine minutes", { 0, 270, 540, -1 }, -1 },
	{ "once a day and a minute", { 0, 86460, -1 }, -1 },
	{ "Postfix", { 0, 300, 900, 2100, -1 }, 900 },
	{ "Exim", { 0, 900, 1800, -1 }, 1800 },
	{ "sendmail -q30m", { 0, 1800, 3600, -1 }, 3600 },
	{ "qmail", { 0, 400, 1600, -1 }, 1600 },
	{ "three addresses of a name at once", { 0, 2, 600, 602, 1200, 1202, -1 }, 1200 },
};

static void
test_schedules(void **state)
{
	struct tries t;
	size_t i, k;
	int at;

	(void)state;
	for (i = 0; i < COUNT(schedules); i++) {
		memset(&t, 0, sizeof(t));
		at = -1;
		for (k = 0; schedules[i].tries[k] >= 0; k++) {
			assert_int_equal(tries_are_over(&t, T0 + schedules[i].tries[k]),
			    k == 0 || schedules[i].tries[k] > 86400);
			add(&t, schedules[i].tries[k], "192.0.2.7");
			if (at == -1 && rhythm_is_of_a_server(&t.rhythm))
				at = schedules[i].tries[k];
		}
		if (at != schedules[i].proposed)
			fail_msg("%s: %d", schedules[i].who, at);
	}
}

/* "6:02 29:02 ..." and "then-every-4:00 362:11" */
static int
proposed_after(char *delays)
{
	struct tries t = { .n = 0 };
	char *word, *number;
	int minutes, seconds, after;

	add(&t, 0, "192.0.2.7");
	while ((word = strsep(&delays, " ")) != NULL) {
		number = strpbrk(word, "0123456789");
		if (number != word || sscanf(number, "%d:%d", &minutes, &seconds) != 2)
			continue;
		after = minutes * 60 + seconds;
		add(&t, after, "192.0.2.7");
		if (rhythm_is_of_a_server(&t.rhythm))
			return after;
	}
	return -1;
}

/* Ten large providers: every one is seen for what it is within half an hour, before the first of them gives up. */
static void
test_providers(void **state)
{
	char line[1024], *column[6];
	unsigned n = 0;
	int after;
	FILE *f;

	(void)state;
	f = corpus_open("s25r/provider-retry-schedules.tsv");
	while (corpus_columns(f, line, sizeof(line), column, 6) == 6) {
		after = proposed_after(column[5]);
		if (after < RHYTHM_SPREAD || after > 30 * 60)
			fail_msg("%s: %d", column[0], after);
		n++;
	}
	fclose(f);
	assert_int_equal(n, 10);
}

static void
test_whom(void **state)
{
	enum operator_kind kind;
	struct tries t = { .n = 0 };
	struct ip none = { .family = 0 };
	const char *why;
	char *whom, *spelled;

	(void)state;
	tries_add(&t, T0, &none, NULL, NULL);
	add(&t, 300, "192.0.2.7");
	whom = tries_whom(&t, "name:example.org", &kind);
	assert_int_equal(kind, OPERATOR_IDENTITY);
	assert_string_equal(whom, "name:example.org");
	free(whom);
	/* one host of a network is not all of it */
	whom = tries_whom(&t, "net:192.0.2.0/24", &kind);
	assert_int_equal(kind, OPERATOR_CLIENT);
	spelled = operator_text(kind, whom, &why);
	assert_string_equal(whom, spelled);
	assert_string_equal(whom, "192.0.2.7/32");
	free(whom);
	free(spelled);
	add(&t, 600, "192.0.2.8");
	whom = tries_whom(&t, "net:192.0.2.0/24", &kind);
	assert_int_equal(kind, OPERATOR_IDENTITY);
	assert_string_equal(whom, "net:192.0.2.0/24");
	free(whom);
}

static void
test_kept(void **state)
{
	struct tries t = { .n = 0 };
	struct buf b = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		add(&t, i * 600, i < 19 ? "192.0.2.7" : "192.0.2.9");
	assert_int_equal(t.n, TRIES_KEPT);
	assert_int_equal(t.rhythm.counted, 20);
	assert_int_equal(t.made[0].time, T0);
	assert_int_equal(t.made[1].time, T0 + 600);
	assert_int_equal(t.made[TRIES_KEPT - 1].time, T0 + 19 * 600);
	assert_int_equal(tries_waited(&t), 19 * 600);
	/* a clock that went back makes no time pass; one that was far ahead is forgotten */
	assert_true(tries_are_over(&t, T0));
	assert_false(tries_are_over(&t, T0 + 19 * 600 - 60));
	add(&t, 0, "192.0.2.7");
	assert_int_equal(t.rhythm.last, T0 + 19 * 600);
	assert_int_equal(tries_expire(&t), t.rhythm.last + 2 * 86400);
	t.proposed = true;
	assert_int_equal(tries_expire(&t), t.rhythm.last + 31 * 86400);
	t.let_in = T0 + 20 * 600;
	assert_int_equal(tries_waited(&t), 20 * 600);
	assert_true(tries_are_over(&t, t.let_in));
	t.n = 2;
	tries_print(&b, &t);
	assert_string_equal(buf_str(&b), "0s 192.0.2.7 (mx.example.org) HELO mx, +10m 192.0.2.7 (mx.example.org) HELO mx");
	buf_free(&b);
}

static void
test_octets(void **state)
{
	char name[400];
	struct tries t = { .rule = 3, .line = 12, .action = ACTION_TEMPFAIL, .proposed = true }, out;
	struct ip client = ip("2001:db8::25");
	struct buf b = { 0 };
	size_t i;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (i = 0; i < TRIES_KEPT; i++)
		tries_add(&t, T0 + (int64_t)i * 600, &client, name, name);
	tries_encode(&b, &t);
	assert_true(tries_decode(b.data, b.len, &out));
	assert_memory_equal(&out, &t, sizeof(t));
	assert_int_equal(strlen(out.made[7].name), TRIES_NAME_MAX);
	for (i = 0; i < b.len; i++)
		assert_false(tries_decode(b.data, i, &out));
	b.data[2] = ACTION_COUNT;
	assert_false(tries_decode(b.data, b.len, &out));
	/* times that go back were never written */
	buf_clear(&b);
	t.made[3].time = t.made[2].time - 1;
	tries_encode(&b, &t);
	assert_false(tries_decode(b.data, b.len, &out));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedules),
		cmocka_unit_test(test_providers),
		cmocka_unit_test(test_whom),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
