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

void
reply_format(struct buf *out, int code, const char *status, const char *fmt, ...)
{
	va_list ap;
	char *text, *p;
	size_t n;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	clean(text);
	for (p = text;; p += n + (p[n] == ' ')) {
		n = line_length(p);
		buf_addf(out, "%03d%c%s%s%.*s\r\n", code, p[n] == '\0' ? ' ' : '-', status != NULL ? status : "",
		    status != NULL ? " " : "", (int)n, p);
		if (p[n] == '\0')
			break;
	}
	free(text);
}
