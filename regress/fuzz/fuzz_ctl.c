/*
 * Fuzz target: the control socket's decoders, as any local user can reach them.  What decodes comes back the same, and
 * nothing points outside of the message.
 */
#include <string.h>

#include "lib/buf.h"
#include "lib/content.h"
#include "lib/ctl_wire.h"
#include "lib/cursor.h"
#include "regress/fuzz/target.h"

static void
check_words(const uint8_t *data, size_t size)
{
	static const char *words[CTL_SUBMIT_WORDS_MAX];
	struct cursor c = cursor_init(data, size);
	unsigned n = ctl_words_read(&c, words, CTL_SUBMIT_WORDS_MAX), i;
	struct buf again = { 0 };

	require((n == 0) == c.bad);
	if (n == 0)
		return;
	for (i = 0; i < n; i++) {
		require((const uint8_t *)words[i] >= data && (const uint8_t *)words[i] + strlen(words[i]) < c.pos);
		(void)ctl_word_value(n, words, words[i]);
	}
	ctl_words_write(&again, n, words);
	require(again.len == (size_t)(c.pos - data) && memcmp(again.data, data, again.len) == 0);
	buf_free(&again);
}

static void
check_end(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct buf again = { 0 };
	const char *why;
	int status;

	if (!ctl_end_read(&c, &status, &why))
		return;
	require(status >= 0 && status <= 2);
	ctl_end_write(&again, status, why);
	require(again.len == size && memcmp(again.data, data, size) == 0);
	buf_free(&again);
}

/* In one piece or in two, the findings are the same. */
static void
check_content(const uint8_t *data, size_t size)
{
	struct content whole = { 0 }, pieces = { 0 };
	size_t cut = size > 0 ? data[0] % (size + 1) : 0;

	content_look(&whole, data, size);
	content_look(&pieces, data, cut);
	content_look(&pieces, data + cut, size - cut);
	require(content_end(&whole) == content_end(&pieces));
	require(whole.defects == pieces.defects && whole.received == pieces.received && whole.size == pieces.size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_words(data, size);
	check_end(data, size);
	check_content(data, size);
	return 0;
}
