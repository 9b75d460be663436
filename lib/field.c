/*
 * Records for people and programs: rendering as text and JSON, and the encoding between roles.
 *
 * The log and smtpctl print through it.  Keys are ours, but values come from peers, mail and DNS
 * and can be any bytes but NUL, and after field_decode() so can keys.  Whatever they are, the text
 * stays one line in which no value can be taken for another field or move a terminal's cursor, and
 * the JSON stays valid.  Rendering cannot fail; decoding takes all of a list or nothing.
 *
 * Encoded, a field is its type (u8), its key (counted string) and its value (counted string, u64 or
 * u8); a type of FIELD_END alone ends the list.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/field.h"
#include "lib/mem.h"

#define NO_CHARACTER UINT32_MAX

/* Well-formed UTF-8 by the length that the first byte announces (RFC 3629): what the first byte
 * holds of the character, and the smallest character that needs that length. */
static const struct {
	uint8_t mask, lead, bits;
	uint32_t least;
} utf8_forms[] = {
	{ 0x80, 0x00, 0x7f, 0x0 },
	{ 0xe0, 0xc0, 0x1f, 0x80 },
	{ 0xf0, 0xe0, 0x0f, 0x800 },
	{ 0xf8, 0xf0, 0x07, 0x10000 },
};
#define UTF8_FORMS (sizeof(utf8_forms) / sizeof(utf8_forms[0]))

/* Reads one character of a NUL-terminated string that is not at its end; returns how many bytes it
 * has.  A byte that begins none is NO_CHARACTER of length 1. */
static size_t
utf8_next(const char *s, uint32_t *out)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t c;
	size_t len, i;

	*out = NO_CHARACTER;
	for (len = 1; len <= UTF8_FORMS; len++)
		if ((p[0] & utf8_forms[len - 1].mask) == utf8_forms[len - 1].lead)
			break;
	if (len > UTF8_FORMS)
		return 1;
	c = p[0] & utf8_forms[len - 1].bits;
	/* The NUL at the end is no continuation byte, so this never passes it. */
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < utf8_forms[len - 1].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 1;
	*out = c;
	return len;
}

/* Characters that act on a terminal or on the order of reading, instead of standing in the line. */
static bool
is_control(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x00, 0x1f },	    /* C0 */
		{ 0x7f, 0x9f },	    /* DEL, C1 */
		{ 0x061c, 0x061c }, /* direction: Arabic letter mark */
		{ 0x200e, 0x200f }, /* direction: marks */
		{ 0x2028, 0x202e }, /* line separators; direction: embeddings */
		{ 0x2066, 0x2069 }, /* direction: isolates */
		{ 0xfeff, 0xfeff }, /* byte order mark */
	};
	size_t i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* True when S can stand in a line of text as it is. */
static bool
is_plain(const char *s, const char *special)
{
	uint32_t c;
	size_t n;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s += n) {
		n = utf8_next(s, &c);
		if (c == NO_CHARACTER || is_control(c) || strchr(special, *s) != NULL)
			return false;
	}
	return true;
}

/* How many octets from S on are ASCII that stands for itself in text and in JSON, as nearly all do. */
static size_t
plain_length(const char *s)
{
	size_t n;

	for (n = 0; s[n] >= ' ' && s[n] <= '~' && s[n] != '"' && s[n] != '\\'; n++)
		;
	return n;
}

/* The letter behind the backslash for characters that have one in text and in JSON, else 0. */
static char
escape_letter(uint32_t c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	}
	return 0;
}

static void
text_quoted(struct buf *b, const char *s)
{
	uint32_t c;
	size_t n, i;

	buf_addc(b, '"');
	for (; *s != '\0'; s += n) {
		n = plain_length(s);
		if (n > 0) {
			buf_add(b, s, n);
			continue;
		}
		n = utf8_next(s, &c);
		if (escape_letter(c) != 0)
			buf_addf(b, "\\%c", escape_letter(c));
		else if (c != NO_CHARACTER && !is_control(c))
			buf_add(b, s, n);
		else
			for (i = 0; i < n; i++)
				buf_addf(b, "\\x%02x", (unsigned char)s[i]);
	}
	buf_addc(b, '"');
}

static void
text_string(struct buf *b, const char *s, const char *special)
{
	if (is_plain(s, special))
		buf_adds(b, s);
	else
		text_quoted(b, s);
}

/* Numbers and truth values look the same in text and JSON. */
static void
add_scalar(struct buf *b, const struct field *f)
{
	if (f->type == FIELD_U64)
		buf_addu(b, f->u64);
	else if (f->type == FIELD_I64)
		buf_addf(b, "%" PRId64, f->i64);
	else
		buf_adds(b, f->b ? "true" : "false");
}

static bool
is_left_out(const struct field *f)
{
	return f->type == FIELD_STR && f->str == NULL;
}

void
field_text(struct buf *b, const struct field *f)
{
	const char *separator = "";

	for (; f->type != FIELD_END; f++) {
		if (is_left_out(f))
			continue;
		buf_adds(b, separator);
		separator = " ";
		text_string(b, f->key, " \"\\=");
		buf_addc(b, '=');
		if (f->type == FIELD_STR)
			text_string(b, f->str, " \"\\");
		else
			add_scalar(b, f);
	}
}

void
field_json(struct buf *b, const struct field *f)
{
	const char *separator = "";

	buf_addc(b, '{');
	for (; f->type != FIELD_END; f++) {
		if (is_left_out(f))
			continue;
		buf_adds(b, separator);
		separator = ",";
		field_json_str(b, f->key);
		buf_addc(b, ':');
		if (f->type == FIELD_STR)
			field_json_str(b, f->str);
		else
			add_scalar(b, f);
	}
	buf_addc(b, '}');
}

void
field_json_str(struct buf *b, const char *s)
{
	uint32_t c;
	size_t n;

	buf_addc(b, '"');
	for (; *s != '\0'; s += n) {
		n = plain_length(s);
		if (n > 0) {
			buf_add(b, s, n);
			continue;
		}
		n = utf8_next(s, &c);
		if (c == NO_CHARACTER)
			buf_adds(b, "\xef\xbf\xbd"); /* U+FFFD */
		else if (escape_letter(c) != 0)
			buf_addf(b, "\\%c", escape_letter(c));
		else if (is_control(c)) /* all below U+10000: never a surrogate pair */
			buf_addf(b, "\\u%04" PRIx32, c);
		else
			buf_add(b, s, n);
	}
	buf_addc(b, '"');
}

void
field_encode(struct buf *b, const struct field *f)
{
	for (; f->type != FIELD_END; f++) {
		if (is_left_out(f))
			continue;
		buf_add_u8(b, (uint8_t)f->type);
		buf_add_str(b, f->key);
		if (f->type == FIELD_STR)
			buf_add_str(b, f->str);
		else if (f->type == FIELD_BOOL)
			buf_add_u8(b, f->b);
		else
			buf_add_u64(b, f->type == FIELD_U64 ? f->u64 : (uint64_t)f->i64);
	}
	buf_add_u8(b, FIELD_END);
}

static struct field
decode_one(struct cursor *c, enum field_type type)
{
	struct field f = { .type = type };
	uint8_t truth;

	f.key = cursor_str(c);
	switch (type) {
	case FIELD_STR:
		f.str = cursor_str(c);
		break;
	case FIELD_U64:
		f.u64 = cursor_u64(c);
		break;
	case FIELD_I64:
		f.i64 = (int64_t)cursor_u64(c);
		break;
	case FIELD_BOOL:
		truth = cursor_u8(c);
		f.b = truth == 1;
		if (truth > 1)
			c->bad = true;
		break;
	default:
		c->bad = true;
	}
	return f;
}

struct field *
field_decode(struct cursor *c)
{
	struct field *list = NULL;
	size_t used = 0, room = 0;
	uint8_t type;

	do {
		/* A bad cursor gives type 0, which is FIELD_END. */
		type = cursor_u8(c);
		if (used == room) {
			room = room == 0 ? 8 : room * 2;
			list = xreallocarray(list, room, sizeof(*list));
		}
		list[used++] = type == FIELD_END ? F_END : decode_one(c, type);
	} while (type != FIELD_END);
	if (!c->bad)
		return list;
	field_free(list);
	return NULL;
}

void
field_free(struct field *list)
{
	free(list);
}

const char *
field_get(const struct field *f, const char *key)
{
	for (; f->type != FIELD_END; f++)
		if (f->type == FIELD_STR && strcmp(f->key, key) == 0)
			return f->str;
	return NULL;
}

uint64_t
field_u64(const struct field *f, const char *key)
{
	for (; f->type != FIELD_END; f++)
		if ((f->type == FIELD_U64 || f->type == FIELD_I64) && strcmp(f->key, key) == 0)
			return f->u64;
	return 0;
}
