/*
 * Parameters of MAIL and RCPT (RFC 5321 4.1.2), a row a list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "smtpd/params.h"

static const struct {
	const char *in;
	int n;
	const char *want; /* "KEYWORD:value|KEYWORD|" */
} rows[] = {
	{ "", 0, "" },
	{ " ", 0, "" },
	{ "   ", 0, "" },
	{ " SIZE=100", 1, "SIZE:100|" },
	{ " SIZE=100 BODY=8BITMIME", 2, "SIZE:100|BODY:8BITMIME|" },
	{ " SIZE=100 ", 1, "SIZE:100|" },
	{ "  SIZE=100   SMTPUTF8", 2, "SIZE:100|SMTPUTF8|" },
	{ " smtputf8", 1, "smtputf8|" },
	{ " X-A=b", 1, "X-A:b|" },
	{ " 8A=b", 1, "8A:b|" },
	{ " A-=b", 1, "A-:b|" },
	{ " RET=HDRS ENVID=a+2Bb NOTIFY=SUCCESS,FAILURE", 3, "RET:HDRS|ENVID:a+2Bb|NOTIFY:SUCCESS,FAILURE|" },
	{ " ORCPT=rfc822;a@b.example", 1, "ORCPT:rfc822;a@b.example|" },
	{ " AUTH=<>", 1, "AUTH:<>|" },
	{ " A=\xc3\xa9", 1, "A:\xc3\xa9|" }, /* RFC 6531 3.3: UTF8-non-ascii is a value's too */
	{ " XVERP", 1, "XVERP|" },
	{ " XVERP=+= SIZE=1", 2, "XVERP:+=|SIZE:1|" }, /* Postfix's */
	{ " xverp==-", 1, "xverp:=-|" },
	/* none */
	{ " XVERPS=+=", -1, NULL },
	{ "SIZE=100", -1, NULL }, /* no space behind the path */
	{ " =100", -1, NULL },
	{ " SIZE=", -1, NULL },
	{ " SIZE= 100", -1, NULL },
	{ " SIZE =100", -1, NULL },
	{ " SIZE=1=2", -1, NULL },
	{ " -A=b", -1, NULL },
	{ " A_B=c", -1, NULL },
	{ " A\xc3\xa9=b", -1, NULL },
	{ " A=b\tC=d", -1, NULL },
	{ "\tA=b", -1, NULL },
	{ " A=b\x7f", -1, NULL },
	{ " A=b\x01", -1, NULL },
	{ " <a@b>", -1, NULL },
	{ " A,B", -1, NULL },
};

static void
test_rows(void **state)
{
	struct param p[PARAMS_MAX];
	size_t i, len;
	int n, k;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf got = { 0 };
		char *in;

		len = strlen(rows[i].in);
		in = malloc(len + 1); /* without a NUL behind it: nothing reads beyond */
		memcpy(in, rows[i].in, len);
		n = params_parse(in, len, p);
		if (n != rows[i].n)
			fail_msg("\"%s\": %d", rows[i].in, n);
		for (k = 0; k < n; k++) {
			buf_add(&got, p[k].keyword, p[k].keyword_len);
			if (p[k].value != NULL)
				buf_addc(&got, ':');
			buf_add(&got, p[k].value != NULL ? p[k].value : "", p[k].value_len);
			buf_addc(&got, '|');
		}
		if (n >= 0)
			assert_string_equal(buf_str(&got), rows[i].want);
		buf_free(&got);
		free(in);
	}
}

/* A NUL is no separator and no value. */
static void
test_nul(void **state)
{
	struct param p[PARAMS_MAX];

	(void)state;
	assert_int_equal(params_parse(" A=b\0C", 6, p), -1);
	assert_int_equal(params_parse("\0", 1, p), -1);
}

static void
test_how_many(void **state)
{
	struct param p[PARAMS_MAX];
	struct buf b = { 0 };
	int i;

	(void)state;
	for (i = 0; i < PARAMS_MAX; i++)
		buf_addf(&b, " A%d", i);
	assert_int_equal(params_parse(b.data, b.len, p), PARAMS_MAX);
	buf_adds(&b, " B");
	assert_int_equal(params_parse(b.data, b.len, p), -1);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_how_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
