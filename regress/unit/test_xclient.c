/*
 * XCLIENT's attributes, a row a command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "filters/rdns.h"
#include "smtpd/xclient.h"

#define NOT_TOLD (-1)

static const struct {
	const char *arg;
	bool ok;
	const char *ip; /* NULL: not told */
	uint16_t port;
	int rdns;
	const char *name, *login;
} rows[] = {
	{ "", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "  ", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=192.0.2.1", true, "192.0.2.1", 0, NOT_TOLD, NULL, NULL },
	{ "addr=192.0.2.1 NaMe=mail.example.net", true, "192.0.2.1", 0, RDNS_PASS, "mail.example.net", NULL },
	{ " ADDR=192.0.2.1  PORT=25 ", true, "192.0.2.1", 25, NOT_TOLD, NULL, NULL },
	{ "ADDR=IPV6:2001:db8::1", true, "2001:db8::1", 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=ipv6:2001:DB8::1", true, "2001:db8::1", 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=2001:db8::1", true, "2001:db8::1", 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=::ffff:192.0.2.1", true, "192.0.2.1", 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=[UNAVAILABLE] PORT=[TEMPUNAVAIL]", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=[unavailable]", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=192.0.2", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=mail.example.net", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDR=", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDR", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "=192.0.2.1", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADDRESS=192.0.2.1", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "ADD=192.0.2.1", false, NULL, 0, NOT_TOLD, NULL, NULL },
	/* what DNS said */
	{ "NAME=[UNAVAILABLE]", true, NULL, 0, RDNS_NONE, NULL, NULL },
	{ "NAME=[TEMPUNAVAIL]", true, NULL, 0, RDNS_TEMPERROR, NULL, NULL },
	{ "NAME=a.example NAME=[UNAVAILABLE]", true, NULL, 0, RDNS_NONE, NULL, NULL },
	{ "NAME=a.example NAME=b.example", true, NULL, 0, RDNS_PASS, "b.example", NULL },
	{ "NAME=a..example", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "NAME=a_b!.example", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "NAME=[192.0.2.1]", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "NAME=", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "NAME=good.example ADDR=nonsense", false, NULL, 0, NOT_TOLD, NULL, NULL },
	/* ports */
	{ "PORT=0", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PORT=65535", true, NULL, 65535, NOT_TOLD, NULL, NULL },
	{ "PORT=65536", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PORT=99999999999999999999999", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PORT=-1", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PORT=+31", true, NULL, 1, NOT_TOLD, NULL, NULL }, /* xtext: "1" */
	{ "PORT=25x", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PORT=", false, NULL, 0, NOT_TOLD, NULL, NULL },
	/* the others */
	{ "PROTO=ESMTP HELO=x DESTADDR=192.0.2.9 DESTPORT=25", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "DESTADDR=IPV6:2001:db8::9 DESTPORT=[UNAVAILABLE]", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "DESTADDR=mx.example", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "DESTPORT=smtp", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PROTO=smtp", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "PROTO=LMTP", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=alice", true, NULL, 0, NOT_TOLD, NULL, "alice" },
	{ "LOGIN=alice+40ours.example", true, NULL, 0, NOT_TOLD, NULL, "alice@ours.example" },
	{ "LOGIN=alice LOGIN=[UNAVAILABLE]", true, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=", true, NULL, 0, NOT_TOLD, NULL, NULL },
	/* xtext (RFC 3461 4) */
	{ "LOGIN=a+2Bb+3dc", true, NULL, 0, NOT_TOLD, NULL, "a+b=c" },
	{ "LOGIN=a+2", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=a+", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=a+GG", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=a+0A", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=a+00", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=a+20b", false, NULL, 0, NOT_TOLD, NULL, NULL },
	{ "LOGIN=a\x80", false, NULL, 0, NOT_TOLD, NULL, NULL },
};

static void
assert_same(const char *what, const char *a, const char *b)
{
	if ((a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0))
		fail_msg("%s: %s, not %s", what, a != NULL ? a : "none", b != NULL ? b : "none");
}

static void
test_rows(void **state)
{
	struct xclient x;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (xclient_parse(rows[i].arg, strlen(rows[i].arg), &x) != rows[i].ok)
			fail_msg("%s", rows[i].arg);
		assert_same(rows[i].arg, x.ip.family != 0 ? ip_text(&x.ip).s : NULL, rows[i].ip);
		assert_same(rows[i].arg, x.name, rows[i].name);
		assert_same(rows[i].arg, x.login, rows[i].login);
		assert_int_equal(x.port, rows[i].port);
		assert_int_equal(x.rdns, rows[i].rdns);
		xclient_free(&x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
