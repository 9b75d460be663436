/* One line of Dovecot's authentication protocol (dovecot_line.h); table of words, then their fields. */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "vault/dovecot_line.h"

#define ESCAPE '\001'

static const char escaped[] = "\001\t\n\r"; /* and NUL */
static const char escapes[] = "1tnr";

/* The next field of what is left at *S; false when nothing is. */
static bool
next_field(const char **s, const char *end, const char **field, size_t *len)
{
	const char *tab;

	if (*s > end)
		return false;
	tab = memchr(*s, '\t', (size_t)(end - *s));
	*field = *s;
	*len = (size_t)((tab != NULL ? tab : end) - *s);
	*s = (tab != NULL ? tab : end) + 1;
	return true;
}

static char *
unescape(const char *s, size_t len)
{
	struct buf out = { 0 };
	const char *at;
	size_t i;

	buf_add(&out, "", 0);
	for (i = 0; i < len; i++) {
		at = s[i] == ESCAPE && i + 1 < len && s[i + 1] != '\0' ? strchr(escapes, s[i + 1]) : NULL;
		if (at != NULL)
			buf_addc(&out, escaped[at - escapes]);
		else if (s[i] != ESCAPE && s[i] != '\0')
			buf_addc(&out, s[i]);
		i += s[i] == ESCAPE;
	}
	return buf_take(&out);
}

void
dovecot_add_value(struct buf *out, const char *value)
{
	const char *at;

	for (; *value != '\0'; value++) {
		at = strchr(escaped, *value);
		if (at != NULL)
			buf_addc(out, ESCAPE);
		buf_addc(out, at != NULL ? escapes[at - escaped] : *value);
	}
}

static bool
read_number(const char *s, size_t len, uint32_t *out)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9' && n <= UINT32_MAX; i++)
		n = n * 10 + (unsigned)(s[i] - '0');
	*out = (uint32_t)n;
	return len > 0 && i == len && n <= UINT32_MAX;
}

static bool
is(const char *word, const char *s, size_t len)
{
	return strlen(word) == len && memcmp(word, s, len) == 0;
}

/* What stands behind the number of OK and FAIL: "user=alice", "temp", and more. */
static void
read_parameters(const char *s, const char *end, struct dovecot_line *out)
{
	const char *field;
	size_t len;

	while (next_field(&s, end, &field, &len)) {
		if (len > 5 && memcmp(field, "user=", 5) == 0 && out->user == NULL)
			out->user = unescape(field + 5, len - 5);
		else if (is("temp", field, len))
			out->temp = true;
	}
}

bool
dovecot_line_parse(const char *line, size_t len, struct dovecot_line *out)
{
	static const struct {
		const char *name;
		enum dovecot_word word;
		bool number, text;
	} words[] = {
		{ "VERSION", DOVECOT_VERSION, true, false }, { "MECH", DOVECOT_MECH, false, true },
		{ "DONE", DOVECOT_DONE, false, false }, { "OK", DOVECOT_OK, true, false },
		{ "FAIL", DOVECOT_FAIL, true, false }, { "CONT", DOVECOT_CONT, true, true },
	};
	const char *end = line + len, *field = NULL;
	size_t i, n = 0;

	*out = (struct dovecot_line){ .word = DOVECOT_OTHER };
	if (!next_field(&line, end, &field, &n))
		return false;
	for (i = 0; i < sizeof(words) / sizeof(words[0]) && !is(words[i].name, field, n); i++)
		;
	if (i == sizeof(words) / sizeof(words[0]))
		return true;
	out->word = words[i].word;
	if (words[i].number && (!next_field(&line, end, &field, &n) || !read_number(field, n, &out->id)))
		return false;
	if (words[i].text && !next_field(&line, end, &field, &n))
		return false;
	if (words[i].text)
		out->text = unescape(field, n);
	if (out->word == DOVECOT_OK || out->word == DOVECOT_FAIL)
		read_parameters(line, end, out);
	return true;
}

void
dovecot_line_free(struct dovecot_line *line)
{
	free(line->text);
	free(line->user);
	*line = (struct dovecot_line){ .word = DOVECOT_OTHER };
}
