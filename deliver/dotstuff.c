/*
 * Dot-stuffing, and the last look at line ends before they leave the house.
 *
 * The SMTP client runs all content through it.  The door lets in no line end but CRLF, so a CR or
 * LF alone here means a damaged queue or a mistake of ours; sent on, it could end the data early
 * for a server that takes it for a line end, and what follows would be read as commands.  So it is
 * refused wherever it came from, at the cost of two memchr for each line.
 */
#include <stdint.h>
#include <string.h>

#include <event2/buffer.h>

#include "deliver/dotstuff.h"

/* The octets of S up to and with its first CRLF, or LEN when there is none; SIZE_MAX when a CR or
 * LF stands alone. */
static size_t
line_len(const struct dotstuff *state, const char *s, size_t len)
{
	const char *lf = memchr(s, '\n', len), *cr;
	size_t n = lf != NULL ? (size_t)(lf - s) + 1 : len;

	if (state->cr && *s != '\n')
		return SIZE_MAX;
	cr = memchr(s, '\r', n);
	if (lf == NULL) /* a CR may be the last octet: its LF is still to come */
		return cr != NULL && cr + 1 != s + len ? SIZE_MAX : n;
	if (cr == NULL)
		return state->cr && lf == s ? n : SIZE_MAX;
	return cr + 1 == lf ? n : SIZE_MAX;
}

bool
dotstuff_feed(struct dotstuff *state, const char *s, size_t len, struct evbuffer *out)
{
	const char *sent = s, *end = s + len;
	size_t n;

	while (s < end) {
		n = line_len(state, s, (size_t)(end - s));
		if (n == SIZE_MAX)
			return false;
		if (!state->in_line && *s == '.' && out != NULL) {
			/* up to and with the dot; the next run begins with it again */
			evbuffer_add(out, sent, (size_t)(s - sent) + 1);
			sent = s;
		}
		s += n;
		state->in_line = s[-1] != '\n';
		state->cr = s[-1] == '\r';
	}
	if (out != NULL && sent < end)
		evbuffer_add(out, sent, (size_t)(end - sent));
	return true;
}

bool
dotstuff_end(struct dotstuff *state, struct evbuffer *out)
{
	if (state->cr)
		return false;
	if (out != NULL && state->in_line)
		evbuffer_add(out, "\r\n", 2);
	if (out != NULL)
		evbuffer_add(out, ".\r\n", 3);
	return true;
}

bool
dotstuff_has_8bit(const char *s, size_t len)
{
	uint64_t word, all = 0;

	for (; len >= sizeof(word); s += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, s, sizeof(word));
		all |= word;
	}
	for (; len > 0; s++, len--)
		all |= (uint8_t)*s;
	return (all & 0x8080808080808080u) != 0;
}
