/*
 * Fuzz target: indexes as a disk could leave them.
 *
 * The input's last octets are made into a header whose sums are right, so that what stands behind
 * it is reached; whatever the reader gives must lie inside the input, and be what was looked at
 * when the index was opened.
 */
#include <string.h>

#include "queue/segment_index.h"
#include "regress/fuzz/target.h"

#define NUMBER 7
#define END (16u << 20)

static void
read_index(const char *data, size_t size)
{
	struct index_reader r;
	struct record_view v;
	uint64_t sum = 0;
	uint32_t i;

	if (!index_open(&r, data, size, NUMBER, END))
		return;
	while (index_next(&r, &v)) {
		require(v.offset + v.length <= END);
		require((const char *)v.meta >= data &&
		    (const char *)v.meta + v.meta_len <= data + size);
		for (i = 0; i < v.meta_len; i++)
			sum += v.meta[i];
	}
	require(r.pos == r.stop && sum < UINT64_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = { 0 };

	read_index((const char *)data, size);
	index_begin(&b);
	buf_add(&b, data, size);
	index_seal(&b, NUMBER, END);
	read_index(b.data, b.len);
	buf_free(&b);
	return 0;
}
