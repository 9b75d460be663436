/* Base 64 both ways (base64.h).  Pure; nothing can fail but the text. */
#include <stdint.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
value_of(char c)
{
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at == NULL ? -1 : (int)(at - alphabet);
}

/* Four letters, the last PADDING of them "=", as one number; -1: they are none. */
static int32_t
read_group(const char *s, size_t padding)
{
	int32_t bits = 0;
	size_t i;
	int v;

	for (i = 0; i < 4; i++) {
		v = i < 4 - padding ? value_of(s[i]) : 0;
		if (v < 0)
			return -1;
		bits = bits << 6 | v;
	}
	return bits & ((1 << (8 * padding)) - 1) ? -1 : bits;
}

bool
base64_decode(struct buf *out, const char *s, size_t len)
{
	size_t begin = out->len, padding, i, k;
	int32_t bits;

	if (len % 4 != 0)
		return false;
	buf_reserve(out, len / 4 * 3); /* at once: what moves leaves a copy behind, and this may be a password */
	for (i = 0; i < len; i += 4) {
		padding = i + 4 < len || s[i + 3] != '=' ? 0 : s[i + 2] == '=' ? 2 : 1;
		bits = read_group(s + i, padding);
		if (bits < 0) {
			out->len = begin;
			return false;
		}
		for (k = 0; k < 3 - padding; k++)
			buf_addc(out, (char)(bits >> (16 - 8 * k) & 0xff));
	}
	return true;
}

void
base64_encode(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t bits;
	size_t i, n, k;

	for (i = 0; i < len; i += 3) {
		n = len - i < 3 ? len - i : 3;
		bits = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
		for (k = 0; k < 4; k++)
			buf_addc(out, k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=');
	}
}
