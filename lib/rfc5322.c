/*
 * Header fields and address lists (rfc5322.h).
 *
 * sendmail -t finds its recipients here, in headers that any program wrote, so the reader takes
 * what the obsolete syntax allows and names what it cannot take.  The list parser is a loop over
 * tokens with three places: in the words before an address, inside angle brackets, and behind them.
 * What must never happen: an address made of pieces of two, or one that a comment or a display name
 * smuggled in.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"

/* --- fields --- */

/* Octets of the line at S with its end; LEN when it has none. */
static size_t
line_len(const char *s, size_t len)
{
	const char *end = memchr(s, '\n', len);

	return end == NULL ? len : (size_t)(end - s) + 1;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

size_t
header_field_read(const char *s, size_t len, struct header_field *f)
{
	size_t n = 0, colon, used;

	while (n < len && s[n] > ' ' && s[n] < 0x7f && s[n] != ':')
		n++;
	/* RFC 5322 4.5: blanks before the colon */
	for (colon = n; colon < len && is_blank(s[colon]); colon++)
		;
	if (n == 0 || colon == len || s[colon] != ':')
		return 0;
	used = line_len(s, len);
	while (used < len && is_blank(s[used]))
		used += line_len(s + used, len - used);
	f->name = s;
	f->name_len = n;
	f->value = s + colon + 1;
	f->value_len = used - colon - 1;
	if (f->value_len > 0 && f->value[f->value_len - 1] == '\n')
		f->value_len--;
	if (f->value_len > 0 && f->value[f->value_len - 1] == '\r')
		f->value_len--;
	return used;
}

bool
header_field_is(const struct header_field *f, const char *name)
{
	return strlen(name) == f->name_len && strncasecmp(f->name, name, f->name_len) == 0;
}

/* --- tokens --- */

enum token {
	TOKEN_END,
	TOKEN_ATOM,    /* also a dot, and whatever is no special */
	TOKEN_QUOTED,
	TOKEN_LITERAL,
	TOKEN_SPECIAL, /* one of < > @ , ; : */
	TOKEN_BAD
};

struct scanner {
	const char *s;
	size_t len, pos;
	size_t start;  /* of the last token */
	const char *why;
};

static bool
is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

static bool
is_special(char c)
{
	return c != '\0' && strchr("<>@,;:", c) != NULL;
}

static bool
is_atom_octet(char c)
{
	return !is_space(c) && !is_special(c) &&
	    c != '"' && c != '(' && c != ')' && c != '[' && c != ']';
}

/* Skips a comment, which may hold others (RFC 5322 3.2.2).  False: it does not end. */
static bool
skip_comment(struct scanner *sc)
{
	unsigned depth = 0;

	for (; sc->pos < sc->len; sc->pos++) {
		if (sc->s[sc->pos] == '\\')
			sc->pos++;
		else if (sc->s[sc->pos] == '(')
			depth++;
		else if (sc->s[sc->pos] == ')' && --depth == 0) {
			sc->pos++;
			return true;
		}
	}
	sc->pos = sc->len;
	sc->why = "a comment in parentheses does not end";
	return false;
}

static bool
skip_space(struct scanner *sc)
{
	while (sc->pos < sc->len && (is_space(sc->s[sc->pos]) || sc->s[sc->pos] == '(')) {
		sc->start = sc->pos;
		if (sc->s[sc->pos] != '(')
			sc->pos++;
		else if (!skip_comment(sc))
			return false;
	}
	return true;
}

/* A quoted string or a domain literal: to CLOSE, backslashes taken along. */
static enum token
scan_enclosed(struct scanner *sc, char close, enum token token, const char *why)
{
	for (sc->pos++; sc->pos < sc->len; sc->pos++) {
		if (sc->s[sc->pos] == '\\')
			sc->pos++;
		else if (sc->s[sc->pos] == close) {
			sc->pos++;
			return token;
		}
	}
	sc->pos = sc->len;
	sc->why = why;
	return TOKEN_BAD;
}

static enum token
scan(struct scanner *sc)
{
	char c;

	if (!skip_space(sc))
		return TOKEN_BAD;
	sc->start = sc->pos;
	if (sc->pos == sc->len)
		return TOKEN_END;
	c = sc->s[sc->pos];
	if (c == '"')
		return scan_enclosed(sc, '"', TOKEN_QUOTED, "a quoted string does not end");
	if (c == '[')
		return scan_enclosed(sc, ']', TOKEN_LITERAL, "a domain literal does not end");
	if (c == ')' || c == ']') {
		sc->why = c == ')' ? "a parenthesis that nothing opened" :
		    "a bracket that nothing opened";
		return TOKEN_BAD;
	}
	if (is_special(c)) {
		sc->pos++;
		return TOKEN_SPECIAL;
	}
	while (sc->pos < sc->len && is_atom_octet(sc->s[sc->pos]))
		sc->pos++;
	return TOKEN_ATOM;
}

/* --- address lists --- */

struct list {
	struct scanner sc;
	struct buf text;  /* of the address that is being read */
	size_t begin, end; /* of its first token, and behind its last */
	bool qualified;
	bool broken;      /* two words with no dot or "@" between: a display name perhaps */
	bool in_group;
	bool closed;      /* behind an address in angle brackets: only a comma goes on */
	void (*visit)(const struct header_address *, void *);
	void *arg;
};

static void
forget_text(struct list *l)
{
	buf_clear(&l->text);
	l->qualified = l->broken = l->closed = false;
}

static bool
complain(struct list *l, const char *why)
{
	l->sc.why = why;
	return false;
}

/* What was gathered is an address, or nothing. */
static bool
finish(struct list *l)
{
	struct header_address a = { .text = buf_str(&l->text), .qualified = l->qualified,
	    .begin = l->begin, .end = l->end };

	l->closed = false;
	if (l->text.len == 0)
		return true;
	if (l->broken)
		return complain(l,
		    "words without a comma between them, or a name without an address");
	l->visit(&a, l->arg);
	forget_text(l);
	return true;
}

/* Octets of the last token, without folds: inside a quoted string they are no part of it (RFC 5322
 * 3.2.4). */
static void
add_token(struct list *l)
{
	size_t i;

	if (l->text.len == 0)
		l->begin = l->sc.start;
	for (i = l->sc.start; i < l->sc.pos; i++)
		if (l->sc.s[i] != '\r' && l->sc.s[i] != '\n' && l->sc.s[i] != '\0')
			buf_addc(&l->text, l->sc.s[i]);
	l->end = l->sc.pos;
}

/* A word after a word, with a space between, belongs to an address only around a dot (RFC 5322
 * 4.4). */
static void
add_word(struct list *l)
{
	char last = l->text.len > 0 ? l->text.data[l->text.len - 1] : '@';

	if (last != '@' && last != '.' && l->sc.s[l->sc.start] != '.')
		l->broken = true;
	add_token(l);
}

/* Behind "<": an address to ">", a source route skipped. */
static bool
angle(struct list *l)
{
	enum token token;
	char c;

	forget_text(l);
	for (;;) {
		token = scan(&l->sc);
		c = l->sc.s[l->sc.start < l->sc.len ? l->sc.start : 0];
		if (token == TOKEN_BAD)
			return false;
		if (token == TOKEN_END)
			return complain(l, "\"<\" without \">\"");
		if (token == TOKEN_SPECIAL && c == '>')
			break;
		if (token == TOKEN_SPECIAL && (c == ':' || c == ',') && buf_str(&l->text)[0] == '@')
			forget_text(l);
		else if (token == TOKEN_SPECIAL && c == '@') {
			l->qualified = true;
			add_token(l);
		} else if (token == TOKEN_SPECIAL)
			return complain(l,
			    "an address in \"<\" and \">\" holds a character that must be quoted");
		else
			add_word(l);
	}
	if (!finish(l))
		return false;
	l->closed = true;
	return true;
}

/* One of < > @ , ; : outside of angle brackets. */
static bool
special(struct list *l, char c)
{
	switch (c) {
	case '<':
		return angle(l);
	case ',':
		return finish(l);
	case '@':
		l->qualified = true;
		add_token(l);
		return true;
	case ':': /* what was gathered is a group's name */
		if (l->in_group || l->qualified)
			return complain(l, "a colon inside an address or a group");
		l->in_group = true;
		forget_text(l);
		return true;
	case ';':
		if (!l->in_group)
			return complain(l, "a semicolon that ends no group");
		l->in_group = false;
		return finish(l);
	}
	return complain(l, "\">\" without \"<\"");
}

static bool
read_list(struct list *l)
{
	enum token token;

	while ((token = scan(&l->sc)) != TOKEN_END) {
		if (token == TOKEN_BAD)
			return false;
		if (l->closed && (token != TOKEN_SPECIAL ||
		    strchr(",;", l->sc.s[l->sc.start]) == NULL))
			return complain(l, "something behind \">\" and no comma between");
		if (token != TOKEN_SPECIAL)
			add_word(l);
		else if (!special(l, l->sc.s[l->sc.start]))
			return false;
	}
	return finish(l);
}

bool
header_addresses(const char *value, size_t len,
    void (*visit)(const struct header_address *, void *), void *arg, const char **why, size_t *at)
{
	struct list l = { .sc = { .s = value, .len = len }, .visit = visit, .arg = arg };
	bool ok = read_list(&l);

	*why = l.sc.why;
	*at = l.sc.start;
	buf_free(&l.text);
	return ok;
}

/* --- writing --- */

struct completion {
	struct buf *out;
	const struct header_field *field;
	const char *host;
	char *(*change)(const char *, const void *);
	const void *arg;
	size_t copied; /* octets of the field's value that are in OUT already */
};

/* What stands up to AT. */
static void
copy_to(struct completion *c, size_t at)
{
	buf_add(c->out, c->field->value + c->copied, at - c->copied);
	c->copied = at;
}

static void
complete_address(const struct header_address *a, void *arg)
{
	struct completion *c = arg;
	char *whole = a->qualified || c->host == NULL ? xstrdup(a->text)
						      : xasprintf("%s@%s", a->text, c->host);
	char *new = c->change != NULL ? c->change(whole, c->arg) : NULL;

	if (new != NULL) {
		copy_to(c, a->begin);
		buf_adds(c->out, new);
		c->copied = a->end;
	} else if (!a->qualified && c->host != NULL) {
		copy_to(c, a->end);
		buf_addf(c->out, "@%s", c->host);
	}
	free(new);
	free(whole);
}

void
header_add_changed(struct buf *out, const struct header_field *f, const char *host,
    char *(*change)(const char *, const void *), const void *arg)
{
	struct completion c = {
		.out = out, .field = f, .host = host, .change = change, .arg = arg
	};
	size_t begin, at;
	const char *why;

	buf_add(out, f->name, (size_t)(f->value - f->name));
	begin = out->len;
	if (!header_addresses(f->value, f->value_len, complete_address, &c, &why, &at)) {
		out->len = begin;
		c.copied = 0;
	}
	buf_add(out, f->value + c.copied, f->value_len - c.copied);
	buf_adds(out, "\r\n");
}

void
header_add_qualified(struct buf *out, const struct header_field *f, const char *host)
{
	header_add_changed(out, f, host, NULL, NULL);
}

static bool
is_atom_text(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~ ", c) != NULL);
}

/* Encoded words of at most 75 characters, no character of UTF-8 cut in two (RFC 2047 2, 5). */
#define ENCODED_OCTETS 45

static void
add_encoded(struct buf *b, const char *s)
{
	size_t left = strlen(s), n;

	for (; left > 0; s += n, left -= n) {
		n = left < ENCODED_OCTETS ? left : ENCODED_OCTETS;
		while (n < left && n > ENCODED_OCTETS - 4 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
		buf_adds(b, "=?UTF-8?B?");
		base64_encode(b, s, n);
		buf_adds(b, n < left ? "?=\r\n " : "?=");
	}
}

void
header_add_phrase(struct buf *b, const char *name)
{
	bool atoms = true, ascii = true;
	struct buf clean = { 0 };
	size_t i;

	for (; *name != '\0'; name++) {
		atoms = atoms && is_atom_text(*name);
		ascii = ascii && ((unsigned char)*name & 0x80) == 0;
		buf_addc(&clean, (unsigned char)*name < 0x20 || *name == 0x7f ? ' ' : *name);
	}
	if (!ascii)
		add_encoded(b, buf_str(&clean));
	else if (atoms)
		buf_adds(b, buf_str(&clean));
	else {
		buf_addc(b, '"');
		for (i = 0; i < clean.len; i++) {
			if (clean.data[i] == '"' || clean.data[i] == '\\')
				buf_addc(b, '\\');
			buf_addc(b, clean.data[i]);
		}
		buf_addc(b, '"');
	}
	buf_free(&clean);
}

/* not strftime: its names are the locale's */
static void
add_date(struct buf *b, const struct tm *tm)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	long zone = tm->tm_gmtoff / 60;

	buf_addf(b, "%s, %d %s %04d %02d:%02d:%02d ", days[tm->tm_wday], tm->tm_mday, months[tm->tm_mon],
	    tm->tm_year + 1900, tm->tm_hour, tm->tm_min, tm->tm_sec);
	buf_addf(b, "%c%02ld%02ld", zone < 0 ? '-' : '+', labs(zone) / 60, labs(zone) % 60);
}

void
header_add_date(struct buf *b, int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	add_date(b, &tm);
}

void
header_add_date_utc(struct buf *b, int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	add_date(b, &tm);
}
