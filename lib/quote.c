/*
 * The two directions of a quoted string.
 *
 * The lexer reads and everything that prints the language writes through here, so that what was
 * printed reads back to the same octets.  Reading fails for a string that does not end on its line,
 * an escape that is none, and a control character other than a tab; writing cannot fail.
 */
#include "lib/buf.h"
#include "lib/quote.h"

void
quote_add(struct buf *out, const char *s)
{
	buf_addc(out, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(out, '\\');
		buf_addc(out, *s);
	}
	buf_addc(out, '"');
}

static size_t
fail(const char **why, size_t *at, const char *reason, size_t where)
{
	*why = reason;
	*at = where;
	return 0;
}

size_t
quote_read(const char *s, size_t len, struct buf *out, const char **why, size_t *at)
{
	size_t i;

	for (i = 1; i < len && s[i] != '"'; i++) {
		if (s[i] == '\n' || s[i] == '\r')
			break;
		if (s[i] == '\\') {
			if (i + 1 == len || (s[i + 1] != '"' && s[i + 1] != '\\'))
				return fail(
				    why, at, "in a string only \\\" and \\\\ are escapes", i);
			i++;
		} else if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == '\x7f') {
			return fail(why, at, "control character in a string", i);
		}
		buf_addc(out, s[i]);
	}
	if (i == len || s[i] != '"')
		return fail(why, at, "the string is not closed on its line", 0);
	return i + 1;
}
