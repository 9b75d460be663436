/* One reply into one buffer (reply.h). */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpd/reply.h"

#define LINE_MAX_TEXT 480 /* with code, status and CRLF under 512 */

static void
clean(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 32 || (unsigned char)*s > 126)
			*s = '?';
}

/* Where to break S, at most LINE_MAX_TEXT octets on: at a space if there is one. */
static size_t
line_length(const char *s)
{
	size_t len = strlen(s), i;

	if (len <= LINE_MAX_TEXT)
		return len;
	for (i = LINE_MAX_TEXT; i > LINE_MAX_TEXT / 2; i--)
		if (s[i] == ' ')
			return i;
	return LINE_MAX_TEXT;
}

static void
add(struct buf *out, int code, const char *status, char *text)
{
	char digits[4] = { (char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10), (char)('0' + code % 10) };
	const char *p;
	size_t n;

	clean(text);
	for (p = text;; p += n + (p[n] == ' ')) {
		n = line_length(p);
		buf_adds(out, digits);
		buf_addc(out, p[n] == '\0' ? ' ' : '-');
		if (status != NULL) {
			buf_adds(out, status);
			buf_addc(out, ' ');
		}
		buf_add(out, p, n);
		buf_adds(out, "\r\n");
		if (p[n] == '\0')
			break;
	}
}

void
reply_format(struct buf *out, int code, const char *status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_formatv(out, code, status, fmt, ap);
	va_end(ap);
}

void
reply_formatv(struct buf *out, int code, const char *status, const char *fmt, va_list ap)
{
	struct buf text = { 0 };

	buf_addv(&text, fmt, ap);
	add(out, code, status, text.data);
	buf_free(&text);
}
