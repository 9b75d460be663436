/*
 * The format of a segment file: one block with its number, then records.  Pure: bytes in, bytes
 * out; files and threads are the journal's.
 *
 *   block 0      "GENKANJ1", number (u64), checksum (u32) of these; zeros
 *   from 4096    records, each starting at a multiple of 8
 *
 *   record       magic (u32), type (u8), flags (u8), 0 (u16), message id (u64),
 *                length of META (u32), length of CONTENT (u32), checksum of CONTENT (u32),
 *                checksum of all of this and META (u32); META; CONTENT; zeros to a multiple of 8
 *
 * All integers are little endian.  Both checksums continue from a seed made of the segment's
 * number.  Numbers are never used twice in a spool, and no bytes are a valid record under two
 * seeds (CRC is linear: with other seeds the checksums of the same bytes differ, and numbers
 * below 2^32 all have different seeds).  So a file that is used again as another segment never
 * shows a record of its former life as valid, however it is cut.
 *
 * A reader goes from record to record by their lengths: the content of a message, which a stranger
 * wrote, is never taken for a record.  Only behind a broken record whose lengths lead nowhere does it
 * look at the starts of blocks, where flushes begin; there a stranger would need the number of the
 * segment, and a disk that damages the header of his message and not the rest.
 */
#ifndef QUEUE_SEGMENT_H
#define QUEUE_SEGMENT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define SEGMENT_BLOCK 4096
#define RECORD_HEADER 32
#define RECORD_META_MAX (512u << 20) /* more than any envelope_ok() takes */

enum record_type {
	RECORD_PAD = 1,      /* nothing, up to the next block; content is skipped unread */
	RECORD_OPENED = 2,   /* the first of a segment: the others, and where each ends */
	RECORD_MESSAGE = 3,  /* meta: envelope; content, or RECORD_EXTERNAL */
	/* these end with the time of writing (u64), which no decision rests on and older versions
	 * left out */
	RECORD_OUTCOME = 4,  /* meta: u32 index, a recipient's state */
	RECORD_ENVELOPE = 5, /* meta: envelope, instead of what was known */
	RECORD_FINISH = 6,   /* the message is no more */
	RECORD_MOVE = 7      /* as MESSAGE, with the present state, instead of all before */
};

enum record_flags { RECORD_EXTERNAL = 1 /* the content is the file content/ID */ };

uint32_t segment_seed(uint64_t number);
void segment_header_encode(uint8_t block[SEGMENT_BLOCK], uint64_t number);
/* False when the block is no header. */
bool segment_header_decode(const uint8_t *block, size_t len, uint64_t *number);

/* --- writing --- */

/* Room for the header at the front of an empty BUF; META is added behind it by the caller. */
void record_begin(struct buf *);
/* META is complete: fills in the header; CONTENT_LEN octets of content are added next. */
void record_content(
    struct buf *, enum record_type, uint8_t flags, uint64_t id, uint32_t content_len);
/* Content is complete: aligns. */
void record_end(struct buf *);
/* Makes it valid in the segment with this seed. */
void record_seal(struct buf *, uint32_t seed);
/* The header of padding that makes LEN octets in all. */
void record_pad(uint8_t header[RECORD_HEADER], size_t len, uint32_t seed);

/* --- reading --- */

struct record_view {
	enum record_type type;
	uint8_t flags;
	uint64_t id;
	uint64_t offset;       /* of the record in the segment */
	uint64_t length;       /* with header and alignment */
	const uint8_t *meta;   /* until the next step */
	uint32_t meta_len;
	uint32_t content_len;
	uint64_t content_offset;
	uint32_t content_checksum;
};

struct segment_reader {
	ssize_t (*read)(void *arg, void *, size_t len, uint64_t offset); /* as disk_read */
	void *arg;
	uint32_t seed;
	uint64_t offset;       /* of the next record */
	uint64_t limit;        /* records end here at the latest */
	bool check_contents;   /* else only header and META are read and verified */
	size_t ahead;          /* octets read at once; 0: as many as suit a whole segment */
	struct buf window;     /* what is read ahead, from WINDOW_OFFSET on; the caller frees it */
	uint64_t window_offset;
};

enum segment_step {
	SEGMENT_RECORD,     /* VIEW is filled; OFFSET is behind it */
	SEGMENT_END,        /* OFFSET is the limit */
	SEGMENT_BROKEN,     /* what stands at OFFSET is no record of this segment */
	SEGMENT_UNREADABLE  /* errno */
};
enum segment_step segment_next(struct segment_reader *, struct record_view *);
/* After SEGMENT_BROKEN: moves OFFSET behind the broken record, to where its lengths lead or else to
 * the next block, where a valid record stands.  False: there is none, and OFFSET stays. */
bool segment_skip(struct segment_reader *);
/* Whether all before OFFSET was flushed, for certain: padding stands behind it, which ends a flush,
 * and behind that a record, which is written after it.  OFFSET stays. */
bool segment_was_flushed(struct segment_reader *);

/* The header alone, which may promise ROOM octets at most: false when its lengths are impossible.
 * Checksums, OFFSET and META are left to the caller. */
bool record_parse(const uint8_t header[RECORD_HEADER], uint64_t room, struct record_view *);

/* Checks LEN octets that were read from where a message's record is; the content is then at
 * *CONTENT.  False: damaged. */
bool record_check(const uint8_t *, size_t len, uint32_t seed, uint64_t id, const uint8_t **content,
    uint32_t *content_len);

#endif
