/*
 * The bounds-checked reader of what buf_add_*() wrote.
 *
 * Decoders of messages between roles, of journal records and of database values read through it, so
 * its bytes come from other processes and from disk and may be anything.  One function, take(),
 * moves the position; it is the only place that can read past the end, and it does not.  A step
 * that does not fit makes the cursor bad, which no later step undoes.  Nothing is copied but
 * integers and nothing is allocated.
 */
#include <endian.h>
#include <string.h>

#include "lib/cursor.h"

/* The next N bytes, or NULL and a bad cursor. */
static const uint8_t *
take(struct cursor *c, size_t n)
{
	const uint8_t *p;

	if (c->bad || n > (size_t)(c->end - c->pos)) {
		c->bad = true;
		return NULL;
	}
	p = c->pos;
	c->pos += n;
	return p;
}

/* Fills a zeroed integer of N bytes, which then stays zero if they are not there. */
static void
take_int(struct cursor *c, void *v, size_t n)
{
	const uint8_t *p;

	p = take(c, n);
	if (p != NULL)
		memcpy(v, p, n);
}

struct cursor
cursor_init(const void *data, size_t len)
{
	static const uint8_t nothing[1];
	struct cursor c = { .pos = data, .bad = false };

	/* An empty buffer has no address, and a NULL must not be counted from. */
	if (data == NULL) {
		c.pos = nothing;
		len = 0;
	}
	c.end = c.pos + len;
	return c;
}

uint8_t
cursor_u8(struct cursor *c)
{
	uint8_t v = 0;

	take_int(c, &v, sizeof(v));
	return v;
}

bool
cursor_bool(struct cursor *c)
{
	uint8_t v = cursor_u8(c);

	if (v > 1)
		c->bad = true;
	return v == 1;
}

uint16_t
cursor_u16(struct cursor *c)
{
	uint16_t v = 0;

	take_int(c, &v, sizeof(v));
	return le16toh(v);
}

uint32_t
cursor_u32(struct cursor *c)
{
	uint32_t v = 0;

	take_int(c, &v, sizeof(v));
	return le32toh(v);
}

uint64_t
cursor_u64(struct cursor *c)
{
	uint64_t v = 0;

	take_int(c, &v, sizeof(v));
	return le64toh(v);
}

int64_t
cursor_time(struct cursor *c)
{
	uint64_t t = cursor_u64(c);

	if (t > UINT64_C(1) << 40)
		c->bad = true;
	return c->bad ? 0 : (int64_t)t;
}

const char *
cursor_str(struct cursor *c)
{
	const uint8_t *s, *nul;
	size_t len;

	len = cursor_u32(c);
	s = take(c, len);
	/* The NUL is taken by itself: len + 1 could overflow where size_t has 32 bits. */
	nul = take(c, 1);
	if (s == NULL || nul == NULL)
		return "";
	if (*nul != '\0' || memchr(s, '\0', len) != NULL) {
		c->bad = true;
		return "";
	}
	return (const char *)s;
}

const void *
cursor_blob(struct cursor *c, size_t *len)
{
	const uint8_t *p;
	size_t n;

	n = cursor_u32(c);
	p = take(c, n);
	*len = p != NULL ? n : 0;
	return p;
}

const void *
cursor_bytes(struct cursor *c, size_t len)
{
	return take(c, len);
}

bool
cursor_done(const struct cursor *c)
{
	return !c->bad && c->pos == c->end;
}
