/*
 * Fuzz target: what a server may answer, fed whole and cut in two.  Both ways must tell the same, the limits must hold,
 * and the text must be one line without controls.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/smtp_reply.h"
#include "regress/fuzz/target.h"

static void
check_text(const struct smtp_reply *reply)
{
	char *text = smtp_reply_text(reply), *s;

	require(strlen(text) >= 3 && strlen(text) <= SMTP_REPLY_TEXT_MAX);
	require(reply->code >= 200 && reply->code <= 599);
	for (s = text; *s != '\0'; s++)
		require((unsigned char)*s >= ' ' && *s != 0x7f);
	(void)smtp_reply_has_enhanced(reply, "5.5.3");
	free(text);
}

/* The first octet says where to cut. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_reply whole = { .code = 0 }, cut = { .code = 0 };
	enum smtp_reply_status a, b;
	size_t used, used_1, used_2 = 0, at;
	const char *in = (const char *)data + 1;

	if (size < 1)
		return 0;
	at = data[0] < size - 1 ? data[0] : size - 1;
	size--;
	a = smtp_reply_feed(&whole, in, size, &used);
	b = smtp_reply_feed(&cut, in, at, &used_1);
	if (b == SMTP_REPLY_MORE) {
		require(used_1 == at);
		b = smtp_reply_feed(&cut, in + at, size - at, &used_2);
	}
	require(a == b);
	require(used <= size && (a == SMTP_REPLY_BAD || whole.octets <= SMTP_REPLY_MAX));
	if (a == SMTP_REPLY_DONE) {
		require(used == used_1 + used_2 && whole.code == cut.code);
		require(strcmp(buf_str(&whole.lines), buf_str(&cut.lines)) == 0);
		check_text(&whole);
	}
	smtp_reply_free(&whole);
	smtp_reply_free(&cut);
	return 0;
}
