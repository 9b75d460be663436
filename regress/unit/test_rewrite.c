/*
 * Senders rewritten: which row holds for an address, what can never come out, and header fields in which nothing but
 * addresses changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/rewrite.h"
#include "lib/rfc5322.h"
#include "lib/table.h"

static struct table *
make(void)
{
	static const char *const rows[][2] = {
		{ "root@host7.example.org", "admin@example.org" },
		{ "keep@lab.example.org", "keep@lab.example.org" },
		{ "@.example.org", "@example.org" },
		{ "@old.example", "@new.example" },
		{ "bad@example.net", "no address" },
		{ "none@example.net", "" },
	};
	struct table *table = table_new("");
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(table_add(table, rows[i][0], rows[i][1]));
	return table;
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *from, *to; /* NULL: as it is */
	} cases[] = {
		{ "root@host7.example.org", "admin@example.org" },
		{ "ROOT@Host7.Example.ORG", "admin@example.org" },
		{ "keep@lab.example.org", "keep@lab.example.org" },
		{ "Carol+x@a.b.example.org", "Carol+x@example.org" },
		{ "carol@example.org", NULL },
		{ "carol@notexample.org", NULL },
		{ "\"a b\"@old.example", "\"a b\"@new.example" },
		{ "a@x.old.example", NULL },
		{ "bad@example.net", NULL },
		{ "none@example.net", NULL },
		{ "", NULL },
		{ "no address", NULL },
	};
	struct table *table = make();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *got = rewrite_address(table, cases[i].from);

		if ((got == NULL) != (cases[i].to == NULL) || (got != NULL && strcmp(got, cases[i].to) != 0))
			fail_msg("%s: %s", cases[i].from, got != NULL ? got : "(none)");
		free(got);
	}
	table_free(table);
}

static void
test_header(void **state)
{
	static const char in[] =
	    "From: \"Root, the <x>\" <root@host7.example.org> (me@old.example),\r\n a@old.example\r\n"
	    "To: root@host7.example.org\r\n"
	    "reply-to: team: b (x) @ old.example, c;\r\n"
	    "Sender: broken <root@host7.example.org\r\n"
	    "Subject: root@host7.example.org\r\n",
			  out[] =
	    "From: \"Root, the <x>\" <admin@example.org> (me@old.example),\r\n a@new.example\r\n"
	    "To: root@host7.example.org\r\n"
	    "reply-to: team: b@new.example, c;\r\n"
	    "Sender: broken <root@host7.example.org\r\n"
	    "Subject: root@host7.example.org\r\n";
	struct table *table = make();
	struct buf got = { 0 };
	struct header_field field;

	(void)state;
	rewrite_header(&got, in, sizeof(in) - 1, table);
	assert_string_equal(buf_str(&got), out);
	buf_clear(&got);
	/* with a host for who has none, which is then rewritten, too */
	assert_true(header_field_read("From: root, d\r\n", 15, &field) > 0);
	rewrite_add_field(&got, &field, "host7.example.org", table);
	assert_string_equal(buf_str(&got), "From: admin@example.org, d@example.org\r\n");
	buf_clear(&got);
	rewrite_add_field(&got, &field, "host7.example.org", NULL);
	assert_string_equal(buf_str(&got), "From: root@host7.example.org, d@host7.example.org\r\n");
	buf_free(&got);
	table_free(table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
