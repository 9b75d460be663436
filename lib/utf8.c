/* The table of RFC 3629 4: what a second octet may be depends on the first (utf8.h). */
#include "lib/utf8.h"

static const struct {
	uint8_t first_lo, first_hi, second_lo, second_hi, len;
} forms[] = {
	{ 0x00, 0x7f, 0, 0, 1 },
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* The number of the character of form I at U, UINT32_MAX when it is not of that form. */
static uint32_t
decode(const uint8_t *u, size_t i)
{
	uint32_t c = forms[i].len == 1 ? u[0] : u[0] & (0xffu >> (forms[i].len + 1));
	size_t k;

	if (forms[i].len > 1 && (u[1] < forms[i].second_lo || u[1] > forms[i].second_hi))
		return UINT32_MAX;
	for (k = 1; k < forms[i].len; k++) {
		if ((u[k] & 0xc0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (u[k] & 0x3f);
	}
	return c;
}

size_t
utf8_next(const char *s, const char *end, uint32_t *character)
{
	const uint8_t *u = (const uint8_t *)s;
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (u[0] < forms[i].first_lo || u[0] > forms[i].first_hi)
			continue;
		if ((size_t)(end - s) < forms[i].len)
			return 0;
		*character = decode(u, i);
		return *character == UINT32_MAX ? 0 : forms[i].len;
	}
	return 0;
}
