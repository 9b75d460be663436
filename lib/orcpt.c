/*
 * Addresses with their types, into parameters and into notices (orcpt.h).
 *
 * The relay client and the notices call it with what a client said or an alias was called.  What must never happen: that an
 * address which is not ASCII is named rfc822, which no server may take, or that what was escaped comes out as a control.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/ascii.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/orcpt.h"
#include "lib/utf8.h"
#include "lib/xtext.h"

bool
orcpt_is_atom(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && (s[i] == '\0' || strchr("!#$%&'*+-/=?^_`{|}~", s[i]) == NULL))
			return false;
	return len > 0;
}

size_t
orcpt_type(const char *original)
{
	size_t len = strcspn(original, ";");

	return original[len] == ';' && orcpt_is_atom(original, len) ? len : 0;
}

static bool
is_utf8_type(const char *original, size_t type)
{
	return type == 5 && strncasecmp(original, "utf-8", 5) == 0;
}

/* utf-8-addr-xtext (RFC 6533 3) */
static void
add_escaped(struct buf *out, const char *s)
{
	const char *end = s + strlen(s);
	uint32_t c;
	size_t n;

	for (; s < end; s += n) {
		n = utf8_next(s, end, &c);
		if (n == 0) { /* no address of ours is such; its octets, then */
			c = (unsigned char)*s;
			n = 1;
		}
		if (c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=')
			buf_addc(out, (char)c);
		else
			buf_addf(out, "\\x{%02X}", (unsigned)c);
	}
}

void
orcpt_add_param(struct buf *out, const char *original)
{
	size_t type = orcpt_type(original);

	if (type > 0) {
		buf_add(out, original, type + 1);
		xtext_add(out, original + type + 1);
	} else if (ascii_only(original)) {
		buf_adds(out, "rfc822;");
		xtext_add(out, original);
	} else {
		buf_adds(out, "utf-8;");
		add_escaped(out, original);
	}
}

/* "\x{4F8B}" at S: the octets used, and its number; 0: it is none, or stands for what must stay as it is written. */
static size_t
escaped(const char *s, uint32_t *c)
{
	size_t digits, i;

	if (strncmp(s, "\\x{", 3) != 0)
		return 0;
	digits = strspn(s + 3, "0123456789ABCDEFabcdef");
	if (digits < 2 || digits > 6 || s[3 + digits] != '}')
		return 0;
	*c = 0;
	for (i = 3; i < 3 + digits; i++)
		*c = *c << 4 | (uint32_t)(isdigit((unsigned char)s[i]) ? s[i] - '0' : toupper((unsigned char)s[i]) - 'A' + 10);
	if (*c < 0x20 || (*c > 0x7e && *c < 0xa0) || (*c >= 0xd800 && *c < 0xe000) || *c > 0x10ffff)
		return 0;
	return digits + 4;
}

static void
add_character(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_addc(out, (char)(0x80 | (c & 0x3f)));
}

char *
orcpt_address(const char *original, bool utf8)
{
	size_t type = orcpt_type(original), n;
	const char *s = original + (type > 0 ? type + 1 : 0);
	struct buf out = { 0 };
	uint32_t c;

	if (!utf8 || !is_utf8_type(original, type))
		return xstrdup(s);
	for (; *s != '\0'; s += n) {
		n = escaped(s, &c);
		if (n > 0) {
			add_character(&out, c);
		} else {
			buf_addc(&out, *s);
			n = 1;
		}
	}
	return buf_take(&out);
}
