/*
 * Control requests and their ends as octets (ctl_wire.h).
 *
 * smtpctl, the control role and every role that answers (ctl.c) share it.  The decoders take all of
 * a message or nothing, keep no memory, and never read past what the cursor was made for.  What
 * must never happen: that a word read here holds a NUL, because roles compare and print words as C
 * strings (cursor_str sees to it).
 */
#include <string.h>

#include "lib/buf.h"
#include "lib/ctl_wire.h"
#include "lib/cursor.h"

#define STATUS_MOST 2

void
ctl_words_write(struct buf *b, unsigned n, const char *const *words)
{
	unsigned i;

	buf_add_u32(b, n);
	for (i = 0; i < n; i++)
		buf_add_str(b, words[i]);
}

unsigned
ctl_words_read(struct cursor *c, const char **words, unsigned most)
{
	uint32_t n = cursor_u32(c), i;

	if (n == 0 || n > most)
		c->bad = true;
	for (i = 0; i < n && !c->bad; i++)
		words[i] = cursor_str(c);
	return c->bad ? 0 : n;
}

const char *
ctl_word_value(unsigned n, const char *const *words, const char *key)
{
	size_t len = strlen(key);
	unsigned i;

	for (i = 1; i < n; i++)
		if (strncmp(words[i], key, len) == 0 && words[i][len] == '=')
			return words[i] + len + 1;
	return NULL;
}

void
ctl_end_write(struct buf *b, int status, const char *why)
{
	buf_add_u8(b, (uint8_t)status);
	buf_add_str(b, why);
}

bool
ctl_end_read(struct cursor *c, int *status, const char **why)
{
	*status = cursor_u8(c);
	*why = cursor_str(c);
	if (*status > STATUS_MOST)
		c->bad = true;
	return cursor_done(c);
}
