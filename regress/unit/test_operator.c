/*
 * What the operator says of callers and their mail: his entries, and smtpctl's selectors over what the ledger has.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "filters/grey_selector.h"
#include "lib/buf.h"
#include "regress/unit/ledger_world.h"

/*
 * The operator's entries
 */

static void
test_operator_spelling(void **state)
{
	static const struct {
		enum operator_kind kind;
		const char *given, *text;
	} cases[] = {
		{ OPERATOR_CLIENT, "192.0.2.1", "192.0.2.1/32" },
		{ OPERATOR_CLIENT, "192.0.2.0/24", "192.0.2.0/24" },
		{ OPERATOR_CLIENT, "2001:DB8:0::1", "2001:db8::1/128" },
		{ OPERATOR_CLIENT, "192.0.2.1/24", NULL },
		{ OPERATOR_CLIENT, "example.org", NULL },
		{ OPERATOR_NAME, "Example.ORG", "example.org" },
		{ OPERATOR_NAME, "*.example.org.", "example.org" },
		{ OPERATOR_NAME, ".example.org", "example.org" },
		{ OPERATOR_NAME, "a@b", NULL },
		{ OPERATOR_NAME, "..", NULL },
		{ OPERATOR_NAME, "a b", NULL },
		{ OPERATOR_NAME, "", NULL },
		{ OPERATOR_IDENTITY, "Name:Example.org", "name:example.org" },
		{ OPERATOR_IDENTITY, "net:192.0.2.0/24", "net:192.0.2.0/24" },
		{ OPERATOR_IDENTITY, "example.org", NULL },
		{ OPERATOR_IDENTITY, "name:", NULL },
		{ OPERATOR_FROM, "<Bounce-123@List.Example>", "bounce-#@list.example" },
		{ OPERATOR_FROM, "a+tag@example.org", "a@example.org" },
		{ OPERATOR_FROM, "@example.org", "example.org" },
		{ OPERATOR_FROM, "example.org", "example.org" },
		{ OPERATOR_FROM, "<>", "<>" },
		{ OPERATOR_FROM, "a@", NULL },
		{ OPERATOR_FROM, "<", NULL },
		{ OPERATOR_FROM, "+tag@example.org", NULL },
		{ OPERATOR_FROM, "example.org..", NULL },
		{ OPERATOR_TO, "Bob+x@Example.net", "bob+x@example.net" },
		{ OPERATOR_TO, "<>", NULL },
	};
	const char *why;
	char *text, *again;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		text = operator_text(cases[i].kind, cases[i].given, &why);
		if (cases[i].text == NULL && text == NULL) {
			assert_non_null(why);
			continue;
		}
		if (text == NULL || cases[i].text == NULL || strcmp(text, cases[i].text) != 0)
			fail_msg("%s: %s", cases[i].given, text == NULL ? why : text);
		again = operator_text(cases[i].kind, text, &why);
		assert_string_equal(again, text);
		free(again);
		free(text);
	}
}

static void
test_operator_on_caller(void **state)
{
	static const struct {
		const char *entries[3];
		const char *client, *name;
		enum operator_word word;
	} cases[] = {
		{ { NULL }, "192.0.2.1", "mx.example.org", OPERATOR_SILENT },
		{ { "+client:192.0.2.1" }, "192.0.2.1", NULL, OPERATOR_ALLOW },
		{ { "+client:192.0.2.1" }, "192.0.2.2", NULL, OPERATOR_SILENT },
		{ { "-client:192.0.2.0/24" }, "192.0.2.2", NULL, OPERATOR_DENY },
		{ { "-client:192.0.2.0/24", "+client:192.0.2.2" }, "192.0.2.2", NULL,
		    OPERATOR_ALLOW },
		{ { "+client:192.0.2.0/24", "-client:192.0.2.0/25" }, "192.0.2.2", NULL,
		    OPERATOR_DENY },
		{ { "-client:0.0.0.0/0" }, "192.0.2.2", NULL, OPERATOR_DENY },
		{ { "-client:0.0.0.0/0" }, "2001:db8::1", NULL, OPERATOR_SILENT },
		{ { "+client:2001:db8::/32" }, "2001:db8:ffff::1", NULL, OPERATOR_ALLOW },
		{ { "+name:example.org" }, "192.0.2.1", "MX.Example.org", OPERATOR_ALLOW },
		{ { "+name:example.org" }, "192.0.2.1", "example.org", OPERATOR_ALLOW },
		{ { "+name:example.org" }, "192.0.2.1", "badexample.org", OPERATOR_SILENT },
		{ { "+name:example.org" }, "192.0.2.1", NULL, OPERATOR_SILENT },
		{ { "+name:example.org", "-name:dyn.example.org" }, "192.0.2.1",
		    "a.dyn.example.org", OPERATOR_DENY },
		{ { "-client:192.0.2.0/24", "+name:example.org" }, "192.0.2.1", "mx.example.org",
		    OPERATOR_DENY },
		{ { "+client:192.0.2.0/24", "-name:example.org" }, "192.0.2.1", "mx.example.org",
		    OPERATOR_ALLOW },
	};
	struct operator_list *list;
	struct ip client;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		list = operator_list_new();
		for (j = 0; j < 3 && cases[i].entries[j] != NULL; j++)
			enter(list, cases[i].entries[j], 0);
		client = ip(cases[i].client);
		if (operator_on_caller(list, &client, cases[i].name, T0) != cases[i].word)
			fail_msg("case %zu: %s %s", i, cases[i].client, cases[i].name);
		operator_list_free(list);
	}
}

static void
test_operator_on_mail(void **state)
{
	static const struct {
		const char *entries[3];
		const char *identity, *sender, *recipient;
		enum operator_word word;
	} cases[] = {
		{ { "+identity:name:example.org" }, "name:example.org", "", "b@c.net",
		    OPERATOR_ALLOW },
		{ { "+identity:name:example.org" }, "name:mx.example.org", "", "b@c.net",
		    OPERATOR_SILENT },
		{ { "-from:example.org" }, "x", "a@example.org", "b@c.net", OPERATOR_DENY },
		{ { "-from:example.org" }, "x", "a@sub.example.org", "b@c.net", OPERATOR_DENY },
		{ { "-from:example.org" }, "x", "example.org@a.net", "b@c.net", OPERATOR_SILENT },
		{ { "-from:example.org", "+from:a@example.org" }, "x", "a@example.org", "b@c.net",
		    OPERATOR_ALLOW },
		{ { "-from:<>" }, "x", "", "b@c.net", OPERATOR_DENY },
		{ { "-from:<>" }, "x", "a@example.org", "b@c.net", OPERATOR_SILENT },
		{ { "+to:postmaster@c.net" }, "x", "a@example.org", "postmaster@c.net",
		    OPERATOR_ALLOW },
		{ { "+to:postmaster@c.net", "-from:example.org" }, "x", "a@example.org",
		    "postmaster@c.net", OPERATOR_ALLOW },
		{ { "+to:c.net", "-from:example.org" }, "x", "a@example.org", "b@c.net",
		    OPERATOR_DENY },
		{ { "+from:example.org", "-to:c.net" }, "x", "a@example.org", "b@c.net",
		    OPERATOR_DENY },
		{ { "+to:c.net", "-identity:name:x.org" }, "name:x.org", "a@example.org", "b@c.net",
		    OPERATOR_ALLOW },
	};
	struct operator_list *list;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		list = operator_list_new();
		for (j = 0; j < 3 && cases[i].entries[j] != NULL; j++)
			enter(list, cases[i].entries[j], 0);
		if (operator_on_mail(list, cases[i].identity, cases[i].sender, cases[i].recipient,
			T0) != cases[i].word)
			fail_msg("case %zu: %s %s", i, cases[i].sender, cases[i].recipient);
		operator_list_free(list);
	}
}

static void
test_operator_list(void **state)
{
	struct operator_list *list = operator_list_new();
	struct ip client = ip("192.0.2.1");
	const struct operator_entry *e;

	(void)state;
	enter(list, "+client:192.0.2.1", T0 + 10);
	assert_int_equal(operator_on_caller(list, &client, NULL, T0 + 10), OPERATOR_ALLOW);
	assert_int_equal(operator_on_caller(list, &client, NULL, T0 + 11), OPERATOR_SILENT);
	enter(list, "-client:192.0.2.1", 0); /* replaces */
	assert_int_equal(operator_on_caller(list, &client, NULL, T0 + 11), OPERATOR_DENY);
	enter(list, "+name:example.org", 0);
	e = operator_list_next(list, NULL);
	assert_string_equal(e->text, "192.0.2.1/32");
	e = operator_list_next(list, e);
	assert_string_equal(e->text, "example.org");
	assert_null(operator_list_next(list, e));
	assert_non_null(operator_list_find(list, OPERATOR_NAME, "example.org"));
	assert_true(operator_list_remove(list, OPERATOR_CLIENT, "192.0.2.1/32"));
	assert_false(operator_list_remove(list, OPERATOR_CLIENT, "192.0.2.1/32"));
	assert_int_equal(operator_on_caller(list, &client, NULL, T0), OPERATOR_SILENT);
	operator_list_free(list);
}

static void
test_operator_octets(void **state)
{
	struct operator_entry e = { .kind = OPERATOR_FROM,
		.allow = true,
		.uid = 1000,
		.created = T0,
		.expires = T0 + 1,
		.text = "a@example.org",
		.note = "asked by telephone" },
			      out;
	struct buf k = { 0 }, v = { 0 };

	(void)state;
	operator_encode_key(&k, e.kind, e.text);
	operator_encode(&v, &e);
	assert_true(operator_decode(k.data, k.len, v.data, v.len, &out));
	assert_true(out.kind == e.kind && out.allow && out.uid == 1000 && out.created == T0 &&
		    out.expires == T0 + 1);
	assert_string_equal(out.text, e.text);
	assert_string_equal(out.note, e.note);
	operator_entry_clear(&out);
	assert_false(operator_decode(k.data, k.len, v.data, v.len - 1, &out));
	assert_false(operator_decode(k.data, 1, v.data, v.len, &out));
	assert_false(operator_decode(k.data, 0, v.data, v.len, &out));
	k.data[1] = 'A'; /* a spelling that nobody writes */
	assert_false(operator_decode(k.data, k.len, v.data, v.len, &out));
	k.data[0] = OPERATOR_KINDS;
	assert_false(operator_decode(k.data, k.len, v.data, v.len, &out));
	buf_free(&k);
	buf_free(&v);
}

/*
 * Selectors
 */

static void
test_selector_words(void **state)
{
	static const struct {
		const char *words[3];
		bool ok;
	} cases[] = {
		{ { NULL }, true },
		{ { "state=waiting", "from=example.org", "limit=10" }, true },
		{ { "client=192.0.2.1", "all", "-n" }, true },
		{ { "client=192.0.2.1/24" }, false },
		{ { "state=" }, false },
		{ { "limit=0" }, false },
		{ { "limit=-1" }, false },
		{ { "form=example.org" }, false },
		{ { "example.org" }, false },
		{ { "=x" }, false },
		{ { "from=" }, false },
	};
	struct grey_selector sel;
	char *why;
	unsigned i, n;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (n = 0; n < 3 && cases[i].words[n] != NULL; n++)
			;
		if (grey_selector_parse(n, cases[i].words, &sel, &why) != cases[i].ok)
			fail_msg("case %u: %s", i, why == NULL ? "parsed" : why);
		assert_int_equal(why == NULL, cases[i].ok);
		free(why);
		if (cases[i].ok)
			grey_selector_clear(&sel);
	}
}

static void
test_selector_matches(void **state)
{
	static const struct {
		const char *word;
		bool named, networked, caller, correspondent;
	} cases[] = {
		{ "state=waiting", true, false, false, false },
		{ "state=passed", false, true, false, false },
		{ "state=caller", false, false, true, false },
		{ "state=correspondent", false, false, false, true },
		{ "identity=name:example.org", true, false, false, false },
		{ "name=example.org", true, false, false, false },
		{ "name=org", true, false, false, false },
		{ "name=ample.org", false, false, false, false },
		{ "client=192.0.2.77", false, true, false, false },
		{ "client=192.0.2.7", false, true, true, false },
		{ "client=192.0.0.0/16", false, true, true, false },
		{ "client=198.51.100.1", false, false, false, false },
		{ "from=a@x.org", true, false, false, true },
		{ "from=org", true, false, false, true },
		{ "from=.x.org", true, false, false, true },
		{ "from=<>", false, true, false, false },
		{ "to=y.net", true, true, false, true },
		{ "to=b@y.net", true, false, false, true },
		{ "to=et", false, false, false, false },
	};
	struct ledger_item named = { .type = ITEM_TRIPLET,
		.identity = "name:example.org",
		.sender = "a@x.org",
		.recipient = "b@y.net",
		.triplet = {
		    .first = T0, .last = T0, .expires = T0 + 99, .count = 1, .delay = 1 } };
	struct ledger_item networked = { .type = ITEM_TRIPLET,
		.identity = "net:192.0.2.0/24",
		.sender = "",
		.recipient = "c@y.net",
		.triplet = {
		    .first = T0, .last = T0, .passed = T0, .expires = T0 + 99, .count = 1 } };
	struct ledger_item caller = { .type = ITEM_PASSED, .until = T0 + 99 };
	struct ledger_item correspondent = {
		.type = ITEM_CORRESPONDENT, .theirs = "a@x.org", .ours = "b@y.net", .until = T0 + 99
	};
	struct grey_selector sel;
	char *why;
	size_t i;

	(void)state;
	caller.client = ip("192.0.2.7");
	for (i = 0; i < COUNT(cases); i++) {
		if (!grey_selector_parse(1, &cases[i].word, &sel, &why))
			fail_msg("%s: %s", cases[i].word, why);
		if (grey_selector_matches(&sel, &named, T0 + 1) != cases[i].named ||
		    grey_selector_matches(&sel, &networked, T0 + 1) != cases[i].networked ||
		    grey_selector_matches(&sel, &caller, T0 + 1) != cases[i].caller ||
		    grey_selector_matches(&sel, &correspondent, T0 + 1) != cases[i].correspondent)
			fail_msg("%s", cases[i].word);
		grey_selector_clear(&sel);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operator_spelling),
		cmocka_unit_test(test_operator_on_caller),
		cmocka_unit_test(test_operator_on_mail),
		cmocka_unit_test(test_operator_list),
		cmocka_unit_test(test_operator_octets),
		cmocka_unit_test(test_selector_words),
		cmocka_unit_test(test_selector_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
