/*
 * Fuzz target: a message's text in any pieces.  The reader must find what the slower reading of the
 * same rules finds (regress/unit/data_reference.h), and nothing that is sent onward may hold a bare
 * CR, a bare LF or a NUL.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "regress/fuzz/target.h"
#include "regress/unit/data_reference.h"
#include "smtpd/data.h"

/* Pieces of 1 to 16 octets, as SEED goes. */
static bool
read_in_pieces(struct data_reader *r, const char *in, size_t len, uint32_t seed, struct evbuffer *out, size_t *used)
{
	size_t at = 0, n, taken;
	bool end = false;

	while (!end && at < len) {
		seed = seed * 1103515245 + 12345;
		n = 1 + (seed >> 16) % 16;
		n = n < len - at ? n : len - at;
		end = data_read(r, in + at, n, out, &taken);
		require(taken <= n && (end || taken == n));
		at += taken;
	}
	*used = at;
	return end;
}

/* The first octet: how it is cut. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct data_reference want;
	struct data_reader r;
	struct evbuffer *out;
	const char *text;
	size_t used;
	bool end;

	if (size == 0)
		return 0;
	want = data_reference((const char *)data + 1, size - 1);
	out = evbuffer_new();
	data_init(&r);
	end = read_in_pieces(&r, (const char *)data + 1, size - 1, data[0], out, &used);
	require(end == want.end && used == want.used && r.eight_bit == want.eight_bit);
	if (end) {
		require(r.defects == want.defects);
		if (r.defects == 0) {
			require(r.size == want.size && evbuffer_get_length(out) == want.size);
			require(r.received == want.received && r.in_body == want.in_body);
			text = (const char *)evbuffer_pullup(out, -1);
			require(want.size == 0 || memcmp(text, want.text, want.size) == 0);
			require(reference_defects(want.text, want.size) == 0);
		}
	}
	evbuffer_free(out);
	free(want.text);
	return 0;
}
