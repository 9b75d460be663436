/*
 * The greylist's arithmetic (grey.h).
 *
 * The ledger calls this with what it has on disk and writes back what comes out; the tests call it
 * with a table of times.  Nothing here can fail.  What must never happen: that a clock that was
 * wrong for a while locks a caller out.  So a time in the future becomes now, wherever it is met,
 * and the wait then starts no later than that.
 *
 * Records are little endian, with a version in front and a length that is exact, because they
 * outlive the program that wrote them and the disk may give back anything.
 */
#include <string.h>

#include "filters/grey.h"
#include "lib/buf.h"
#include "lib/cursor.h"

#define RECORD_VERSION 1
#define IDENTITY_VERSION 1
#define FLAG_WAIVED 1
/* The year 36812: later is no time, and sums with 32-bit numbers of seconds cannot overflow. */
/* A trusted identity's last use is written again after so many seconds. */
#define REFRESH 3600

const char *
grey_state_name(enum grey_state state)
{
	static const char *const names[] = { [GREY_UNKNOWN] = "unknown",
		[GREY_NEW] = "new",
		[GREY_EARLY] = "early",
		[GREY_PASS] = "pass",
		[GREY_TRUSTED] = "trusted",
		[GREY_DENIED] = "denied" };

	return state <= GREY_DENIED ? names[state] : "?";
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The clock was ahead when this was written, or is behind now. */
static void
pull_back(struct grey_record *r, int64_t now)
{
	r->first = earlier(r->first, now);
	r->passed = earlier(r->passed, now);
	r->last = earlier(r->last, now);
}

/* A window that ends before the delay does would let nobody in, ever. */
static int64_t
window_of(const struct grey_question *q)
{
	return q->window > q->delay ? (int64_t)q->window : (int64_t)q->delay * 2;
}

/* What is known does not count any more: nothing, or so old that the caller begins again. */
static bool
begins_anew(const struct grey_record *r, const struct grey_question *q, int64_t now)
{
	if (r->count == 0)
		return true;
	if (r->passed != 0)
		return now - r->last > q->lifetime;
	if (r->waived)
		return now - r->last > window_of(q);
	return now - r->first > window_of(q);
}

static void
begin(struct grey_record *r, const struct grey_question *q, int64_t now)
{
	memset(r, 0, sizeof(*r));
	r->first = now;
	r->rule = q->rule;
	r->line = q->line;
}

void
grey_decide(
    struct grey_record *r, const struct grey_question *q, int64_t now, struct grey_answer *answer)
{
	int64_t waited;
	bool fresh;

	memset(answer, 0, sizeof(*answer));
	pull_back(r, now);
	fresh = begins_anew(r, q, now);
	if (fresh)
		begin(r, q, now);
	r->last = now;
	r->delay = q->delay;
	if (r->count < UINT32_MAX)
		r->count++;
	answer->first = r->first;
	waited = now - r->first;
	if (r->passed != 0) {
		answer->state = GREY_PASS;
	} else if (waited < q->delay && !r->waived) {
		answer->state = fresh ? GREY_NEW : GREY_EARLY;
		answer->left = (uint32_t)(q->delay - waited);
	} else {
		answer->state = GREY_PASS;
		answer->first_pass = true;
		answer->waited = (uint32_t)earlier(waited, UINT32_MAX);
		r->passed = now;
		r->waived = false;
	}
	r->expires = r->passed != 0 ? now + q->lifetime : r->first + window_of(q);
}

void
grey_waive(struct grey_record *r, int64_t now)
{
	pull_back(r, now);
	if (r->passed != 0)
		return;
	/* It has as long to come back as it had from its first try. */
	r->expires = now + (r->expires > r->first ? r->expires - r->first : 0);
	r->last = now;
	r->waived = true;
}

const char *
grey_record_state(const struct grey_record *r, int64_t now)
{
	if (now > r->expires)
		return "expired";
	if (r->passed != 0)
		return "passed";
	return grey_record_left(r, now) > 0 ? "waiting" : "ready";
}

uint32_t
grey_record_left(const struct grey_record *r, int64_t now)
{
	int64_t waited;

	waited = now > r->first ? now - r->first : 0;
	return r->passed != 0 || r->waived || waited >= r->delay ? 0
								 : (uint32_t)(r->delay - waited);
}

/*
 * Identities
 */

bool
grey_identity_trusted(const struct grey_identity *id, const struct grey_question *q, int64_t now)
{
	return q->trust_after != 0 && id->count >= q->trust_after && now - id->last <= q->lifetime;
}

bool
grey_identity_stale(const struct grey_identity *id, int64_t now)
{
	return now - id->last > REFRESH || id->last > now;
}

void
grey_identity_passed(
    struct grey_identity *id, const struct grey_question *q, int64_t now, bool first_pass)
{
	if (now - id->last > q->lifetime)
		id->count = 0;
	if (first_pass && id->count < UINT32_MAX)
		id->count++;
	id->last = now;
	id->expires = now + q->lifetime;
	id->trust_after = q->trust_after;
}

/*
 * On disk
 */

void
grey_record_encode(struct buf *b, const struct grey_record *r)
{
	buf_add_u8(b, RECORD_VERSION);
	buf_add_u8(b, r->waived ? FLAG_WAIVED : 0);
	buf_add_u64(b, (uint64_t)r->first);
	buf_add_u64(b, (uint64_t)r->last);
	buf_add_u64(b, (uint64_t)r->passed);
	buf_add_u64(b, (uint64_t)r->expires);
	buf_add_u32(b, r->count);
	buf_add_u32(b, r->delay);
	buf_add_u16(b, r->rule);
	buf_add_u16(b, r->line);
}

static bool
record_ok(const struct grey_record *r)
{
	if (r->count == 0 || r->first > r->last)
		return false;
	return r->passed == 0 || (r->first <= r->passed && r->passed <= r->last && !r->waived);
}

bool
grey_record_decode(const void *data, size_t len, struct grey_record *r)
{
	struct cursor c;
	uint8_t version, flags;

	memset(r, 0, sizeof(*r));
	c = cursor_init(data, len);
	version = cursor_u8(&c);
	flags = cursor_u8(&c);
	r->waived = (flags & FLAG_WAIVED) != 0;
	r->first = cursor_time(&c);
	r->last = cursor_time(&c);
	r->passed = cursor_time(&c);
	r->expires = cursor_time(&c);
	r->count = cursor_u32(&c);
	r->delay = cursor_u32(&c);
	r->rule = cursor_u16(&c);
	r->line = cursor_u16(&c);
	if (cursor_done(&c) && version == RECORD_VERSION && (flags & ~FLAG_WAIVED) == 0 &&
	    record_ok(r))
		return true;
	memset(r, 0, sizeof(*r));
	return false;
}

void
grey_identity_encode(struct buf *b, const struct grey_identity *id)
{
	buf_add_u8(b, IDENTITY_VERSION);
	buf_add_u64(b, (uint64_t)id->last);
	buf_add_u64(b, (uint64_t)id->expires);
	buf_add_u32(b, id->count);
	buf_add_u32(b, id->trust_after);
}

bool
grey_identity_decode(const void *data, size_t len, struct grey_identity *id)
{
	struct cursor c;
	uint8_t version;

	memset(id, 0, sizeof(*id));
	c = cursor_init(data, len);
	version = cursor_u8(&c);
	id->last = cursor_time(&c);
	id->expires = cursor_time(&c);
	id->count = cursor_u32(&c);
	id->trust_after = cursor_u32(&c);
	if (cursor_done(&c) && version == IDENTITY_VERSION && id->count != 0)
		return true;
	memset(id, 0, sizeof(*id));
	return false;
}
