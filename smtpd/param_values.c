/*
 * One function for each kind of value (param_values.h).  What they let pass goes into the envelope, into notices and to the
 * next server, so nothing is taken that one of these could not say again.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/orcpt.h"
#include "lib/utf8.h"
#include "lib/xtext.h"
#include "queue/envelope.h"
#include "smtpd/param_values.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_MAX 500 /* RFC 3461 4.2 */
#define AUTH_MAX 500 /* RFC 4954 5 */

static bool
is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

/* Digits only, MOST of them; false, and nothing set, for none or more. */
static bool
number(const char *s, size_t len, size_t most, uint64_t *n)
{
	uint64_t sum = 0;
	size_t i;

	if (len == 0 || len > most)
		return false;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, s[i] - '0', &sum))
			sum = UINT64_MAX;
	}
	*n = sum;
	return true;
}

bool
value_size(const char *s, size_t len, uint64_t *octets)
{
	return number(s, len, 20, octets);
}

/* --- notices --- */

bool
value_notify(const char *s, size_t len, uint8_t *notify)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = { { "SUCCESS", NOTIFY_SUCCESS }, { "FAILURE", NOTIFY_FAILURE }, { "DELAY", NOTIFY_DELAY } };
	const char *end = s + len, *comma;
	size_t i;

	*notify = is_word(s, len, "NEVER") ? NOTIFY_NEVER : 0;
	for (; *notify != NOTIFY_NEVER; s = comma + 1) {
		comma = memchr(s, ',', (size_t)(end - s));
		comma = comma != NULL ? comma : end;
		for (i = 0; i < 3 && !is_word(s, (size_t)(comma - s), words[i].word); i++)
			;
		if (i == 3)
			return false;
		*notify |= words[i].bit;
		if (comma == end)
			break;
	}
	return true;
}

/* utf-8-addr-unitext as utf-8-addr-xtext (RFC 6533 3): "\x{HEX}" for what is not ASCII.  False: it is no UTF-8. */
static bool
add_embedded(struct buf *out, const char *s, size_t len)
{
	const char *end = s + len;
	uint32_t c;
	size_t n;

	for (; s < end; s += n) {
		n = utf8_next(s, end, &c);
		if (n == 0 || (c >= 0x80 && c < 0xa0)) /* none, or a control of C1 */
			return false;
		if (c < 0x80)
			buf_addc(out, (char)c);
		else
			buf_addf(out, "\\x{%X}", (unsigned)c);
	}
	return true;
}

char *
value_orcpt(const char *s, size_t len, bool utf8)
{
	const char *semicolon = memchr(s, ';', len);
	size_t type = semicolon != NULL ? (size_t)(semicolon - s) : 0;
	struct buf text = { 0 };
	char *address = NULL, *value = NULL;

	if (!orcpt_is_atom(s, type) || len > ORCPT_MAX || type + 1 == len)
		return NULL;
	if (!utf8 || !is_word(s, type, "utf-8"))
		buf_add(&text, semicolon + 1, len - type - 1);
	else if (!add_embedded(&text, semicolon + 1, len - type - 1))
		buf_clear(&text);
	if (text.len > 0)
		address = xtext_decode(text.data, text.len);
	buf_free(&text);
	if (address != NULL) {
		buf_add(&text, s, type + 1);
		buf_adds(&text, address);
		value = buf_take(&text);
	}
	free(address);
	return value;
}

bool
value_auth(const char *s, size_t len)
{
	char *text = len == 0 || len > AUTH_MAX ? NULL : xtext_decode(s, len);
	struct mailaddr address;
	const char *why;
	bool ok = text != NULL && strcmp(text, "<>") == 0;

	if (text != NULL && !ok && mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &address, &why)) {
		mailaddr_free(&address);
		ok = true;
	}
	free(text);
	return ok;
}

char *
value_envid(const char *s, size_t len)
{
	return len == 0 || len > ENVID_MAX ? NULL : xtext_decode(s, len);
}

/* --- times --- */

bool
value_hold_for(const char *s, size_t len, int64_t *seconds)
{
	uint64_t n;

	if (!number(s, len, 9, &n) || s[0] == '0')
		return false;
	*seconds = (int64_t)n;
	return true;
}

/* Two digits of S from LEAST to MOST. */
static bool
two(const char *s, int least, int most, int *n)
{
	uint64_t value;

	if (!number(s, 2, 2, &value) || (int)value < least || (int)value > most)
		return false;
	*n = (int)value;
	return true;
}

bool
value_hold_until(const char *s, size_t len, int64_t *when)
{
	struct tm tm = { 0 }, again;
	uint64_t year;
	time_t t;

	if (len != 20 || !number(s, 4, 4, &year) || s[4] != '-' || s[7] != '-' ||
	    toupper((unsigned char)s[10]) != 'T' || s[13] != ':' || s[16] != ':' ||
	    toupper((unsigned char)s[19]) != 'Z' || year < 1970)
		return false;
	if (!two(s + 5, 1, 12, &tm.tm_mon) || !two(s + 8, 1, 31, &tm.tm_mday) || !two(s + 11, 0, 23, &tm.tm_hour) ||
	    !two(s + 14, 0, 59, &tm.tm_min) || !two(s + 17, 0, 60, &tm.tm_sec))
		return false;
	tm.tm_year = (int)year - 1900;
	tm.tm_mon--;
	again = tm;
	t = timegm(&again);
	if (again.tm_mday != tm.tm_mday && tm.tm_sec != 60) /* the 31st of a month of 30 days */
		return false;
	*when = t;
	return true;
}

bool
value_by(const char *s, size_t len, int64_t *seconds, uint8_t *by)
{
	bool minus = len > 0 && *s == '-', sign = minus || (len > 0 && *s == '+');
	const char *semicolon = memchr(s, ';', len), *mode;
	uint64_t n;

	if (semicolon == NULL || !number(s + sign, (size_t)(semicolon - s) - sign, 9, &n))
		return false;
	mode = semicolon + 1;
	len -= (size_t)(mode - s);
	if (len < 1 || len > 2 || strchr("NnRr", *mode) == NULL || (len == 2 && toupper((unsigned char)mode[1]) != 'T'))
		return false;
	*by = (uint8_t)((toupper((unsigned char)*mode) == 'R' ? BY_RETURN : BY_NOTIFY) | (len == 2 ? BY_TRACE : 0));
	*seconds = minus ? -(int64_t)n : (int64_t)n;
	return *seconds > 0 || (*by & BY_NOTIFY) != 0;
}
