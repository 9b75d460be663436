/* Both ways of xtext (xtext.h).  What is decoded goes into notices and logs: no control character comes out. */
#include <ctype.h>

#include "lib/buf.h"
#include "lib/xtext.h"

/* RFC 3461 4: capitals; small letters are seen, and mean the same. */
static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return isxdigit((unsigned char)c) ? toupper((unsigned char)c) - 'A' + 10 : -1;
}

char *
xtext_decode(const char *s, size_t len)
{
	struct buf b = { 0 };
	int c, high, low;
	size_t i;

	for (i = 0; i < len; i++) {
		c = (unsigned char)s[i];
		if (c == ' ' || c == '=')
			break;
		if (c == '+') {
			if (len - i < 3 || (high = hex(s[i + 1])) < 0 || (low = hex(s[i + 2])) < 0)
				break;
			c = high << 4 | low;
			i += 2;
		}
		if (c < ' ' || c > '~')
			break;
		buf_addc(&b, (char)c);
	}
	if (i == len)
		return buf_take(&b);
	buf_free(&b);
	return NULL;
}

void
xtext_add(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s > ' ' && *s <= '~' && *s != '+' && *s != '=')
			buf_addc(out, *s);
		else
			buf_addf(out, "+%02X", (unsigned)(unsigned char)*s);
	}
}
