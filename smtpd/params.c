/* The parameter list (params.h): esmtp-keyword ["=" esmtp-value], no session, no memory. */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "smtpd/params.h"

static bool
keyword_char(unsigned char c, bool first)
{
	return isalnum(c) || (!first && c == '-');
}

/* Any visible octet but "=" (RFC 5321 4.1.2 esmtp-value); octets above 127 for SMTPUTF8.  XVERP, which
 * no RFC knows, has formulas as "+=". */
static bool
value_char(unsigned char c, bool formula)
{
	return c > 32 && (c != '=' || formula) && c != 127;
}

static size_t
parse_one(const char *s, size_t len, struct param *p)
{
	bool formula;
	size_t i = 0;

	memset(p, 0, sizeof(*p));
	p->keyword = s;
	while (i < len && keyword_char((unsigned char)s[i], i == 0))
		i++;
	p->keyword_len = i;
	if (i == 0 || i == len || s[i] != '=')
		return i;
	p->value = s + ++i;
	formula = p->keyword_len == 5 && strncasecmp(s, "XVERP", 5) == 0;
	while (i < len && value_char((unsigned char)s[i], formula))
		i++;
	p->value_len = (size_t)(s + i - p->value);
	return p->value_len == 0 ? 0 : i;
}

int
params_parse(const char *s, size_t len, struct param out[PARAMS_MAX])
{
	size_t used;
	int n = 0;

	while (len > 0 && s[len - 1] == ' ')
		len--;
	while (len > 0) {
		if (*s != ' ' || n == PARAMS_MAX)
			return -1;
		while (len > 0 && *s == ' ') {
			s++;
			len--;
		}
		used = parse_one(s, len, &out[n]);
		if (used == 0)
			return -1;
		n++;
		s += used;
		len -= used;
	}
	return n;
}
