/*
 * Keys and values of the ledger's tables (ledger_item.h).
 *
 * The store encodes and decodes single records with it, the purge and smtpctl's listings decode
 * what a scan meets.  Whatever lies on the disk is data: what does not decode exactly is no item,
 * and the caller deletes it.  Nothing here can fail otherwise.
 */
#include <sys/socket.h>

#include <endian.h>
#include <string.h>

#include "filters/ledger_item.h"
#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/cursor.h"

#define UNTIL_VERSION 2
#define EVENT_VERSION 1
#define POLICY_VERSION 1

/* The first octet of a key, where a table holds more than one kind of item. */
enum key_kind {
	KEY_IDENTITY = 'I',
	KEY_TRIPLET = 'T',
	KEY_PASSED = 'P',
	KEY_TRAP = 'X',
	KEY_LEFT = 'L',
	KEY_STAYED = 'S',
	KEY_COUNTS = 'C',
	KEY_WAITS = 'W',
	KEY_TRIES = 'R'
};

void
ledger_key_first(struct buf *b, enum ledger_item_type type)
{
	static const uint8_t kinds[] = { [ITEM_TRIPLET] = KEY_TRIPLET,
		[ITEM_IDENTITY] = KEY_IDENTITY,
		[ITEM_PASSED] = KEY_PASSED,
		[ITEM_TRAP] = KEY_TRAP,
		[ITEM_LEFT] = KEY_LEFT,
		[ITEM_STAYED] = KEY_STAYED,
		[ITEM_COUNTS] = KEY_COUNTS,
		[ITEM_WAITS] = KEY_WAITS,
		[ITEM_EVENT] = 0,
		[ITEM_TRIES] = KEY_TRIES };

	if (kinds[type] != 0)
		buf_add_u8(b, kinds[type]);
}

void
ledger_key_triplets_of(struct buf *b, enum ledger_item_type type, const char *identity)
{
	ledger_key_first(b, type);
	buf_add_str(b, identity);
}

void
ledger_key_triplet(struct buf *b, const char *identity, const char *sender, const char *recipient)
{
	ledger_key_triplets_of(b, ITEM_TRIPLET, identity);
	buf_add_str(b, sender);
	buf_add_str(b, recipient);
}

void
ledger_key_tries(struct buf *b, const char *identity, const char *sender, const char *recipient)
{
	ledger_key_triplets_of(b, ITEM_TRIES, identity);
	buf_add_str(b, sender);
	buf_add_str(b, recipient);
}

void
ledger_key_identity(struct buf *b, const char *identity)
{
	ledger_key_first(b, ITEM_IDENTITY);
	buf_add_str(b, identity);
}

void
ledger_key_caller(struct buf *b, enum ledger_item_type type, const struct ip *ip)
{
	ledger_key_first(b, type);
	ledger_encode_ip(b, ip);
}

void
ledger_key_correspondent(struct buf *b, const char *theirs, const char *ours)
{
	buf_add_str(b, theirs);
	buf_add_str(b, ours);
}

void
ledger_key_hour(struct buf *b, enum ledger_item_type type, uint32_t hour)
{
	uint32_t be = htobe32(hour);

	ledger_key_first(b, type);
	buf_add(b, &be, sizeof(be));
}

void
ledger_key_counts(struct buf *b, const struct report_key *k)
{
	uint8_t key[REPORT_KEY_LEN];

	report_key_encode(key, k);
	ledger_key_first(b, ITEM_COUNTS);
	buf_add(b, key, sizeof(key));
}

void
ledger_key_waits(struct buf *b, uint32_t hour)
{
	ledger_key_hour(b, ITEM_WAITS, hour);
}

void
ledger_key_event(struct buf *b, uint64_t number)
{
	uint64_t be = htobe64(number);

	buf_add(b, &be, sizeof(be));
}

void
ledger_key_login(struct buf *b, enum lockout_subject s, const struct ip *ip, const char *account)
{
	struct ip none = { .family = 0 };
	struct ipnet net = lockout_net(s, ip);

	buf_add_u8(b, (uint8_t)s);
	ledger_encode_ip(b, s == LOCKOUT_ACCOUNT ? &none : &net.ip);
	buf_add_str(b, s == LOCKOUT_ACCOUNT || s == LOCKOUT_PAIR ? account : "");
}

void
ledger_until_encode(struct buf *b, int64_t since, int64_t until)
{
	buf_add_u8(b, UNTIL_VERSION);
	buf_add_u64(b, (uint64_t)since);
	buf_add_u64(b, (uint64_t)until);
}

bool
ledger_until_decode(const void *data, size_t len, int64_t *since, int64_t *until)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);
	uint64_t from = version == 1 ? 0 : cursor_u64(&c), to = cursor_u64(&c);

	*since = *until = 0;
	if (!cursor_done(&c) || version == 0 || version > UNTIL_VERSION || from > INT64_MAX || to > INT64_MAX)
		return false;
	*since = (int64_t)from;
	*until = (int64_t)to;
	return true;
}

void
ledger_event_value(struct buf *b, const struct gate_event *e)
{
	buf_add_u8(b, EVENT_VERSION);
	ledger_encode_event(b, e);
}

void
ledger_key_policy(struct buf *b, const char *domain)
{
	buf_add_str(b, domain);
}

void
ledger_policy_value(struct buf *b, const struct ledger_policy *p)
{
	buf_add_u8(b, POLICY_VERSION);
	ledger_encode_policy(b, p);
}

bool
ledger_policy_decode(const void *data, size_t len, struct ledger_policy *p)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);

	ledger_decode_policy(&c, p);
	return cursor_done(&c) && version == POLICY_VERSION;
}

/*
 * Decoding, by table
 */

static bool
decode_grey(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	uint8_t kind;

	kind = cursor_u8(key);
	item->identity = cursor_str(key);
	if (kind == KEY_IDENTITY) {
		item->type = ITEM_IDENTITY;
		return cursor_done(key) && grey_identity_decode(value, len, &item->trust);
	}
	item->type = ITEM_TRIPLET;
	item->sender = cursor_str(key);
	item->recipient = cursor_str(key);
	return cursor_done(key) && kind == KEY_TRIPLET &&
	       grey_record_decode(value, len, &item->triplet);
}

static bool
decode_caller(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	int64_t since;

	switch (cursor_u8(key)) {
	case KEY_PASSED:
		item->type = ITEM_PASSED;
		break;
	case KEY_TRAP:
		item->type = ITEM_TRAP;
		break;
	case KEY_LEFT:
		item->type = ITEM_LEFT;
		break;
	case KEY_STAYED:
		item->type = ITEM_STAYED;
		break;
	default:
		return false;
	}
	ledger_decode_ip(key, &item->client);
	return cursor_done(key) && item->client.family != 0 &&
	       ledger_until_decode(value, len, &since, &item->until);
}

static bool
decode_correspondent(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	int64_t since;

	item->type = ITEM_CORRESPONDENT;
	item->theirs = cursor_str(key);
	item->ours = cursor_str(key);
	return cursor_done(key) && ledger_until_decode(value, len, &since, &item->until);
}

static bool
decode_counter(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	const void *rest;
	uint32_t hour;
	size_t n;

	switch (cursor_u8(key)) {
	case KEY_COUNTS:
		item->type = ITEM_COUNTS;
		n = (size_t)(key->end - key->pos);
		rest = cursor_bytes(key, n);
		return rest != NULL && report_key_decode(rest, n, &item->key) &&
		       report_counts_decode(value, len, &item->counts);
	case KEY_WAITS:
		item->type = ITEM_WAITS;
		rest = cursor_bytes(key, sizeof(hour));
		if (rest == NULL || !cursor_done(key))
			return false;
		memcpy(&hour, rest, sizeof(hour));
		item->key.hour = be32toh(hour);
		return report_waits_decode(value, len, &item->waits);
	default:
		return false;
	}
}

static bool
decode_event(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	struct cursor c;
	const void *number;
	uint64_t be;
	uint8_t version;

	item->type = ITEM_EVENT;
	number = cursor_bytes(key, sizeof(be));
	if (number == NULL || !cursor_done(key))
		return false;
	memcpy(&be, number, sizeof(be));
	item->number = be64toh(be);
	c = cursor_init(value, len);
	version = cursor_u8(&c);
	ledger_decode_event(&c, &item->event);
	return cursor_done(&c) && version == EVENT_VERSION;
}

static bool
decode_tries(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	uint8_t kind;

	item->type = ITEM_TRIES;
	kind = cursor_u8(key);
	item->identity = cursor_str(key);
	item->sender = cursor_str(key);
	item->recipient = cursor_str(key);
	return cursor_done(key) && kind == KEY_TRIES && tries_decode(value, len, &item->tries);
}

static bool
decode_login(struct cursor *key, const void *value, size_t len, struct ledger_item *item)
{
	unsigned subject = cursor_u8(key);

	item->type = ITEM_LOGIN;
	ledger_decode_ip(key, &item->client);
	item->account = cursor_str(key);
	item->subject = (enum lockout_subject)subject;
	return cursor_done(key) && subject < LOCKOUT_SUBJECTS &&
	       (item->client.family == 0) == (subject == LOCKOUT_ACCOUNT) &&
	       lockout_decode(value, len, &item->lockout);
}

bool
ledger_item_decode(enum ledger_table table, const void *key, size_t key_len, const void *value,
    size_t len, struct ledger_item *item)
{
	struct cursor c;

	memset(item, 0, sizeof(*item));
	c = cursor_init(key, key_len);
	switch (table) {
	case TABLE_GREY:
		return decode_grey(&c, value, len, item);
	case TABLE_CALLER:
		return decode_caller(&c, value, len, item);
	case TABLE_CORRESPONDENT:
		return decode_correspondent(&c, value, len, item);
	case TABLE_OPERATOR:
		item->type = ITEM_OPERATOR;
		return operator_decode(key, key_len, value, len, &item->operator_entry);
	case TABLE_COUNTER:
		return decode_counter(&c, value, len, item);
	case TABLE_EVENT:
		return decode_event(&c, value, len, item);
	case TABLE_TRIES:
		return decode_tries(&c, value, len, item);
	case TABLE_LOGIN:
		return decode_login(&c, value, len, item);
	case TABLE_POLICY:
		item->type = ITEM_POLICY;
		item->domain = cursor_str(&c);
		return cursor_done(&c) && ledger_policy_decode(value, len, &item->policy);
	default:
		return false;
	}
}

void
ledger_item_clear(struct ledger_item *item)
{
	if (item->type == ITEM_OPERATOR)
		operator_entry_clear(&item->operator_entry);
}

int64_t
ledger_item_expires(const struct ledger_item *item)
{
	switch (item->type) {
	case ITEM_TRIPLET:
		return item->triplet.expires;
	case ITEM_IDENTITY:
		return item->trust.expires;
	case ITEM_PASSED:
	case ITEM_TRAP:
	case ITEM_LEFT:
	case ITEM_STAYED:
	case ITEM_CORRESPONDENT:
		return item->until;
	case ITEM_OPERATOR:
		return item->operator_entry.expires == 0 ? INT64_MAX : item->operator_entry.expires;
	case ITEM_TRIES:
		return tries_expire(&item->tries);
	case ITEM_COUNTS:
	case ITEM_WAITS:
		return ((int64_t)item->key.hour + LEDGER_HOURS_KEPT) * 3600;
	case ITEM_LOGIN:
		return lockout_expires(&item->lockout);
	case ITEM_POLICY:
		return item->policy.until;
	default:
		return INT64_MAX;
	}
}

const char *
ledger_item_state(const struct ledger_item *item, int64_t now)
{
	const struct grey_identity *trust = &item->trust;

	if (now > ledger_item_expires(item))
		return "expired";
	switch (item->type) {
	case ITEM_TRIPLET:
		return grey_record_state(&item->triplet, now);
	case ITEM_IDENTITY:
		return trust->trust_after != 0 && trust->count >= trust->trust_after ? "trusted"
										     : "known";
	case ITEM_PASSED:
		return "caller";
	case ITEM_TRAP:
		return "trapped";
	case ITEM_LEFT:
		return "left";
	case ITEM_STAYED:
		return "stayed";
	case ITEM_CORRESPONDENT:
		return "correspondent";
	case ITEM_OPERATOR:
		return item->operator_entry.allow ? "allowed" : "denied";
	case ITEM_TRIES:
		if (item->tries.let_in != 0)
			return "rescued";
		return item->tries.proposed ? "proposed" : "refused";
	case ITEM_LOGIN:
		return lockout_left(&item->lockout, now) > 0 ? "banned"
		       : lockout_knows(&item->lockout, now)  ? "known"
							     : "failed";
	default:
		return "counted";
	}
}
