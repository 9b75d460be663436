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
	bool ok, last;
	uint64_t size;
} arguments[] = {
	{ "0", true, false, 0 },
	{ "86", true, false, 86 },
	{ "86 LAST", true, true, 86 },
	{ "0 LAST", true, true, 0 },
	{ "1 last", true, true, 1 },
	{ "1   LaSt", true, true, 1 },
	{ "007", true, false, 7 },
	{ "00000000000000000000000000000000000001", true, false, 1 },
	{ "18446744073709551615", true, false, UINT64_MAX },
	{ "18446744073709551616", false, false, 0 },
	{ "18446744073709551620", false, false, 0 },
	{ "99999999999999999999", false, false, 0 },
	{ "184467440737095516150", false, false, 0 },
	{ "", false, false, 0 },
	{ "LAST", false, false, 0 },
	{ "-1", false, false, 0 },
	{ "+1", false, false, 0 },
	{ "0x10", false, false, 0 },
	{ "1LAST", false, false, 0 },
	{ "1\tLAST", false, false, 0 },
	{ "1 LASTS", false, false, 0 },
	{ "1 LAS", false, false, 0 },
	{ "1 LAST 2", false, false, 0 },
	{ "1 2", false, false, 0 },
};

static void
test_arguments(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		uint64_t size;
		bool last, ok = bdat_parse(arguments[i].text, strlen(arguments[i].text), &size, &last);

		if (ok != arguments[i].ok ||
		    (ok && (size != arguments[i].size || last != arguments[i].last)))
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
