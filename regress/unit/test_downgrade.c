/*
 * Messages made fit for servers of 7 bits: what becomes of each, to the octet; what is refused; long lines and trailing
 * blanks; text that decodes to what it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deliver/downgrade.h"
#include "lib/mem.h"

#define MIME "MIME-Version: 1.0\r\n"
#define E "\xc3\xa9"
#define A "\xe3\x81\x82" /* 3 octets, of which quoted-printable makes 9 */
#define QP "Content-Transfer-Encoding: quoted-printable\r\n"
#define B64 "Content-Transfer-Encoding: base64\r\n"
#define MIXED "Content-Type: multipart/mixed; (c) charset=x;\r\n boundary=\"b \\+\"\r\n"

static const struct row {
	const char *name, *in, *out; /* OUT NULL: refused, for */
	const char *why;
} rows[] = {
	{ "7-bit", "A: b\r\n\r\nhi\r\n", "A: b\r\n\r\nhi\r\n", NULL },
	{ "empty", "", "", NULL },
	{ "text", MIME "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nSubject: s\r\n\r\n"
	    "caf" E " = t\xc2\xa0 \r\n.a rather long line of text, to speak of nothing but the letters that are in it, \r\nend\t",
	    MIME "Content-Type: text/plain; charset=utf-8\r\nSubject: s\r\n" QP "\r\n"
	    "caf=C3=A9 =3D t=C2=A0=20\r\n"
	    ".a rather long line of text, to speak of nothing but the letters that are i=\r\nn it,=20\r\nend=09", NULL },
	{ "mostly 8-bit", MIME "Content-Type: text/plain; charset=utf-8\r\n\r\n" A A A "\r\n",
	    MIME "Content-Type: text/plain; charset=utf-8\r\n" QP "\r\n=E3=81=82=E3=81=82=E3=81=82\r\n", NULL },
	{ "no MIME, UTF-8", "Subject: s\r\n\r\nI drink my morning caf" E "\r\n",
	    "Subject: s\r\n" MIME "Content-Type: text/plain; charset=utf-8\r\n" QP "\r\nI drink my morning caf=C3=A9\r\n", NULL },
	{ "no MIME, Latin-1", "Subject: s\r\n\r\nmorning caf\xe9\r\n",
	    "Subject: s\r\n" MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nmorning caf=E9\r\n", NULL },
	{ "no header", "\r\nmorning caf\xe9\r\n",
	    MIME "Content-Type: text/plain; charset=unknown-8bit\r\n" QP "\r\nmorning caf=E9\r\n", NULL },
	{ "binary", MIME "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: BINARY\r\n\r\na\nb\rc",
	    MIME "Content-Type: application/octet-stream\r\n" B64 "\r\nYQpiDWM=", NULL },
	{ "binary text", MIME "Content-Type: text/plain\r\n\r\na\nb\rc",
	    MIME "Content-Type: text/plain\r\n" B64 "\r\nYQpiDWM=", NULL },
	{ "parts", MIXED MIME "Content-Transfer-Encoding: 8bit\r\n\r\nfor old readers\r\n--b +\r\n\r\nkept as it is\r\n"
	    "--b + \t\r\nContent-Type: text/html\r\nContent-transfer-encoding:\r\n 8BIT\r\n\r\n<p>morning caf" E "\r\n--b +x\r\n"
	    "--b +\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b +--\r\nbehind\r\n",
	    MIXED MIME "\r\nfor old readers\r\n--b +\r\n\r\nkept as it is\r\n"
	    "--b + \t\r\nContent-Type: text/html\r\n" QP "\r\n<p>morning caf=C3=A9\r\n--b +x\r\n"
	    "--b +\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b +--\r\nbehind\r\n", NULL },
	{ "around the parts", MIXED MIME "\r\nfor " E "\r\n--b +\r\n\r\nx\r\n--b +--\r\nbehind " E "\r\n",
	    MIXED MIME "\r\n\r\n--b +\r\n\r\nx\r\n--b +--\r\n", NULL },
	{ "an enclosed message", MIME "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	    "Subject: s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nmorning caf" E "\r\n",
	    MIME "Content-Type: message/rfc822\r\n\r\n"
	    "Subject: s\r\nContent-Type: text/plain; charset=utf-8\r\n" QP "\r\nmorning caf=C3=A9\r\n", NULL },
	{ "a digest", MIME "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nContent-Type: text/plain\r\n\r\nmorning caf" E
	    "\r\n--b--\r\n",
	    MIME "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nContent-Type: text/plain\r\n" QP
	    "\r\nmorning caf=C3=A9\r\n--b--\r\n", NULL },
	{ "not closed", MIXED MIME "\r\n--b +\r\nContent-Type: text/plain\r\n\r\nmorning caf" E,
	    MIXED MIME "\r\n--b +\r\nContent-Type: text/plain\r\n" QP "\r\nmorning caf=C3=A9", NULL },
	{ "signed", MIME "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" E "\r\n--b--\r\n", NULL, "it is signed" },
	{ "signed, 7-bit", MIME "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ne\r\n--b--\r\n",
	    MIME "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ne\r\n--b--\r\n", NULL },
	{ "header", "Subject: " E "\r\n\r\nx\r\n", NULL, "a header of it has 8-bit text" },
	{ "header of a part", MIXED MIME "\r\n--b +\r\nContent-Description: " E "\r\n\r\nx\r\n--b +--\r\n", NULL,
	    "a header of it has 8-bit text" },
	{ "no header at all", E "\r\n", NULL, "a header of it is damaged" },
	{ "encoded, but not", MIME B64 "\r\n" E "\r\n", NULL, "a part of it says that it is encoded, and is not" },
	{ "parts encoded", MIXED MIME B64 "\r\n--b +\r\n\r\n" E "\r\n--b +--\r\n", NULL, "a part of it is encoded and may not be" },
	{ "no boundary", MIME "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n" E "\r\n", NULL, "its parts cannot be told apart" },
	{ "partial", MIME "Content-Type: message/partial; id=x\r\n\r\n" E "\r\n", NULL, "a part of it may not be encoded" },
};

static void
convert(const char *s, size_t len, struct buf *out)
{
	struct downgrade plan = { .n = 0 };
	const char *why = downgrade_plan(&plan, s, len);

	if (why == NULL)
		while (downgrade_next(&plan, out))
			;
	else
		buf_addf(out, "refused: %s", why);
	downgrade_free(&plan);
}

static void
test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *want = rows[i].out != NULL ? xstrdup(rows[i].out) : xasprintf("refused: %s", rows[i].why);
		struct buf out = { 0 };

		convert(rows[i].in, strlen(rows[i].in), &out);
		if (strcmp(buf_str(&out), want) != 0)
			fail_msg("%s:\n%s\nnot:\n%s", rows[i].name, buf_str(&out), want);
		buf_free(&out);
		free(want);
	}
}

/* A long one comes in pieces, the same from the beginning again, and each line is a line. */
static void
test_large(void **state)
{
	struct downgrade plan = { .n = 0 };
	struct buf in = { 0 }, first = { 0 }, again = { 0 };
	const char *line, *lf;
	unsigned i, n = 0;

	(void)state;
	buf_adds(&in, MIME "Content-Type: text/plain\r\n\r\n");
	for (i = 0; i < 300000; i++)
		buf_adds(&in, i % 40 == 0 ? E : "x");
	assert_null(downgrade_plan(&plan, in.data, in.len));
	for (; downgrade_next(&plan, &first); n++)
		;
	assert_in_range(n, 5, 8);
	assert_false(downgrade_next(&plan, &first));
	downgrade_rewind(&plan);
	while (downgrade_next(&plan, &again))
		;
	assert_int_equal(first.len, again.len);
	assert_memory_equal(first.data, again.data, first.len);
	for (line = first.data; (lf = strchr(line, '\n')) != NULL; line = lf + 1)
		assert_true(lf - line <= 77);
	assert_true(strlen(line) <= 76);
	downgrade_free(&plan);
	buf_free(&in);
	buf_free(&first);
	buf_free(&again);
}

static void
test_deep(void **state)
{
	struct buf in = { 0 }, out = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 30; i++)
		buf_adds(&in, "Content-Type: message/rfc822\r\n\r\n");
	buf_adds(&in, "\r\n" E);
	convert(in.data, in.len, &out);
	assert_string_equal(buf_str(&out), "refused: its parts are nested too deep");
	buf_free(&in);
	buf_free(&out);
}

static void
test_utf8_header(void **state)
{
	static const char plain[] = "Subject: x\r\n\r\nmorning caf" E "\r\n", own[] = "Subject: " E "\r\n\r\nx\r\n",
	    part[] = MIXED MIME "\r\n--b +\r\nContent-Description: " E "\r\n\r\nx\r\n--b +--\r\n",
	    inner[] = "Content-Type: message/global\r\n\r\nSubject: " E "\r\n\r\nx\r\n",
	    sealed[] = MIME "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" E "\r\n--b--\r\n";

	(void)state;
	assert_false(downgrade_has_utf8_header(plain, sizeof(plain) - 1));
	assert_false(downgrade_has_utf8_header(sealed, sizeof(sealed) - 1));
	assert_true(downgrade_has_utf8_header(own, sizeof(own) - 1));
	assert_true(downgrade_has_utf8_header(part, sizeof(part) - 1));
	assert_true(downgrade_has_utf8_header(inner, sizeof(inner) - 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_utf8_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
