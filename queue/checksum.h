/*
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), which finds what a disk does to a record: torn,
 * stale, flipped.  It is no protection against somebody who can write to the spool.
 */
#ifndef QUEUE_CHECKSUM_H
#define QUEUE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Continues from SEED, the checksum of what came before, or 0. */
uint32_t checksum(uint32_t seed, const void *, size_t);
/* The same without the processor's instruction; for tests. */
uint32_t checksum_portable(uint32_t seed, const void *, size_t);

#endif
