/*
 * MTA-STS: TXT records, policies, and the servers that they name (RFC 8461 3, 4.1).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/sts_policy.h"
#include "lib/buf.h"

static void
test_records(void **state)
{
	static const struct {
		const char *text;
		enum sts_record result;
		const char *id;
	} cases[] = {
		{ "v=STSv1; id=20160831085700Z;", STS_RECORD_OK, "20160831085700Z" },
		{ "v=STSv1;id=a", STS_RECORD_OK, "a" },
		{ "v=STSv1; \t id=a \t ; ", STS_RECORD_OK, "a" },
		{ "v=STSv1; x=y; id=a; foo.bar=baz!", STS_RECORD_OK, "a" },
		{ "v=STSv1; id=a; id=b", STS_RECORD_OK, "a" },
		{ "v=STSv1; id=12345678901234567890123456789012", STS_RECORD_OK, "12345678901234567890123456789012" },
		{ "v=STSv1; id=123456789012345678901234567890123", STS_RECORD_BROKEN, "" },
		{ "v=STSv1;", STS_RECORD_BROKEN, "" }, { "v=STSv1; x=y", STS_RECORD_BROKEN, "" },
		{ "v=STSv1; id=", STS_RECORD_BROKEN, "" }, { "v=STSv1; id=a-b", STS_RECORD_BROKEN, "" },
		{ "v=STSv1; ID=a", STS_RECORD_BROKEN, "" }, { "v=STSv1;; id=a", STS_RECORD_BROKEN, "" },
		{ "v=STSv1; id", STS_RECORD_BROKEN, "" }, { "v=STSv1; id=a b", STS_RECORD_BROKEN, "" },
		{ "v=STSv1; id=a; x=y=z", STS_RECORD_BROKEN, "" }, { "v=STSv1; id=a; x=", STS_RECORD_BROKEN, "" },
		{ "v=STSv1 id=a", STS_RECORD_OTHER, "" }, { "v=stsv1; id=a", STS_RECORD_OTHER, "" },
		{ " v=STSv1; id=a", STS_RECORD_OTHER, "" }, { "v=STSv2; id=a", STS_RECORD_OTHER, "" },
		{ "v=spf1 -all", STS_RECORD_OTHER, "" }, { "", STS_RECORD_OTHER, "" },
	};
	char id[STS_ID_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum sts_record r = sts_record_parse(cases[i].text, strlen(cases[i].text), id);

		if (r != cases[i].result || (r == STS_RECORD_OK && strcmp(id, cases[i].id) != 0))
			fail_msg("\"%s\": %d \"%s\"", cases[i].text, r, id);
	}
}

#define HEAD "version: STSv1\r\nmode: enforce\r\nmax_age: 100\r\n"

static void
test_policies(void **state)
{
	static const struct {
		const char *text, *result; /* "MODE AGE MX ...", or what is wrong */
	} cases[] = {
		{ HEAD "mx: mail.example.com\r\nmx: *.example.net\r\n", "2 100 mail.example.com *.example.net" },
		{ "max_age: 604800 \nmx:A.Example\nmode:\ttesting\nversion:STSv1", "1 604800 a.example" },
		{ "version: STSv1\nmode: none\nmax_age: 0\n", "0 0" },
		{ "version: STSv1\nmode: none\nmax_age: 9999999999\n", "0 31557600" },
		/* 3.2: unknown fields are ignored, of those that may stand once the first counts */
		{ HEAD "mx: a.example\r\nfuture: \303\274ber: all\r\nmode: none\r\nmax_age: x\r\nversion: STSv2\r\n",
		    "2 100 a.example" },
		{ HEAD "\r\n\r\nmx: a.example", "2 100 a.example" },
		{ HEAD, "it names no mx" },
		{ "mode: enforce\nmax_age: 1\nmx: a.example\n", "it lacks version, mode or max_age" },
		{ "version: STSv1\nmax_age: 1\nmx: a.example\n", "it lacks version, mode or max_age" },
		{ "version: STSv1\nmode: enforce\nmx: a.example\n", "it lacks version, mode or max_age" },
		{ "version: STSv2\nmode: enforce\nmax_age: 1\nmx: a.example\n", "its version is not STSv1" },
		{ "version: STSv1\nmode: Enforce\n", "its mode is neither enforce nor testing nor none" },
		{ "max_age: -1\n", "its max_age is no number of seconds" },
		{ "max_age:\n", "its max_age is no number of seconds" },
		{ "max_age: 12345678901\n", "its max_age is no number of seconds" },
		{ HEAD "mx: a b\n", "an mx is no name of servers" }, { HEAD "mx:\n", "an mx is no name of servers" },
		{ HEAD "mx: *\n", "an mx is no name of servers" }, { HEAD "mx: *.*.a\n", "an mx is no name of servers" },
		{ HEAD "mx: [192.0.2.1]\n", "an mx is no name of servers" },
		{ HEAD "nonsense\n", "a line has no colon" },
		{ HEAD "<html>: x\n", "a line does not begin with the name of a field" },
		{ "", "it lacks version, mode or max_age" },
	};
	struct sts_policy *p;
	const char *why;
	size_t i;
	unsigned k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf got = { 0 };

		p = sts_policy_parse(cases[i].text, strlen(cases[i].text), &why);
		if (p == NULL)
			buf_adds(&got, why);
		else
			buf_addf(&got, "%d %u", p->mode, (unsigned)p->max_age);
		for (k = 0; p != NULL && k < p->mx_n; k++)
			buf_addf(&got, " %s", p->mx[k]);
		if (strcmp(buf_str(&got), cases[i].result) != 0)
			fail_msg("%s\n%s", cases[i].text, buf_str(&got));
		sts_policy_drop(sts_policy_keep(p));
		sts_policy_drop(p);
		buf_free(&got);
	}
	assert_null(sts_policy_parse("version: STSv1\0", 15, &why));
	assert_string_equal(why, "it has a NUL");
}

static void
test_names(void **state)
{
	static const char text[] = HEAD "mx: mail.example.com\nmx: *.Example.net\n";
	static const struct {
		const char *host;
		bool named;
	} cases[] = {
		{ "mail.example.com", true }, { "MAIL.example.com", true }, { "mx.example.net", true },
		{ "mx.EXAMPLE.net", true }, { "example.net", false }, { "foo.bar.example.net", false },
		{ ".example.net", false }, { "example.com", false }, { "a.mail.example.com", false },
		{ "mx.example.net.evil", false }, { "mxexample.net", false }, { "net", false }, { "", false },
	};
	struct sts_policy *p;
	const char *why;
	size_t i;

	(void)state;
	p = sts_policy_parse(text, sizeof(text) - 1, &why);
	assert_non_null(p);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (sts_policy_names(p, cases[i].host) != cases[i].named)
			fail_msg("%s", cases[i].host);
	}
	sts_policy_drop(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
