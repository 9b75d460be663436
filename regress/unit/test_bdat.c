/* The argument of BDAT, one row a rule; and the findings in chunks, cut anywhere, against a slower reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/content.h"
#include "regress/unit/data_reference.h"
#include "smtpd/bdat.h"

static const struct {
	const char *text;
	enum bdat_argument found;
	bool last;
	uint64_t size;
} arguments[] = {
	{ "0", BDAT_OK, false, 0 },
	{ "86", BDAT_OK, false, 86 },
	{ "86 LAST", BDAT_OK, true, 86 },
	{ "0 LAST", BDAT_OK, true, 0 },
	{ "1 last", BDAT_OK, true, 1 },
	{ "1   LaSt", BDAT_OK, true, 1 },
	{ "007", BDAT_OK, false, 7 },
	{ "00000000000000000000000000000000000001", BDAT_OK, false, 1 },
	{ "18446744073709551615", BDAT_OK, false, UINT64_MAX },
	{ "18446744073709551616", BDAT_UNREADABLE, false, 0 },
	{ "18446744073709551620", BDAT_UNREADABLE, false, 0 },
	{ "99999999999999999999", BDAT_UNREADABLE, false, 0 },
	{ "184467440737095516150", BDAT_UNREADABLE, false, 0 },
	{ "", BDAT_MISSING, false, 0 },
	{ "LAST", BDAT_MISSING, false, 0 },
	{ "-1", BDAT_UNREADABLE, false, 0 },
	{ "+1", BDAT_UNREADABLE, false, 0 },
	{ "0x10", BDAT_UNREADABLE, false, 0 },
	{ "1LAST", BDAT_UNREADABLE, false, 0 },
	{ "1\tLAST", BDAT_UNREADABLE, false, 0 },
	{ "1 LASTS", BDAT_TAIL, false, 1 },
	{ "1 LAS", BDAT_TAIL, false, 1 },
	{ "1 LAST 2", BDAT_TAIL, false, 1 },
	{ "1 2", BDAT_TAIL, false, 1 },
	{ "x", BDAT_MISSING, false, 0 },
	{ "0 x", BDAT_TAIL, false, 0 },
	{ " 1", BDAT_UNREADABLE, false, 0 },
};

static void
test_arguments(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		uint64_t size;
		bool last;
		enum bdat_argument found = bdat_parse(arguments[i].text, strlen(arguments[i].text), &size, &last);

		if (found != arguments[i].found || (found == BDAT_OK && last != arguments[i].last) ||
		    ((found == BDAT_OK || found == BDAT_TAIL) && size != arguments[i].size))
			fail_msg("\"%s\"", arguments[i].text);
	}
}

static const struct {
	const char *text;
	size_t len;
	unsigned binary; /* defects of a message whose body may be anything */
} texts[] = {
#define TEXT(s) s, sizeof(s) - 1
	{ TEXT("A: b\r\n\r\nbody\r\n"), 0 },
	{ TEXT("A: b\r\n\r\nb\no\rd\0y"), 0 },
	{ TEXT("A: b\nC: d\r\n\r\nbody\r\n"), CONTENT_BARE_LF },
	{ TEXT("A: b\r\r\n\r\nbody\r\n"), CONTENT_BARE_CR },
	{ TEXT("A: \0\r\n\r\nbody\r\n"), CONTENT_NUL },
	{ TEXT("A: b\n\nno end of header\r\n"), CONTENT_BARE_LF },
	{ TEXT("A: b\r"), CONTENT_BARE_CR },
	{ TEXT("\r\n\n"), 0 },
};

static void
test_contents(void **state)
{
	size_t i, a, b;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (a = 0; a <= texts[i].len; a++) {
			for (b = a; b <= texts[i].len; b++) {
				struct content c = { 0 };

				content_look(&c, texts[i].text, a);
				content_look(&c, texts[i].text + a, b - a);
				content_look(&c, texts[i].text + b, texts[i].len - b);
				content_end(&c);
				assert_int_equal(c.defects, reference_defects(texts[i].text, texts[i].len));
				assert_int_equal(content_binary_defects(&c), texts[i].binary);
				assert_int_equal(c.size, texts[i].len);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
