/*
 * Units of queue/select.c: which words are a selector, and which messages it means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/id.h"
#include "lib/mem.h"
#include "queue/select.h"

#define NOW 1700000000
#define ID 0x6553f10012345678
#define OTHER_ID 0x6553f10012345679

/* From a@example.org, an hour old, 5,000 octets.  Its third recipient is done. */
static struct envelope *
sample(void)
{
	struct envelope *env = envelope_new();

	env->id = ID;
	env->time = NOW - 3600;
	env->size = 5000;
	env->sender = xstrdup("Alice@example.org");
	env->origin = xstrdup("");
	envelope_add_recipient(env, "bob@mail.example.net", NULL, 0);
	envelope_add_recipient(env, "carol@example.com", NULL, 0);
	envelope_add_recipient(env, "dave@done.example", NULL, 0);
	envelope_set(&env->recipients[0].reason, "451 4.7.1 Greylisted, come back");
	envelope_set(&env->recipients[0].host, "mx1.example.net[192.0.2.1]");
	envelope_set(&env->recipients[1].reason, "452 4.2.2 Mailbox full");
	env->recipients[2].state = RECIPIENT_DELIVERED;
	envelope_set(&env->recipients[2].reason, "250 2.0.0 Ok");
	return env;
}

static unsigned
split(char *text, const char *words[16])
{
	unsigned n = 0;
	char *word;

	for (word = strtok(text, "|"); word != NULL; word = strtok(NULL, "|"))
		words[n++] = word;
	return n;
}

/* Words are separated by '|'; ID and OTHER stand for ids. */
static char *
parse(struct selector *s, const char *text)
{
	static char copy[512];
	static char ids[2][ID_LEN + 1];
	const char *words[16];
	unsigned n, i;

	strlcpy(copy, text, sizeof(copy));
	strlcpy(ids[0], id_text(ID).s, sizeof(ids[0]));
	strlcpy(ids[1], id_text(OTHER_ID).s, sizeof(ids[1]));
	n = split(copy, words);
	for (i = 0; i < n; i++)
		words[i] = strcmp(words[i], "ID") == 0	    ? ids[0]
			   : strcmp(words[i], "OTHER") == 0 ? ids[1]
							    : words[i];
	return select_parse(s, n, words);
}

static const struct {
	const char *words;
	bool matches;
} matches[] = {
	{ "all", true },
	{ "", true },
	{ "ID", true },
	{ "OTHER", false },
	{ "OTHER|ID", true },
	{ "from=alice@EXAMPLE.org", true },
	{ "from=example.org", true },
	{ "from=@example.org", true },
	{ "from=@ample.org", false },
	{ "from=org", false },
	{ "from=al*@*.org", true },
	{ "from=*", true },
	{ "from=a*b*c", false },
	{ "from=<>", false },
	{ "from=", false },
	{ "to=bob@mail.example.net", true },
	{ "to=bob", false },
	{ "to=*@example.com", true },
	{ "to=dave@done.example", false }, /* does not wait any more */
	{ "domain=example.net", true },
	{ "domain=@example.net", true },
	{ "domain=mail.example.net", true },
	{ "domain=ample.net", false },
	{ "domain=done.example", false },
	{ "older=30m", true },
	{ "older=3599", true },
	{ "older=1h", false },
	{ "younger=1h", false },
	{ "younger=61m", true },
	{ "older=30m|younger=2h", true },
	{ "size=5000", true },
	{ "size=>4K", true },
	{ "size=5K", false },
	{ "size=<5000", false },
	{ "size=<5001", true },
	{ "state=deferred", true },
	{ "state=HELD", false },
	{ "reason=greylisted", true },
	{ "reason=250", false },
	{ "host=192.0.2.1", true },
	{ "host=mx2", false },
	/* of one and the same recipient */
	{ "domain=example.net|reason=greylisted", true },
	{ "domain=example.com|reason=greylisted", false },
	{ "from=example.org|domain=example.com|older=1m", true },
	{ "from=example.com|domain=example.com", false },
	{ "ID|state=held", false },
	{ "dry-run|from=example.org", true },
};

static void
means(void **state)
{
	struct envelope *env = sample();
	struct selector s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		print_message("  %s\n", matches[i].words);
		assert_null(parse(&s, matches[i].words));
		assert_int_equal(select_match(&s, env, MESSAGE_DEFERRED, NOW), matches[i].matches);
	}
	envelope_free(env);
}

static void
null_sender(void **state)
{
	struct envelope *env = sample();
	struct selector s;

	(void)state;
	envelope_set(&env->sender, "");
	assert_null(parse(&s, "from=<>"));
	assert_true(select_match(&s, env, MESSAGE_WAITING, NOW));
	assert_null(parse(&s, "from="));
	assert_true(select_match(&s, env, MESSAGE_WAITING, NOW));
	assert_null(parse(&s, "from=example.org"));
	assert_false(select_match(&s, env, MESSAGE_WAITING, NOW));
	/* the clock was set back */
	assert_null(parse(&s, "older=0s"));
	assert_false(select_match(&s, env, MESSAGE_WAITING, env->time - 100));
	envelope_free(env);
}

static const struct {
	const char *words, *why; /* part of it */
} errors[] = {
	{ "6553F1", "neither a message id" },
	{ "form=a@b", "neither a message id" },
	{ "from=a|from=b", "twice" },
	{ "older=yesterday", "no time" },
	{ "older=5M", "no time" },
	{ "size=2h", "no size" },
	{ "size=<", "no size" },
	{ "state=frozen", "no such state" },
	{ "to=", "no value" },
	{ "all|from=a@b", "stands alone" },
	{ "ID|all", "stands alone" },
	{ "id=xyz", "neither a message id" },
};

static void
complains(void **state)
{
	struct selector s;
	size_t i;
	char *why;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		print_message("  %s\n", errors[i].words);
		why = parse(&s, errors[i].words);
		assert_non_null(why);
		assert_non_null(strstr(why, errors[i].why));
		free(why);
	}
}

static void
too_many_ids(void **state)
{
	const char *words[65];
	struct selector s;
	char id[ID_LEN + 1], *why;
	unsigned i;

	(void)state;
	strlcpy(id, id_text(ID).s, sizeof(id));
	for (i = 0; i < 65; i++)
		words[i] = id;
	assert_null(select_parse(&s, 64, words));
	why = select_parse(&s, 65, words);
	assert_non_null(why);
	free(why);
}

static void
emptiness(void **state)
{
	static const struct {
		const char *words;
		bool empty, dry;
	} cases[] = {
		{ "", true, false },
		{ "dry-run", true, true },
		{ "-n", true, true },
		{ "all", false, false },
		{ "ID", false, false },
		{ "from=<>", false, false },
		{ "size=<1", false, false },
		{ "younger=1d|-n", false, true },
		{ "state=waiting", false, false },
		{ "host=a", false, false },
	};
	struct selector s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(parse(&s, cases[i].words));
		assert_int_equal(select_is_empty(&s), cases[i].empty);
		assert_int_equal(s.dry_run, cases[i].dry);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(means),
		cmocka_unit_test(null_sender),
		cmocka_unit_test(complains),
		cmocka_unit_test(too_many_ids),
		cmocka_unit_test(emptiness),
	};

	return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
