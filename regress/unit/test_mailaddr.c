/*
 * The address parser: RFC 5321 4.1.2 and 4.1.3, RFC 6531 3.3, and isemail's odd cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mailaddr.h"
#include "regress/unit/corpus.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define L63 A60 "aaa"

#define NUL MAILADDR_NULL
#define PM MAILADDR_POSTMASTER
#define U8 MAILADDR_UTF8

/* What FORMAT is, when it is not what stands in the brackets. */
static const struct path_case {
	const char *path;
	unsigned flags;
	const char *local; /* NULL: refused */
	const char *domain;
	const char *format;
} path_cases[] = {
	/* Mailbox = Local-part "@" Domain */
	{ "<a@b>", 0, "a", "b", "a@b" },
	{ "<a@example.org>", 0, "a", "example.org", "a@example.org" },
	{ "<Ab.Cd@Example.ORG>", 0, "Ab.Cd", "example.org", "Ab.Cd@example.org" },
	{ "<!#$%&'*+-/=?^_`{|}~@b.c>", 0, "!#$%&'*+-/=?^_`{|}~", "b.c", "!#$%&'*+-/=?^_`{|}~@b.c" },
	{ "<a+tag@b.c>", 0, "a+tag", "b.c", "a+tag@b.c" },
	{ "<0@1.2>", 0, "0", "1.2", "0@1.2" },
	{ "<a@1-2.3--4.x>", 0, "a", "1-2.3--4.x", "a@1-2.3--4.x" },
	{ "<a@xn--fiqs8s>", 0, "a", "xn--fiqs8s", "a@xn--fiqs8s" },
	/* no meaning in '%' and '!' */
	{ "<user%victim.example@b.c>", 0, "user%victim.example", "b.c",
	    "user%victim.example@b.c" },
	{ "<victim.example!user@b.c>", 0, "victim.example!user", "b.c",
	    "victim.example!user@b.c" },
	{ "<\"user@victim.example\"@b.c>", 0, "user@victim.example", "b.c",
	    "\"user@victim.example\"@b.c" },
	/* Dot-string */
	{ "<.a@b>", 0, NULL, NULL, NULL },
	{ "<a.@b>", 0, NULL, NULL, NULL },
	{ "<a..b@c>", 0, NULL, NULL, NULL },
	{ "<.@b>", 0, NULL, NULL, NULL },
	{ "<@b>", 0, NULL, NULL, NULL },
	{ "<a b@c>", 0, NULL, NULL, NULL },
	{ "<a,b@c>", 0, NULL, NULL, NULL },
	{ "<a(b)@c>", 0, NULL, NULL, NULL },
	{ "<a\\b@c>", 0, NULL, NULL, NULL },
	{ "<a\tb@c>", 0, NULL, NULL, NULL },
	{ "<a\177@c>", 0, NULL, NULL, NULL },
	{ "<<a@b>>", 0, NULL, NULL, NULL },
	{ "<a\"b\"@c>", 0, NULL, NULL, NULL },
	/* Quoted-string: least quoting, equal to the bare form (RFC 5321 4.1.2) */
	{ "<\"a\"@b>", 0, "a", "b", "a@b" },
	{ "<\"\\a\\b\"@c>", 0, "ab", "c", "ab@c" },
	{ "<\"a.b\"@c>", 0, "a.b", "c", "a.b@c" },
	{ "<\"a b\"@c>", 0, "a b", "c", "\"a b\"@c" },
	{ "<\"Joe\\,Smith\"@c>", 0, "Joe,Smith", "c", "\"Joe,Smith\"@c" },
	{ "<\"a\\\"\\\\b\"@c>", 0, "a\"\\b", "c", "\"a\\\"\\\\b\"@c" },
	{ "<\".a\"@c>", 0, ".a", "c", "\".a\"@c" },
	{ "<\"a..b\"@c>", 0, "a..b", "c", "\"a..b\"@c" },
	{ "<\"a.\"@c>", 0, "a.", "c", "\"a.\"@c" },
	{ "<\"\"@c>", 0, "", "c", "\"\"@c" },
	{ "<\"\\ \"@c>", 0, " ", "c", "\" \"@c" },
	{ "<\"a>b\"@c>", 0, "a>b", "c", "\"a>b\"@c" },
	{ "<\"a@c>", 0, NULL, NULL, NULL },
	{ "<\"a\\\"@c>", 0, NULL, NULL, NULL },
	{ "<\"a\\", 0, NULL, NULL, NULL },
	{ "<\"a\"b@c>", 0, NULL, NULL, NULL },
	{ "<\"a\".b@c>", 0, NULL, NULL, NULL },
	{ "<\"a\tb\"@c>", 0, NULL, NULL, NULL },
	{ "<\"a\\\tb\"@c>", 0, NULL, NULL, NULL },
	{ "<\"a\r\nb\"@c>", 0, NULL, NULL, NULL },
	{ "<\"a\177\"@c>", 0, NULL, NULL, NULL },
	/* Domain */
	{ "<a>", 0, NULL, NULL, NULL },
	{ "<a@>", 0, NULL, NULL, NULL },
	{ "<a@b.>", 0, NULL, NULL, NULL },
	{ "<a@.b>", 0, NULL, NULL, NULL },
	{ "<a@b..c>", 0, NULL, NULL, NULL },
	{ "<a@-b>", 0, NULL, NULL, NULL },
	{ "<a@b->", 0, NULL, NULL, NULL },
	{ "<a@b.-c>", 0, NULL, NULL, NULL },
	{ "<a@b_c>", 0, NULL, NULL, NULL }, /* RFC 5321 4.1.2, last paragraph */
	{ "<a@b@c>", 0, NULL, NULL, NULL },
	{ "<a@b c>", 0, NULL, NULL, NULL },
	{ "<a@b >", 0, NULL, NULL, NULL },
	{ "<a@b/c>", 0, NULL, NULL, NULL },
	{ "<a@b%c>", 0, NULL, NULL, NULL },
	/* RFC 1035 2.3.4, RFC 5321 4.5.3.1 */
	{ "<a@" L63 ">", 0, "a", L63, "a@" L63 },
	{ "<a@" L63 "a>", 0, NULL, NULL, NULL },
	{ "<" A60 "1234@b>", 0, A60 "1234", "b", A60 "1234@b" },
	{ "<" A60 A60 "@b>", 0, A60 A60, "b", A60 A60 "@b" },
	{ "<" A60 A60 A60 A60 A10 "12@b>", 0, A60 A60 A60 A60 A10 "12", "b",
	    A60 A60 A60 A60 A10 "12@b" },
	{ "<" A60 A60 A60 A60 A10 "123@b>", 0, NULL, NULL, NULL },
	{ "<a@" L63 "." L63 "." L63 ".b." A60 ">", 0, NULL, NULL, NULL },
	/* address-literal */
	{ "<a@[192.0.2.1]>", 0, "a", "[192.0.2.1]", "a@[192.0.2.1]" },
	{ "<a@[IPV6:2001:DB8::1]>", 0, "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]" },
	{ "<a@[IPv6:::ffff:192.0.2.1]>", 0, "a", "[192.0.2.1]", "a@[192.0.2.1]" },
	{ "<a@[192.0.2.1>", 0, NULL, NULL, NULL },
	{ "<a@[192.0.2]>", 0, NULL, NULL, NULL },
	{ "<a@[192.0.2.1].b>", 0, NULL, NULL, NULL },
	{ "<a@b[192.0.2.1]>", 0, NULL, NULL, NULL },
	{ "<a@[x25:1234]>", 0, NULL, NULL, NULL },
	{ "<a@[mx.example.org]>", 0, NULL, NULL, NULL },
	{ "<a@[]>", 0, NULL, NULL, NULL },
	/* A-d-l, ignored (RFC 5321 appendix C) */
	{ "<@x:a@b>", 0, "a", "b", "a@b" },
	{ "<@x.y,@z:\"a b\"@c>", 0, "a b", "c", "\"a b\"@c" },
	{ "<@x a@b>", 0, NULL, NULL, NULL },
	{ "<@x,a@b>", 0, NULL, NULL, NULL },
	{ "<@x,@y>", 0, NULL, NULL, NULL },
	{ "<@x,:a@b>", 0, NULL, NULL, NULL },
	{ "<@x:>", 0, NULL, NULL, NULL },
	{ "<@:a@b>", 0, NULL, NULL, NULL },
	{ "<@[192.0.2.1]:a@b>", 0, NULL, NULL, NULL },
	{ "<@x,", 0, NULL, NULL, NULL },
	{ "<@x:postmaster>", PM, NULL, NULL, NULL },
	{ "<@" A60 "." A60 "." A60 ":" A60 "@b." A10 ">", 0, NULL, NULL, NULL },
	/* the null path and the postmaster, where they may be */
	{ "<>", NUL, "", "", "" },
	{ "<>", PM | U8, NULL, NULL, NULL },
	{ "< >", NUL, NULL, NULL, NULL },
	{ "<\"\">", NUL | PM, NULL, NULL, NULL },
	{ "<postmaster>", PM, "postmaster", "", "postmaster" },
	{ "<PostMaster>", PM, "PostMaster", "", "PostMaster" },
	{ "<\"postmaster\">", PM, "postmaster", "", "postmaster" },
	{ "<postmaster>", NUL | U8, NULL, NULL, NULL },
	{ "<postmasters>", PM, NULL, NULL, NULL },
	{ "<postmaster@>", PM, NULL, NULL, NULL },
	{ "<postmaster@b>", PM, "postmaster", "b", "postmaster@b" },
	/* brackets */
	{ "", 0, NULL, NULL, NULL },
	{ "<", NUL, NULL, NULL, NULL },
	{ "a@b", 0, NULL, NULL, NULL },
	{ " <a@b>", 0, NULL, NULL, NULL },
	{ "<a@b", 0, NULL, NULL, NULL },
	{ "<a", 0, NULL, NULL, NULL },
	{ "< a@b>", 0, NULL, NULL, NULL },
	/*
	 * RFC 6531 3.3: UTF8-non-ascii, only where allowed and only when it is UTF-8 (RFC 3629 4)
	 */
	{ "<\xe7\x94\xb0\xe4\xb8\xad@b>", 0, NULL, NULL, NULL },
	{ "<\xe7\x94\xb0\xe4\xb8\xad@b>", U8, "\xe7\x94\xb0\xe4\xb8\xad", "b",
	    "\xe7\x94\xb0\xe4\xb8\xad@b" },
	{ "<\"\xc3\xa9 \"@b>", U8, "\xc3\xa9 ", "b", "\"\xc3\xa9 \"@b" },
	{ "<\"\xc3\xa9\"@b>", 0, NULL, NULL, NULL },
	{ "<\"\\\xc3\xa9\"@b>", U8, NULL, NULL, NULL },
	/* RFC 6531 3.7.1: as the DNS knows it; what is folded stays one domain, or is none */
	{ "<a@\xe4\xbe\x8b.JP>", U8, "a", "xn--fsq.jp", "a@xn--fsq.jp" },
	{ "<a@B\xc3\x9c" "cher.example>", U8, "a", "xn--bcher-kva.example", "a@xn--bcher-kva.example" },
	{ "<a@\xe4\xbe\x8b\xe3\x80\x82jp>", U8, "a", "xn--fsq.jp", "a@xn--fsq.jp" }, /* an ideographic full stop */
	{ "<a@\xe2\x84\x80.jp>", U8, NULL, NULL, NULL },			      /* folds to "a/c" */
	{ "<a@exam\xe2\x84\x80ple.jp>", U8, NULL, NULL, NULL },
	/* a wide "@", "/", "_", "%" and space are signs and not nothing */
	{ "<a@exam\xef\xbc\xa0ple.jp>", U8, NULL, NULL, NULL },
	{ "<a@exam\xef\xbc\x8fple.jp>", U8, NULL, NULL, NULL },
	{ "<a@exam\xef\xbc\xbfple.jp>", U8, NULL, NULL, NULL },
	{ "<a@exam\xef\xbc\x85ple.jp>", U8, NULL, NULL, NULL },
	{ "<a@exam\xe3\x80\x80ple.jp>", U8, NULL, NULL, NULL },
	{ "<a@\xe4\xbe\x8b\xef\xbc\xbfx.jp>", U8, NULL, NULL, NULL },
	{ "<a@\xef\xbc\xa5xample.jp>", U8, "a", "example.jp", "a@example.jp" }, /* a wide letter */
	{ "<a@\xe3\x80\x82.jp>", U8, NULL, NULL, NULL },
	{ "<a@\xcc\x81" "b.jp>", U8, NULL, NULL, NULL }, /* begins with an accent */
	{ "<a@\xe4\xbe\x8b.JP>", 0, NULL, NULL, NULL },
	{ "<a@-\xe4\xbe\x8b>", U8, NULL, NULL, NULL },
	{ "<\xf0\x9f\x93\xab@b>", U8, "\xf0\x9f\x93\xab", "b", "\xf0\x9f\x93\xab@b" },
	{ "<\xc2\xa0@b>", U8, "\xc2\xa0", "b", "\xc2\xa0@b" },
	{ "<\xc2\x9b@b>", U8, NULL, NULL, NULL },	     /* a C1 control */
	{ "<\xc0\xaf@b>", U8, NULL, NULL, NULL },	     /* overlong */
	{ "<\xe0\x9f\xbf@b>", U8, NULL, NULL, NULL },	     /* overlong */
	{ "<\xf0\x8f\xbf\xbf@b>", U8, NULL, NULL, NULL },    /* overlong */
	{ "<\xed\xa0\x80@b>", U8, NULL, NULL, NULL },	     /* a surrogate */
	{ "<\xf4\x90\x80\x80@b>", U8, NULL, NULL, NULL },    /* above U+10FFFF */
	{ "<\xff@b>", U8, NULL, NULL, NULL },
	{ "<\x80@b>", U8, NULL, NULL, NULL },
	{ "<\xe7\x94@b>", U8, NULL, NULL, NULL },
	{ "<\xe7\x94", U8, NULL, NULL, NULL },
	{ "<a@b\xc3>", U8, NULL, NULL, NULL },
};

static void
check_formatted(const struct mailaddr *addr, const struct path_case *c)
{
	const char *why = NULL;
	struct mailaddr again;
	char *text = mailaddr_format(addr);

	assert_string_equal(text, c->format);
	/* what it prints is the same mailbox when it is read */
	if (!mailaddr_parse(text, strlen(text), c->flags, &again, &why))
		fail_msg("%s: %s", text, why);
	assert_true(mailaddr_equal(addr, &again));
	mailaddr_free(&again);
	free(text);
}

static void
test_path(void **state)
{
	const struct path_case *c;
	struct mailaddr addr;
	const char *why;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++) {
		c = &path_cases[i];
		why = NULL;
		len = mailaddr_parse_path(c->path, strlen(c->path), c->flags, &addr, &why);
		if (len != (c->local != NULL ? strlen(c->path) : 0))
			fail_msg("%s: %zu %s", c->path, len, why != NULL ? why : "");
		if (c->local == NULL) {
			assert_non_null(why);
			continue;
		}
		assert_string_equal(addr.local, c->local);
		assert_string_equal(addr.domain, c->domain);
		check_formatted(&addr, c);
		mailaddr_free(&addr);
		assert_null(addr.local);
	}
}

static void
test_path_stops_behind_bracket(void **state)
{
	static const char line[] = "<a@b> SIZE=1>";
	const char *why;
	struct mailaddr addr;

	(void)state;
	assert_int_equal(mailaddr_parse_path(line, strlen(line), 0, &addr, &why), 5);
	mailaddr_free(&addr);
	/* and never looks behind the length */
	assert_int_equal(mailaddr_parse_path(line, 5, 0, &addr, &why), 5);
	mailaddr_free(&addr);
	assert_int_equal(mailaddr_parse_path(line, 4, 0, &addr, &why), 0);
	assert_int_equal(mailaddr_parse_path("<a\0b@c>", 7, 0, &addr, &why), 0);
	assert_int_equal(mailaddr_parse_path("<\"a\0b\"@c>", 9, 0, &addr, &why), 0);
	assert_int_equal(mailaddr_parse_path("<a@b\0c>", 7, 0, &addr, &why), 0);
	assert_int_equal(mailaddr_parse_path("<a@[1.2.3.4\0]>", 14, 0, &addr, &why), 0);
}

/* A domain of 255 octets leaves no room in a path; so its limit is only seen here. */
static void
test_domain(void **state)
{
	static const struct {
		const char *domain;
		unsigned flags;
		bool ok;
	} cases[] = {
		{ "b", 0, true },
		{ "mx.Example.ORG", 0, true },
		{ "[192.0.2.1]", 0, true },
		{ "[IPv6:2001:db8::1]", 0, true },
		{ "192.0.2.1", 0, true },
		{ L63 "." L63 "." L63 "." L63, 0, true },
		{ "a." L63 "." L63 "." L63 "." L63, 0, false },
		{ "", 0, false },
		{ ".", 0, false },
		{ "b.", 0, false },
		{ ".b", 0, false },
		{ "b..c", 0, false },
		{ "b_c", 0, false },
		{ "-b", 0, false },
		{ "b-", 0, false },
		{ "b c", 0, false },
		{ "b:c", 0, false },
		{ "2001:db8::1", 0, false },
		{ "[192.0.2.1", 0, false },
		{ "[192.0.2.1]x", 0, false },
		{ "[]", 0, false },
		{ "b>", 0, false },
		{ "\xe4\xbe\x8b.jp", 0, false },
		{ "\xe4\xbe\x8b.jp", MAILADDR_UTF8, true },
		{ "\xe4\xbe.jp", MAILADDR_UTF8, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (mailaddr_domain_ok(cases[i].domain, strlen(cases[i].domain), cases[i].flags) !=
		    cases[i].ok)
			fail_msg("%s", cases[i].domain);
	}
	assert_false(mailaddr_domain_ok("b\0", 2, 0));
}

static void
test_bare(void **state)
{
	static const struct {
		const char *text;
		unsigned flags;
		bool ok;
	} cases[] = {
		{ "a@b", 0, true },
		{ "\"a b\"@c", 0, true },
		{ "a@[192.0.2.1]", 0, true },
		{ "", 0, false },
		{ "", MAILADDR_NULL, true },
		{ "postmaster", 0, false },
		{ "Postmaster", MAILADDR_POSTMASTER, true },
		{ "<a@b>", MAILADDR_NULL, false },
		{ "a@b>", 0, false },
		{ "postmaster>", MAILADDR_POSTMASTER, false },
		{ "a@b ", 0, false },
		{ " a@b", 0, false },
		{ "a@b,c@d", 0, false },
		{ "@x:a@b", 0, false },
		{ "a@b\n", 0, false },
		{ A60 A60 A60 A60 A10 "12@b", 0, true },
		{ A60 A60 A60 A60 A10 "123@b", 0, false },
	};
	const char *why;
	struct mailaddr addr;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = NULL;
		if (mailaddr_parse(cases[i].text, strlen(cases[i].text), cases[i].flags, &addr,
			&why) != cases[i].ok)
			fail_msg("%s: %s", cases[i].text, why != NULL ? why : "");
		if (cases[i].ok)
			mailaddr_free(&addr);
		else
			assert_non_null(why);
	}
}

/* The words are for the person who reads the reply; these are the mistakes that are common. */
static void
test_reasons(void **state)
{
	static const struct {
		const char *path;
		const char *why; /* a part of it */
	} cases[] = {
		{ "a@b", "angle brackets" },
		{ "<a@b", "'>'" },
		{ "<>", "empty" },
		{ "<a>", "no '@'" },
		{ "<@b>", "source route" },
		{ "<a@>", "no domain" },
		{ "<a@b.>", "ends in a dot" },
		{ "<a@.b>", "dot at its start" },
		{ "<a..b@c>", "two in a row" },
		{ "<a.@c>", "ends in a dot" },
		{ "<a b@c>", "only allowed in quotes" },
		{ "<a@b c>", "space" },
		{ "<a@b_c>", "underscore" },
		{ "<a@b@c>", "second '@'" },
		{ "<a@-b>", "hyphen" },
		{ "<a@" L63 "x>", "63" },
		{ "<\"a@b>", "closing quote" },
		{ "<a@[192.0.2>", "closing ']'" },
		{ "<a@[192.0.2]>", "address literal" },
		{ "<a\001@b>", "control" },
		{ "<\"\001\"@b>", "control" },
		{ "<\xc3\xa9@b>", "SMTPUTF8" },
		{ "<" A60 A60 A60 A60 A60 "@b>", "256" },
	};
	struct mailaddr addr;
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = NULL;
		assert_int_equal(mailaddr_parse_path(cases[i].path, strlen(cases[i].path), 0, &addr,
				     &why), 0);
		if (why == NULL || strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].path, why != NULL ? why : "no reason");
	}
}

static void
test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "a@b", "a@B", true },
		{ "\"a\"@b", "a@b", true },
		{ "\"a\\b\"@c", "\"ab\"@c", true },
		{ "A@b", "a@b", false },
		{ "a@b", "a@c", false },
		{ "a@[IPv6:::1]", "a@[IPv6:0:0:0:0:0:0:0:1]", true },
		{ "a@[IPv6:::ffff:192.0.2.1]", "a@[192.0.2.1]", true },
	};
	struct mailaddr a, b;
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(mailaddr_parse(cases[i].a, strlen(cases[i].a), 0, &a, &why));
		assert_true(mailaddr_parse(cases[i].b, strlen(cases[i].b), 0, &b, &why));
		if (mailaddr_equal(&a, &b) != cases[i].equal)
			fail_msg("%s %s", cases[i].a, cases[i].b);
		mailaddr_free(&a);
		mailaddr_free(&b);
	}
}

/* "\xHH" is an octet; returns the length. */
static size_t
unescape(const char *s, char *out)
{
	char hex[3] = "";
	size_t len = 0;

	while (*s != '\0') {
		if (strncmp(s, "\\x", 2) == 0) {
			memcpy(hex, s + 2, 2);
			out[len++] = (char)strtol(hex, NULL, 16);
			s += 4;
		} else {
			out[len++] = *s++;
		}
	}
	return len;
}

static void
test_isemail(void **state)
{
	char line[4096], path[4096], *column[3];
	FILE *f = corpus_open("addresses/isemail-odd.tsv");
	struct mailaddr addr;
	const char *why;
	size_t len, used;
	int seen = 0;

	(void)state;
	while (corpus_columns(f, line, sizeof(line), column, 3) == 3) {
		path[0] = '<';
		len = unescape(column[1], path + 1) + 1;
		path[len++] = '>';
		seen++;
		used = mailaddr_parse_path(path, len, 0, &addr, &why);
		if (used > 0)
			mailaddr_free(&addr);
		if ((strcmp(column[2], "accept") == 0 && used != len) ||
		    (strcmp(column[2], "reject") == 0 && used == len))
			fail_msg("isemail %s: %s", column[0], column[1]);
	}
	fclose(f);
	assert_true(seen > 70);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_stops_behind_bracket),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_isemail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
