/*
 * The conversion of a message for a mailbox (mailtext.h).
 *
 * The local delivery process runs every message through it, once for content that is in memory,
 * once for each mailbox for content in a file.  Nothing fails.  The header is looked at line by
 * line until the first empty line, or the first line that cannot be of a header; the body is copied
 * in runs between line ends.  A line of the header that is longer than any header has a right to be
 * ends the looking, never the copying: no octet but the CR of a CRLF and the dropped fields is ever
 * lost.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/mailtext.h"
#include "lib/mem.h"

#define LINE_MAX_LEN (64 * 1024)

/* --- the body --- */

static void
add_body(struct mailtext *text, const char *s, size_t len, struct buf *out)
{
	const char *end = s + len, *cr;

	if (text->binary) {
		buf_add(out, s, len);
		return;
	}
	if (text->pending_cr && len > 0) {
		text->pending_cr = false;
		if (*s != '\n')
			buf_addc(out, '\r');
	}
	while (s < end && (cr = memchr(s, '\r', (size_t)(end - s))) != NULL) {
		buf_add(out, s, (size_t)(cr - s));
		s = cr + 1;
		if (s == end)
			text->pending_cr = true;
		else if (*s != '\n')
			buf_addc(out, '\r');
	}
	if (s < end)
		buf_add(out, s, (size_t)(end - s));
}

/* --- the header --- */

/* The octets of the field's name when LINE begins one, up to the colon and white space before it;
 * else 0. */
static size_t
field_name(const char *line, size_t len, size_t *value)
{
	size_t i = 0, name;

	while (i < len && line[i] > ' ' && line[i] < 0x7f && line[i] != ':')
		i++;
	name = i;
	while (i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	*value = i + 1;
	return i < len && line[i] == ':' ? name : 0;
}

static bool
is_named(const char *line, size_t name, const char *field)
{
	return strlen(field) == name && strncasecmp(line, field, name) == 0;
}

static void
remember_delivered(struct mailtext *text, const char *s, size_t len)
{
	while (len > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		len--;
	}
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	if (text->delivered_n < MAILTEXT_DELIVERED_MAX)
		text->delivered[text->delivered_n++] = xstrndup(s, len);
}

/* One whole line, without its line end.  False when the header is over before it. */
static bool
look_at_line(struct mailtext *text, const char *line, size_t len)
{
	size_t value, name;

	if (len > 0 && (line[0] == ' ' || line[0] == '\t'))
		return true;
	text->dropping = false;
	name = field_name(line, len, &value);
	if (name == 0)
		return false;
	text->dropping = is_named(line, name, "Return-Path");
	if (is_named(line, name, "Delivered-To"))
		remember_delivered(text, line + value, len - value);
	return true;
}

/* LINE ends in LF, or is the last of the input. */
static void
header_line(struct mailtext *text, const char *line, size_t len, struct buf *out)
{
	size_t bare = len;

	if (bare > 0 && line[bare - 1] == '\n')
		bare--;
	if (bare > 0 && bare < len && line[bare - 1] == '\r')
		bare--;
	if (!look_at_line(text, line, bare))
		text->in_body = true;
	if (text->in_body && bare > 0)
		add_body(text, line, len, out);
	else if (!text->dropping) {
		buf_add(out, line, bare);
		buf_addc(out, '\n');
	}
}

/* Uses up whole lines at the start of the piece, and keeps the rest of it; returns the octets used.
 */
static size_t
feed_header(struct mailtext *text, const char *s, size_t len, struct buf *out)
{
	const char *lf = memchr(s, '\n', len);
	size_t used = lf != NULL ? (size_t)(lf - s) + 1 : len;

	if (lf != NULL && text->line.len == 0) {
		header_line(text, s, used, out);
		return used;
	}
	buf_add(&text->line, s, used);
	if (lf == NULL && text->line.len <= LINE_MAX_LEN)
		return used;
	if (lf == NULL) {
		text->in_body = true;
		add_body(text, text->line.data, text->line.len, out);
	} else {
		header_line(text, text->line.data, text->line.len, out);
	}
	buf_clear(&text->line);
	return used;
}

void
mailtext_feed(struct mailtext *text, const char *s, size_t len, struct buf *out)
{
	size_t used;

	while (len > 0 && !text->in_body) {
		used = feed_header(text, s, len, out);
		s += used;
		len -= used;
	}
	if (len > 0)
		add_body(text, s, len, out);
}

void
mailtext_end(struct mailtext *text, struct buf *out)
{
	if (text->line.len > 0)
		header_line(text, text->line.data, text->line.len, out);
	if (text->pending_cr)
		buf_addc(out, '\r');
	text->pending_cr = false;
	buf_free(&text->line);
}

bool
mailtext_delivered_to(const struct mailtext *text, const char *address)
{
	size_t i;

	for (i = 0; i < text->delivered_n; i++) {
		if (strcasecmp(text->delivered[i], address) == 0)
			return true;
	}
	return false;
}

void
mailtext_free(struct mailtext *text)
{
	size_t i;

	for (i = 0; i < text->delivered_n; i++)
		free(text->delivered[i]);
	text->delivered_n = 0;
	buf_free(&text->line);
}
