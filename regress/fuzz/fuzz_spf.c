/*
 * Fuzz target: SPF records and explanations as any owner of a domain can publish them, and the
 * senders and HELO names that fill their macros.  The input is divided at newlines: record, local
 * part, HELO.  Beyond what the sanitizers see: a mistake is in its term and has a reason; what is
 * accepted expands to what its grammar allows; names fit DNS or are told not to; and reading is
 * blind to letter case.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/spf_macro.h"
#include "filters/spf_record.h"
#include "lib/buf.h"
#include "lib/ip.h"
#include "regress/fuzz/target.h"

#define VERSION_LEN 6

/* Where a domain-spec leads. */
static void
check_target(const char *spec, const struct spf_macro_values *values)
{
	char *target = spf_macro_target(spec, values);
	size_t len = strlen(target), at;

	require(spf_macro_check(spec, strlen(spec), SPF_DOMAIN_SPEC, &at) == NULL);
	/* only a single label can be too long: there is nothing to drop */
	require(len <= SPF_NAME_MAX || strchr(target, '.') == NULL);
	if (strchr(spec, '%') == NULL && strlen(spec) <= SPF_NAME_MAX)
		require(strncmp(target, spec, len) == 0 && strlen(spec) - len <= 1);
	require(spf_macro_last(spec) == '\0' || spf_macro_uses(spec, spf_macro_last(spec)));
	free(target);
}

static void
check_record(const struct spf_record *r, const struct spf_macro_values *values)
{
	unsigned i;

	for (i = 0; i < r->n; i++) {
		const struct spf_directive *d = &r->directives[i];

		require(d->result == AUTH_PASS || d->result == AUTH_FAIL ||
			d->result == AUTH_SOFTFAIL || d->result == AUTH_NEUTRAL);
		require((d->mechanism == SPF_IP4 || d->mechanism == SPF_IP6) ==
			(d->net.ip.family != 0));
		require(d->bits4 <= 32 && d->bits6 <= 128);
		if (d->domain != NULL)
			check_target(d->domain, values);
		(void)spf_directive_is_blanket(d, values->client);
	}
	if (r->redirect != NULL)
		check_target(r->redirect, values);
	if (r->exp != NULL)
		check_target(r->exp, values);
}

/* Turning the case of every letter changes nothing (4.6.1): hexadecimal digits and names are blind
 * to it, too. */
static void
check_case(const char *text, size_t len, bool ok, unsigned n)
{
	struct spf_mistake mistake;
	struct spf_record record;
	char *turned = malloc(len + 1);
	size_t i;

	for (i = 0; i < len; i++)
		turned[i] =
		    (char)(isupper((unsigned char)text[i]) ? tolower((unsigned char)text[i])
							   : toupper((unsigned char)text[i]));
	require(spf_record_is(turned, len));
	require(spf_record_parse(turned, len, &record, &mistake) == ok);
	if (ok) {
		require(record.n == n);
		spf_record_free(&record);
	}
	free(turned);
}

static void
fuzz_record(const char *text, size_t len, const struct spf_macro_values *values)
{
	struct spf_mistake mistake = { 0 };
	struct spf_record record;
	unsigned n = 0;
	bool ok;

	if (!spf_record_is(text, len))
		return;
	ok = spf_record_parse(text, len, &record, &mistake);
	if (ok) {
		n = record.n;
		check_record(&record, values);
		spf_record_free(&record);
	} else {
		require(mistake.why != NULL && mistake.term >= VERSION_LEN && mistake.term_len > 0);
		require(
		    mistake.at >= mistake.term && mistake.at <= mistake.term + mistake.term_len);
		require(mistake.term + mistake.term_len <= len);
	}
	check_case(text, len, ok, n);
}

static void
fuzz_explanation(const char *text, size_t len, const struct spf_macro_values *values)
{
	struct buf out = { 0 };
	char *copy;
	size_t at = 0;

	if (spf_macro_check(text, len, SPF_EXPLANATION, &at) != NULL) {
		require(at < len);
		return;
	}
	copy = strndup(text, len);
	require(strlen(copy) == len);
	spf_macro_expand(&out, copy, values);
	require(out.len == strlen(buf_str(&out)));
	if (strchr(copy, '%') == NULL)
		require(strcmp(buf_str(&out), copy) == 0);
	buf_free(&out);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip client = { .family = AF_INET, .bytes = { 192, 0, 2, 1 } };
	const char *text = (const char *)data, *end = memchr(text, '\n', size), *second;
	size_t len = end != NULL ? (size_t)(end - text) : size, left = size - len;
	char *rest = strndup(end != NULL ? end + 1 : "", left > 0 ? left - 1 : 0), *helo = rest;
	struct spf_macro_values values = { .client = &client,
		.sender_domain = "example.org",
		.domain = "d.example.org",
		.validated = "unknown",
		.receiver = "mx.example.net" };

	second = strsep(&helo, "\n");
	values.local = second;
	values.helo = helo != NULL ? helo : "";
	if (size & 1)
		client.family = AF_INET6;
	fuzz_record(text, len, &values);
	fuzz_explanation(text, len, &values);
	free(rest);
	return 0;
}
