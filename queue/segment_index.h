/*
 * The index of a closed segment: the same records without their contents, in one file that is read
 * at a start instead of the segment.  Pure: bytes in, bytes out; files are the journal's.
 *
 *   header   "GENKANX1", number of the segment (u64), where its records end (u64), length of the
 *            entries (u64), checksum of all before and of the entries (u32), 0 (u32)
 *   entry    offset of the record in the segment (u64); its header and META; zeros to a multiple
 *            of 8
 *
 * An index is derived and can be thrown away at any time: one that is not whole, or is not about
 * this segment with this end, does not count, and the segment is read.  The checksum continues from
 * the segment's seed, whose numbers are never used twice (segment.h), so that an index of a former
 * life is not taken for one of this.
 */
#ifndef QUEUE_SEGMENT_INDEX_H
#define QUEUE_SEGMENT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "queue/segment.h"

/* --- writing --- */

/* BUF is empty. */
void index_begin(struct buf *);
/* A record as segment_next() gave it; padding and OPENED are left out. */
void index_add(struct buf *, const struct record_view *);
void index_seal(struct buf *, uint64_t number, uint64_t end);

/* --- reading --- */

struct index_reader {
	const uint8_t *pos, *stop;
	uint64_t end; /* of the segment */
};

/* True when the bytes are the whole index of that segment, ending there.  They stay the caller's,
 * and are looked at by index_next. */
bool index_open(struct index_reader *, const void *, size_t, uint64_t number, uint64_t end);
/* The next record; false at the end. */
bool index_next(struct index_reader *, struct record_view *);

#endif
