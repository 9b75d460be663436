/*
 * Encoding of 8-bit and binary parts (downgrade.h).
 *
 * The SMTP client asks for a plan when the next server lacks 8BITMIME or BINARYMIME.  The walk goes
 * through the MIME structure and looks at nothing that is fit as it stands.  A leaf that is not gets
 * a Content-Transfer-Encoding; multiparts and enclosed messages, which may have none but 7bit, lose
 * theirs.  What cannot be kept is refused: a header with 8-bit text, what is signed inside of the
 * message (RFC 1847 2.1), what says that it is encoded and is not, a structure that is not one.  A
 * DKIM signature does not hinder: one that no longer fits counts as none (RFC 6376 6.1), and to come
 * unsigned is better than not to come.  Text around the parts of a multipart, which nobody is shown
 * (RFC 2046 5.1.1), goes when it is not fit.
 *
 * What must never happen: an octet above 127, a NUL, a line of more than 998 octets or a bare CR or
 * LF in what was planned, or a part that reads otherwise than before when it is decoded.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/dotstuff.h"
#include "deliver/downgrade.h"
#include "lib/base64.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"
#include "lib/utf8.h"

#define DEPTH_MAX 20
#define PIECES_MAX 20000
#define LINE_MAX_OCTETS 998	/* RFC 5321 4.5.3.1.6 */
#define BOUNDARY_MAX 255	/* RFC 2046 5.1.1 has 70 */
#define WRITE_MAX (64 * 1024)
#define COLUMN_MAX 75		/* RFC 2045 6.7 (5): 76 with the '=' */
#define BASE64_LINE 57		/* octets of 76 signs */

struct walk {
	struct downgrade *plan; /* NULL: only headers are looked at */
	const char *why;
};

/* What its header says of an entity. */
struct entity {
	const char *header, *body, *end;
	bool has_version, has_type;
	char type[64]; /* lower case, "" when there is none: "text/plain" */
	char boundary[BOUNDARY_MAX + 1];
	char encoding[32]; /* lower case, "" when there is none */
};

static bool
fail(struct walk *w, const char *why)
{
	if (w->why == NULL)
		w->why = why;
	return false;
}

/* --- the plan --- */

static bool
add(struct walk *w, enum downgrade_how how, const char *s, size_t len)
{
	struct downgrade *plan = w->plan;
	struct downgrade_piece *last = plan != NULL && plan->n > 0 ? &plan->pieces[plan->n - 1] : NULL;

	if (plan == NULL || len == 0)
		return true;
	if (last != NULL && how == DOWNGRADE_COPY && last->how == how && last->s + last->len == s) {
		last->len += len;
		return true;
	}
	if (plan->n == PIECES_MAX)
		return fail(w, "it has too many parts");
	if (plan->n == plan->cap) {
		plan->cap = plan->cap == 0 ? 16 : plan->cap * 2;
		plan->pieces = xreallocarray(plan->pieces, plan->cap, sizeof(*plan->pieces));
	}
	plan->pieces[plan->n++] = (struct downgrade_piece){ how, s, len };
	return true;
}

static bool
copy(struct walk *w, const char *from, const char *to)
{
	return add(w, DOWNGRADE_COPY, from, (size_t)(to - from));
}

static bool
add_text(struct walk *w, const char *s)
{
	return add(w, DOWNGRADE_COPY, s, strlen(s));
}

/* --- octets --- */

/* Lines as 7bit wants them, but for the octets above 127 (RFC 2045 2.8). */
static bool
has_lines(const char *s, const char *end)
{
	const char *line = s;

	for (; s < end; s++) {
		if (*s == '\0' || *s == '\n' || s - line >= LINE_MAX_OCTETS + (*s == '\r'))
			return false;
		if (*s == '\r') {
			if (++s == end || *s != '\n')
				return false;
			line = s + 1;
		}
	}
	return true;
}

static bool
is_fit(const char *s, const char *end)
{
	return !dotstuff_has_8bit(s, (size_t)(end - s)) && has_lines(s, end);
}

/* --- headers --- */

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Past white space and comments (RFC 5322 3.2.2). */
static const char *
skip_cfws(const char *s, const char *end)
{
	unsigned depth = 0;

	for (; s < end && (depth > 0 || is_white(*s) || *s == '('); s++) {
		if (*s == '\\' && depth > 0 && s + 1 < end)
			s++;
		else if (*s == '(')
			depth++;
		else if (*s == ')')
			depth--;
	}
	return s;
}

/* A token or quoted string into OUT; past it, or NULL when it does not fit or is none. */
static const char *
read_word(const char *s, const char *end, char *out, size_t size)
{
	size_t n = 0;
	bool quoted = s < end && *s == '"';

	for (s += quoted; s < end; s++) {
		if (quoted ? *s == '"' : is_white(*s) || strchr("();=\"", *s) != NULL)
			break;
		if (quoted && *s == '\\' && s + 1 < end)
			s++;
		if (quoted && (*s == '\r' || *s == '\n'))
			continue;
		if (*s == '\0' || n + 1 == size)
			return NULL;
		out[n++] = *s;
	}
	out[n] = '\0';
	if (quoted && s == end)
		return NULL;
	return s + quoted;
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s += 'a' - 'A';
}

/* One ";name=value"; past it, or NULL. */
static const char *
read_parameter(const char *s, const char *end, struct entity *e)
{
	char name[64], other[1024];
	bool is_boundary;

	s = skip_cfws(s, end);
	if (s == end || *s != ';')
		return NULL;
	s = skip_cfws(s + 1, end);
	s = read_word(s, end, name, sizeof(name));
	if (s == NULL)
		return NULL;
	s = skip_cfws(s, end);
	if (s == end || *s != '=')
		return s;
	s = skip_cfws(s + 1, end);
	is_boundary = strcasecmp(name, "boundary") == 0 && e->boundary[0] == '\0';
	return read_word(s, end, is_boundary ? e->boundary : other,
	    is_boundary ? sizeof(e->boundary) : sizeof(other));
}

static void
read_type(struct entity *e, const struct header_field *field)
{
	const char *s = field->value, *end = s + field->value_len;

	e->has_type = true;
	s = read_word(skip_cfws(s, end), end, e->type, sizeof(e->type));
	lower(e->type);
	if (strncmp(e->type, "multipart/", 10) != 0)
		return;
	while (s != NULL && s < end)
		s = read_parameter(s, end, e);
}

static void
read_encoding(struct entity *e, const struct header_field *field)
{
	const char *s = field->value, *end = s + field->value_len;

	if (read_word(skip_cfws(s, end), end, e->encoding, sizeof(e->encoding)) == NULL)
		strlcpy(e->encoding, "?", sizeof(e->encoding));
	lower(e->encoding);
}

/* The header of S, up to its empty line. */
static bool
read_entity(struct walk *w, const char *s, const char *end, struct entity *e)
{
	struct header_field field;
	size_t n;

	*e = (struct entity){ .header = s, .end = end };
	for (; s < end && *s != '\r' && (n = header_field_read(s, (size_t)(end - s), &field)) > 0; s += n) {
		if (header_field_is(&field, "MIME-Version"))
			e->has_version = true;
		else if (header_field_is(&field, "Content-Type") && !e->has_type)
			read_type(e, &field);
		else if (header_field_is(&field, "Content-Transfer-Encoding"))
			read_encoding(e, &field);
	}
	e->body = s;
	if (dotstuff_has_8bit(e->header, (size_t)(s - e->header)))
		return fail(w, "a header of it has 8-bit text");
	if (!has_lines(e->header, s))
		return fail(w, "a header of it is damaged");
	if (s < end && (end - s < 2 || memcmp(s, "\r\n", 2) != 0))
		return fail(w, "a header of it is damaged");
	return true;
}

/* All fields but how it is encoded. */
static bool
copy_header(struct walk *w, const struct entity *e)
{
	struct header_field field;
	const char *s;
	size_t n;

	for (s = e->header; s < e->body; s += n) {
		n = header_field_read(s, (size_t)(e->body - s), &field);
		if (!header_field_is(&field, "Content-Transfer-Encoding") && !copy(w, s, s + n))
			return false;
	}
	return true;
}

/* "7bit" and the like, which say that nothing is done to the octets. */
static bool
is_identity(const struct entity *e)
{
	return e->encoding[0] == '\0' || strcmp(e->encoding, "7bit") == 0 ||
	    strcmp(e->encoding, "8bit") == 0 || strcmp(e->encoding, "binary") == 0;
}

/* --- leaves --- */

/* Text stays text, whatever its letters: quoted-printable keeps its line ends from those who change them. */
static enum downgrade_how
choose(const struct entity *e, const char *s)
{
	bool text = e->type[0] == '\0' || strncmp(e->type, "text/", 5) == 0;

	for (; text && s < e->end; s++) {
		if (*s == '\r' && s + 1 < e->end && s[1] == '\n')
			s++;
		else
			text = *s != '\0' && *s != '\r' && *s != '\n';
	}
	return text ? DOWNGRADE_QUOTED : DOWNGRADE_BASE64;
}

static bool
is_utf8(const char *s, const char *end)
{
	uint32_t character;
	size_t n = 1;

	for (; s < end && n > 0; s += n)
		n = utf8_next(s, end, &character);
	return n > 0;
}

/* A text that says nothing of itself (RFC 1428). */
static bool
add_type(struct walk *w, const struct entity *e, const char *s)
{
	if (e->has_type)
		return true;
	return add_text(w, is_utf8(s, e->end)
		? "Content-Type: text/plain; charset=utf-8\r\n"
		: "Content-Type: text/plain; charset=unknown-8bit\r\n");
}

static bool
plan_leaf(struct walk *w, const struct entity *e, const char *body)
{
	enum downgrade_how how = choose(e, body);

	if (!is_identity(e))
		return fail(w, "a part of it says that it is encoded, and is not");
	return add_type(w, e, body) &&
	    add_text(w, how == DOWNGRADE_QUOTED ? "Content-Transfer-Encoding: quoted-printable\r\n"
						: "Content-Transfer-Encoding: base64\r\n") &&
	    copy(w, e->body, body) && add(w, how, body, (size_t)(e->end - body));
}

/* --- multiparts --- */

struct delimiter {
	const char *begin; /* of the CRLF in front, which belongs to it */
	const char *end;   /* behind its line */
	bool last;
};

/* LINE is "--BOUNDARY", perhaps "--", white space, CRLF or the end. */
static bool
is_delimiter(const char *line, const char *end, const char *boundary, struct delimiter *d)
{
	size_t len = strlen(boundary);

	if ((size_t)(end - line) < len + 2 || memcmp(line, "--", 2) != 0 ||
	    memcmp(line + 2, boundary, len) != 0)
		return false;
	line += len + 2;
	d->last = end - line >= 2 && memcmp(line, "--", 2) == 0;
	line += d->last ? 2 : 0;
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	if (line < end && (end - line < 2 || memcmp(line, "\r\n", 2) != 0))
		return false;
	d->end = line < end ? line + 2 : line;
	return true;
}

/* The first one at LINE, which begins a line, or later. */
static bool
find_delimiter(const char *line, const char *end, const char *boundary, struct delimiter *d)
{
	const char *start = line, *lf;

	while (line < end) {
		d->begin = line == start ? line : line - 2;
		if (is_delimiter(line, end, boundary, d))
			return true;
		do {
			lf = memchr(line, '\n', (size_t)(end - line));
			line = lf != NULL ? lf + 1 : end;
		} while (lf != NULL && (lf == start || lf[-1] != '\r'));
	}
	return false;
}

static bool plan_entity(struct walk *, const char *s, const char *end, bool digest, unsigned depth);

/* What stands before the first part or behind the last. */
static bool
plan_around(struct walk *w, const char *s, const char *end)
{
	return !is_fit(s, end) || copy(w, s, end);
}

static bool
plan_parts(struct walk *w, const struct entity *e, const char *body, unsigned depth)
{
	bool digest = strcmp(e->type, "multipart/digest") == 0, more;
	struct delimiter d, next;

	if (e->boundary[0] == '\0' || !find_delimiter(body, e->end, e->boundary, &d))
		return fail(w, "its parts cannot be told apart");
	if (!plan_around(w, body, d.begin))
		return false;
	for (;; d = next) {
		if (!copy(w, d.begin, d.end))
			return false;
		if (d.last)
			return plan_around(w, d.end, e->end);
		more = find_delimiter(d.end, e->end, e->boundary, &next);
		if (!plan_entity(w, d.end, more ? next.begin : e->end, digest, depth + 1))
			return false;
		if (!more)
			return true;
	}
}

/* --- the walk --- */

static bool
is_message(const struct entity *e, bool digest)
{
	if (!e->has_type)
		return digest;
	return strcmp(e->type, "message/rfc822") == 0 || strcmp(e->type, "message/global") == 0 ||
	    strcmp(e->type, "message/news") == 0;
}

/* A multipart or an enclosed message. */
static bool
plan_composite(struct walk *w, const struct entity *e, const char *body, unsigned depth)
{
	bool multipart = strncmp(e->type, "multipart/", 10) == 0;

	if (!is_identity(e))
		return fail(w, "a part of it is encoded and may not be");
	if (w->plan != NULL && strcmp(e->type, "multipart/signed") == 0)
		return fail(w, "it is signed");
	if (!copy(w, e->body, body))
		return false;
	return multipart ? plan_parts(w, e, body, depth) : plan_entity(w, body, e->end, false, depth + 1);
}

static bool
plan_entity(struct walk *w, const char *s, const char *end, bool digest, unsigned depth)
{
	struct entity e;
	const char *body;

	if (is_fit(s, end))
		return copy(w, s, end);
	if (depth == DEPTH_MAX)
		return fail(w, "its parts are nested too deep");
	if (!read_entity(w, s, end, &e) || !copy_header(w, &e))
		return false;
	if (depth == 0 && !e.has_version && !add_text(w, "MIME-Version: 1.0\r\n"))
		return false;
	body = e.body < end ? e.body + 2 : end;
	if (strncmp(e.type, "multipart/", 10) == 0 || is_message(&e, digest))
		return plan_composite(w, &e, body, depth);
	if (strcmp(e.type, "message/partial") == 0 || strcmp(e.type, "message/external-body") == 0)
		return fail(w, "a part of it may not be encoded");
	return w->plan == NULL || plan_leaf(w, &e, body);
}

const char *
downgrade_plan(struct downgrade *plan, const char *s, size_t len)
{
	struct walk w = { .plan = plan };

	return plan_entity(&w, s, s + len, false, 0) ? NULL : w.why;
}

bool
downgrade_has_utf8_header(const char *s, size_t len)
{
	struct walk w = { .plan = NULL };

	/* what cannot be read may have one */
	return !plan_entity(&w, s, s + len, false, 0);
}

/* --- writing --- */

/* RFC 2045 6.7.  An octet, or a CRLF; returns how many were used. */
static size_t
write_quoted(struct downgrade *plan, const char *s, const char *end, struct buf *out)
{
	bool at_end = s + 1 == end || (end - s >= 3 && memcmp(s + 1, "\r\n", 2) == 0);
	bool literal = (*s > ' ' && *s < 0x7f && *s != '=') || ((*s == ' ' || *s == '\t') && !at_end);
	unsigned width = literal ? 1 : 3;

	if (*s == '\r') {
		buf_adds(out, "\r\n");
		plan->column = 0;
		return 2;
	}
	if (plan->column + width > COLUMN_MAX) {
		buf_adds(out, "=\r\n");
		plan->column = 0;
	}
	if (literal)
		buf_addc(out, *s);
	else
		buf_addf(out, "=%02X", (unsigned char)*s);
	plan->column += width;
	return 1;
}

/* A line; the last has no end, since what follows begins with one or the message ends. */
static size_t
write_base64(const char *s, const char *end, struct buf *out)
{
	size_t n = end - s > BASE64_LINE ? BASE64_LINE : (size_t)(end - s);

	base64_encode(out, s, n);
	if (s + n < end)
		buf_adds(out, "\r\n");
	return n;
}

static size_t
write_copy(const char *s, const char *end, struct buf *out)
{
	size_t n = end - s > WRITE_MAX ? WRITE_MAX : (size_t)(end - s);

	buf_add(out, s, n);
	return n;
}

bool
downgrade_next(struct downgrade *plan, struct buf *out)
{
	size_t before = out->len;

	while (plan->piece < plan->n && out->len - before < WRITE_MAX) {
		const struct downgrade_piece *piece = &plan->pieces[plan->piece];
		const char *s = piece->s + plan->at, *end = piece->s + piece->len;

		if (piece->how == DOWNGRADE_COPY)
			plan->at += write_copy(s, end, out);
		else if (piece->how == DOWNGRADE_BASE64)
			plan->at += write_base64(s, end, out);
		else
			plan->at += write_quoted(plan, s, end, out);
		if (plan->at == piece->len) {
			plan->piece++;
			plan->at = 0;
			plan->column = 0;
		}
	}
	return out->len > before;
}

void
downgrade_rewind(struct downgrade *plan)
{
	plan->piece = plan->at = 0;
	plan->column = 0;
}

void
downgrade_free(struct downgrade *plan)
{
	free(plan->pieces);
	*plan = (struct downgrade){ .n = 0 };
}
