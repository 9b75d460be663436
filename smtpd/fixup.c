/*
 * The message on its way through a submission listener (fixup.h).
 *
 * The header is gathered up to the empty line, walked field by field once, and written anew: a field that needs no change byte for
 * byte.  The body is only looked at, for lines that are too long; they are refused and not broken, because what
 * breaking does to a signature or to an attachment its writer should decide.  A fault is found once, kept, and told at the
 * end of the text, when the client listens.  What must never happen: that a Bcc field goes out.
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/rewrite.h"
#include "lib/rfc5322.h"
#include "smtpd/fixup.h"

#define HEADER_MOST (512 * 1024)
#define LINE_MOST 998 /* RFC 5322 2.1.1 */
#define AUTHORS_MOST 100
#define SHOWN 40

struct fixup {
	struct fixup_options o;
	char *host, *sender;
	struct buf header;  /* gathered; empty when it is over */
	bool in_body;
	size_t column;      /* of the body's line */
	uint64_t line;      /* its number in the message */
	char *fault;        /* NULL: none yet */
	char **authors;
	size_t authors_n;
	size_t from;        /* mailboxes in From */
	unsigned seen;      /* bits by row of FIELDS */
};

/* --- what is known of fields --- */

enum field_flag {
	ONCE = 1,      /* RFC 5322 3.6, RFC 2045 3 */
	DROPPED = 2,
	ADDRESSES = 4, /* get our host where they have no domain */
	AUTHOR = 8,    /* says who wrote or sent it */
	DATE = 16,
	ID = 32
};

static const struct known {
	const char *name;
	unsigned flags;
} fields[] = {
	{ "From", ONCE | ADDRESSES | AUTHOR },
	{ "Sender", ONCE | ADDRESSES | AUTHOR },
	{ "Date", ONCE | DATE },
	{ "Message-ID", ONCE | ID },
	{ "Reply-To", ONCE | ADDRESSES },
	{ "To", ONCE | ADDRESSES },
	{ "Cc", ONCE | ADDRESSES },
	{ "Subject", ONCE },
	{ "In-Reply-To", ONCE },
	{ "References", ONCE },
	{ "MIME-Version", ONCE },
	{ "Content-Type", ONCE },
	{ "Content-Transfer-Encoding", ONCE },
	{ "Bcc", DROPPED },
	{ "Resent-Bcc", DROPPED },
	{ "Return-Path", DROPPED }, /* RFC 5321 4.4 */
	{ "Resent-From", ADDRESSES },
	{ "Resent-Sender", ADDRESSES },
	{ "Resent-To", ADDRESSES },
	{ "Resent-Cc", ADDRESSES },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))
enum { ROW_FROM, ROW_SENDER, ROW_DATE, ROW_ID };

static void __attribute__((format(printf, 2, 3)))
fail(struct fixup *f, const char *fmt, ...)
{
	va_list ap;

	if (f->fault != NULL)
		return;
	va_start(ap, fmt);
	f->fault = xvasprintf(fmt, ap);
	va_end(ap);
}

/* --- values --- */

/* The words of VALUE one after the other; comments and folds are no words.  False: none is left. */
static bool
next_word(const char **s, const char *end, const char **word, size_t *len)
{
	unsigned depth = 0;

	for (; *s < end; (*s)++) {
		if (**s == '(')
			depth++;
		else if (**s == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !isspace((unsigned char)**s))
			break;
	}
	*word = *s;
	while (*s < end && !isspace((unsigned char)**s) && **s != '(')
		(*s)++;
	*len = (size_t)(*s - *word);
	return *len > 0;
}

static void
skip_comments(const char **s, const char *end)
{
	const char *word;
	size_t len;

	if (next_word(s, end, &word, &len))
		*s = word;
}

/* A number of LEAST to MOST digits that is at most HIGHEST; -1: there is none.  What stands between it and the next is skipped. */
static long
next_number(const char **s, const char *end, int least, int most, long highest)
{
	long n = 0;
	int digits = 0;

	for (; *s < end && isdigit((unsigned char)**s) && digits < most; digits++)
		n = n * 10 + *(*s)++ - '0';
	if (digits < least || n > highest)
		return -1;
	skip_comments(s, end);
	return n;
}

/* The place of a word of three letters in a row of them, from 1 on; 0: it is none. */
static int
next_name(const char **s, const char *end, const char *names)
{
	int i;

	for (i = 1; *names != '\0'; i++, names += 3) {
		if (end - *s >= 3 && strncasecmp(names, *s, 3) == 0) {
			*s += 3;
			skip_comments(s, end);
			return i;
		}
	}
	return 0;
}

static bool
next_is(const char **s, const char *end, char c)
{
	if (*s == end || **s != c)
		return false;
	++*s;
	skip_comments(s, end);
	return true;
}

/* "+0900", or letters (RFC 5322 4.3), as far as receivers look. */
static bool
next_zone(const char **s, const char *end)
{
	const char *begin = *s;

	if (begin < end && (*begin == '+' || *begin == '-')) {
		++*s;
		return next_number(s, end, 4, 4, 9959) >= 0 && begin[3] < '6';
	}
	while (*s < end && isalpha((unsigned char)**s))
		++*s;
	if (*s == begin || *s - begin > 5)
		return false;
	skip_comments(s, end);
	return true;
}

static bool
next_time(const char **s, const char *end)
{
	if (next_number(s, end, 1, 2, 23) < 0 || !next_is(s, end, ':') || next_number(s, end, 2, 2, 59) < 0)
		return false;
	return !next_is(s, end, ':') || next_number(s, end, 2, 2, 60) >= 0;
}

/* [day ","] day month year time zone (RFC 5322 3.3 and 4.3): a day that there is, whatever white space and comments. */
static bool
is_date(const char *s, size_t len)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec",
			  most[] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const char *end = s + len;
	long day, year;
	int month;

	skip_comments(&s, end);
	if (next_name(&s, end, days) > 0 && !next_is(&s, end, ','))
		return false;
	day = next_number(&s, end, 1, 2, 31);
	month = next_name(&s, end, months);
	year = next_number(&s, end, 2, 9, LONG_MAX);
	if (day < 1 || month == 0 || day > most[month] || year < 0 || (month == 2 && day == 29 && year % 4 != 0))
		return false;
	return next_time(&s, end) && next_zone(&s, end) && s == end;
}

/* "<left@right>" and nothing else but comments (RFC 5322 3.6.4). */
static bool
is_id(const char *s, size_t len)
{
	const char *end = s + len, *w, *at;
	size_t n, more;

	if (!next_word(&s, end, &w, &n) || n < 5 || w[0] != '<' || w[n - 1] != '>')
		return false;
	at = memchr(w, '@', n);
	return at != NULL && at > w + 1 && at < w + n - 2 && !next_word(&s, end, &w, &more);
}

/* --- authors --- */

struct gathering {
	struct fixup *f;
	const struct header_field *field;
	size_t n;
};

static void
add_author(const struct header_address *a, void *arg)
{
	struct gathering *g = arg;
	struct fixup *f = g->f;
	char *text = a->qualified ? xstrdup(a->text) : xasprintf("%s@%s", a->text, f->host);
	struct mailaddr parsed;
	const char *why;

	g->n++;
	if (f->authors_n == AUTHORS_MOST) {
		fail(f, "%.*s names over %d people", (int)g->field->name_len, g->field->name, AUTHORS_MOST);
	} else if (!mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &parsed, &why)) {
		fail(f, "%.*s has \"%.*s\", which is no address: %s", (int)g->field->name_len, g->field->name, SHOWN, text,
		    why);
	} else {
		f->authors = xreallocarray(f->authors, f->authors_n + 1, sizeof(f->authors[0]));
		f->authors[f->authors_n++] = mailaddr_format(&parsed);
		mailaddr_free(&parsed);
	}
	free(text);
}

static void
take_authors(struct fixup *f, const struct header_field *field, size_t row)
{
	struct gathering g = { f, field, 0 };
	const char *why;
	size_t at;

	if (!header_addresses(field->value, field->value_len, add_author, &g, &why, &at))
		fail(f, "%.*s cannot be read: %s", (int)field->name_len, field->name, why);
	else if (g.n == 0)
		fail(f, "%.*s names nobody (RFC 5322 3.6.2)", (int)field->name_len, field->name);
	if (row == ROW_FROM)
		f->from = g.n;
}

/* --- the header --- */

static size_t
row_of(const struct header_field *field)
{
	size_t i;

	for (i = 0; i < FIELDS && !header_field_is(field, fields[i].name); i++)
		;
	return i;
}

/* Lines of a field; each has its own limit. */
static void
check_lines(struct fixup *f, const char *s, size_t len)
{
	const char *end = s + len, *lf;

	for (; s < end; s = lf + 1) {
		lf = memchr(s, '\n', (size_t)(end - s));
		if (lf == NULL)
			break;
		f->line++;
		if (lf - s > LINE_MOST + 1)
			fail(f, "line %llu, in the header, is longer than %d octets (RFC 5322 2.1.1)",
			    (unsigned long long)f->line, LINE_MOST);
	}
}

static void
take_field(struct fixup *f, const struct header_field *field, size_t used, struct buf *out)
{
	size_t row = row_of(field);
	unsigned flags = row < FIELDS ? fields[row].flags : 0;

	check_lines(f, field->name, used);
	if ((flags & ONCE) && (f->seen & (1u << row)))
		fail(f, "%s is there twice; receivers refuse that (RFC 5322 3.6)", fields[row].name);
	if ((flags & DROPPED) || ((flags & DATE) && !is_date(field->value, field->value_len)) ||
	    ((flags & ID) && !is_id(field->value, field->value_len)))
		return; /* a Date or Message-ID that is none is added anew (RFC 6409 8.2, 8.3) */
	if (row < FIELDS)
		f->seen |= 1u << row;
	if (flags & AUTHOR)
		take_authors(f, field, row);
	if ((flags & ADDRESSES) && rewrite_field_wanted(field)) {
		rewrite_add_field(out, field, f->host, f->o.rewrite);
	} else if (flags & ADDRESSES) {
		header_add_qualified(out, field, f->host);
	} else {
		buf_add(out, field->name, used);
		if (field->name[used - 1] != '\n') /* the last octets of a chunk (BDAT) need not end a line */
			buf_adds(out, "\r\n");
	}
}

static void
add_missing(struct fixup *f, struct buf *out)
{
	if (!(f->seen & (1u << ROW_FROM)))
		fail(f, "there is no From field; receivers refuse that (RFC 5322 3.6)");
	if (f->from > 1 && !(f->seen & (1u << ROW_SENDER)) && *f->sender != '\0') /* RFC 5322 3.6.2 */
		buf_addf(out, "Sender: %s\r\n", f->sender);
	if (!(f->seen & (1u << ROW_DATE))) {
		buf_adds(out, "Date: ");
		header_add_date(out, f->o.now);
		buf_adds(out, "\r\n");
	}
	if (!(f->seen & (1u << ROW_ID)))
		buf_addf(out, "Message-ID: <%s@%s>\r\n", id_text(f->o.id).s, f->host);
}

/* LEN octets of what was gathered are the header, without the empty line. */
static void
finish_header(struct fixup *f, size_t len, struct evbuffer *text)
{
	struct buf out = { 0 };
	struct header_field field;
	size_t pos = 0, used;

	buf_add(&f->header, "", 0);
	while (pos < len && (used = header_field_read(f->header.data + pos, len - pos, &field)) > 0) {
		take_field(f, &field, used, &out);
		pos += used;
	}
	if (pos < len)
		fail(f, "line %llu is no header field: \"%.*s\"", (unsigned long long)f->line + 1,
		    (int)strcspn(f->header.data + pos, "\r\n") < SHOWN ? (int)strcspn(f->header.data + pos, "\r\n") : SHOWN,
		    f->header.data + pos);
	add_missing(f, &out);
	if (f->fault == NULL)
		evbuffer_add(text, out.data, out.len);
	buf_free(&out);
	f->in_body = true;
}

/* Where the empty line begins that ends the header; SIZE_MAX: not yet.  FROM: octets that were looked at before. */
static size_t
find_end(const struct buf *header, size_t from)
{
	const char *found;

	if (header->len >= 2 && memcmp(header->data, "\r\n", 2) == 0)
		return 0;
	from = from > 3 ? from - 3 : 0;
	if (header->len - from < 4)
		return SIZE_MAX;
	found = memmem(header->data + from, header->len - from, "\r\n\r\n", 4);
	return found == NULL ? SIZE_MAX : (size_t)(found - header->data) + 2;
}

/* --- the body --- */

static void
look_at_body(struct fixup *f, const char *s, size_t len)
{
	const char *lf;
	size_t n;

	for (; len > 0 && !f->o.binary; s += n, len -= n) {
		lf = memchr(s, '\n', len);
		n = lf != NULL ? (size_t)(lf - s) + 1 : len;
		f->column += n;
		if (f->column > LINE_MOST + 2)
			fail(f, "line %llu is longer than %d octets (RFC 5322 2.1.1); such text is sent as quoted-printable "
			    "or base64", (unsigned long long)f->line + 1, LINE_MOST);
		if (lf != NULL) {
			f->line++;
			f->column = 0;
		}
	}
}

/* --- the whole --- */

struct fixup *
fixup_new(const struct fixup_options *o)
{
	struct fixup *f = xcalloc(1, sizeof(*f));

	f->o = *o;
	f->host = xstrdup(o->host);
	f->sender = xstrdup(o->sender);
	return f;
}

void
fixup_free(struct fixup *f)
{
	size_t i;

	if (f == NULL)
		return;
	for (i = 0; i < f->authors_n; i++)
		free(f->authors[i]);
	free(f->authors);
	free(f->fault);
	free(f->host);
	free(f->sender);
	buf_free(&f->header);
	free(f);
}

/* The header is whole: it goes out, and what of the body was gathered with it. */
static void
leave_header(struct fixup *f, size_t end, struct evbuffer *text)
{
	finish_header(f, end, text);
	look_at_body(f, f->header.data + end, f->header.len - end);
	if (f->fault == NULL)
		evbuffer_add(text, f->header.data + end, f->header.len - end);
	buf_free(&f->header);
}

static void
gather(struct fixup *f, struct evbuffer *text)
{
	size_t before = f->header.len, len = evbuffer_get_length(text), end;
	char *room = buf_reserve(&f->header, len);

	evbuffer_remove(text, room, len);
	f->header.len += len;
	f->header.data[f->header.len] = '\0';
	end = find_end(&f->header, before);
	if (end != SIZE_MAX)
		leave_header(f, end, text);
	else if (f->header.len > HEADER_MOST)
		fail(f, "the header is longer than %d octets", HEADER_MOST);
}

void
fixup_text(struct fixup *f, struct evbuffer *text)
{
	struct evbuffer_iovec *pieces;
	int i, n;

	if (f->fault == NULL && !f->in_body) {
		if (evbuffer_get_length(text) > 0)
			gather(f, text);
	} else if (f->fault == NULL) {
		n = evbuffer_peek(text, -1, NULL, NULL, 0);
		pieces = xcalloc((size_t)n + 1, sizeof(*pieces));
		n = evbuffer_peek(text, -1, NULL, pieces, n);
		for (i = 0; i < n; i++)
			look_at_body(f, pieces[i].iov_base, pieces[i].iov_len);
		free(pieces);
	}
	if (f->fault != NULL)
		evbuffer_drain(text, evbuffer_get_length(text));
}

const char *
fixup_end(struct fixup *f, struct evbuffer *text)
{
	fixup_text(f, text);
	if (!f->in_body && f->fault == NULL)
		leave_header(f, f->header.len, text);
	if (f->fault != NULL)
		evbuffer_drain(text, evbuffer_get_length(text));
	return f->fault;
}

size_t
fixup_authors(const struct fixup *f, const char *const **addresses)
{
	*addresses = (const char *const *)f->authors;
	return f->authors_n;
}
