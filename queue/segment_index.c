/*
 * Writing and reading the indexes of segments (segment_index.h).
 *
 * The keeper makes one of every segment that is closed; recovery and the search for a message's
 * history read them.  What is read may be anything: index_open() looks at all of it before the
 * first record is given out, so that nobody applies half an index and then has to think again.
 */
#include <string.h>

#include "queue/checksum.h"
#include "queue/numbers.h"
#include "queue/segment_index.h"

#define HEADER 40
#define ALIGN 8

enum { AT_NUMBER = 8, AT_END = 16, AT_LENGTH = 24, AT_SUM = 32 };

static const char index_magic[8] = "GENKANX1";

static uint32_t
sum_of(const void *index, size_t len, uint64_t number)
{
	const uint8_t *p = index;

	return checksum(checksum(segment_seed(number), p, AT_SUM), p + HEADER, len - HEADER);
}

/* --- writing --- */

void
index_begin(struct buf *b)
{
	memset(buf_reserve(b, HEADER), 0, HEADER);
	b->len += HEADER;
}

void
index_add(struct buf *b, const struct record_view *v)
{
	size_t len = RECORD_HEADER + v->meta_len;

	if (v->type == RECORD_PAD || v->type == RECORD_OPENED)
		return;
	put64(buf_reserve(b, sizeof(uint64_t)), v->offset);
	b->len += sizeof(uint64_t);
	buf_add(b, v->meta - RECORD_HEADER, len);
	buf_add(b, "\0\0\0\0\0\0\0", (ALIGN - len % ALIGN) % ALIGN);
}

void
index_seal(struct buf *b, uint64_t number, uint64_t end)
{
	uint32_t sum;

	memcpy(b->data, index_magic, sizeof(index_magic));
	put64(b->data + AT_NUMBER, number);
	put64(b->data + AT_END, end);
	put64(b->data + AT_LENGTH, b->len - HEADER);
	sum = htole32(sum_of(b->data, b->len, number));
	memcpy(b->data + AT_SUM, &sum, sizeof(sum));
}

/* --- reading --- */

bool
index_next(struct index_reader *r, struct record_view *v)
{
	size_t left = (size_t)(r->stop - r->pos), len;
	uint64_t offset;

	if (left < sizeof(offset) + RECORD_HEADER)
		return false;
	offset = get64(r->pos);
	if (offset >= r->end ||
	    !record_parse(r->pos + sizeof(offset), r->end - offset, v))
		return false;
	len = RECORD_HEADER + (size_t)v->meta_len;
	len = sizeof(offset) + (len + ALIGN - 1) / ALIGN * ALIGN;
	if (len > left)
		return false;
	v->offset = offset;
	v->content_offset = offset + RECORD_HEADER + v->meta_len;
	v->meta = r->pos + sizeof(offset) + RECORD_HEADER;
	r->pos += len;
	return true;
}

bool
index_open(struct index_reader *r, const void *index, size_t len, uint64_t number, uint64_t end)
{
	const uint8_t *p = index;
	struct record_view v;
	struct index_reader look;
	uint32_t sum;

	if (len < HEADER || memcmp(p, index_magic, sizeof(index_magic)) != 0 ||
	    get64(p + AT_NUMBER) != number || get64(p + AT_END) != end ||
	    get64(p + AT_LENGTH) != len - HEADER)
		return false;
	memcpy(&sum, p + AT_SUM, sizeof(sum));
	if (le32toh(sum) != sum_of(p, len, number))
		return false;
	*r = (struct index_reader){ .pos = p + HEADER, .stop = p + len, .end = end };
	look = *r;
	while (index_next(&look, &v))
		;
	return look.pos == look.stop;
}
