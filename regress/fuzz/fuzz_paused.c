/*
 * Fuzz target: what the operator has paused, as it is read at a start.  Whatever is read is written
 * as it was.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "queue/pause.h"
#include "regress/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in = { 0 }, out = { 0 };
	struct paused paused;

	buf_add(&in, data, size);
	if (paused_decode(&in, &paused)) {
		paused_encode(&out, &paused);
		/* but for the flags, of which any number is "yes" */
		if (out.len != in.len || memcmp(out.data + 3, in.data + 3, in.len - 3) != 0)
			abort();
		free(paused.destinations);
	}
	buf_free(&in);
	buf_free(&out);
	return 0;
}
