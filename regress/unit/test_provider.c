/*
 * Rows of rules for providers: which make sense, whose they are, and which replies ask for a pause.
 * The rows that are installed are among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deliver/provider.h"
#include "lib/table.h"

static void
test_parse(void **state)
{
	char *why;
	struct provider *p = provider_parse("Example.NET",
	    "concurrency 5\trecipients 20 messages 7 pause 90s \"a \\\"b\\\"\" \"C\"  pause 2h \"d\"", &why);

	(void)state;
	assert_non_null(p);
	assert_null(why);
	assert_string_equal(p->name, "example.net");
	assert_int_equal(p->concurrency, 5);
	assert_int_equal(p->recipients, 20);
	assert_int_equal(p->messages, 7);
	assert_int_equal(p->pauses_n, 3);
	assert_int_equal(provider_pause(p, "421 4.7.0 so A \"b\" it is"), 90);
	assert_int_equal(provider_pause(p, "451 d"), 7200);
	assert_int_equal(provider_pause(p, "451 4.3.0 else"), 0);
	assert_int_equal(provider_pause(NULL, "451 d"), 0);
	provider_free(p);
	p = provider_parse("example.net", "as Example.ORG", &why);
	assert_string_equal(p->as, "example.org");
	provider_free(p);
}

static void
test_wrong(void **state)
{
	static const struct {
		const char *key, *value, *why;
	} cases[] = {
		{ "a.example", "", "no rule; expected" },
		{ "a b", "concurrency 4", "neither a domain" },
		{ "192.0.2.0/24", "concurrency 4", "neither a domain" },
		{ "a.example", "concurency 4", "\"concurency\" is no rule" },
		{ "a.example", "concurrency", "wants a number from 1 to 10000" },
		{ "a.example", "concurrency 0", "wants a number" },
		{ "a.example", "concurrency 5m", "wants a number" },
		{ "a.example", "concurrency 4 concurrency 5", "given twice" },
		{ "a.example", "recipients 101", "from 1 to 100" },
		{ "a.example", "messages -1", "wants a number" },
		{ "a.example", "pause 5 \"x\"", "wants a time" },
		{ "a.example", "pause 2d \"x\"", "wants a time up to 1d" },
		{ "a.example", "pause 5m", "in quotes behind" },
		{ "a.example", "pause 5m x", "in quotes behind" },
		{ "a.example", "pause 5m \"\"", "empty text" },
		{ "a.example", "pause 5m \"x", "not closed" },
		{ "a.example", "pause 5m \"x\" y", "\"y\" is no rule" },
		{ "a.example", "as", "the name of one other row" },
		{ "a.example", "as b.example c.example", "one other row" },
		{ "a.example", "messages 4 as b.example", "stands alone" },
	};
	char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = provider_check(cases[i].key, cases[i].value);
		if (why == NULL || strstr(why, cases[i].why) == NULL)
			fail_msg("%s %s: %s", cases[i].key, cases[i].value, why != NULL ? why : "is taken");
		free(why);
	}
}

static void
test_as(void **state)
{
	struct table *table = table_new("");
	char *why;

	(void)state;
	table_add(table, "a.example", "messages 4");
	table_add(table, "b.example", "as A.example");
	assert_null(provider_check_all(table));
	table_add(table, "c.example", "as b.example");
	why = provider_check_all(table);
	assert_non_null(strstr(why, "\"as b.example\" leads to no row with rules"));
	free(why);
	table_free(table);
}

/* Names of servers, then the domain; "-": none. */
static const char *
owner(const struct table *table, const char *servers, const char *domain)
{
	static char name[64];
	char copy[200], *save;
	const char *list[8];
	struct provider *p;
	unsigned n = 0;

	strlcpy(copy, servers, sizeof(copy));
	for (list[n] = strtok_r(copy, " ", &save); list[n] != NULL; list[++n] = strtok_r(NULL, " ", &save))
		;
	p = provider_find(table, list, n, domain);
	strlcpy(name, p != NULL ? p->name : "-", sizeof(name));
	provider_free(p);
	return name;
}

static void
test_find(void **state)
{
	static const struct {
		const char *servers, *domain, *owner;
	} cases[] = {
		{ "gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com", "gmail.com", "google.com" },
		{ "aspmx.l.google.com aspmx2.googlemail.com", "customer.example", "google.com" },
		{ "customer-example.mail.protection.outlook.com", "customer.example", "outlook.com" },
		{ "hotmail-com.olc.protection.Outlook.com", "hotmail.com", "outlook.com" },
		{ "mta7.am0.yahoodns.net mx-eu.mail.am0.yahoodns.net", "yahoo.com", "yahoodns.net" },
		{ "mx01.mail.icloud.com mx02.mail.icloud.com", "me.com", "icloud.com" },
		{ "mfsmax.docomo.ne.jp", "docomo.ne.jp", "docomo.ne.jp" },
		{ "lsean.ezweb.ne.jp", "ezweb.ne.jp", "au.com" },
		{ "mx.elsewhere.example", "i.softbank.jp", "softbank.ne.jp" },
		/* somebody's own server first, the provider's as a second */
		{ "mx.customer.example aspmx.l.google.com", "customer.example", "-" },
		{ "aspmx.l.google.com x.mail.protection.outlook.com", NULL, "-" },
		{ "mx.notgoogle.com", "customer.example", "-" },
		{ "google.com.evil.example", "customer.example", "-" },
		{ "[192.0.2.1]", NULL, "-" },
		{ "smtp.google.com", NULL, "google.com" },
		{ "", "gmail.com", "-" },
	};
	struct table *table = table_new("providers");
	char *why;
	size_t i;

	(void)state;
	table_set_check(table, provider_check);
	why = table_load_file(table, "etc/providers");
	if (why == NULL)
		why = table_first_fault(table);
	if (why == NULL)
		why = provider_check_all(table);
	if (why != NULL)
		fail_msg("%s", why);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = owner(table, cases[i].servers, cases[i].domain);

		if (strcmp(got, cases[i].owner) != 0)
			fail_msg("%s, %s: %s", cases[i].servers,
			    cases[i].domain != NULL ? cases[i].domain : "", got);
	}
	assert_string_equal(owner(NULL, "smtp.google.com", NULL), "-");
	table_free(table);
}

/* Replies as senders quote them. */
static void
test_replies(void **state)
{
	static const struct {
		const char *server, *reply;
		uint32_t pause;
	} cases[] = {
		{ "aspmx.l.google.com",
		    "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your SPF domain", 1800 },
		{ "aspmx.l.google.com", "450 4.2.1 The user you are trying to contact is receiving mail too quickly", 0 },
		{ "x.mail.protection.outlook.com", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]", 600 },
		{ "x.olc.protection.outlook.com",
		    "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation", 3600 },
		{ "x.olc.protection.outlook.com",
		    "451 4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of connections. (S3115)", 600 },
		{ "x.olc.protection.outlook.com", "421 RP-001 (BAY004-MC1F1) Unfortunately, some messages were not sent", 3600 },
		{ "mta5.am0.yahoodns.net",
		    "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", 14400 },
		{ "mta5.am0.yahoodns.net", "421 4.7.0 [TS02] Temporarily deferred", 3600 },
		{ "mx01.mail.icloud.com", "421 4.7.1 Messages to a@icloud.com deferred due to excessive volume. Try again later", 3600 },
	};
	struct table *table = table_new("providers");
	struct provider *p;
	char *why;
	size_t i;

	(void)state;
	why = table_load_file(table, "etc/providers");
	assert_null(why);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = provider_find(table, &cases[i].server, 1, NULL);
		if (provider_pause(p, cases[i].reply) != cases[i].pause)
			fail_msg("%s: %u", cases[i].reply, (unsigned)provider_pause(p, cases[i].reply));
		provider_free(p);
	}
	table_free(table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_as),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
