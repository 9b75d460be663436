/*
 * Reading and writing the format of segments (segment.h).  Pure but for the reader's window.
 *
 * The writer's half is used by the store (which fills records in) and by the flush thread (which
 * seals them when it knows the segment they go to); the reader's half by recovery, by compaction
 * and by whoever wants a content back.  Everything that is read may be anything: lengths are
 * checked before they are believed, and nothing is allocated that the segment cannot hold.
 *
 * The legal states of a record, the one step to each, and what a crash in that state means:
 *
 *   state       step to it                  after a crash
 *   gathered    store_*() puts it into      gone; nobody was promised anything, or (outcomes) it
 *               memory                      is done again
 *   written     pwritev to the segment      there, gone or torn.  A torn one fails its checksum:
 *               returned                    the segment ends before it.  All that were flushed
 *                                           stand before it
 *   flushed     fdatasync of the segment    there; callbacks say 0 only now
 *               returned
 *   failed      pwritev or fdatasync gave   never seen: the segment's valid end was set before it
 *               an error                    by the next segment's OPENED record, before the
 *                                           callback.  Only when no other segment could be
 *                                           written either it may be there: a message that the
 *                                           client was refused is then delivered, and perhaps a
 *                                           second time
 *   superseded  FINISH, ENVELOPE or MOVE    read and replaced by the later one, which exists as
 *               of the same message was     long as it does (compact.c has the argument)
 *               flushed
 *   gone        its segment was removed     not seen
 */
#include <errno.h>
#include <string.h>

#include "lib/fatal.h"
#include "queue/checksum.h"
#include "queue/numbers.h"
#include "queue/segment.h"

#define RECORD_MAGIC 0x4b4e4547u /* "GENK" */
#define ALIGN 8
#define WINDOW (256 * 1024)

static const char segment_magic[8] = "GENKANJ1";

/* Offsets in the header of a record. */
enum {
	AT_MAGIC = 0,
	AT_TYPE = 4,
	AT_FLAGS = 5,
	AT_ZERO = 6,
	AT_ID = 8,
	AT_META = 16,
	AT_CONTENT = 20,
	AT_CONTENT_SUM = 24,
	AT_SUM = 28
};

static uint64_t
aligned(uint64_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

uint32_t
segment_seed(uint64_t number)
{
	uint8_t bytes[8];

	put64(bytes, number);
	return checksum(0, bytes, sizeof(bytes));
}

void
segment_header_encode(uint8_t block[SEGMENT_BLOCK], uint64_t number)
{
	memset(block, 0, SEGMENT_BLOCK);
	memcpy(block, segment_magic, sizeof(segment_magic));
	put64(block + 8, number);
	put32(block + 16, checksum(0, block, 16));
}

bool
segment_header_decode(const uint8_t *block, size_t len, uint64_t *number)
{
	if (len < SEGMENT_BLOCK || memcmp(block, segment_magic, sizeof(segment_magic)) != 0)
		return false;
	if (get32(block + 16) != checksum(0, block, 16))
		return false;
	*number = get64(block + 8);
	return true;
}

/* --- writing --- */

void
record_begin(struct buf *b)
{
	memset(buf_reserve(b, RECORD_HEADER), 0, RECORD_HEADER);
	b->len += RECORD_HEADER;
}

void
record_content(
    struct buf *b, enum record_type type, uint8_t flags, uint64_t id, uint32_t content_len)
{
	uint8_t *header = (uint8_t *)b->data;

	if (b->len - RECORD_HEADER > RECORD_META_MAX)
		fatal("journal: a record of %zu octets", b->len);
	put32(header + AT_MAGIC, RECORD_MAGIC);
	header[AT_TYPE] = (uint8_t)type;
	header[AT_FLAGS] = flags;
	put64(header + AT_ID, id);
	put32(header + AT_META, (uint32_t)(b->len - RECORD_HEADER));
	put32(header + AT_CONTENT, content_len);
}

void
record_end(struct buf *b)
{
	size_t rest = aligned(b->len) - b->len;

	buf_add(b, "\0\0\0\0\0\0\0", rest);
}

void
record_seal(struct buf *b, uint32_t seed)
{
	uint8_t *header = (uint8_t *)b->data;
	uint32_t meta_len = get32(header + AT_META), content_len = get32(header + AT_CONTENT), sum;

	put32(header + AT_CONTENT_SUM,
	    checksum(seed, header + RECORD_HEADER + meta_len, content_len));
	sum = checksum(seed, header, AT_SUM);
	put32(header + AT_SUM, checksum(sum, header + RECORD_HEADER, meta_len));
}

void
record_pad(uint8_t header[RECORD_HEADER], size_t len, uint32_t seed)
{
	memset(header, 0, RECORD_HEADER);
	put32(header + AT_MAGIC, RECORD_MAGIC);
	header[AT_TYPE] = RECORD_PAD;
	put32(header + AT_CONTENT, (uint32_t)(len - RECORD_HEADER));
	put32(header + AT_SUM, checksum(seed, header, AT_SUM));
}

/* --- reading --- */

/* LEN octets at OFFSET, until the next call; NULL when they are not there (errno 0) or cannot be
 * read (errno). */
static const uint8_t *
look_at(struct segment_reader *r, uint64_t offset, size_t len)
{
	struct buf *w = &r->window;
	size_t ahead = r->ahead > 0 ? r->ahead : WINDOW, want = len > ahead ? len : ahead;
	ssize_t n;

	errno = 0;
	if (offset + len > r->limit)
		return NULL;
	if (offset < r->window_offset || offset + len > r->window_offset + w->len) {
		if (want > r->limit - offset)
			want = (size_t)(r->limit - offset);
		buf_clear(w);
		r->window_offset = offset;
		n = r->read(r->arg, buf_reserve(w, want), want, offset);
		if (n < 0)
			return NULL;
		errno = 0;
		w->len = (size_t)n;
		if ((size_t)n < len)
			return NULL;
	}
	return (const uint8_t *)w->data + (offset - r->window_offset);
}

bool
record_parse(const uint8_t header[RECORD_HEADER], uint64_t room, struct record_view *v)
{
	memset(v, 0, sizeof(*v));
	v->type = header[AT_TYPE];
	v->flags = header[AT_FLAGS];
	v->id = get64(header + AT_ID);
	v->meta_len = get32(header + AT_META);
	v->content_len = get32(header + AT_CONTENT);
	v->content_checksum = get32(header + AT_CONTENT_SUM);
	v->length = aligned(RECORD_HEADER + (uint64_t)v->meta_len + v->content_len);
	return get32(header + AT_MAGIC) == RECORD_MAGIC && v->meta_len <= RECORD_META_MAX &&
	       v->length <= room;
}

static bool
header_sum_ok(const uint8_t *header, const struct record_view *v, uint32_t seed)
{
	return checksum(checksum(seed, header, AT_SUM), header + RECORD_HEADER, v->meta_len) ==
	       get32(header + AT_SUM);
}

static enum segment_step
failed(void)
{
	return errno != 0 ? SEGMENT_UNREADABLE : SEGMENT_BROKEN;
}

enum segment_step
segment_next(struct segment_reader *r, struct record_view *v)
{
	const uint8_t *p;

	if (r->offset == r->limit)
		return SEGMENT_END;
	if ((p = look_at(r, r->offset, RECORD_HEADER)) == NULL)
		return failed();
	if (!record_parse(p, r->limit - r->offset, v))
		return SEGMENT_BROKEN;
	v->offset = r->offset;
	v->content_offset = r->offset + RECORD_HEADER + v->meta_len;
	if (r->check_contents && v->type != RECORD_PAD && v->content_len > 0) {
		if ((p = look_at(r, r->offset, (size_t)v->length)) == NULL)
			return failed();
		if (checksum(r->seed, p + RECORD_HEADER + v->meta_len, v->content_len) !=
		    v->content_checksum)
			return SEGMENT_BROKEN;
	}
	if ((p = look_at(r, r->offset, RECORD_HEADER + (size_t)v->meta_len)) == NULL)
		return failed();
	if (!header_sum_ok(p, v, r->seed))
		return SEGMENT_BROKEN;
	v->meta = p + RECORD_HEADER;
	r->offset += v->length;
	return SEGMENT_RECORD;
}

/* A whole record of this segment at OFFSET, or its end. */
static bool
stands(struct segment_reader *r, uint64_t offset)
{
	struct segment_reader before = *r;
	struct record_view v;
	enum segment_step step;

	r->offset = offset;
	r->check_contents = true;
	step = segment_next(r, &v);
	r->offset = before.offset;
	r->check_contents = before.check_contents;
	return step == SEGMENT_RECORD || step == SEGMENT_END;
}

bool
segment_skip(struct segment_reader *r)
{
	const uint8_t *p = look_at(r, r->offset, RECORD_HEADER);
	struct record_view v;
	uint64_t at;

	if (p != NULL) {
		(void)record_parse(p, 0, &v);
		if (v.length <= r->limit - r->offset && stands(r, r->offset + v.length)) {
			r->offset += v.length;
			return true;
		}
	}
	for (at = (r->offset / SEGMENT_BLOCK + 1) * SEGMENT_BLOCK; at < r->limit; at += SEGMENT_BLOCK) {
		if (!stands(r, at))
			continue;
		r->offset = at;
		return true;
	}
	return false;
}

bool
segment_was_flushed(struct segment_reader *r)
{
	uint64_t begin = r->offset;
	struct record_view v;
	enum segment_step step;
	bool padded = false, flushed = false;

	while (!flushed && ((step = segment_next(r, &v)) == SEGMENT_RECORD ||
			       (step == SEGMENT_BROKEN && segment_skip(r)))) {
		flushed = step == SEGMENT_RECORD && v.type != RECORD_PAD && padded;
		padded |= step == SEGMENT_RECORD && v.type == RECORD_PAD;
	}
	r->offset = begin;
	return flushed;
}

bool
record_check(const uint8_t *p, size_t len, uint32_t seed, uint64_t id, const uint8_t **content,
    uint32_t *content_len)
{
	struct record_view v;

	if (len < RECORD_HEADER || !record_parse(p, len, &v) || !header_sum_ok(p, &v, seed) ||
	    v.id != id)
		return false;
	*content = p + RECORD_HEADER + v.meta_len;
	*content_len = v.content_len;
	return checksum(seed, *content, v.content_len) == v.content_checksum;
}
