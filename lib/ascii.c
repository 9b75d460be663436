/*
 * Transliteration to ASCII (ascii.h).
 *
 * Called for the replies of the gate's rules, which an operator may write in his own language.  A
 * table, no locale: the roles that reply have no files.  Nothing can fail; what has no form in
 * ASCII is a question mark, one for each character.
 */
#include <stdint.h>

#include "lib/ascii.h"
#include "lib/buf.h"

/* The character at *S, which moves behind it; UINT32_MAX for what is no UTF-8 (RFC 3629). */
static uint32_t
next(const char **s)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 } };
	const uint8_t *p = (const uint8_t *)*s;
	uint32_t c;
	unsigned len, i;

	for (len = 0; len < 4 && (p[0] & forms[len].mask) != forms[len].lead; len++)
		;
	(*s)++;
	if (len == 4)
		return UINT32_MAX;
	c = p[0] & (uint8_t)~forms[len].mask;
	for (i = 1; i <= len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (p[i] & 0x3f);
	}
	*s += len;
	return c < forms[len].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? UINT32_MAX : c;
}

bool
ascii_only(const char *s)
{
	while (*s != '\0' && (*s & 0x80) == 0)
		s++;
	return *s == '\0';
}

bool
ascii_is_text(const char *s)
{
	uint32_t c;

	while (*s != '\0') {
		c = next(&s);
		if (c == UINT32_MAX || (c < ' ' && c != '\t') || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}

/* U+00A0 to U+017F: Latin-1 and Latin Extended-A.  NULL: none. */
static const char *const latin[] = {
	" ", "!", "c", "GBP", NULL, "JPY", "|", "S", "\"", "(c)", "a", "\"", NULL, "-", "(r)", "-",
	NULL, "+-", "2", "3", "'", "u", NULL, ".", ",", "1", "o", "\"", "1/4", "1/2", "3/4", "?",
	"A", "A", "A", "A", "Ae", "A", "AE", "C", "E", "E", "E", "E", "I", "I", "I", "I",
	"D", "N", "O", "O", "O", "O", "Oe", "x", "O", "U", "U", "U", "Ue", "Y", "Th", "ss",
	"a", "a", "a", "a", "ae", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "oe", "/", "o", "u", "u", "u", "ue", "y", "th", "y",
	"A", "a", "A", "a", "A", "a", "C", "c", "C", "c", "C", "c", "C", "c", "D", "d",
	"D", "d", "E", "e", "E", "e", "E", "e", "E", "e", "E", "e", "G", "g", "G", "g",
	"G", "g", "G", "g", "H", "h", "H", "h", "I", "i", "I", "i", "I", "i", "I", "i",
	"I", "i", "IJ", "ij", "J", "j", "K", "k", "k", "L", "l", "L", "l", "L", "l", "L",
	"l", "L", "l", "N", "n", "N", "n", "N", "n", "n", "N", "n", "O", "o", "O", "o",
	"O", "o", "OE", "oe", "R", "r", "R", "r", "R", "r", "S", "s", "S", "s", "S", "s",
	"S", "s", "T", "t", "T", "t", "T", "t", "U", "u", "U", "u", "U", "u", "U", "u",
	"U", "u", "U", "u", "W", "w", "Y", "y", "Y", "Z", "z", "Z", "z", "Z", "z", "s",
};

/* What else people type without noticing. */
static const struct {
	uint32_t first, last;
	const char *text;
} others[] = {
	{ 0x0300, 0x036f, "" }, /* marks of the letter before */
	{ 0x2000, 0x200a, " " },
	{ 0x200b, 0x200d, "" },
	{ 0x2010, 0x2015, "-" },
	{ 0x2018, 0x201b, "'" },
	{ 0x201c, 0x201f, "\"" },
	{ 0x2022, 0x2022, "*" },
	{ 0x2026, 0x2026, "..." },
	{ 0x202f, 0x202f, " " },
	{ 0x20ac, 0x20ac, "EUR" },
	{ 0x2190, 0x2190, "<-" },
	{ 0x2192, 0x2192, "->" },
	{ 0x2212, 0x2212, "-" },
	{ 0x3000, 0x3000, " " },
	{ 0x3001, 0x3001, "," },
	{ 0x3002, 0x3002, "." },
	{ 0x300c, 0x300f, "\"" },
};

static const char *
form_of(uint32_t c)
{
	unsigned i;

	if (c >= 0xa0 && c - 0xa0 < sizeof(latin) / sizeof(latin[0]))
		return latin[c - 0xa0];
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (c >= others[i].first && c <= others[i].last)
			return others[i].text;
	return NULL;
}

size_t
ascii_add(struct buf *out, const char *s)
{
	size_t lost = 0;
	const char *form;
	uint32_t c;

	while (*s != '\0') {
		c = next(&s);
		if (c >= 0xff01 && c <= 0xff5e) /* the wide forms of ASCII */
			c -= 0xff01 - '!';
		form = c < 0x80 ? NULL : form_of(c);
		if (c < 0x80)
			buf_addc(out, (char)c);
		else
			buf_adds(out, form != NULL ? form : "?");
		lost += c >= 0x80 && form == NULL;
	}
	return lost;
}
