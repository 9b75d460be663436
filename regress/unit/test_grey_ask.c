/*
 * What a greylist rule asks: by which key, with which times.  The keys of rules that differ must
 * never be the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filters/grey_ask.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct facts
caller(const char *address, const char *name)
{
	struct facts f = { .name = name, .sender = "Alice+x@Example.ORG", .recipient = "bob@example.net" };

	assert_true(ip_parse(address, &f.client));
	return f;
}

static void
test_keys(void **state)
{
	static const struct {
		enum grey_by by;
		const char *address, *name, *identity;
		bool client_only, client;
	} cases[] = {
		{ GREY_BY_TRIPLET, "192.0.2.7", "mx1.example.org", "name:example.org", false, true },
		{ GREY_BY_TRIPLET, "192.0.2.7", NULL, "net:192.0.2.0/24", false, true },
		{ GREY_BY_NETWORK, "192.0.2.7", "mx1.example.org", "net:192.0.2.0/24", false, true },
		{ GREY_BY_NETWORK, "2001:db8::7", "mx1.example.org", "net:2001:db8::/64", false, true },
		{ GREY_BY_ADDRESS, "192.0.2.7", "mx1.example.org", "net:192.0.2.7/32", false, false },
		{ GREY_BY_ADDRESS, "2001:db8::7", NULL, "net:2001:db8::7/128", false, false },
		{ GREY_BY_CLIENT, "192.0.2.7", "mx1.example.org", "net:192.0.2.7/32", true, false },
	};
	struct grey_ask ask;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		struct rule rule = { .action = ACTION_GREYLIST, .by = cases[i].by };
		struct facts f = caller(cases[i].address, cases[i].name);

		grey_ask_make(&ask, &rule, &f);
		assert_string_equal(ask.question.identity, cases[i].identity);
		assert_string_equal(ask.question.sender, "alice@example.org");
		assert_string_equal(ask.question.recipient, "bob@example.net");
		assert_int_equal(ask.question.client_only, cases[i].client_only);
		assert_int_equal(!ask.question.narrow, cases[i].client);
		grey_ask_clear(&ask);
	}
}

static void
test_spf(void **state)
{
	struct rule rule = { .action = ACTION_GREYLIST };
	struct facts f = caller("192.0.2.7", "mx1.example.org");
	struct grey_ask ask;

	(void)state;
	f.spf_domain = "example.com";
	f.spf = AUTH_SOFTFAIL;
	grey_ask_make(&ask, &rule, &f);
	assert_string_equal(ask.question.identity, "name:example.org");
	grey_ask_clear(&ask);
	f.spf = AUTH_PASS;
	grey_ask_make(&ask, &rule, &f);
	assert_string_equal(ask.question.identity, "spf:example.com");
	grey_ask_clear(&ask);
	rule.by = GREY_BY_NETWORK;
	grey_ask_make(&ask, &rule, &f);
	assert_string_equal(ask.question.identity, "net:192.0.2.0/24");
	grey_ask_clear(&ask);
}

static void
test_times(void **state)
{
	struct rule rule = { .action = ACTION_GREYLIST, .number = 4, .place = { 17, 2 } };
	struct facts f = { .client = { 0 } };
	struct grey_ask ask;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &f.client));
	grey_ask_make(&ask, &rule, &f);
	assert_int_equal(ask.question.delay, GREYLIST_DELAY);
	assert_int_equal(ask.question.window, GREYLIST_WINDOW);
	assert_int_equal(ask.question.lifetime, GREYLIST_LIFETIME);
	assert_int_equal(ask.question.trust_after, GREYLIST_TRUST_AFTER);
	assert_int_equal(ask.question.rule, 4);
	assert_int_equal(ask.question.line, 17);
	assert_string_equal(ask.question.sender, "");
	assert_string_equal(ask.question.recipient, "");
	grey_ask_clear(&ask);
	rule.delay = 1;
	rule.window = 2;
	rule.lifetime = 3;
	rule.trust_after = GREYLIST_TRUST_NEVER;
	grey_ask_make(&ask, &rule, &f);
	assert_int_equal(ask.question.delay, 1);
	assert_int_equal(ask.question.window, 2);
	assert_int_equal(ask.question.lifetime, 3);
	assert_int_equal(ask.question.trust_after, 0);
	grey_ask_clear(&ask);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_spf),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
