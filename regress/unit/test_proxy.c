/* Headers of the PROXY protocol, cut at every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TEXT(s) s, sizeof(s) - 1
#define V4 "\xc0\0\2\1\xc6\x33\x64\2\x30\x39\0\x19" /* 192.0.2.1:12345 to 198.51.100.2:25 */
#define V6 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x30\x39\0\x19"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\2\x30\x39\0\x19"

static const struct {
	const char *in;
	size_t len;
	const char *client; /* NULL: BAD; "": not told */
	uint16_t port;
} rows[] = {
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n"), "192.0.2.1", 12345 },
	{ TEXT("PROXY TCP6 2001:db8::1 2001:DB8:0::2 65535 0\r\n"), "2001:db8::1", 65535 },
	{ TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n"), "192.0.2.1", 1 },
	{ TEXT("PROXY UNKNOWN\r\n"), "", 0 },
	{ TEXT("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), "", 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25 26\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4  192.0.2.1 198.51.100.2 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 012 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2  25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.300 198.51.100.2 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 mx.example.org 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 2001:db8::1 2001:db8::2 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP6 192.0.2.1 198.51.100.2 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY UDP4 192.0.2.1 198.51.100.2 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY UNKNOWNX\r\n"), NULL, 0 },
	{ TEXT("PROXY TCP4 192.0.2.1\0 198.51.100.2 12345 25\r\n"), NULL, 0 },
	{ TEXT("PROXY \r\n"), NULL, 0 },
	{ TEXT("proxy TCP4 192.0.2.1 198.51.100.2 12345 25\r\n"), NULL, 0 },
	{ TEXT("EHLO client.example\r\n"), NULL, 0 },
	{ TEXT("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
	    "", 0 }, /* 107 octets */
	{ TEXT("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
	    NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x11\0\xc" V4), "192.0.2.1", 12345 },
	{ TEXT(SIGNATURE "\x21\x21\0\x24" V6), "2001:db8::1", 12345 },
	{ TEXT(SIGNATURE "\x21\x21\0\x24" MAPPED), "192.0.2.1", 12345 },
	{ TEXT(SIGNATURE "\x21\x11\0\x12" V4 "\4\0\3abc"), "192.0.2.1", 12345 }, /* with a value behind */
	{ TEXT(SIGNATURE "\x20\0\0\0"), "", 0 },			       /* LOCAL */
	{ TEXT(SIGNATURE "\x20\x11\0\xc" V4), "", 0 },
	{ TEXT(SIGNATURE "\x21\0\0\0"), "", 0 }, /* UNSPEC */
	{ TEXT(SIGNATURE "\x21\0\0\2xx"), "", 0 },
	{ TEXT(SIGNATURE "\x11\x11\0\xc" V4), NULL, 0 }, /* version 1 */
	{ TEXT(SIGNATURE "\x22\x11\0\xc" V4), NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x12\0\xc" V4), NULL, 0 }, /* over UDP */
	{ TEXT(SIGNATURE "\x21\x31\0\xc" V4), NULL, 0 }, /* a unix socket */
	{ TEXT(SIGNATURE "\x21\x11\0\xb" V4), NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x21\0\x23" V6), NULL, 0 },
	{ TEXT(SIGNATURE "\x21\x11\xff\xff" V4), NULL, 0 },
	{ TEXT("\r\nQUIT\r\n"), NULL, 0 },
};

/* What is behind the header is not looked at. */
static void
check(size_t i, size_t len, enum proxy_status *status)
{
	char *in = malloc(len + 1); /* of its own, so that a step past it is seen */
	struct proxy p;
	size_t used;

	memcpy(in, rows[i].in, len < rows[i].len ? len : rows[i].len);
	if (len > rows[i].len)
		memset(in + rows[i].len, 'x', len - rows[i].len);
	in = realloc(in, len > 0 ? len : 1);
	*status = proxy_parse(in, len, &p, &used);
	free(in);
	if (*status != PROXY_DONE)
		return;
	if (rows[i].client == NULL || used != rows[i].len || p.port != rows[i].port ||
	    (*rows[i].client == '\0' ? p.client.family != 0 : strcmp(ip_text(&p.client).s, rows[i].client) != 0))
		fail_msg("row %zu: %s port %u, %zu octets", i, p.client.family != 0 ? ip_text(&p.client).s : "none", p.port,
		    used);
}

static void
test_rows(void **state)
{
	enum proxy_status status;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (len = 0; len < rows[i].len; len++) {
			check(i, len, &status);
			if (status == PROXY_DONE || (status == PROXY_BAD && rows[i].client != NULL))
				fail_msg("row %zu, cut at %zu: %d", i, len, status);
		}
		check(i, rows[i].len, &status);
		if (status != (rows[i].client != NULL ? PROXY_DONE : PROXY_BAD))
			fail_msg("row %zu: %d", i, status);
		check(i, rows[i].len + 5, &status);
		if (status != (rows[i].client != NULL ? PROXY_DONE : PROXY_BAD))
			fail_msg("row %zu with more behind: %d", i, status);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
