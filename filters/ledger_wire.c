/*
 * Encoding of the ledger's messages (ledger_wire.h).
 *
 * Called by both ends of the channel; the event's form is also that of the disk.  Decoders never
 * fail by themselves: they make the cursor bad, and the caller asks cursor_done() once.
 * Enumerations and flags are checked here, so that behind the decoder no impossible value exists.
 */
#include <sys/socket.h>

#include <string.h>

#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/cursor.h"

enum caller_flags {
	CALLER_UNKNOWN = 1 << 0,
	CALLER_ALLOWED = 1 << 1,
	CALLER_DENIED = 1 << 2,
	CALLER_PASSED = 1 << 3,
	CALLER_TRAPPED = 1 << 4,
	CALLER_LEFT = 1 << 5,
	CALLER_STAYED = 1 << 6,
	CALLER_MAIL_WORDS = 1 << 7
};

enum question_flags {
	ASKS_OBSERVE = 1 << 0,
	ASKS_CLIENT_ONLY = 1 << 1,
	ASKS_NARROW = 1 << 2,
	ASKS_TEMPFAIL = 1 << 3,
	ASKS_WORD = 1 << 4
};

enum event_flags { EVENT_OBSERVE = 1 << 0, EVENT_LEFT = 1 << 1 };

/* Flags of which only those in ALL exist. */
static uint8_t
decode_flags(struct cursor *c, uint8_t all)
{
	uint8_t flags;

	flags = cursor_u8(c);
	if ((flags & ~all) != 0)
		c->bad = true;
	return flags;
}

/* An enumeration's value below COUNT, or equal where a "none of them" has that number. */
static unsigned
decode_enum(struct cursor *c, unsigned most)
{
	unsigned v;

	v = cursor_u8(c);
	if (v > most)
		c->bad = true;
	return c->bad ? 0 : v;
}

static int64_t
decode_time(struct cursor *c)
{
	uint64_t t;

	t = cursor_u64(c);
	if (t > INT64_MAX)
		c->bad = true;
	return c->bad ? 0 : (int64_t)t;
}

void
ledger_encode_ip(struct buf *b, const struct ip *ip)
{
	size_t len;

	len = ip->family == AF_INET ? 4 : ip->family == AF_INET6 ? 16 : 0;
	buf_add_u8(b, (uint8_t)len);
	buf_add(b, ip->bytes, len);
}

void
ledger_decode_ip(struct cursor *c, struct ip *ip)
{
	const void *bytes;
	uint8_t len;

	memset(ip, 0, sizeof(*ip));
	len = cursor_u8(c);
	if (len != 0 && len != 4 && len != 16)
		c->bad = true;
	bytes = cursor_bytes(c, len);
	if (c->bad || len == 0)
		return;
	ip->family = len == 4 ? AF_INET : AF_INET6;
	memcpy(ip->bytes, bytes, len);
}

void
ledger_encode_text(struct buf *b, const char *s)
{
	size_t len;

	buf_add_u8(b, s != NULL);
	if (s == NULL)
		return;
	len = strnlen(s, LEDGER_TEXT_MAX);
	buf_add_u32(b, (uint32_t)len);
	buf_add(b, s, len);
	buf_addc(b, '\0');
}

const char *
ledger_decode_text(struct cursor *c)
{
	const char *s;

	if (decode_flags(c, 1) == 0 || c->bad)
		return NULL;
	s = cursor_str(c);
	if (strnlen(s, LEDGER_TEXT_MAX + 1) > LEDGER_TEXT_MAX)
		c->bad = true;
	return c->bad ? NULL : s;
}

void
ledger_encode_caller(struct buf *b, const struct ledger_caller *a)
{
	buf_add_u8(
	    b, (uint8_t)((a->unknown ? CALLER_UNKNOWN : 0) | (a->allowed ? CALLER_ALLOWED : 0) |
			 (a->denied ? CALLER_DENIED : 0) | (a->passed ? CALLER_PASSED : 0) |
			 (a->trapped ? CALLER_TRAPPED : 0) | (a->left ? CALLER_LEFT : 0) |
			 (a->stayed ? CALLER_STAYED : 0) | (a->mail_words ? CALLER_MAIL_WORDS : 0)));
}

void
ledger_decode_caller(struct cursor *c, struct ledger_caller *a)
{
	uint8_t flags;

	flags = decode_flags(
	    c, CALLER_UNKNOWN | CALLER_ALLOWED | CALLER_DENIED | CALLER_PASSED | CALLER_TRAPPED |
		CALLER_LEFT | CALLER_STAYED | CALLER_MAIL_WORDS);
	a->unknown = (flags & CALLER_UNKNOWN) != 0;
	a->allowed = (flags & CALLER_ALLOWED) != 0;
	a->denied = (flags & CALLER_DENIED) != 0;
	a->passed = (flags & CALLER_PASSED) != 0;
	a->trapped = (flags & CALLER_TRAPPED) != 0;
	a->left = (flags & CALLER_LEFT) != 0;
	a->stayed = (flags & CALLER_STAYED) != 0;
	a->mail_words = (flags & CALLER_MAIL_WORDS) != 0;
}

void
ledger_encode_question(struct buf *b, const struct grey_question *q)
{
	ledger_encode_text(b, q->identity == NULL ? "" : q->identity);
	ledger_encode_text(b, q->sender == NULL ? "" : q->sender);
	ledger_encode_text(b, q->recipient == NULL ? "" : q->recipient);
	buf_add_u32(b, q->delay);
	buf_add_u32(b, q->window);
	buf_add_u32(b, q->lifetime);
	buf_add_u32(b, q->trust_after);
	buf_add_u16(b, q->rule);
	buf_add_u16(b, q->line);
	buf_add_u8(b, (uint8_t)((q->observe ? ASKS_OBSERVE : 0) | (q->client_only ? ASKS_CLIENT_ONLY : 0) |
				(q->narrow ? ASKS_NARROW : 0) | (q->tempfail ? ASKS_TEMPFAIL : 0) |
				(q->word_only ? ASKS_WORD : 0)));
	buf_add_u32(b, q->rescue);
	ledger_encode_ip(b, &q->client);
	ledger_encode_text(b, q->name);
	ledger_encode_text(b, q->helo);
}

void
ledger_decode_question(struct cursor *c, struct grey_question *q)
{
	uint8_t flags;

	memset(q, 0, sizeof(*q));
	q->identity = ledger_decode_text(c);
	q->sender = ledger_decode_text(c);
	q->recipient = ledger_decode_text(c);
	if (q->identity == NULL || q->sender == NULL || q->recipient == NULL)
		c->bad = true;
	q->delay = cursor_u32(c);
	q->window = cursor_u32(c);
	q->lifetime = cursor_u32(c);
	q->trust_after = cursor_u32(c);
	q->rule = cursor_u16(c);
	q->line = cursor_u16(c);
	flags = decode_flags(
	    c, ASKS_OBSERVE | ASKS_CLIENT_ONLY | ASKS_NARROW | ASKS_TEMPFAIL | ASKS_WORD);
	q->observe = (flags & ASKS_OBSERVE) != 0;
	q->client_only = (flags & ASKS_CLIENT_ONLY) != 0;
	q->narrow = (flags & ASKS_NARROW) != 0;
	q->tempfail = (flags & ASKS_TEMPFAIL) != 0;
	q->word_only = (flags & ASKS_WORD) != 0;
	q->rescue = cursor_u32(c);
	ledger_decode_ip(c, &q->client);
	q->name = ledger_decode_text(c);
	q->helo = ledger_decode_text(c);
}

void
ledger_encode_answer(struct buf *b, const struct grey_answer *a)
{
	buf_add_u8(b, (uint8_t)a->state);
	buf_add_u32(b, a->left);
	buf_add_u32(b, a->waited);
	buf_add_u8(b, a->first_pass);
	buf_add_u64(b, (uint64_t)a->first);
}

void
ledger_decode_answer(struct cursor *c, struct grey_answer *a)
{
	memset(a, 0, sizeof(*a));
	a->state = decode_enum(c, GREY_DENIED);
	a->left = cursor_u32(c);
	a->waited = cursor_u32(c);
	a->first_pass = decode_flags(c, 1) != 0;
	a->first = decode_time(c);
}

void
ledger_encode_policy(struct buf *b, const struct ledger_policy *p)
{
	buf_add_str(b, p->id);
	buf_add_str(b, p->text);
	buf_add_u64(b, (uint64_t)p->fetched);
	buf_add_u64(b, (uint64_t)p->until);
}

void
ledger_decode_policy(struct cursor *c, struct ledger_policy *p)
{
	p->id = cursor_str(c);
	p->text = cursor_str(c);
	p->fetched = (int64_t)cursor_u64(c);
	p->until = (int64_t)cursor_u64(c);
	if (p->fetched < 0 || p->until < 0 || strlen(p->text) > LEDGER_POLICY_MAX)
		c->bad = true;
}

void
ledger_encode_event(struct buf *b, const struct gate_event *e)
{
	buf_add_u64(b, e->session);
	buf_add_u64(b, (uint64_t)e->time);
	ledger_encode_ip(b, &e->client);
	ledger_encode_text(b, e->name);
	ledger_encode_text(b, e->helo);
	ledger_encode_text(b, e->sender);
	ledger_encode_text(b, e->recipient);
	ledger_encode_text(b, e->identity);
	buf_add_u16(b, e->rule);
	buf_add_u16(b, e->line);
	buf_add_u8(b, (uint8_t)e->action);
	buf_add_u8(b, (uint8_t)e->phase);
	buf_add_u8(b, (uint8_t)((e->observe ? EVENT_OBSERVE : 0) | (e->left ? EVENT_LEFT : 0)));
	buf_add_u32(b, e->waited);
	ledger_encode_text(b, e->evidence);
}

void
ledger_decode_event(struct cursor *c, struct gate_event *e)
{
	uint8_t flags;

	memset(e, 0, sizeof(*e));
	e->session = cursor_u64(c);
	e->time = decode_time(c);
	ledger_decode_ip(c, &e->client);
	e->name = ledger_decode_text(c);
	e->helo = ledger_decode_text(c);
	e->sender = ledger_decode_text(c);
	e->recipient = ledger_decode_text(c);
	e->identity = ledger_decode_text(c);
	e->rule = cursor_u16(c);
	e->line = cursor_u16(c);
	e->action = decode_enum(c, ACTION_COUNT);
	e->phase = decode_enum(c, PHASE_COUNT - 1);
	flags = decode_flags(c, EVENT_OBSERVE | EVENT_LEFT);
	e->observe = (flags & EVENT_OBSERVE) != 0;
	e->left = (flags & EVENT_LEFT) != 0;
	e->waited = cursor_u32(c);
	e->evidence = ledger_decode_text(c);
}

void
ledger_encode_login(struct buf *b, const struct login_answer *a)
{
	buf_add_u32(b, a->left);
	buf_add_u8(b, (uint8_t)a->banned);
	buf_add_u32(b, a->delay);
	buf_add_u8(b, a->known);
}

void
ledger_decode_login(struct cursor *c, struct login_answer *a)
{
	a->left = cursor_u32(c);
	a->banned = decode_enum(c, LOCKOUT_PAIR);
	a->delay = cursor_u32(c);
	a->known = decode_enum(c, 1) != 0;
}
