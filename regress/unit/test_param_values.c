/* Values of parameters of MAIL and RCPT: one row a rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/xtext.h"
#include "queue/envelope.h"
#include "smtpd/param_values.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static void
test_size(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		uint64_t octets;
	} rows[] = {
		{ "0", true, 0 }, { "1000", true, 1000 }, { "00000000000000000001", true, 1 },
		{ "18446744073709551615", true, UINT64_MAX }, { "99999999999999999999", true, UINT64_MAX },
		{ "000000000000000000001", false, 0 }, { "", false, 0 }, { "x", false, 0 }, { "-1", false, 0 },
		{ "1 ", false, 0 },
	};
	uint64_t octets;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (value_size(rows[i].in, strlen(rows[i].in), &octets) != rows[i].ok ||
		    (rows[i].ok && octets != rows[i].octets))
			fail_msg("SIZE=%s", rows[i].in);
}

static void
test_notify(void **state)
{
	static const struct {
		const char *in;
		int bits; /* -1: none */
	} rows[] = {
		{ "NEVER", NOTIFY_NEVER }, { "never", NOTIFY_NEVER }, { "SUCCESS", NOTIFY_SUCCESS },
		{ "success,Failure,DELAY", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY },
		{ "DELAY,DELAY", NOTIFY_DELAY },
		/* RFC 3461 4.1 a: NEVER stands alone */
		{ "NEVER,SUCCESS", -1 }, { "SUCCESS,NEVER", -1 }, { "NEVER,", -1 }, { "", -1 }, { ",", -1 },
		{ "SUCCESS,", -1 }, { ",SUCCESS", -1 }, { "SUCCESS,,DELAY", -1 }, { "SUCCES", -1 }, { "SUCCESSX", -1 },
		{ "SUCCESS, DELAY", -1 }, { "SUCCESS;DELAY", -1 },
	};
	uint8_t bits;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (value_notify(rows[i].in, strlen(rows[i].in), &bits) != (rows[i].bits >= 0) ||
		    (rows[i].bits >= 0 && bits != rows[i].bits))
			fail_msg("NOTIFY=%s", rows[i].in);
}

static void
check_text(const char *in, char *out, const char *expected)
{
	if ((out == NULL) != (expected == NULL) || (out != NULL && strcmp(out, expected) != 0))
		fail_msg("%s: %s", in, out != NULL ? out : "refused");
	free(out);
}

static void
test_texts(void **state)
{
	static const struct {
		const char *in;
		bool utf8;
		const char *out;
	} rows[] = {
		{ "rfc822;alice@example.org", false, "rfc822;alice@example.org" },
		{ "RFC822;a+2Bb+3Dc@example.org", false, "RFC822;a+b=c@example.org" },
		{ "rfc822;a+20b", false, "rfc822;a b" },
		{ "x400;/S=x", false, NULL }, /* "=" must be encoded */
		{ "x400;/S+3Dx", false, "x400;/S=x" },
		{ "rfc822;a;b", false, "rfc822;a;b" },
		/* RFC 3461 4.2: printable ASCII only, whole digits, a type and an address */
		{ "rfc822;a+0D+0Ab", false, NULL }, { "rfc822;a+00", false, NULL }, { "rfc822;a+7F", false, NULL },
		{ "rfc822;a+8F", false, NULL }, { "rfc822;a+", false, NULL }, { "rfc822;a+2", false, NULL },
		{ "rfc822;a+2G", false, NULL }, { "rfc822;", false, NULL }, { ";a@b", false, NULL }, { "a@b", false, NULL },
		{ "rfc 822;a@b", false, NULL }, { "rfc(822;a@b", false, NULL }, { "", false, NULL },
		{ "rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx", false,
		    "rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx" },
		{ "rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxx", false, NULL },
		/* RFC 6533 3 */
		{ "utf-8;\xe4\xbe\x8b@example.jp", true, "utf-8;\\x{4F8B}@example.jp" },
		{ "UTF-8;\xf0\x9f\x93\xab", true, "UTF-8;\\x{1F4EB}" },
		{ "utf-8;\\x{4F8B}@example.jp", false, "utf-8;\\x{4F8B}@example.jp" },
		{ "utf-8;\xe4\xbe\x8b", false, NULL }, { "rfc822;\xe4\xbe\x8b", true, NULL }, { "utf-8;\xe4\xbe", true, NULL },
		{ "utf-8;\xc2\x85", true, NULL }, { "utf-8;\xed\xa0\x80", true, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_text(rows[i].in, value_orcpt(rows[i].in, strlen(rows[i].in), rows[i].utf8), rows[i].out);
	check_text("QQ+2B", value_envid("QQ+2B", 5), "QQ+");
	check_text("100", value_envid(X100, 100), X100);
	check_text("101", value_envid(X100 "x", 101), NULL);
	check_text("", value_envid("", 0), NULL);
	check_text("a=b", value_envid("a=b", 3), NULL);
	check_text("+0A", value_envid("+0A", 3), NULL);
}

static void
test_xtext_is_read_back(void **state)
{
	static const char in[] = " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~";
	struct buf b = { 0 };

	(void)state;
	xtext_add(&b, in);
	assert_null(strchr(b.data, ' '));
	assert_null(strchr(b.data, '='));
	check_text(in, xtext_decode(b.data, b.len), in);
	buf_free(&b);
}

static void
test_hold(void **state)
{
	static const struct {
		const char *in;
		int64_t out; /* -1: none */
	} seconds[] = { { "1", 1 }, { "999999999", 999999999 }, { "0", -1 }, { "01", -1 }, { "1000000000", -1 }, { "-1", -1 },
		{ "", -1 }, { "1s", -1 } },
	  dates[] = { { "2026-12-24T18:00:00Z", 1798135200 }, { "2026-12-24t18:00:00z", 1798135200 },
		  { "1970-01-01T00:00:00Z", 0 }, { "2024-02-29T00:00:00Z", 1709164800 }, { "2016-12-31T23:59:60Z", 1483228800 },
		  { "2023-02-29T00:00:00Z", -1 }, { "2026-04-31T00:00:00Z", -1 }, { "2026-13-01T00:00:00Z", -1 },
		  { "2026-00-01T00:00:00Z", -1 }, { "2026-01-00T00:00:00Z", -1 }, { "2026-01-01T24:00:00Z", -1 },
		  { "2026-01-01T00:60:00Z", -1 }, { "2026-01-01T00:00:61Z", -1 }, { "2026-01-01T00:00:00+09:00", -1 },
		  { "2026-01-01T00:00:00", -1 }, { "2026-01-01 00:00:00Z", -1 }, { "2026-01-01T00:00:00.5Z", -1 },
		  { "1969-12-31T23:59:59Z", -1 }, { "", -1 } };
	int64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		if (value_hold_for(seconds[i].in, strlen(seconds[i].in), &n) != (seconds[i].out >= 0) ||
		    (seconds[i].out >= 0 && n != seconds[i].out))
			fail_msg("HOLDFOR=%s", seconds[i].in);
	for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		if (value_hold_until(dates[i].in, strlen(dates[i].in), &n) != (dates[i].out >= 0) ||
		    (dates[i].out >= 0 && n != dates[i].out))
			fail_msg("HOLDUNTIL=%s", dates[i].in);
}

static void
test_by(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		int64_t seconds;
		uint8_t by;
	} rows[] = {
		{ "120;R", true, 120, BY_RETURN }, { "+120;r", true, 120, BY_RETURN }, { "120;RT", true, 120, BY_RETURN | BY_TRACE },
		{ "120;nt", true, 120, BY_NOTIFY | BY_TRACE }, { "-5;N", true, -5, BY_NOTIFY }, { "0;N", true, 0, BY_NOTIFY },
		{ "-999999999;N", true, -999999999, BY_NOTIFY },
		/* RFC 2852 4: what is to come back must have some time */
		{ "0;R", false, 0, 0 }, { "-5;R", false, 0, 0 }, { "1000000000;N", false, 0, 0 }, { "120", false, 0, 0 },
		{ "120;", false, 0, 0 }, { ";R", false, 0, 0 }, { "-;N", false, 0, 0 }, { "120;X", false, 0, 0 },
		{ "120;RX", false, 0, 0 }, { "120;RTT", false, 0, 0 }, { "120;TR", false, 0, 0 }, { "1 20;R", false, 0, 0 },
		{ "--1;N", false, 0, 0 }, { "", false, 0, 0 },
	};
	int64_t seconds;
	uint8_t by;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (value_by(rows[i].in, strlen(rows[i].in), &seconds, &by) != rows[i].ok ||
		    (rows[i].ok && (seconds != rows[i].seconds || by != rows[i].by)))
			fail_msg("BY=%s", rows[i].in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_xtext_is_read_back),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_by),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
