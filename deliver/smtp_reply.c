/*
 * The reply parser (smtp_reply.h).
 *
 * The SMTP client feeds it what it reads; the other side may be anything, so lengths are limited
 * here and controls go no further.  A line that is too long is cut: its code is what counts, and a
 * "250" that was not understood would send the message again and again.  Lines may end in LF alone, which real servers do and which a
 * reply cannot be forged with: it has no content of others in it that the server did not choose.
 * What is not tolerated is a reply whose lines disagree about the code: a client that believed one
 * of them would sometimes believe the wrong one.
 */
#include <string.h>

#include "deliver/smtp_reply.h"

/* An enhanced status code (RFC 3463) at the start of S: its octets, or 0. */
static size_t
enhanced_len(const char *s)
{
	size_t i = 2, digits, part;

	if ((s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.')
		return 0;
	for (part = 0; part < 2; part++) {
		digits = strspn(s + i, "0123456789");
		if (digits == 0 || digits > 3)
			return 0;
		i += digits;
		if (part == 0 && s[i++] != '.')
			return 0;
	}
	return s[i] == ' ' || s[i] == '\0' || s[i] == '\n' ? i : 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A whole line without its end. */
static enum smtp_reply_status
take_line(struct smtp_reply *reply, const char *line, size_t len)
{
	unsigned code;
	size_t i;

	if (len < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2]))
		return SMTP_REPLY_BAD;
	if (len > 3 && line[3] != ' ' && line[3] != '-')
		return SMTP_REPLY_BAD;
	code = (unsigned)(line[0] - '0') * 100 + (unsigned)(line[1] - '0') * 10 +
	       (unsigned)(line[2] - '0');
	if (reply->code != 0 && reply->code != code)
		return SMTP_REPLY_BAD;
	reply->code = code;
	for (i = 4; i < len; i++)
		buf_addc(
		    &reply->lines, (unsigned char)line[i] < ' ' || line[i] == 0x7f ? ' ' : line[i]);
	buf_addc(&reply->lines, '\n');
	return len > 3 && line[3] == '-' ? SMTP_REPLY_MORE : SMTP_REPLY_DONE;
}

/* REPLY->LINE is whole but for its LF. */
static enum smtp_reply_status
end_line(struct smtp_reply *reply)
{
	enum smtp_reply_status status;
	size_t len = reply->line.len;

	if (len > 0 && reply->line.data[len - 1] == '\r')
		len--;
	status = take_line(reply, buf_str(&reply->line), len);
	buf_clear(&reply->line);
	return status;
}

enum smtp_reply_status
smtp_reply_feed(struct smtp_reply *reply, const char *s, size_t len, size_t *used)
{
	enum smtp_reply_status status = SMTP_REPLY_MORE;
	const char *lf;
	size_t n, room;

	*used = 0;
	while (status == SMTP_REPLY_MORE && *used < len) {
		lf = memchr(s + *used, '\n', len - *used);
		n = lf != NULL ? (size_t)(lf - s) - *used : len - *used;
		reply->octets += n + (lf != NULL);
		if (reply->octets > SMTP_REPLY_MAX)
			return SMTP_REPLY_BAD;
		room = SMTP_REPLY_LINE_MAX - reply->line.len;
		buf_add(&reply->line, s + *used, n < room ? n : room);
		*used += n;
		if (lf == NULL)
			break;
		++*used;
		status = end_line(reply);
	}
	return status;
}

void
smtp_reply_clear(struct smtp_reply *reply)
{
	reply->code = 0;
	reply->octets = 0;
	buf_clear(&reply->lines);
	buf_clear(&reply->line);
}

void
smtp_reply_free(struct smtp_reply *reply)
{
	buf_free(&reply->lines);
	buf_free(&reply->line);
	reply->code = 0;
	reply->octets = 0;
}

/* Adds a line's text, and the space in front, unless there is none. */
static void
add_text(struct buf *out, const char *s, size_t len)
{
	while (len > 0 && *s == ' ') {
		s++;
		len--;
	}
	while (len > 0 && s[len - 1] == ' ')
		len--;
	if (len == 0 || out->len >= SMTP_REPLY_TEXT_MAX)
		return;
	buf_addc(out, ' ');
	if (len > SMTP_REPLY_TEXT_MAX - out->len)
		len = SMTP_REPLY_TEXT_MAX - out->len;
	buf_add(out, s, len);
}

char *
smtp_reply_text(const struct smtp_reply *reply)
{
	const char *first = buf_str(&reply->lines), *line, *lf;
	size_t enhanced = enhanced_len(first);
	struct buf out = { 0 };

	buf_addf(&out, "%u", reply->code);
	for (line = first; (lf = strchr(line, '\n')) != NULL; line = lf + 1) {
		if (line != first && enhanced > 0 && strncmp(line, first, enhanced) == 0 &&
		    (line[enhanced] == ' ' || line[enhanced] == '\n'))
			line += enhanced;
		add_text(&out, line, (size_t)(lf - line));
	}
	return buf_take(&out);
}

bool
smtp_reply_has_enhanced(const struct smtp_reply *reply, const char *code)
{
	const char *first = buf_str(&reply->lines);
	size_t len = enhanced_len(first);

	return len > 0 && strlen(code) == len && strncmp(first, code, len) == 0;
}
