/*
 * What every fuzz target has: its entry, and a demand that ends the run.
 */
#ifndef REGRESS_FUZZ_TARGET_H
#define REGRESS_FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static inline void
require(bool holds)
{
	if (!holds)
		abort();
}

#endif
