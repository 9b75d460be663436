/*
 * DNS messages as bytes.  lib/dns_upstream.c reads libunbound's answer packets with it,
 * lib/dns_probe.c writes its questions.  libunbound has parsed each packet before, so nothing here
 * should ever fail; but names and text of strangers are in it, so nothing here believes that: every
 * octet is read through struct reader, a compression pointer must lead backwards, and a packet that
 * does not add up becomes a temporary failure.  An answer is one piece of memory.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lib/buf.h"
#include "lib/dns_wire.h"
#include "lib/mem.h"

#define HEADER_LEN 12
#define FLAG_QR 0x80
#define FLAG_RD 0x01
#define CLASS_IN 1
#define TYPE_SOA 6
#define RCODE_NOERROR 0
#define RCODE_NXDOMAIN 3
#define CHAIN_MAX 16
/* RFC 1035 2.3.4 */
#define LABEL_MAX 63
/* A name has at most 127 labels, so an honest one never jumps more often. */
#define JUMPS_MAX 127
/* RFC 2181 8: a TTL with the upper bit set is 0. */
#define TTL_SIGN 0x80000000u

/* A packet being read.  BAD stays set once something did not fit. */
struct reader {
	const uint8_t *packet;
	size_t len;
	size_t pos;
	bool bad;
};

struct rr {
	char owner[DNS_NAME_TEXT_MAX];
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t data; /* where its rdata begins, and how long it is */
	size_t data_len;
};

/* A record while the strings still move: offsets into builder.strings, 0 for none. */
struct draft {
	struct dns_record record;
	size_t name;
	size_t data;
};

struct builder {
	struct buf strings;
	struct draft *drafts;
	unsigned n;
	uint32_t ttl;
};

static uint8_t
read_u8(struct reader *r)
{
	if (r->bad || r->pos >= r->len) {
		r->bad = true;
		return 0;
	}
	return r->packet[r->pos++];
}

static uint16_t
read_u16(struct reader *r)
{
	unsigned high = read_u8(r);

	return (uint16_t)(high << 8 | read_u8(r));
}

static uint32_t
read_u32(struct reader *r)
{
	uint32_t high = read_u16(r);

	return high << 16 | read_u16(r);
}

static void
skip(struct reader *r, size_t n)
{
	if (r->bad || n > r->len - r->pos)
		r->bad = true;
	else
		r->pos += n;
}

/* One octet of a label as text; returns the octets written, at most 4. */
static size_t
label_octet(char *out, uint8_t c)
{
	if (c > ' ' && c < 0x7f && c != '.' && c != '\\') {
		*out = (char)tolower(c);
		return 1;
	}
	out[0] = '\\';
	out[1] = (char)('0' + c / 100);
	out[2] = (char)('0' + c / 10 % 10);
	out[3] = (char)('0' + c % 10);
	return 4;
}

/* Adds the label of LEN octets at R; *USED counts octets of OUT. */
static void
read_label(struct reader *r, char *out, size_t *used, size_t len)
{
	if (*used > 0)
		out[(*used)++] = '.';
	for (; len > 0; len--)
		*used += label_octet(out + *used, read_u8(r));
}

/*
 * The name at the reader, decompressed (RFC 1035 4.1.4); the reader then stands behind it.  A
 * pointer must lead before the place where the part that it ends began: so each jump goes strictly
 * backwards and the walk ends.
 */
static void
read_name(struct reader *r, char out[DNS_NAME_TEXT_MAX])
{
	struct reader at = *r;
	size_t used = 0, wire = 1, limit = r->pos;
	unsigned jumps = 0;
	uint8_t c;

	while (!at.bad && (c = read_u8(&at)) != 0) {
		if (c >= 0xc0) {
			size_t target = (size_t)(c & 0x3f) << 8 | read_u8(&at);

			if (jumps++ == 0)
				r->pos = at.pos;
			at.bad |= jumps > JUMPS_MAX || target >= limit;
			at.pos = limit = target;
		} else if (c > LABEL_MAX || (wire += c + 1u) > DNS_NAME_WIRE_MAX) {
			at.bad = true;
		} else {
			read_label(&at, out, &used, c);
		}
	}
	out[used] = '\0';
	if (jumps == 0)
		r->pos = at.pos;
	r->bad |= at.bad;
}

/* Reads a record's head and stands behind its rdata. */
static bool
read_rr(struct reader *r, struct rr *rr)
{
	read_name(r, rr->owner);
	rr->type = read_u16(r);
	rr->class = read_u16(r);
	rr->ttl = read_u32(r);
	if (rr->ttl & TTL_SIGN)
		rr->ttl = 0;
	rr->data_len = read_u16(r);
	rr->data = r->pos;
	skip(r, rr->data_len);
	return !r->bad;
}

/* A reader for one record's rdata: names in it may point before it, but nothing runs behind it. */
static struct reader
rdata(const struct reader *r, const struct rr *rr)
{
	struct reader in = { .packet = r->packet, .len = rr->data + rr->data_len, .pos = rr->data };

	return in;
}

static size_t
keep_string(struct builder *b, const char *s)
{
	size_t at = b->strings.len;

	buf_add(&b->strings, s, strlen(s) + 1);
	return at;
}

static void
draft_address(struct draft *d, struct reader *r)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t len = d->record.type == DNS_A ? 4 : 16;
	const uint8_t *from = r->packet + r->pos;

	skip(r, len);
	if (r->bad)
		return;
	d->record.ip.family = len == 4 ? AF_INET : AF_INET6;
	if (len == 16 && memcmp(from, mapped, sizeof(mapped)) == 0) {
		d->record.ip.family = AF_INET;
		from += 12;
		len = 4;
	}
	memcpy(d->record.ip.bytes, from, len);
}

static void
draft_name(struct builder *b, struct draft *d, struct reader *r)
{
	char name[DNS_NAME_TEXT_MAX];

	if (d->record.type == DNS_MX)
		d->record.preference = read_u16(r);
	read_name(r, name);
	d->name = keep_string(b, name);
}

/* TXT: character-strings, joined without anything between them (RFC 7208 3.3). */
static void
draft_text(struct builder *b, struct draft *d, struct reader *r)
{
	d->data = b->strings.len;
	while (!r->bad && r->pos < r->len) {
		size_t n = read_u8(r), from = r->pos;

		skip(r, n);
		if (!r->bad)
			buf_add(&b->strings, r->packet + from, n);
	}
	d->record.data_len = b->strings.len - d->data;
	buf_addc(&b->strings, '\0');
}

static void
draft_raw(struct builder *b, struct draft *d, struct reader *r)
{
	d->data = b->strings.len;
	d->record.data_len = r->len - r->pos;
	buf_add(&b->strings, r->packet + r->pos, d->record.data_len);
	buf_addc(&b->strings, '\0');
	r->pos = r->len;
}

/* Adds the record RR; false when its rdata is not what its type says. */
static bool
add_record(struct builder *b, const struct reader *packet, const struct rr *rr)
{
	struct reader r = rdata(packet, rr);
	struct draft *d;

	if (b->n == DNS_RECORDS_MAX)
		return true;
	if ((b->n & (b->n - 1)) == 0)
		b->drafts = xreallocarray(b->drafts, b->n == 0 ? 1 : 2 * (size_t)b->n, sizeof(*d));
	d = &b->drafts[b->n];
	*d = (struct draft){ .record = { .type = rr->type } };
	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		draft_address(d, &r);
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_MX:
		draft_name(b, d, &r);
		break;
	case DNS_TXT:
		draft_text(b, d, &r);
		break;
	default:
		draft_raw(b, d, &r);
		break;
	}
	if (r.bad || r.pos != r.len)
		return false;
	b->n++;
	return true;
}

static void
lower_ttl(struct builder *b, uint32_t ttl)
{
	if (ttl < b->ttl)
		b->ttl = ttl;
}

/* NAME becomes the end of its CNAME chain in the N records at R; false when the packet is broken or
 * the chain loops. */
static bool
follow_chain(const struct reader *start, unsigned n, char name[DNS_NAME_TEXT_MAX],
    struct builder *b)
{
	struct rr rr;
	struct reader r = *start, target;
	unsigned steps = 0, left = n;

	while (left-- > 0) {
		if (!read_rr(&r, &rr))
			return false;
		if (rr.class != CLASS_IN || rr.type != DNS_CNAME || strcmp(rr.owner, name) != 0)
			continue;
		target = rdata(&r, &rr);
		read_name(&target, name);
		if (target.bad || ++steps > CHAIN_MAX)
			return false;
		lower_ttl(b, rr.ttl);
		/* again from the first record: nobody promises their order */
		r = *start;
		left = n;
	}
	return true;
}

/* The records of the type asked for; the reader then stands behind the answer section. */
static bool
collect(struct reader *r, unsigned n, const char *name, uint16_t type, struct builder *b)
{
	struct rr rr;

	while (n-- > 0) {
		if (!read_rr(r, &rr))
			return false;
		if (rr.class != CLASS_IN || rr.type != type || strcmp(rr.owner, name) != 0)
			continue;
		if (!add_record(b, r, &rr))
			return false;
		lower_ttl(b, rr.ttl);
	}
	return true;
}

/* How long a denial holds: the lesser of the SOA's TTL and its last field (RFC 2308 5); 0 without
 * one. */
static uint32_t
denial_ttl(struct reader *r, unsigned n)
{
	char skipped[DNS_NAME_TEXT_MAX];
	struct rr rr;
	struct reader soa;
	uint32_t minimum;

	while (n-- > 0 && read_rr(r, &rr)) {
		if (rr.type != TYPE_SOA || rr.class != CLASS_IN)
			continue;
		soa = rdata(r, &rr);
		read_name(&soa, skipped);
		read_name(&soa, skipped);
		skip(&soa, 16);
		minimum = read_u32(&soa);
		if (soa.bad)
			return 0;
		return minimum < rr.ttl ? minimum : rr.ttl;
	}
	return 0;
}

/* Moves everything into one piece of memory: the answer, its records, the strings. */
static struct dns_answer *
finish(struct builder *b, enum dns_status status, const char *canonical, const char *why)
{
	size_t name_at = keep_string(b, canonical), why_at = why != NULL ? keep_string(b, why) : 0;
	struct dns_answer *answer =
	    xcalloc(1, sizeof(*answer) + b->n * sizeof(struct dns_record) + b->strings.len);
	struct dns_record *records = (struct dns_record *)(answer + 1);
	char *strings = (char *)(records + b->n);
	unsigned i;

	memcpy(strings, b->strings.data, b->strings.len);
	for (i = 0; i < b->n; i++) {
		records[i] = b->drafts[i].record;
		if (b->drafts[i].name != 0)
			records[i].name = strings + b->drafts[i].name;
		if (b->drafts[i].data != 0)
			records[i].data = (const uint8_t *)strings + b->drafts[i].data;
	}
	answer->status = status;
	answer->ttl = b->ttl;
	answer->canonical = strings + name_at;
	answer->why = why != NULL ? strings + why_at : NULL;
	answer->records_n = b->n;
	answer->records = records;
	buf_free(&b->strings);
	free(b->drafts);
	return answer;
}

static struct builder
begin(void)
{
	struct builder b = { .ttl = UINT32_MAX };

	/* offset 0 is "none" */
	buf_addc(&b.strings, '\0');
	return b;
}

struct dns_answer *
dns_answer_temp(const char *why)
{
	struct builder b = begin();

	b.ttl = 0;
	return finish(&b, DNS_TEMP, "", why);
}

void
dns_answer_free(struct dns_answer *answer)
{
	free(answer);
}

/* What the builder holds is dropped with the reason. */
static struct dns_answer *
give_up(struct builder *b, const char *why)
{
	buf_free(&b->strings);
	free(b->drafts);
	return dns_answer_temp(why);
}

/* Header and question; the reader then stands at the answer section. */
static bool
read_head(struct reader *r, unsigned *rcode, unsigned *answers, unsigned *authorities)
{
	char skipped[DNS_NAME_TEXT_MAX];
	unsigned questions;

	skip(r, 2);
	if ((read_u8(r) & FLAG_QR) == 0)
		return false;
	*rcode = read_u8(r) & 0x0f;
	questions = read_u16(r);
	*answers = read_u16(r);
	*authorities = read_u16(r);
	skip(r, 2);
	while (questions-- > 0 && !r->bad) {
		read_name(r, skipped);
		skip(r, 4);
	}
	return !r->bad;
}

struct dns_answer *
dns_wire_parse(const uint8_t *packet, size_t len, const char *question, uint16_t type)
{
	struct reader r = { .packet = packet, .len = len };
	struct builder b = begin();
	char name[DNS_NAME_TEXT_MAX];
	unsigned rcode, answers, authorities;

	if (!read_head(&r, &rcode, &answers, &authorities))
		return give_up(&b, "the answer is no DNS message");
	if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN)
		return give_up(&b, "the resolver answered with an error");
	strlcpy(name, question, sizeof(name));
	if (type != DNS_CNAME && !follow_chain(&r, answers, name, &b))
		return give_up(&b, "the answer is broken, or its aliases lead in a circle");
	if (!collect(&r, answers, name, type, &b))
		return give_up(&b, "the answer is broken");
	if (b.n == 0)
		lower_ttl(&b, denial_ttl(&r, authorities));
	if (b.n > 0)
		return finish(&b, DNS_OK, name, NULL);
	return finish(&b, rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NODATA, name, NULL);
}

/* The octet at *S, a visible character or \DDD, and *S moves behind it; -1 when there is neither. */
static int
text_octet(const char **s)
{
	const char *at = *s;
	int c;

	if (*at != '\\') {
		*s += 1;
		return *at > ' ' && *at < 0x7f ? *at : -1;
	}
	if (strspn(at + 1, "0123456789") < 3)
		return -1;
	c = (at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0');
	*s += 4;
	return c <= 255 ? c : -1;
}

bool
dns_name_normalize(const char *name, char *out)
{
	size_t used = 0, label = 0, wire = 1;
	const char *s = strcmp(name, ".") == 0 ? "" : name;
	int c;

	while (*s != '\0') {
		if (*s == '.' && label == 0)
			return false;
		if (*s == '.') {
			label = 0;
			if (*++s != '\0')
				out[used++] = '.';
			continue;
		}
		c = text_octet(&s);
		/* on the wire: a length in front of every label, and the root */
		wire += label == 0 ? 2 : 1;
		if (c == -1 || ++label > LABEL_MAX || wire > DNS_NAME_WIRE_MAX)
			return false;
		used += label_octet(out + used, (uint8_t)c);
	}
	out[used] = '\0';
	return true;
}

static size_t
put_u16(uint8_t *out, unsigned v)
{
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
	return 2;
}

size_t
dns_wire_question(uint8_t *out, uint16_t id, const char *name, uint16_t type)
{
	size_t used = HEADER_LEN;

	memset(out, 0, HEADER_LEN);
	put_u16(out, id);
	out[2] = FLAG_RD;
	put_u16(out + 4, 1);
	while (*name != '\0') {
		size_t length = used++;

		while (*name != '\0' && *name != '.')
			out[used++] = (uint8_t)text_octet(&name);
		out[length] = (uint8_t)(used - length - 1);
		name += *name == '.';
	}
	out[used++] = 0;
	used += put_u16(out + used, type);
	return used + put_u16(out + used, CLASS_IN);
}

bool
dns_wire_is_response(const uint8_t *packet, size_t len, uint16_t id)
{
	return len >= HEADER_LEN && (packet[0] << 8 | packet[1]) == id &&
	       (packet[2] & FLAG_QR) != 0;
}
