/*
 * Counters and waiting times for `smtpctl gate report` (report.h).
 *
 * The ledger adds to them with every event and reads an interval of hours back.  Nothing can fail
 * but decoding: what comes from the disk is data, and an hour that does not decode counts as
 * nothing.  Sums are 64 bits wide and cannot overflow in the lifetime of a server.
 */
#include <endian.h>
#include <string.h>

#include "filters/gate.h"
#include "filters/report.h"
#include "lib/buf.h"
#include "lib/cursor.h"

#define COUNTS_VERSION 2
#define WAITS_VERSION 1
#define EXACT 32 /* waits below this have a bucket each */
#define EXACT_BITS 5
#define PER_DOUBLING 16

_Static_assert(REPORT_BUCKETS == EXACT + (32 - EXACT_BITS) * PER_DOUBLING, "buckets reach to 2^32");

uint32_t
report_hour(int64_t time)
{
	return time < 0 ? 0 : (uint32_t)(time / 3600);
}

void
report_counts_add(struct report_counts *to, const struct report_counts *from)
{
	to->sessions += from->sessions;
	to->recipients += from->recipients;
	to->triplets += from->triplets;
	to->returned += from->returned;
	to->seconds += from->seconds;
	to->left += from->left;
	to->stayed += from->stayed;
	if (from->window > to->window)
		to->window = from->window;
}

void
report_unreturned(
    const struct report_counts *c, uint32_t hour, int64_t now, uint64_t *waiting, uint64_t *stopped)
{
	uint64_t left;
	int64_t end;

	left = c->triplets > c->returned ? c->triplets - c->returned : 0;
	end = ((int64_t)hour + 1) * 3600 + c->window;
	*waiting = now <= end ? left : 0;
	*stopped = now <= end ? 0 : left;
}

static uint64_t
more(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Nobody knows what would have become of mail that a rule did not really put off. */
static void
would_have(const struct report_key *key, uint64_t decisions, struct report_effect *e)
{
	switch (key->action) {
	case ACTION_REJECT:
	case ACTION_DROP:
		e->stopped = decisions;
		break;
	case ACTION_TRUST:
	case ACTION_PASS:
		e->let_in = decisions;
		break;
	case ACTION_MARK:
	case ACTION_TRAP:
		break;
	default:
		e->delayed = decisions;
		break;
	}
}

void
report_effect(const struct report_key *key, const struct report_counts *c, int64_t now, struct report_effect *e)
{
	uint64_t decisions = more(c->recipients, c->sessions);

	memset(e, 0, sizeof(*e));
	if (key->observe) {
		would_have(key, decisions, e);
		return;
	}
	switch (key->action) {
	case ACTION_GREYLIST:
	case ACTION_TEMPFAIL:
		report_unreturned(c, key->hour, now, &e->waiting, &e->stopped);
		e->delayed = c->returned;
		/* at a phase that knows no recipient, a tempfail is a refusal like others */
		if (c->triplets == 0 && c->recipients == 0)
			e->stopped = c->sessions;
		break;
	case ACTION_PAUSE:
	case ACTION_TARPIT:
		e->stopped = c->left;
		e->delayed = c->stayed;
		break;
	case ACTION_COUNT:
		e->let_in = c->recipients;
		break;
	default:
		would_have(key, decisions, e);
		break;
	}
}

void
report_key_encode(uint8_t out[REPORT_KEY_LEN], const struct report_key *k)
{
	uint32_t hour = htobe32(k->hour);
	uint16_t rule = htobe16(k->rule), line = htobe16(k->line);

	memcpy(out, &hour, 4);
	memcpy(out + 4, &rule, 2);
	memcpy(out + 6, &line, 2);
	out[8] = k->action;
	out[9] = k->observe;
}

bool
report_key_decode(const void *data, size_t len, struct report_key *k)
{
	const uint8_t *p = data;
	uint32_t hour;
	uint16_t rule, line;

	memset(k, 0, sizeof(*k));
	if (len != REPORT_KEY_LEN || p[8] > ACTION_COUNT || p[9] > 1)
		return false;
	memcpy(&hour, p, 4);
	memcpy(&rule, p + 4, 2);
	memcpy(&line, p + 6, 2);
	k->hour = be32toh(hour);
	k->rule = be16toh(rule);
	k->line = be16toh(line);
	k->action = p[8];
	k->observe = p[9] != 0;
	return true;
}

void
report_counts_encode(struct buf *b, const struct report_counts *c)
{
	buf_add_u8(b, COUNTS_VERSION);
	buf_add_u64(b, c->sessions);
	buf_add_u64(b, c->recipients);
	buf_add_u64(b, c->triplets);
	buf_add_u64(b, c->returned);
	buf_add_u64(b, c->seconds);
	buf_add_u64(b, c->left);
	buf_add_u64(b, c->stayed);
	buf_add_u32(b, c->window);
}

/* No server counts so much in an hour; beyond it the octets are something else. */
static uint64_t
decode_count(struct cursor *c)
{
	uint64_t n;

	n = cursor_u64(c);
	if (n >> 56 != 0)
		c->bad = true;
	return n;
}

bool
report_counts_decode(const void *data, size_t len, struct report_counts *out)
{
	struct cursor c;
	uint8_t version;

	c = cursor_init(data, len);
	version = cursor_u8(&c);
	out->sessions = decode_count(&c);
	out->recipients = decode_count(&c);
	out->triplets = decode_count(&c);
	out->returned = decode_count(&c);
	out->seconds = decode_count(&c);
	out->left = decode_count(&c);
	out->stayed = decode_count(&c);
	out->window = cursor_u32(&c);
	if (cursor_done(&c) && version == COUNTS_VERSION)
		return true;
	memset(out, 0, sizeof(*out));
	return false;
}

/*
 * Waiting times
 */

static unsigned
bucket_of(uint32_t seconds)
{
	unsigned doubling;

	if (seconds < EXACT)
		return seconds;
	doubling = 31 - (unsigned)__builtin_clz(seconds);
	return EXACT + (doubling - EXACT_BITS) * PER_DOUBLING +
	       (seconds >> (doubling - 4)) % PER_DOUBLING;
}

uint32_t
report_bucket_end(unsigned bucket)
{
	unsigned shift;

	if (bucket < EXACT)
		return bucket;
	shift = EXACT_BITS - 4 + (bucket - EXACT) / PER_DOUBLING;
	return (
	    uint32_t)(((uint64_t)(PER_DOUBLING + (bucket - EXACT) % PER_DOUBLING + 1) << shift) -
		      1);
}

void
report_waits_add(struct report_waits *w, uint32_t seconds)
{
	w->count++;
	w->sum += seconds;
	if (seconds > w->max)
		w->max = seconds;
	w->bucket[bucket_of(seconds)]++;
}

void
report_waits_merge(struct report_waits *to, const struct report_waits *from)
{
	unsigned i;

	to->count += from->count;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
	for (i = 0; i < REPORT_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint32_t
report_waits_percentile(const struct report_waits *w, unsigned percent)
{
	uint64_t rank, seen = 0;
	unsigned i;

	if (w->count == 0)
		return 0;
	rank = (w->count * percent + 99) / 100;
	for (i = 0; i < REPORT_BUCKETS - 1; i++) {
		seen += w->bucket[i];
		if (seen >= rank && seen > 0)
			break;
	}
	return report_bucket_end(i) < w->max ? report_bucket_end(i) : w->max;
}

void
report_waits_encode(struct buf *b, const struct report_waits *w)
{
	uint16_t used = 0;
	unsigned i;

	for (i = 0; i < REPORT_BUCKETS; i++)
		used += w->bucket[i] != 0;
	buf_add_u8(b, WAITS_VERSION);
	buf_add_u64(b, w->sum);
	buf_add_u32(b, w->max);
	buf_add_u16(b, used);
	for (i = 0; i < REPORT_BUCKETS; i++) {
		if (w->bucket[i] == 0)
			continue;
		buf_add_u16(b, (uint16_t)i);
		buf_add_u32(b, w->bucket[i]);
	}
}

bool
report_waits_decode(const void *data, size_t len, struct report_waits *w)
{
	struct cursor c;
	uint16_t used, i, at;
	uint32_t n;
	uint8_t version;

	memset(w, 0, sizeof(*w));
	c = cursor_init(data, len);
	version = cursor_u8(&c);
	w->sum = decode_count(&c);
	w->max = cursor_u32(&c);
	used = cursor_u16(&c);
	for (i = 0; i < used && !c.bad; i++) {
		at = cursor_u16(&c);
		n = cursor_u32(&c);
		if (at >= REPORT_BUCKETS || n == 0 || w->bucket[at] != 0) {
			c.bad = true;
			break;
		}
		w->bucket[at] = n;
		w->count += n;
	}
	if (cursor_done(&c) && version == WAITS_VERSION)
		return true;
	memset(w, 0, sizeof(*w));
	return false;
}
