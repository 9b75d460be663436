/*
 * Five states, one octet at a time, but copied in runs: an ordinary octet costs one table look-up (data.h).
 */
#include <ctype.h>
#include <string.h>

#include <event2/buffer.h>

#include "smtpd/data.h"

enum { LINE_START, DOT, DOT_CR, TEXT, CR };

void
data_init(struct data_reader *r)
{
	memset(r, 0, sizeof(*r));
	r->state = LINE_START;
}

/* Looks at the header only: which lines are Received fields, and where the empty line is. */
static void
watch_header(struct data_reader *r, unsigned char c)
{
	static const char field[] = "received:";

	if (c == '\n') {
		if (r->column <= 1) /* the CR alone, or not even that from one who is tolerated */
			r->in_body = true;
		r->column = 0;
		r->matched = 0;
		return;
	}
	if (r->column == r->matched && r->matched < sizeof(field) - 1 && tolower(c) == field[r->matched] &&
	    ++r->matched == sizeof(field) - 1)
		r->received++;
	r->column++;
}

static void
ordinary(struct data_reader *r, unsigned char c)
{
	if (c == '\0')
		r->defects |= CONTENT_NUL;
	r->eight_bit |= c > 127;
}

/* One octet.  Returns how many octets of text it completes: 0, 1, or 2 for a held-back CR and this one; BARE, when there is a
 * held-back CR before it that is none of a line end. */
#define BARE 4
static unsigned
step(struct data_reader *r, unsigned char c, bool *end)
{
	unsigned bare = 0;

	switch (r->state) {
	case LINE_START:
		if (c == '.') {
			r->state = DOT;
			return 0;
		}
		r->state = TEXT;
		break;
	case DOT:
		if (c == '\r') {
			r->state = DOT_CR;
			return 0;
		}
		r->state = TEXT;
		break;
	case DOT_CR:
		if (c == '\n') {
			*end = true;
			return 0;
		}
		r->defects |= CONTENT_BARE_CR;
		r->state = TEXT;
		bare = BARE;
		break;
	case CR:
		if (c == '\n') {
			r->state = LINE_START;
			return 2;
		}
		r->defects |= CONTENT_BARE_CR;
		r->state = TEXT;
		bare = BARE;
		break;
	default:
		break;
	}
	/* in the middle of a line */
	if (c == '\r') {
		r->state = CR;
		return bare;
	}
	if (c == '\n')
		r->defects |= CONTENT_BARE_LF;
	ordinary(r, c);
	return bare | 1;
}

/* Octets from IN that are neither CR, LF nor NUL. */
static size_t
plain_run(struct data_reader *r, const char *in, size_t len)
{
	const unsigned char *p = (const unsigned char *)in, *end = p + len;
	unsigned char high = 0;

	for (; p < end && *p != '\r' && *p != '\n' && *p != '\0'; p++)
		high |= *p;
	r->eight_bit |= high > 127;
	return (size_t)(p - (const unsigned char *)in);
}

static void
emit(struct data_reader *r, struct evbuffer *out, const char *text, size_t len)
{
	size_t i;

	r->size += len;
	for (i = 0; i < len && !r->in_body; i++)
		watch_header(r, (unsigned char)text[i]);
	if (out != NULL && (r->defects & ~r->tolerated) == 0)
		evbuffer_add(out, text, len);
}

bool
data_read(struct data_reader *r, const char *in, size_t len, struct evbuffer *out, size_t *used)
{
	size_t i = 0, run;
	unsigned n;
	bool end = false;

	while (i < len && !end) {
		if (r->state == TEXT && (run = plain_run(r, in + i, len - i)) > 0) {
			/* with the CRLF behind it in one piece where both are here */
			if (len - i >= run + 2 && in[i + run] == '\r' && in[i + run + 1] == '\n') {
				run += 2;
				r->state = LINE_START;
			}
			emit(r, out, in + i, run);
			i += run;
			continue;
		}
		n = step(r, (unsigned char)in[i++], &end);
		if (n & BARE)
			emit(r, out, "\r", 1);
		n &= ~(unsigned)BARE;
		if (n == 2)
			emit(r, out, "\r\n", 2);
		else if (n == 1)
			emit(r, out, in + i - 1, 1);
	}
	*used = i;
	return end;
}
