/*
 * What stands in ORCPT, on its way to the next server and into notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/orcpt.h"

static const struct {
	const char *original;
	size_t type;
	const char *param, *address, *utf8;
} rows[] = {
	{ "rfc822;a@b", 6, "rfc822;a@b", "a@b", "a@b" },
	{ "RFC822;a+=b@c", 6, "RFC822;a+2B+3Db@c", "a+=b@c", "a+=b@c" },
	{ "x-400!;/c=x/", 6, "x-400!;/c+3Dx/", "/c=x/", "/c=x/" },
	{ "a@b", 0, "rfc822;a@b", "a@b", "a@b" },
	{ "\"a;b\"@c", 0, "rfc822;\"a;b\"@c", "\"a;b\"@c", "\"a;b\"@c" },
	{ ";a@b", 0, "rfc822;;a@b", ";a@b", ";a@b" },
	/* RFC 6533 3: as it came, and never rfc822 */
	{ "utf-8;j\\x{F6}rg@b", 5, "utf-8;j\\x{F6}rg@b", "j\\x{F6}rg@b", "j\xc3\xb6rg@b" },
	{ "UTF-8;\\x{4F8B}\\x{1F600}@b", 5, "UTF-8;\\x{4F8B}\\x{1F600}@b", "\\x{4F8B}\\x{1F600}@b", "\xe4\xbe\x8b\xf0\x9f\x98\x80@b" },
	{ "j\xc3\xb6rg+x@b", 0, "utf-8;j\\x{F6}rg\\x{2B}x@b", "j\xc3\xb6rg+x@b", "j\xc3\xb6rg+x@b" },
	{ "\xf0\x9f\x98\x80@b", 0, "utf-8;\\x{1F600}@b", "\xf0\x9f\x98\x80@b", "\xf0\x9f\x98\x80@b" },
	{ "utf-8;a\\x{2B}b\\x{5C}@b", 5, "utf-8;a\\x{2B}b\\x{5C}@b", "a\\x{2B}b\\x{5C}@b", "a+b\\@b" },
	/* what is no character stays as it is written */
	{ "utf-8;\\x{0A}\\x{85}\\x{D800}\\x{110000}@b", 5, "utf-8;\\x{0A}\\x{85}\\x{D800}\\x{110000}@b",
	    "\\x{0A}\\x{85}\\x{D800}\\x{110000}@b", "\\x{0A}\\x{85}\\x{D800}\\x{110000}@b" },
	{ "utf-8;\\x{}\\x{F}\\x{F6\\x{FFFFFFF}\\x", 5, "utf-8;\\x{}\\x{F}\\x{F6\\x{FFFFFFF}\\x",
	    "\\x{}\\x{F}\\x{F6\\x{FFFFFFF}\\x", "\\x{}\\x{F}\\x{F6\\x{FFFFFFF}\\x" },
	{ "rfc822;j\\x{F6}rg", 6, "rfc822;j\\x{F6}rg", "j\\x{F6}rg", "j\\x{F6}rg" },
};

static void
test_rows(void **state)
{
	struct buf b = { 0 };
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(orcpt_type(rows[i].original), rows[i].type);
		buf_clear(&b);
		orcpt_add_param(&b, rows[i].original);
		assert_string_equal(buf_str(&b), rows[i].param);
		text = orcpt_address(rows[i].original, false);
		assert_string_equal(text, rows[i].address);
		free(text);
		text = orcpt_address(rows[i].original, true);
		assert_string_equal(text, rows[i].utf8);
		free(text);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
