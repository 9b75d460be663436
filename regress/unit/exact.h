/*
 * Octets in memory of exactly their size, so that the sanitizer sees any read behind them.
 */
#ifndef REGRESS_UNIT_EXACT_H
#define REGRESS_UNIT_EXACT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The caller frees. */
static inline uint8_t *
exact(const void *data, size_t len)
{
	uint8_t *copy = malloc(len);

	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

#endif
