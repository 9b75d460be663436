/*
 * The message that sendmail submits (compose.h).
 *
 * Two passes: the input becomes lines that end in CRLF, then its header is walked field by field.
 * Nothing fails but an address list that recipients were to be read from: without it the mail would
 * reach fewer people than it was meant for. What must never happen is that a Bcc field goes out.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/compose.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"

#define LINE_MOST 998
#define NEAR 40 /* octets of a field that a complaint shows */

/* --- lines --- */

/* Octets up to the end of the line at S; *END gets those of the end itself: LF, CRLF, or a CR
 * alone. */
static size_t
find_line(const char *s, size_t len, size_t *end)
{
	size_t n = 0;

	while (n < len && s[n] != '\n' && s[n] != '\r')
		n++;
	*end = n == len ? 0 : s[n] == '\r' && n + 1 < len && s[n + 1] == '\n' ? 2 : 1;
	return n;
}

/* All of the input as lines, and no NUL in them.  Returns the length of what precedes the first
 * empty line. */
static size_t
add_lines(struct buf *out, const char *in, size_t len, bool dot_is_text)
{
	size_t used, end, header = SIZE_MAX, i;

	for (; len > 0; in += used + end, len -= used + end) {
		used = find_line(in, len, &end);
		if (!dot_is_text && used == 1 && in[0] == '.')
			break;
		if (used == 0 && header == SIZE_MAX)
			header = out->len;
		buf_add(out, in, used);
		buf_adds(out, "\r\n");
	}
	for (i = 0; i < out->len; i++)
		if (out->data[i] == '\0')
			out->data[i] = '?';
	return header == SIZE_MAX ? out->len : header;
}

/* Lines that are too long are cut, where no character of UTF-8 is. */
static void
add_body(struct buf *out, const char *s, size_t len)
{
	size_t line, end, n;

	for (; len > 0; s += n, len -= n) {
		line = find_line(s, len, &end);
		n = line + end;
		if (line <= LINE_MOST) {
			buf_add(out, s, n);
			continue;
		}
		for (n = LINE_MOST; n > LINE_MOST - 4 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
			;
		buf_add(out, s, n);
		buf_adds(out, "\r\n");
	}
}

/* --- fields --- */

enum field_flag {
	DROPPED = 1,
	ADDRESSES = 2,  /* get our host where they have none */
	RECIPIENTS = 4, /* are sent to, with -t */
	RESENT = 8      /* its being there makes the others of its kind no recipients */
};

enum present { HAS_FROM = 1, HAS_DATE = 2, HAS_MESSAGE_ID = 4, HAS_TO = 8 };

static const struct known_field {
	const char *name;
	unsigned flags, present;
} known_fields[] = {
	{ "From", ADDRESSES, HAS_FROM },
	{ "Sender", ADDRESSES, 0 },
	{ "Reply-To", ADDRESSES, 0 },
	{ "To", ADDRESSES | RECIPIENTS, HAS_TO },
	{ "Cc", ADDRESSES | RECIPIENTS, HAS_TO },
	{ "Bcc", DROPPED | RECIPIENTS, 0 },
	{ "Resent-From", ADDRESSES, 0 },
	{ "Resent-Sender", ADDRESSES, 0 },
	{ "Resent-To", ADDRESSES | RECIPIENTS | RESENT, 0 },
	{ "Resent-Cc", ADDRESSES | RECIPIENTS | RESENT, 0 },
	{ "Resent-Bcc", DROPPED | RECIPIENTS | RESENT, 0 },
	{ "Return-Path", DROPPED, 0 },
	{ "Content-Length", DROPPED, 0 },
	{ "Date", 0, HAS_DATE },
	{ "Message-ID", 0, HAS_MESSAGE_ID },
};

static const struct known_field *
find_known(const struct header_field *f)
{
	static const struct known_field other = { 0 };
	size_t i;

	for (i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
		if (header_field_is(f, known_fields[i].name))
			return &known_fields[i];
	return &other;
}

struct walk {
	const struct compose_options *options;
	struct composed *out;
	unsigned resent;  /* RESENT or 0: the recipients are those of such fields */
	unsigned present; /* enum present, or'ed */
};

static void
add_recipient(const struct header_address *a, void *arg)
{
	struct composed *out = arg;

	out->recipients = xreallocarray(out->recipients, out->recipients_n + 1, sizeof(char *));
	out->recipients[out->recipients_n++] = xstrdup(a->text);
}

static char *
take_recipients(struct walk *w, const struct header_field *f)
{
	const char *why;
	size_t at, near;

	if (header_addresses(f->value, f->value_len, add_recipient, w->out, &why, &at))
		return NULL;
	near = f->value_len - at < NEAR ? f->value_len - at : NEAR;
	return xasprintf("the field \"%.*s\" cannot be read: %s, near \"%.*s\"", (int)f->name_len,
	    f->name, why, (int)near, f->value + at);
}

static char *
walk_field(struct walk *w, const struct header_field *f, size_t used)
{
	const struct known_field *known = find_known(f);
	char *why = NULL;

	w->present |= known->present;
	if (w->options->from_header && (known->flags & RECIPIENTS) &&
	    (known->flags & RESENT) == w->resent)
		why = take_recipients(w, f);
	if (known->flags & DROPPED)
		return why;
	if (known->flags & ADDRESSES)
		header_add_qualified(&w->out->text, f, w->options->host);
	else
		buf_add(&w->out->text, f->name, used);
	return why;
}

/* Octets of LINES that are header fields; RESENT in *FLAGS when one of them names recipients of a
 * resent message. */
static size_t
measure_header(const char *lines, size_t len, unsigned *flags)
{
	struct header_field f;
	size_t pos = 0, used;

	*flags = 0;
	for (; (used = header_field_read(lines + pos, len - pos, &f)) > 0; pos += used)
		*flags |= find_known(&f)->flags & RESENT;
	return pos;
}

/* Who sends it: the reverse-path, or ourselves for the null one. */
static void
add_from(struct buf *text, const struct compose_options *o)
{
	char *daemon = xasprintf("MAILER-DAEMON@%s", o->host);
	const char *address = *o->sender != '\0' ? o->sender : daemon;

	buf_adds(text, "From: ");
	if (o->full_name != NULL && *o->full_name != '\0') {
		header_add_phrase(text, o->full_name);
		buf_addf(text, " <%s>\r\n", address);
	} else {
		buf_addf(text, "%s\r\n", address);
	}
	free(daemon);
}

static void
add_missing(struct walk *w)
{
	const struct compose_options *o = w->options;
	struct buf *text = &w->out->text;

	if ((w->present & HAS_FROM) == 0)
		add_from(text, o);
	if ((w->present & HAS_DATE) == 0) {
		buf_adds(text, "Date: ");
		header_add_date(text, o->now);
		buf_adds(text, "\r\n");
	}
	if ((w->present & HAS_MESSAGE_ID) == 0)
		buf_addf(text, "Message-ID: <%s@%s>\r\n", id_text(o->id).s, o->host);
	if ((w->present & HAS_TO) == 0)
		buf_adds(text, "To: undisclosed-recipients:;\r\n");
}

/* The line that mail folders put before a message. */
static size_t
from_line(const struct buf *lines)
{
	const char *end;

	if (lines->len < 5 || memcmp(lines->data, "From ", 5) != 0)
		return 0;
	end = memchr(lines->data, '\n', lines->len);
	return end == NULL ? 0 : (size_t)(end + 1 - lines->data);
}

char *
compose(const struct compose_options *options, const char *in, size_t len, struct composed *out)
{
	struct walk w = { .options = options, .out = out };
	struct buf lines = { 0 };
	struct header_field f;
	size_t pos, end, used;
	char *why = NULL;

	memset(out, 0, sizeof(*out));
	end = add_lines(&lines, in, len, options->dot_is_text);
	pos = from_line(&lines);
	if (pos > end)
		pos = end;
	if (lines.len > 0)
		end = pos + measure_header(lines.data + pos, end - pos, &w.resent);
	for (; pos < end && why == NULL; pos += used) {
		used = header_field_read(lines.data + pos, end - pos, &f);
		why = walk_field(&w, &f, used);
	}
	add_missing(&w);
	if (pos == lines.len || lines.data[pos] != '\r')
		/* what follows is body without an empty line before it */
		buf_adds(&out->text, "\r\n");
	if (lines.len > 0)
		add_body(&out->text, lines.data + pos, lines.len - pos);
	buf_free(&lines);
	if (why != NULL)
		composed_free(out);
	return why;
}

void
composed_free(struct composed *out)
{
	size_t i;

	for (i = 0; i < out->recipients_n; i++)
		free(out->recipients[i]);
	free(out->recipients);
	buf_free(&out->text);
	memset(out, 0, sizeof(*out));
}
