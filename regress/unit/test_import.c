/*
 * Other servers' tables in the words of smtpd.conf: to the letter, and every result is a
 * configuration that can be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "smtpctl/import.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

typedef void (*importer)(struct buf *, const char *, size_t);

static void
assert_parses(const char *text)
{
	struct buf whole = { 0 }, errors = { 0 }, warnings = { 0 };
	struct conf *conf;

	buf_addf(&whole, "host mx.example.org\n%s", text);
	conf = conf_parse("imported", whole.data, whole.len, &errors, &warnings);
	if (conf == NULL)
		fail_msg("%s\n%s", text, buf_str(&errors));
	conf_free(conf);
	buf_free(&whole);
	buf_free(&errors);
	buf_free(&warnings);
}

static void
assert_import(importer import, const char *text, const char *expected)
{
	struct buf out = { 0 };

	import(&out, text, strlen(text));
	if (strcmp(buf_str(&out), expected) != 0)
		fail_msg("%s\n--- is:\n%s--- expected:\n%s", text, buf_str(&out), expected);
	assert_parses(buf_str(&out));
	buf_free(&out);
}

static void
test_names_of_expressions(void **state)
{
	static const struct {
		const char *regex, *name;
	} cases[] = {
		{ "\\.google\\.com$", "google.com" },
		{ "^(.*\\.)?example\\.org$", "example.org" },
		{ "(^|\\.)Example\\.ORG$", "example.org" },
		{ "[.]example[.]org$", "example.org" },
		{ "^mail\\.my\\-host\\.example$", "mail.my-host.example" },
		{ "^223\\.123\\.45\\.67$", "223.123.45.67" },
		{ "^192\\.0\\.2\\.", "192.0.2.0/24" },
		{ "^10\\.", "10.0.0.0/8" },
		/* more than a name */
		{ "^mail[0-9]+\\.example\\.org$", NULL },
		{ "^mail\\d\\.example\\.org$", NULL },
		{ "^mail.example.org$", NULL },
		{ "\\.example\\.org", NULL },
		{ "\\.(a|b)\\.example\\.org$", NULL },
		{ "example\\.org$", NULL }, /* takes in badexample.org */
		{ "\\.com$", NULL },	     /* a whole top level: nobody means that */
		{ "^192\\.0\\.2", NULL },    /* takes in 192.0.20.1 */
		{ "\\.2\\.3\\.4$", NULL },
		{ "^300\\.1\\.1\\.1$", NULL },
		{ "^", NULL },
		{ "$", NULL },
		{ "", NULL },
		{ "\\", NULL },
		{ "^example\\.org\\$", NULL },
	};
	char *name;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		name = import_name_of_regex(cases[i].regex, strlen(cases[i].regex));
		if ((name == NULL) != (cases[i].name == NULL) ||
		    (name != NULL && strcmp(name, cases[i].name) != 0))
			fail_msg("%s: %s", cases[i].regex, name != NULL ? name : "(none)");
		free(name);
	}
}

static void
test_postgrey(void **state)
{
	(void)state;
	assert_import(import_postgrey_clients,
	    "# comment\n\ndebian.org # theirs\n  192.0.2.7  \n192.0.3\n198.51.100.0/22\n2001:db8::/32\n"
	    "/^mail\\d+\\.example\\.com$/\n/\\.example\\.net$/\ndebian.org\n/broken\n",
	    "# line 8: /^mail\\d+\\.example\\.com$/: more than a name; \"example.com\" would take in others as well\n"
	    "# line 11: /broken: more than a name\n"
	    "table postgrey-clients {\n\t\t\"debian.org\",\n\t\t192.0.2.7,\n\t\t192.0.3.0/24,\n\t\t198.51.100.0/22,\n"
	    "\t\t2001:db8::/32,\n\t\t\"example.net\"\n\t}\n"
	    "# in the gate: trust when client in <postgrey-clients>\n");
	assert_import(import_postgrey_recipients, "postmaster@\nabuse@\nbob@example.org\n",
	    "table postgrey-recipients { \"postmaster@\", \"abuse@\", \"bob@example.org\" }\n"
	    "# in the gate: greylist by network when not recipient in <postgrey-recipients>\n");
	assert_import(import_postgrey_clients, "# nobody\n", "# nothing in it\n");
}

/* The table of the report, older and newer expressions, and what is none. */
static void
test_regexp(void **state)
{
	(void)state;
	assert_import(import_regexp,
	    "# white list\n"
	    "/\\.google\\.com$/ OK\n"
	    "/^223\\.123\\.45\\.67$/\tOK\n"
	    "/\\.dip\\.t-dialin\\.net$/ 450 domain check, be patient\n"
	    "/^unknown$/ 450 4.7.1 reverse lookup failure, be patient\n"
	    "/^[^.]*[0-9][^0-9.]+[0-9].*\\./ 450 S25R check, be patient\n"
	    "/^[^.]*[0-9]{5}/ 450 S25R check, be patient\n"
	    "/^([^.]+\\.)?[0-9][^.]*\\.[^.]+\\..+\\.[a-z]/ 450 S25R check, be patient\n"
	    "/^[^.]*[0-9]\\.[^.]*[0-9]-[0-9]/ 450 S25R check, be patient\n"
	    "/^[^.]*[0-9]\\.[^.]*[0-9]\\.[^.]+\\..+\\./ 450 S25R check, be patient\n"
	    "/^(dhcp|dialup|ppp|[achrsvx]?dsl)[^.]*[0-9]/i 450 S25R check, be patient\n",
	    "gate {\n"
	    "\ttrust when client in { \"google.com\", 223.123.45.67 }\n"
	    "\ttempfail \"domain check, be patient\" when client in { \"dip.t-dialin.net\" }\n"
	    "\ttempfail \"reverse lookup failure, be patient\" when s25r 0 or rdns temperror\n"
	    "\ttempfail \"S25R check, be patient\" when s25r 1 or s25r 2 or s25r 3 or s25r 4 or s25r 5 or s25r 6\n"
	    "}\n");
	assert_import(import_regexp,
	    "/^[^.]*[0-9][^0-9.]+[0-9]/ greylist\n"
	    "/^(dhcp|dialup|ppp|adsl)[^.]*[0-9]/ check_greylist\n"
	    "/\\.example\\.com$/ REJECT see https://example.org/why \"this\"\n"
	    "/^user.+\\.mindspring\\.com$/ 450 no\n"
	    "if /x/\n"
	    "/\\.example\\.net$/ FILTER smtp:x\n"
	    "/nonsense\n"
	    "/x/\n"
	    "/^cpe[0-9]+\\.catv/ 450 no\n"
	    "/(\\w+)\\.bad/ 550 blocked $1\n"
	    "/^case/i REJECT\n"
	    "/(/ REJECT\n",
	    "gate {\n"
	    "\tgreylist when s25r 1 or s25r 6\n"
	    "\treject \"see https://example.org/why \\\"this\\\"\" when client in { \"example.com\" }\n"
	    "\ttempfail \"no\" when client in <expressions-4>\n"
	    "\t# line 5: if /x/: only /expression/ and an action can be taken over\n"
	    "\t# line 6: /\\.example\\.net$/ FILTER smtp:x: no such action here\n"
	    "\t# line 7: /nonsense: only /expression/ and an action can be taken over\n"
	    "\t# line 8: /x/: only /expression/ and an action can be taken over\n"
	    "\ttempfail \"no\" when client in <expressions-9>\n"
	    "\t# line 10: /(\\w+)\\.bad/ 550 blocked $1: its text is filled in from the expression\n"
	    "\t# line 11: /^case/i REJECT: the flags \"i\" are Postfix's\n"
	    "\t# line 12: /(/ REJECT: \"(\" is no pattern: missing closing parenthesis at character 2\n"
	    "}\n"
	    "table expressions-4 regex { \"^user.+\\\\.mindspring\\\\.com$\" }\n"
	    "table expressions-9 regex { \"^cpe[0-9]+\\\\.catv\" }\n");
}

static void
test_access(void **state)
{
	(void)state;
	assert_import(import_access,
	    "Connect:192.0.2\tREJECT\n"
	    "Connect:192.0.2.25\tOK\n"
	    "Connect:spam.example\tERROR:5.7.1:550 We do not talk to you\n"
	    "From:Bad@Example.com\t550 5.7.1 Heard enough\n"
	    "To:closed@example.org\tERROR:\"550 gone\"\n"
	    "To:busy@example.org\t451 4.2.0 later\n"
	    "cyber.example\tREJECT\n"
	    "127.0.0.1\tRELAY\n"
	    "IPv6:2001:db8:1\tREJECT\n"
	    "From:x@y.example\tDISCARD\n",
	    "# line 10: From:x@y.example\tDISCARD: cannot be said here\n"
	    "gate {\n"
	    "\ttrust when client in { 192.0.2.25 }\n"
	    "\ttrust when client in { 127.0.0.1 }\n"
	    "\treject when client in { 192.0.2.0/24, \"cyber.example\", 2001:db8:1::/48 } "
	    "and not client in { 192.0.2.25 }\n"
	    "\treject \"We do not talk to you\" when client in { \"spam.example\" }\n"
	    "\treject \"Heard enough\" when sender in { \"bad@example.com\" }\n"
	    "\treject when sender in { \"cyber.example\" }\n"
	    "\treject \"gone\" when recipient in { \"closed@example.org\" }\n"
	    "\ttempfail \"later\" when recipient in { \"busy@example.org\" }\n"
	    "\treject at greeting when early-talker\n"
	    "}\n"
	    "relay {\n"
	    "\tfrom { 127.0.0.1 }\n"
	    "}\n");
}

/* A friend's mail is let pass and not all of his session; a limit without a key is everybody's; what cannot be read is told once. */
static void
test_access_of_everybody(void **state)
{
	(void)state;
	assert_import(import_access,
	    "To:friend@example.org\tOK\n"
	    "ClientRate:192.0.2.7\t0\n"
	    "ClientRate:\t60\n"
	    "garbage\n",
	    "# line 4: garbage: cannot be said here\n"
	    "gate {\n"
	    "\tpass when recipient in { \"friend@example.org\" }\n"
	    "\ttempfail \"too many connections; try again later\" when client in { 0.0.0.0/0, ::/0 } "
	    "and not client in { 192.0.2.7 } and rate > 60 per 1m\n"
	    "\treject at greeting when early-talker\n"
	    "}\n");
}

/* The most exact key decides, whatever its place; half a second is one. */
static void
test_greet_pause(void **state)
{
	(void)state;
	assert_import(import_access,
	    "GreetPause:127.0.0.1\t0\n"
	    "GreetPause:10.1\t2000\n"
	    "GreetPause:10.1.2\t500\n"
	    "GreetPause:10.1.2.3\t30000\n"
	    "GreetPause:10.1.2.4\t0\n"
	    "GreetPause:dialup.example\t2000\n"
	    "GreetPause:good.dialup.example\t0\n"
	    "GreetPause:slow.example\t900000\n"
	    "GreetPause:bad\tlong\n"
	    "ClientRate:192.0.2.7\t10\n"
	    "ClientConn:192.0.2\t5\n",
	    "# line 9: GreetPause:bad\tlong: cannot be said here\n"
	    "gate {\n"
	    "\tpause 2s when client in { 10.1.0.0/16, \"dialup.example\" } "
	    "and not client in { 10.1.2.0/24, \"good.dialup.example\" }\n"
	    "\tpause 1s when client in { 10.1.2.0/24 } and not client in { 10.1.2.3, 10.1.2.4 }\n"
	    "\tpause 30s when client in { 10.1.2.3 }\n"
	    "\tpause 300s when client in { \"slow.example\" }\n"
	    "\ttempfail \"too many connections; try again later\" when client in { 192.0.2.7 } and rate > 10 per 1m\n"
	    "\ttempfail \"too many connections at once; try again later\" "
	    "when client in { 192.0.2.0/24 } and connections > 5\n"
	    "\treject at greeting when early-talker\n"
	    "}\n");
}

/* Whatever is read, what comes out can be read again. */
static void
test_odd_texts(void **state)
{
	static const importer importers[] = { import_postgrey_clients, import_postgrey_recipients,
		import_access, import_regexp };
	static const char *const texts[] = { "", "\n", " ", "/", "//", "/a/", "\"", "a\"b REJECT \"\\\"\n",
		"Connect:", "Connect:\tREJECT", "From: REJECT", "x", "\xff\xfe \x01\n", "/\\", "a b c d\n\n\n",
		"GreetPause:\t1\n", "IPv6: OK\n", "IPv6:::: OK\n", "/\\.a\\.b$/ 450 \xe3\x81\x82\n" };
	struct buf out = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < N(importers); i++)
		for (k = 0; k < N(texts); k++) {
			buf_clear(&out);
			importers[i](&out, texts[k], strlen(texts[k]));
			if (strpbrk(texts[k], "\x01\xff") == NULL && strchr(texts[k], '"') == NULL)
				assert_parses(buf_str(&out));
		}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_expressions),
		cmocka_unit_test(test_postgrey),
		cmocka_unit_test(test_regexp),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_access_of_everybody),
		cmocka_unit_test(test_greet_pause),
		cmocka_unit_test(test_odd_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
