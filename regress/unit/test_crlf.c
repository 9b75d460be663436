/* Text made of lines, cut at every two octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <event2/buffer.h>

#include "lib/crlf.h"

static const struct {
	const char *in, *out;
} rows[] = {
	{ "", "" },
	{ "a\r\nb\r\n", "a\r\nb\r\n" },
	{ "a\nb\n", "a\r\nb\r\n" },
	{ "\n\n", "\r\n\r\n" },
	{ "a\rb", "a b" },
	{ "a\r\r\n", "a \r\n" },
	{ "\r\r\r", "   " },
	{ "a\r", "a " },
	{ "a\n\r\n\r", "a\r\n\r\n " },
	{ "\n.\n", "\r\n.\r\n" },
	{ "\r.\r", " . " },
	{ "\n\r", "\r\n " },
};

static void
test_rows(void **state)
{
	size_t i, a, b, len;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		len = strlen(rows[i].in);
		for (a = 0; a <= len; a++) {
			for (b = a; b <= len; b++) {
				struct evbuffer *out = evbuffer_new();
				struct crlf crlf = { false };

				crlf_feed(&crlf, rows[i].in, a, out);
				crlf_feed(&crlf, rows[i].in + a, b - a, out);
				crlf_feed(&crlf, rows[i].in + b, len - b, out);
				crlf_end(&crlf, out);
				evbuffer_add(out, "", 1);
				if (strcmp((char *)evbuffer_pullup(out, -1), rows[i].out) != 0)
					fail_msg("row %zu, cut at %zu and %zu", i, a, b);
				evbuffer_free(out);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
