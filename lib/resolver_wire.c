/*
 * Questions and answers of the resolver role as messages: little-endian integers and
 * length-prefixed strings (lib/buf.h, lib/cursor.h).  Used on both sides.  An answer that makes no
 * sense decodes to nothing, and ends the channel; it cannot make a client believe more than DNS
 * could.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>

#include "lib/dns_wire.h"
#include "lib/mem.h"
#include "lib/resolver_wire.h"

enum answer_flags { ANSWER_SECURE = 1, ANSWER_BOGUS = 2, ANSWER_WHY = 4, ANSWER_OUTAGE = 8 };
#define ANSWER_FLAGS (ANSWER_SECURE | ANSWER_BOGUS | ANSWER_WHY | ANSWER_OUTAGE)

/* What a record carries besides its type and preference. */
enum record_part { PART_IPV4 = 1, PART_IPV6, PART_NAME, PART_DATA };

void
resolver_ask_encode(struct buf *buf, const char *name, uint16_t type)
{
	buf_add_u16(buf, type);
	buf_add_str(buf, name);
}

bool
resolver_ask_decode(struct cursor *cursor, const char **name, uint16_t *type)
{
	*type = cursor_u16(cursor);
	*name = cursor_str(cursor);
	return cursor_done(cursor) && *type != 0;
}

static void
record_encode(struct buf *buf, const struct dns_record *record)
{
	buf_add_u16(buf, record->type);
	buf_add_u16(buf, record->preference);
	if (record->ip.family != 0) {
		buf_add_u8(buf, record->ip.family == AF_INET ? PART_IPV4 : PART_IPV6);
		buf_add(buf, record->ip.bytes, record->ip.family == AF_INET ? 4 : 16);
	} else if (record->name != NULL) {
		buf_add_u8(buf, PART_NAME);
		buf_add_str(buf, record->name);
	} else {
		buf_add_u8(buf, PART_DATA);
		buf_add_blob(buf, record->data, record->data_len);
	}
}

static void
ip_decode(struct cursor *cursor, struct ip *ip, uint8_t family, size_t len)
{
	const void *bytes = cursor_bytes(cursor, len);

	if (bytes == NULL)
		return;
	ip->family = family;
	memcpy(ip->bytes, bytes, len);
}

static void
record_decode(struct cursor *cursor, struct dns_record *record)
{
	record->type = cursor_u16(cursor);
	record->preference = cursor_u16(cursor);
	switch (cursor_u8(cursor)) {
	case PART_IPV4:
		ip_decode(cursor, &record->ip, AF_INET, 4);
		break;
	case PART_IPV6:
		ip_decode(cursor, &record->ip, AF_INET6, 16);
		break;
	case PART_NAME:
		record->name = cursor_str(cursor);
		break;
	case PART_DATA:
		record->data = cursor_blob(cursor, &record->data_len);
		break;
	default:
		cursor->bad = true;
		break;
	}
}

/* A record has what its type promises, so that whoever reads it need not look. */
static bool
record_whole(const struct dns_record *record)
{
	switch (record->type) {
	case DNS_A:
	case DNS_AAAA:
		return record->ip.family != 0;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_MX:
		return record->name != NULL;
	default:
		return record->data != NULL;
	}
}

void
resolver_answer_encode(struct buf *buf, const struct dns_answer *answer)
{
	unsigned flags = (answer->secure ? ANSWER_SECURE : 0u) |
	    (answer->bogus ? ANSWER_BOGUS : 0u) | (answer->why != NULL ? ANSWER_WHY : 0u) |
	    (answer->outage ? ANSWER_OUTAGE : 0u);
	unsigned i;

	buf_add_u8(buf, (uint8_t)answer->status);
	buf_add_u8(buf, (uint8_t)flags);
	buf_add_u32(buf, answer->ttl);
	if (answer->why != NULL)
		buf_add_str(buf, answer->why);
	buf_add_str(buf, answer->canonical);
	buf_add_u16(buf, (uint16_t)answer->records_n);
	for (i = 0; i < answer->records_n; i++)
		record_encode(buf, &answer->records[i]);
}

/* What the statuses promise: records only with DNS_OK, a reason with DNS_TEMP, bogus and outage only
 * with it, bogus and secure never together. */
static bool
answer_sane(const struct dns_answer *answer)
{
	if ((answer->status == DNS_OK) != (answer->records_n > 0))
		return false;
	if (answer->status == DNS_TEMP)
		return answer->why != NULL && !answer->secure;
	return !answer->bogus && !answer->outage;
}

struct dns_answer *
resolver_answer_decode(struct cursor *cursor)
{
	struct dns_answer head = { 0 }, *answer;
	struct dns_record *records;
	unsigned status = cursor_u8(cursor), flags = cursor_u8(cursor), i;

	head.status = status;
	head.secure = flags & ANSWER_SECURE;
	head.bogus = flags & ANSWER_BOGUS;
	head.outage = flags & ANSWER_OUTAGE;
	head.ttl = cursor_u32(cursor);
	head.why = flags & ANSWER_WHY ? cursor_str(cursor) : NULL;
	head.canonical = cursor_str(cursor);
	head.records_n = cursor_u16(cursor);
	if (cursor->bad || status > DNS_TEMP || flags > ANSWER_FLAGS ||
	    head.records_n > DNS_RECORDS_MAX || !answer_sane(&head)) {
		cursor->bad = true;
		return NULL;
	}
	answer = xcalloc(1, sizeof(*answer) + head.records_n * sizeof(*records));
	records = (struct dns_record *)(answer + 1);
	*answer = head;
	answer->records = records;
	for (i = 0; i < head.records_n; i++) {
		record_decode(cursor, &records[i]);
		if (!record_whole(&records[i]))
			cursor->bad = true;
	}
	if (cursor_done(cursor))
		return answer;
	cursor->bad = true;
	dns_answer_free(answer);
	return NULL;
}
