/*
 * Return paths that name the recipient: what Postfix's VERP_README has, what must be quoted, and what
 * is too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/verp.h"

static void
test_formulas(void **state)
{
	static const struct {
		const char *formula;
		bool ok;
	} cases[] = {
		{ "+=", true }, { "-=", true }, { "==", true }, { "=+", true }, { "", false }, { "+", false },
		{ "+=+", false }, { "a=", false }, { "+@", false }, { "=\"", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(verp_formula_ok(cases[i].formula, strlen(cases[i].formula)), cases[i].ok);
}

static void
test_paths(void **state)
{
	static const struct {
		const char *formula, *sender, *recipient, *want;
	} cases[] = {
		{ "+=", "owner@lists.example", "alice@example.org", "owner+alice=example.org@lists.example" },
		{ "-=", "ml-return-12@lists.example", "a@b.example", "ml-return-12-a=b.example@lists.example" },
		{ "+=", "owner@lists.example", "a=b+c@example.org", "owner+a=b+c=example.org@lists.example" },
		/* what needs quotes has them around the whole */
		{ "+=", "owner@l.example", "\"a b\"@example.org", "\"owner+a b=example.org\"@l.example" },
		{ "+=", "\"my list\"@l.example", "a@b.example", "\"my list+a=b.example\"@l.example" },
		{ "+=", "owner@l.example", "a@[192.0.2.1]", "\"owner+a=[192.0.2.1]\"@l.example" },
		{ "+=", "owner@l.example", "postmaster", "owner+postmaster@l.example" },
		{ "+=", "owner@l.example", "\xc3\xa9@b.example", "owner+\xc3\xa9=b.example@l.example" },
		/* none can be made */
		{ "+=", "", "a@b.example", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = verp_path(cases[i].formula, cases[i].sender, cases[i].recipient);

		assert_string_equal(path, cases[i].want);
		free(path);
	}
}

/* RFC 5321 4.5.3.1.3: a path has 256 octets. */
static void
test_long(void **state)
{
	char name[201], *recipient, *path;
	size_t len;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	for (len = 1; len < sizeof(name); len++) {
		name[len] = '\0';
		recipient = xasprintf("%s@forty-octets-of-a-domain.elsewhere.example", name);
		path = verp_path("+=", "owner@lists.example", recipient);
		assert_true(strlen(path) <= 254);
		assert_int_equal(strcmp(path, "owner@lists.example") == 0, 63 + len > 254);
		free(recipient);
		free(path);
		name[len] = 'n';
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formulas),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
