/*
 * Envelopes: making and freeing them, and their one encoding, used on disk and between roles.
 *
 * The queue role and the store own envelopes; sessions build them to hand a message over.  An
 * encoding begins with its version, counts every string, and is checked on the way in as if a
 * stranger had written it: a count that the bytes cannot hold never becomes an allocation.  What
 * envelope_ok() lets pass, envelope_decode() must read back: a message that was acknowledged must
 * never be refused by our own reader after a restart.  So the limits stand here once, for both
 * ways; texts that are only for people are cut to their limit instead of being refused.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/target.h"
#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "queue/addresses.h"
#include "queue/envelope.h"
#include "queue/shared_text.h"

#define VERSION 1

/* RFC 5321 4.5.3.1 for what is a mailbox, with room for the quoting of a local part; the others
 * are ours. */
#define ADDRESS_MAX (2 * MAILADDR_LOCAL_MAX + 2 + 1 + MAILADDR_DOMAIN_MAX)
/* RFC 3461 4.2: 500 characters of xtext; an expansion may be named by a longer word */
#define ORIGINAL_MAX 1000
#define ENVID_MAX 1000    /* RFC 3461 4.4: 100 */
#define PEOPLE_MAX 1024   /* origin, reason, host: words for people, cut when longer */
/* A recipient's fixed part and its four empty strings: what the shortest takes. */
#define RECIPIENT_MIN (RECIPIENT_FIXED + 4 * 5)
#define RECIPIENT_FIXED (8 + 4 + 2 + 1 + 1 + 1)
#define ROUTE_MAX 1024    /* a destination: what an operator wrote */
#define HOLD_MAX 64       /* RFC 4865 3: a number or a date */

/* The octet of an envelope's bits; the last three say that more follows at its place. */
enum envelope_flags {
	FLAG_UTF8 = 1,
	FLAG_HELD = 2,
	FLAG_OURS = 4,
	FLAG_REQUIRETLS = 8,
	FLAG_RELEASE = 16,
	FLAG_BY = 32,
	FLAG_VERP = 64
};
#define ENVELOPE_FLAGS 127

/* The last octet of a recipient's fixed part.  Versions before there were routes knew the first bit
 * only, so that what they wrote reads the same. */
enum recipient_flags {
	FLAG_DELAY_TOLD = 1,
	FLAG_OWED = 2,
	FLAG_RELAYED = 4,
	FLAG_ROUTE = 8,
	FLAG_SENDER = 16
};
#define FLAGS (FLAG_DELAY_TOLD | FLAG_OWED | FLAG_RELAYED | FLAG_ROUTE | FLAG_SENDER)

struct envelope *
envelope_new(void)
{
	return xcalloc(1, sizeof(struct envelope));
}

/* How many there is memory for when there are N: one for one (most messages), then 4, 8, 16 ... */
static size_t
capacity(uint32_t n)
{
	size_t room = 4;

	if (n <= 1)
		return n;
	while (room < n)
		room *= 2;
	return room;
}

static struct recipient *
new_recipient(struct envelope *env)
{
	struct recipient *r;

	if (capacity(env->recipients_n) == env->recipients_n)
		env->recipients = xreallocarray(env->recipients, capacity(env->recipients_n + 1),
		    sizeof(*env->recipients));
	r = &env->recipients[env->recipients_n++];
	memset(r, 0, sizeof(*r));
	r->parent = UINT32_MAX;
	return r;
}

uint32_t
envelope_add_recipient(
    struct envelope *env, const char *address, const char *original, uint8_t notify)
{
	struct recipient *r = new_recipient(env);

	r->address = xstrdup(address);
	r->original = original != NULL ? xstrdup(original) : NULL;
	r->notify = notify;
	return env->recipients_n - 1;
}

static void
free_recipient(struct recipient *r)
{
	text_drop(r->address);
	text_drop(r->original);
	text_drop(r->reason);
	text_drop(r->host);
	text_drop(r->route);
	text_drop(r->sender);
}

void
envelope_drop_doubles(struct envelope *env)
{
	struct addresses known;
	struct recipient *r;
	uint32_t i, kept = 0;

	if (env->recipients_n < 2)
		return;
	addresses_init(&known, env->recipients_n);
	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (r->original == NULL && r->notify == NOTIFY_DEFAULT) {
			if (addresses_has(&known, r->address)) {
				free_recipient(r);
				continue;
			}
			addresses_add(&known, r->address);
		}
		env->recipients[kept++] = *r;
	}
	env->recipients_n = kept;
	addresses_free(&known);
}

void
envelope_free(struct envelope *env)
{
	uint32_t i;

	if (env == NULL)
		return;
	for (i = 0; i < env->recipients_n; i++)
		free_recipient(&env->recipients[i]);
	free(env->recipients);
	text_drop(env->sender);
	text_drop(env->origin);
	text_drop(env->envid);
	text_drop(env->hold);
	free(env);
}

const char *
envelope_sender(const struct envelope *env, uint32_t index)
{
	uint32_t at = env->recipients[index].parent;

	/* what has no sender must not get one: its notices would go round */
	if (env->sender[0] == '\0')
		return env->sender;
	for (; at != UINT32_MAX; at = env->recipients[at].parent)
		if (env->recipients[at].sender != NULL)
			return env->recipients[at].sender;
	return env->sender;
}

bool
envelope_has_own_path(const struct envelope *env, uint32_t index)
{
	return env->verp[0] != '\0' && envelope_sender(env, index) == env->sender;
}

char *
envelope_return_path(const struct envelope *env, uint32_t index)
{
	uint32_t named = index;

	if (!envelope_has_own_path(env, index))
		return xstrdup(envelope_sender(env, index));
	while (env->recipients[named].parent != UINT32_MAX)
		named = env->recipients[named].parent;
	return verp_path(env->verp, env->sender, env->recipients[named].address);
}

void
envelope_set(char **text, const char *value)
{
	char *copy = value != NULL ? xstrdup(value) : NULL;

	text_drop(*text);
	*text = copy;
}

void
envelope_share_state(struct recipient *r)
{
	text_share(&r->reason);
	text_share(&r->host);
	text_share(&r->route);
}

void
envelope_share(struct envelope *env)
{
	uint32_t i;

	text_share(&env->origin);
	/* whoever has a million messages waiting has sent most of them under one name */
	text_share(&env->sender);
	for (i = 0; i < env->recipients_n; i++)
		envelope_share_state(&env->recipients[i]);
}

bool
recipient_is_open(const struct recipient *r)
{
	return r->state == RECIPIENT_WAITING || r->owed;
}

bool
envelope_finished(const struct envelope *env)
{
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++)
		if (recipient_is_open(&env->recipients[i]))
			return false;
	return true;
}

/* --- limits --- */

/* Length of the local part as RFC 5321 4.5.3.1.1 counts it: without the quotes and backslashes of
 * a quoted one. */
static size_t
local_length(const char *s, size_t len)
{
	size_t i, n = 0;

	if (len < 2 || s[0] != '"')
		return len;
	for (i = 1; i + 1 < len; i++) {
		if (s[i] == '\\' && i + 2 < len)
			i++;
		n++;
	}
	return n;
}

static bool
address_ok(const char *s)
{
	const char *at = strrchr(s, '@');
	size_t local = at != NULL ? (size_t)(at - s) : strlen(s);

	if (s[0] == '\\') /* what an expansion made, and no address of a stranger's */
		return strlen(s) <= TARGET_MAX;
	if (strlen(s) > ADDRESS_MAX || local_length(s, local) > MAILADDR_LOCAL_MAX)
		return false;
	return at == NULL || strlen(at + 1) <= MAILADDR_DOMAIN_MAX;
}

/* An expansion comes after what it was expanded from. */
static bool
parent_ok(uint32_t parent, uint32_t index)
{
	return parent == UINT32_MAX || parent < index;
}

static bool
recipient_ok(const struct envelope *env, uint32_t i)
{
	const struct recipient *r = &env->recipients[i];

	if (r->address == NULL || r->address[0] == '\0' || !address_ok(r->address))
		return false;
	if (r->original != NULL && strlen(r->original) > ORIGINAL_MAX)
		return false;
	if ((r->route != NULL && strlen(r->route) > ROUTE_MAX) ||
	    (r->sender != NULL && !address_ok(r->sender)))
		return false;
	return parent_ok(r->parent, i) && r->state <= RECIPIENT_REMOVED;
}

bool
envelope_ok(const struct envelope *env)
{
	uint32_t i;

	if (env->id == 0 || env->sender == NULL || env->origin == NULL || !address_ok(env->sender))
		return false;
	if ((env->envid != NULL && strlen(env->envid) > ENVID_MAX) || env->body > BODY_BINARYMIME ||
	    env->ret > 2)
		return false;
	if ((env->hold == NULL) != (env->release == 0) ||
	    (env->hold != NULL && strlen(env->hold) > HOLD_MAX))
		return false;
	if ((env->by == 0) != (env->deliver_by == 0) || env->by > (BY_NOTIFY | BY_RETURN | BY_TRACE))
		return false;
	/* what has no sender has none to be made of */
	if (env->verp[0] != '\0' &&
	    (!verp_formula_ok(env->verp, strlen(env->verp)) || env->sender[0] == '\0'))
		return false;
	if (env->recipients_n == 0 || env->recipients_n > ENVELOPE_RECIPIENTS_MAX)
		return false;
	for (i = 0; i < env->recipients_n; i++)
		if (!recipient_ok(env, i))
			return false;
	return true;
}

/* --- encoding --- */

/* For people: cut, never refused. */
static void
add_words(struct buf *b, const char *s)
{
	size_t len = s != NULL ? strnlen(s, PEOPLE_MAX) : 0;

	buf_add_u32(b, (uint32_t)len);
	buf_add(b, s != NULL ? s : "", len);
	buf_addc(b, '\0');
}

void
envelope_encode_state(struct buf *b, const struct recipient *r)
{
	buf_add_u64(b, (uint64_t)r->due);
	buf_add_u32(b, r->parent);
	buf_add_u16(b, r->attempts);
	buf_add_u8(b, r->state);
	buf_add_u8(b, r->notify);
	buf_add_u8(b, (uint8_t)((r->delay_told ? FLAG_DELAY_TOLD : 0) | (r->owed ? FLAG_OWED : 0) |
			  (r->relayed ? FLAG_RELAYED : 0) | (r->route != NULL ? FLAG_ROUTE : 0) |
			  (r->sender != NULL ? FLAG_SENDER : 0)));
	add_words(b, r->reason);
	add_words(b, r->host);
	if (r->route != NULL)
		buf_add_str(b, r->route);
	if (r->sender != NULL)
		buf_add_str(b, r->sender);
}

static uint8_t
envelope_flags(const struct envelope *env)
{
	return (uint8_t)((env->utf8 ? FLAG_UTF8 : 0) | (env->held ? FLAG_HELD : 0) |
	    (env->ours ? FLAG_OURS : 0) | (env->requiretls ? FLAG_REQUIRETLS : 0) |
	    (env->release != 0 ? FLAG_RELEASE : 0) | (env->by != 0 ? FLAG_BY : 0) |
	    (env->verp[0] != '\0' ? FLAG_VERP : 0));
}

void
envelope_encode(struct buf *b, const struct envelope *env)
{
	uint32_t i;

	buf_add_u8(b, VERSION);
	buf_add_u64(b, env->id);
	buf_add_u64(b, env->session);
	buf_add_u64(b, (uint64_t)env->time);
	buf_add_u64(b, (uint64_t)env->expires);
	buf_add_u64(b, env->size);
	buf_add_u8(b, env->body);
	buf_add_u8(b, env->ret);
	buf_add_u8(b, envelope_flags(env));
	buf_add_str(b, env->sender);
	add_words(b, env->origin);
	buf_add_str(b, env->envid);
	if (env->release != 0) {
		buf_add_u64(b, (uint64_t)env->release);
		buf_add_str(b, env->hold);
	}
	if (env->by != 0) {
		buf_add_u64(b, (uint64_t)env->deliver_by);
		buf_add_u8(b, env->by);
	}
	if (env->verp[0] != '\0')
		buf_add(b, env->verp, VERP_SIZE - 1);
	buf_add_u32(b, env->recipients_n);
	for (i = 0; i < env->recipients_n; i++) {
		buf_add_str(b, env->recipients[i].address);
		buf_add_str(b, env->recipients[i].original);
		envelope_encode_state(b, &env->recipients[i]);
	}
}

/* --- decoding --- */

/* "" was NULL. */
static char *
copy_optional(const char *s)
{
	return s != NULL && s[0] != '\0' ? xstrdup(s) : NULL;
}

/* The same text again is the usual case (a host that stays down): it keeps its memory. */
static void
set_optional(char **text, const char *s)
{
	if (s != NULL && s[0] == '\0')
		s = NULL;
	if (s == NULL || *text == NULL || strcmp(*text, s) != 0)
		envelope_set(text, s);
}

bool
envelope_decode_state(struct cursor *c, struct recipient *r, uint32_t index)
{
	struct recipient new = { .due = (int64_t)cursor_u64(c) };
	const char *reason, *host, *route, *sender;
	uint8_t flags;

	new.parent = cursor_u32(c);
	new.attempts = cursor_u16(c);
	new.state = cursor_u8(c);
	new.notify = cursor_u8(c);
	flags = cursor_u8(c);
	reason = cursor_str(c);
	host = cursor_str(c);
	route = flags & FLAG_ROUTE ? cursor_str(c) : NULL;
	sender = flags & FLAG_SENDER ? cursor_str(c) : NULL;
	if (c->bad || new.state > RECIPIENT_REMOVED || flags > FLAGS || strlen(reason) > PEOPLE_MAX ||
	    strlen(host) > PEOPLE_MAX || (route != NULL && strlen(route) > ROUTE_MAX) ||
	    (sender != NULL && !address_ok(sender)) || !parent_ok(new.parent, index))
		return false;
	r->due = new.due;
	r->parent = new.parent;
	r->attempts = new.attempts;
	r->state = new.state;
	r->notify = new.notify;
	r->delay_told = (flags & FLAG_DELAY_TOLD) != 0;
	r->owed = (flags & FLAG_OWED) != 0;
	r->relayed = (flags & FLAG_RELAYED) != 0;
	set_optional(&r->reason, reason);
	set_optional(&r->host, host);
	set_optional(&r->route, route);
	set_optional(&r->sender, sender);
	return true;
}

static bool
decode_recipients(struct cursor *c, struct envelope *env)
{
	uint32_t n = cursor_u32(c), i;

	if (c->bad || n == 0 || n > (size_t)(c->end - c->pos) / RECIPIENT_MIN)
		return false;
	env->recipients = xcalloc(capacity(n), sizeof(*env->recipients));
	for (i = 0; i < n; i++) {
		const char *address = cursor_str(c), *original = cursor_str(c);

		if (c->bad)
			return false;
		env->recipients_n++;
		env->recipients[i].address = xstrdup(address);
		env->recipients[i].original = copy_optional(original);
		if (!envelope_decode_state(c, &env->recipients[i], i))
			return false;
	}
	return true;
}

static bool
decode(struct cursor *c, struct envelope *env)
{
	uint8_t flags;

	if (cursor_u8(c) != VERSION)
		return false;
	env->id = cursor_u64(c);
	env->session = cursor_u64(c);
	env->time = (int64_t)cursor_u64(c);
	env->expires = (int64_t)cursor_u64(c);
	env->size = cursor_u64(c);
	env->body = cursor_u8(c);
	env->ret = cursor_u8(c);
	flags = cursor_u8(c);
	env->utf8 = (flags & FLAG_UTF8) != 0;
	env->held = (flags & FLAG_HELD) != 0;
	env->ours = (flags & FLAG_OURS) != 0;
	env->requiretls = (flags & FLAG_REQUIRETLS) != 0;
	envelope_set(&env->sender, cursor_str(c));
	envelope_set(&env->origin, cursor_str(c));
	env->envid = copy_optional(cursor_str(c));
	if (flags & FLAG_RELEASE) {
		env->release = (int64_t)cursor_u64(c);
		env->hold = copy_optional(cursor_str(c));
	}
	if (flags & FLAG_BY) {
		env->deliver_by = (int64_t)cursor_u64(c);
		env->by = cursor_u8(c);
	}
	if (flags & FLAG_VERP) {
		env->verp[0] = (char)cursor_u8(c);
		env->verp[1] = (char)cursor_u8(c);
	}
	return !c->bad && flags <= ENVELOPE_FLAGS && strlen(env->origin) <= PEOPLE_MAX &&
	       decode_recipients(c, env);
}

struct envelope *
envelope_decode(struct cursor *c)
{
	struct envelope *env = envelope_new();

	if (decode(c, env) && envelope_ok(env))
		return env;
	c->bad = true;
	envelope_free(env);
	return NULL;
}
