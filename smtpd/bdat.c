/* One size and one word (bdat.h).  Digits are counted by their value: zeros in front say nothing. */
#include <string.h>
#include <strings.h>

#include "smtpd/bdat.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static enum bdat_argument
no_size(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len && !is_digit(s[i]); i++)
		;
	return i == len ? BDAT_MISSING : BDAT_UNREADABLE;
}

enum bdat_argument
bdat_parse(const char *s, size_t len, uint64_t *size, bool *last)
{
	size_t i = 0;

	*size = 0;
	*last = false;
	for (; i < len && is_digit(s[i]); i++) {
		unsigned digit = (unsigned)(s[i] - '0');

		if (*size > (UINT64_MAX - digit) / 10)
			return BDAT_UNREADABLE;
		*size = *size * 10 + digit;
	}
	if (i == 0)
		return no_size(s, len);
	if (i < len && s[i] != ' ')
		return BDAT_UNREADABLE;
	while (i < len && s[i] == ' ')
		i++;
	*last = len - i == 4 && strncasecmp(s + i, "LAST", 4) == 0;
	return *last || i == len ? BDAT_OK : BDAT_TAIL;
}
