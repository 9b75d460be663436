/*
 * The reader of message content (content.h): one pass over the octets, in pieces of any length.
 *
 * BDAT looks with it at its chunks, and the control role at what a local program hands in, because
 * either may be anybody's and the next server must not be made to see two messages where we saw one.
 * It changes nothing and keeps nothing but counts.
 */
#include "lib/content.h"

static const char received[] = "received:";
#define RECEIVED_LEN (sizeof(received) - 1)

/* One octet of a header line: is it the next one of "Received:", from the line's start on? */
static void
match_received(struct content *c, uint8_t octet)
{
	uint8_t folded = octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet;

	if (c->column != c->matched || c->matched == RECEIVED_LEN ||
	    folded != (uint8_t)received[c->matched])
		return;
	if (++c->matched == RECEIVED_LEN)
		c->received++;
}

static void
end_line(struct content *c)
{
	if (c->column == 0 && !c->in_body) {
		c->in_body = true;
		c->header_defects = c->defects;
	}
	c->column = 0;
	c->matched = 0;
}

static void
look_at(struct content *c, uint8_t octet)
{
	if (octet == '\n') {
		if (!c->after_cr)
			c->defects |= CONTENT_BARE_LF;
		c->after_cr = false;
		end_line(c);
		return;
	}
	if (c->after_cr) {
		c->defects |= CONTENT_BARE_CR;
		c->column++;
	}
	c->after_cr = octet == '\r';
	if (c->after_cr)
		return;
	if (octet == '\0')
		c->defects |= CONTENT_NUL;
	if (octet & 0x80)
		c->eight_bit = true;
	if (!c->in_body)
		match_received(c, octet);
	c->column++;
}

void
content_look(struct content *c, const void *p, size_t len)
{
	const uint8_t *s = p;
	size_t i;

	for (i = 0; i < len; i++)
		look_at(c, s[i]);
	c->size += len;
}

bool
content_end(struct content *c)
{
	if (c->after_cr) {
		c->defects |= CONTENT_BARE_CR;
		c->after_cr = false;
		c->column++;
	}
	return c->column == 0;
}

uint8_t
content_binary_defects(const struct content *c)
{
	return c->in_body ? c->header_defects : c->defects;
}
