/*
 * Fuzz target: a message made fit for a server of 7 bits.  What comes out is fit: no octet above 127, no NUL, no CR or LF
 * alone, no line over 998 octets; so made fit once more it stays what it is.
 */
#include <string.h>

#include "deliver/downgrade.h"
#include "regress/fuzz/target.h"

static bool
convert(const char *s, size_t len, struct buf *out)
{
	struct downgrade plan = { .n = 0 };
	bool good = downgrade_plan(&plan, s, len) == NULL;

	while (good && downgrade_next(&plan, out))
		;
	downgrade_free(&plan);
	return good;
}

static void
require_fit(const struct buf *b)
{
	size_t i, line = 0;

	for (i = 0; i < b->len; i++) {
		require((b->data[i] & 0x80) == 0 && b->data[i] != '\0');
		if (b->data[i] == '\n')
			require(i > 0 && b->data[i - 1] == '\r');
		if (b->data[i] == '\r')
			require(i + 1 < b->len && b->data[i + 1] == '\n' && i - line <= 998);
		if (b->data[i] == '\n')
			line = i + 1;
	}
	require(b->len - line <= 998);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = data != NULL ? (const char *)data : "";
	struct buf once = { 0 }, twice = { 0 };

	(void)downgrade_has_utf8_header(s, size);
	if (convert(s, size, &once)) {
		require_fit(&once);
		require(convert(buf_str(&once), once.len, &twice));
		require(once.len == twice.len && memcmp(buf_str(&once), buf_str(&twice), once.len) == 0);
	}
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
