/*
 * Fuzz target: what stands behind a path in MAIL and RCPT, the values there, and the attributes of
 * XCLIENT.  What is taken lies inside the line, in order, and holds only the octets that its syntax
 * has; what is decoded can be said again.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/rdns.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/xtext.h"
#include "queue/envelope.h"
#include "regress/fuzz/target.h"
#include "smtpd/param_values.h"
#include "smtpd/params.h"
#include "smtpd/xclient.h"

static void
check_params(const char *s, size_t len)
{
	struct param p[PARAMS_MAX];
	const char *behind = s;
	size_t k;
	int i, n = params_parse(s, len, p);

	require(n >= -1 && n <= PARAMS_MAX);
	for (i = 0; i < n; i++) {
		require(p[i].keyword > behind && p[i].keyword_len > 0);
		behind = p[i].keyword + p[i].keyword_len;
		require(behind <= s + len);
		if (p[i].value == NULL)
			continue;
		require(p[i].value == behind + 1 && p[i].value_len > 0);
		behind = p[i].value + p[i].value_len;
		require(behind <= s + len);
		for (k = 0; k < p[i].value_len; k++)
			require((unsigned char)p[i].value[k] > ' ' &&
			    (p[i].value[k] != '=' || strncasecmp(p[i].keyword, "XVERP", 5) == 0));
	}
}

static void
require_printable(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		require(*s > ' ' && *s < 127);
}

/* Printable, and the same when it is sent on and read again. */
static void
check_decoded(char *text)
{
	struct buf again = { 0 };
	char *decoded;
	const char *s;

	for (s = text; s != NULL && *s != '\0'; s++)
		require(*s >= ' ' && *s < 127);
	if (text != NULL && *text != '\0') {
		xtext_add(&again, text);
		decoded = xtext_decode(again.data, again.len);
		require(decoded != NULL && strcmp(decoded, text) == 0);
		free(decoded);
	}
	buf_free(&again);
	free(text);
}

static void
check_values(const char *s, size_t len)
{
	uint64_t octets;
	int64_t time;
	uint8_t bits;

	value_size(s, len, &octets);
	require(!value_notify(s, len, &bits) || (bits != 0 && (bits == NOTIFY_NEVER || !(bits & NOTIFY_NEVER))));
	check_decoded(value_orcpt(s, len, false));
	check_decoded(value_orcpt(s, len, true));
	check_decoded(value_envid(s, len));
	require(!value_hold_for(s, len, &time) || (time > 0 && time < 1000000000));
	require(!value_hold_until(s, len, &time) || time >= 0);
	require(!value_by(s, len, &time, &bits) || ((bits & BY_RETURN) != 0) != ((bits & BY_NOTIFY) != 0));
}

static void
check_xclient(const char *s, size_t len)
{
	struct xclient x;

	if (xclient_parse(s, len, &x)) {
		require(x.rdns >= -1 && x.rdns <= RDNS_TEMPERROR);
		require((x.name != NULL) == (x.rdns == RDNS_PASS));
		require(x.name == NULL || mailaddr_domain_ok(x.name, strlen(x.name), 0));
		require_printable(x.login);
		xclient_free(&x);
	}
	require(x.name == NULL && x.login == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size > 0 ? size : 1); /* as long as it is, so that a step past it is seen */

	if (line == NULL)
		abort();
	if (size > 0)
		memcpy(line, data, size);
	check_params(line, size);
	check_values(line, size);
	check_xclient(line, size);
	free(line);
	return 0;
}
