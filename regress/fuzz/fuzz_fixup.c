/*
 * Fuzz target: what submission does to a message.  The same comes out however it is split; no Bcc is in what comes out, and
 * what came out is fit: it goes through once more and nothing is changed, if its lines end as those of mail do.
 */
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "lib/buf.h"
#include "lib/rfc5322.h"
#include "regress/fuzz/target.h"
#include "smtpd/fixup.h"

/* False: it is refused. */
static bool
fix(struct buf *out, const void *text, size_t len, size_t piece)
{
	struct fixup *f = fixup_new(&(struct fixup_options){ .host = "mx.example.org", .sender = "a@b.example", .id = 1 });
	struct evbuffer *b = evbuffer_new(), *all = evbuffer_new();
	const char *const *authors, *fault;
	size_t at, n;

	for (at = 0; at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		evbuffer_add(b, (const char *)text + at, n);
		fixup_text(f, b);
		evbuffer_add_buffer(all, b);
	}
	fault = fixup_end(f, b);
	evbuffer_add_buffer(all, b);
	require(fault != NULL || fixup_authors(f, &authors) > 0);
	n = evbuffer_get_length(all);
	buf_add(out, n > 0 ? (const void *)evbuffer_pullup(all, -1) : "", n);
	evbuffer_free(b);
	evbuffer_free(all);
	fixup_free(f);
	return fault == NULL;
}

/* No bare CR or LF, and CRLF at the end. */
static bool
has_lines(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n')) || (s[i] == '\n' && (i == 0 || s[i - 1] != '\r')))
			return false;
	return len > 1 && s[len - 1] == '\n';
}

static void
require_no_bcc(const struct buf *text)
{
	struct header_field f;
	size_t pos = 0, used;

	for (; (used = header_field_read(text->data + pos, text->len - pos, &f)) > 0; pos += used)
		require(!header_field_is(&f, "Bcc") && !header_field_is(&f, "Resent-Bcc"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf whole = { 0 }, split = { 0 }, again = { 0 };
	bool good = fix(&whole, data, len, SIZE_MAX);

	require(fix(&split, data, len, len > 0 && data[0] % 7 > 0 ? data[0] % 7 : 1) == good);
	if (good) {
		require(whole.len == split.len && memcmp(whole.data, split.data, whole.len) == 0);
		require_no_bcc(&whole);
	}
	if (good && has_lines((const char *)data, len)) {
		require(fix(&again, whole.data, whole.len, SIZE_MAX));
		require(again.len == whole.len && memcmp(whole.data, again.data, whole.len) == 0);
	}
	buf_free(&whole);
	buf_free(&split);
	buf_free(&again);
	return 0;
}
