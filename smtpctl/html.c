/*
 * Escaping for HTML and SVG (html.h).
 *
 * The report's page calls it for everything that it did not write itself: names and addresses that callers gave, rules and
 * names of the configuration.  What must never happen: that one of them ends the text that it stands in, or turns the
 * writing around (U+202E and its kin) so that a reader sees another name.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/buf.h"
#include "smtpctl/html.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* RFC 3629 4: how many octets the character at S has, its number in *C; 0 when there is none. */
static size_t
character(const unsigned char *s, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len, i;

	len = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
	if (len == 0)
		return 0;
	*c = len == 1 ? *s : *s & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3fu);
	}
	return *c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff) ? 0 : len;
}

/* Controls of the set and of the direction of writing. */
static bool
is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || (c & 0xfffe) == 0xfffe;
}

static const char *
reference(uint32_t c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void
html_add(struct buf *b, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	const char *ref;
	uint32_t c = 0;
	size_t len;

	for (; *s != '\0'; s += len > 0 ? len : 1) {
		len = character(s, &c);
		ref = len > 0 ? reference(c) : NULL;
		if (len == 0 || is_control(c))
			buf_adds(b, REPLACEMENT);
		else if (ref != NULL)
			buf_adds(b, ref);
		else
			buf_add(b, s, len);
	}
}
