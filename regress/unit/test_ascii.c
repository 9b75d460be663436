/* UTF-8 as ASCII: what is a text, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/ascii.h"
#include "lib/buf.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void
test_add(void **state)
{
	static const struct {
		const char *text, *ascii;
		size_t lost;
	} cases[] = {
		{ "", "", 0 },
		{ "please try again later", "please try again later", 0 },
		{ "Bücher für Ångström", "Buecher fuer Angstroem", 0 },
		{ "ŠŽčřůœ Łódź ſ", "SZcruoe Lodz s", 0 },
		{ "Größe – “später” …", "Groesse - \"spaeter\" ...", 0 },
		{ "e\xcc\x81" "t", "et", 0 }, /* a mark of its own */
		{ "¿Qué? ½ ± ×", "?Que? 1/2 +- x", 0 },
		{ "100 €", "100 EUR", 0 },
		{ "ＡＢＣ～", "ABC~", 0 },
		{ "待って。", "???.", 3 },
		{ "Привет", "??????", 6 },
		{ "¤", "?", 1 },
		{ "\xf0\x9f\x98\x80", "?", 1 },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_true(ascii_is_text(cases[i].text));
		assert_int_equal(ascii_add(&out, cases[i].text), cases[i].lost);
		assert_string_equal(buf_str(&out), cases[i].ascii);
		buf_clear(&out);
	}
	buf_free(&out);
}

/* Every character of the table is ASCII, and nothing is read behind it. */
static void
test_all(void **state)
{
	struct buf out = { 0 };
	char text[4] = { 0 };
	unsigned c, i;

	(void)state;
	for (c = 0xa0; c < 0x800; c++) {
		text[0] = (char)(0xc0 | c >> 6);
		text[1] = (char)(0x80 | (c & 0x3f));
		ascii_add(&out, text);
	}
	for (i = 0; i < out.len; i++)
		assert_in_range(out.data[i], ' ', '~');
	buf_free(&out);
}

static void
test_no_text(void **state)
{
	static const char *const cases[] = { "a\r\n", "\x01", "\x7f", "\x80", "\xc3", "\xc3(", "\xc0\x80", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xc2\x85" };
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		assert_false(ascii_is_text(cases[i]));
	assert_true(ascii_is_text("a\tb"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
