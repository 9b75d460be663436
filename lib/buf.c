/*
 * A growing byte string, and the writer's half of the encoding that lib/cursor.c reads.
 *
 * Everybody who puts text or a record together uses it.  Nothing here fails towards the caller: no
 * memory, a length that overflows size_t, and a counted string that does not fit its 32-bit count
 * are broken invariants of this process and fatal.  The NUL behind LEN is there from the first byte
 * added until buf_free(); the source of an addition must not lie inside the same buffer, because
 * growing moves it.
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/fatal.h"
#include "lib/mem.h"

#define BUF_MIN 64

/* Makes room for N bytes and the NUL behind them. */
static void
grow(struct buf *b, size_t n)
{
	size_t need, cap;

	if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, 1, &need))
		fatal("buffer of %zu octets cannot grow by %zu", b->len, n);
	if (need <= b->cap)
		return;
	if (__builtin_mul_overflow(b->cap, 2, &cap) || cap < need)
		cap = need;
	if (cap < BUF_MIN)
		cap = BUF_MIN;
	b->data = xreallocarray(b->data, cap, 1);
	b->cap = cap;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	grow(b, n);
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addc(struct buf *b, char c)
{
	grow(b, 1);
	b->data[b->len++] = c;
	b->data[b->len] = '\0';
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(b, fmt, ap);
	va_end(ap);
}

/* Nearly always what is added fits into what is there. */
void
buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	grow(b, 0);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	if (n < 0)
		fatal("cannot format \"%s\"", fmt);
	if ((size_t)n >= b->cap - b->len) {
		grow(b, (size_t)n);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	b->len += (size_t)n;
}

void
buf_addu(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	buf_add(b, digits + at, sizeof(digits) - at);
}

char *
buf_reserve(struct buf *b, size_t n)
{
	grow(b, n);
	/* However much of the room the caller counts as used, a NUL is behind it. */
	memset(b->data + b->len, 0, n + 1);
	return b->data + b->len;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_free(b);
}

char *
buf_take(struct buf *b)
{
	char *s;

	s = b->data != NULL ? b->data : xstrdup("");
	*b = (struct buf){ 0 };
	return s;
}

const char *
buf_str(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}

void
buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, sizeof(v));
}

void
buf_add_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_add(b, &v, sizeof(v));
}

void
buf_add_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof(v));
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, sizeof(v));
}

void
buf_add_str(struct buf *b, const char *s)
{
	if (s == NULL)
		s = "";
	buf_add_blob(b, s, strlen(s));
	buf_add_u8(b, 0);
}

void
buf_add_blob(struct buf *b, const void *p, size_t n)
{
	if (n > UINT32_MAX)
		fatal("counted string of %zu octets", n);
	buf_add_u32(b, (uint32_t)n);
	buf_add(b, p, n);
}
