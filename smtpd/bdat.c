/* One size and one word (bdat.h).  Digits are counted by their value: zeros in front say nothing. */
#include <string.h>
#include <strings.h>

#include "smtpd/bdat.h"

bool
bdat_parse(const char *s, size_t len, uint64_t *size, bool *last)
{
	size_t i = 0;

	*size = 0;
	*last = false;
	for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
		unsigned digit = (unsigned)(s[i] - '0');

		if (*size > (UINT64_MAX - digit) / 10)
			return false;
		*size = *size * 10 + digit;
	}
	if (i == 0 || i == len)
		return i > 0;
	if (s[i] != ' ')
		return false;
	while (i < len && s[i] == ' ')
		i++;
	*last = len - i == 4 && strncasecmp(s + i, "LAST", 4) == 0;
	return *last || i == len;
}
