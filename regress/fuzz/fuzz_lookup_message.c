/*
 * Fuzz target: route answers as a broken address book could send them.  Whatever decodes must encode to the same octets.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/lookup_message.h"
#include "regress/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct route_answer answer;
	struct buf again = { 0 };

	if (!lookup_answer_decode(&c, &answer))
		return 0;
	lookup_answer_encode(&again, &answer);
	if (again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	buf_free(&again);
	lookup_answer_free(&answer);
	return 0;
}
