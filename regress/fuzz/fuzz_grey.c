/*
 * Fuzz target: records of the ledger's tables as a damaged disk could give them back, and its
 * messages as a broken peer could send them.  Whatever decodes must be such as the code writes:
 * decided upon and encoded again, it decodes again.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/grey.h"
#include "filters/grey_selector.h"
#include "filters/ledger_item.h"
#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/cursor.h"
#include "regress/fuzz/target.h"

#define NOW 1700000000

/* A record from disk must take any further try, and stay a record. */
static void
try_triplet(const struct grey_record *from_disk)
{
	static const struct grey_question q = { .identity = "i",
		.sender = "s",
		.recipient = "r",
		.delay = 120,
		.window = 172800,
		.lifetime = 3110400,
		.trust_after = 3 };
	struct grey_record r = *from_disk, again;
	struct grey_answer a;
	struct buf b = { 0 };

	(void)grey_record_state(&r, NOW);
	grey_waive(&r, NOW);
	grey_decide(&r, &q, NOW, &a);
	require(a.left <= q.delay && (a.left == 0) == (a.state == GREY_PASS));
	require(r.last == NOW && r.first <= NOW);
	grey_record_encode(&b, &r);
	require(grey_record_decode(b.data, b.len, &again));
	buf_free(&b);
}

static void
check_string(const char *s, const uint8_t *data, size_t size)
{
	if (s != NULL && *s != '\0')
		require((const uint8_t *)s >= data && (const uint8_t *)s + strlen(s) < data + size);
}

/* What was read is written as it was, and can be shown and gone on with. */
static void
check_tries(struct ledger_item *item, const uint8_t *value, size_t len)
{
	static const struct ip nobody;
	enum operator_kind kind;
	struct buf b = { 0 };

	tries_encode(&b, &item->tries);
	require(b.len == len && memcmp(b.data, value, len) == 0);
	buf_clear(&b);
	tries_print(&b, &item->tries);
	free(tries_whom(&item->tries, item->identity, &kind));
	tries_add(&item->tries, NOW, &nobody, "", NULL);
	require(item->tries.n >= 1 && item->tries.n <= TRIES_KEPT);
	buf_free(&b);
}

/* An octet names the table, one the length of the key. */
static void
disk(const uint8_t *data, size_t size)
{
	struct grey_selector sel = { .limit = 0 };
	struct ledger_item item;
	size_t key_len;

	if (size < 2)
		return;
	key_len = data[1] < size - 2 ? data[1] : size - 2;
	if (ledger_item_decode(data[0] % TABLE_COUNT, data + 2, key_len, data + 2 + key_len,
		size - 2 - key_len, &item)) {
		check_string(item.identity, data, size);
		check_string(item.sender, data, size);
		check_string(item.recipient, data, size);
		require(ledger_item_state(&item, NOW) != NULL);
		require(grey_selector_matches(&sel, &item, NOW));
		if (item.type == ITEM_TRIPLET)
			try_triplet(&item.triplet);
		if (item.type == ITEM_TRIES)
			check_tries(&item, data + 2 + key_len, size - 2 - key_len);
	}
	ledger_item_clear(&item);
}

static void
messages(const uint8_t *data, size_t size)
{
	struct cursor c;
	struct gate_event event;
	struct grey_question question;
	struct grey_answer answer;
	struct ledger_caller caller;
	struct ledger_policy policy;
	struct login_answer login;
	struct buf b = { 0 };

	c = cursor_init(data, size);
	ledger_decode_event(&c, &event);
	if (cursor_done(&c)) {
		require(
		    event.action <= ACTION_COUNT && event.phase < PHASE_COUNT && event.time >= 0);
		check_string(event.evidence, data, size);
		ledger_encode_event(&b, &event);
		require(b.len == size && memcmp(b.data, data, size) == 0);
	}
	buf_clear(&b);
	c = cursor_init(data, size);
	ledger_decode_question(&c, &question);
	if (cursor_done(&c)) {
		ledger_encode_question(&b, &question);
		require(b.len == size && memcmp(b.data, data, size) == 0);
	}
	c = cursor_init(data, size);
	ledger_decode_answer(&c, &answer);
	require(answer.state <= GREY_DENIED);
	c = cursor_init(data, size);
	ledger_decode_caller(&c, &caller);
	buf_clear(&b);
	c = cursor_init(data, size);
	ledger_decode_policy(&c, &policy);
	if (cursor_done(&c)) {
		ledger_encode_policy(&b, &policy);
		require(b.len == size && memcmp(b.data, data, size) == 0);
	}
	buf_clear(&b);
	c = cursor_init(data, size);
	ledger_decode_login(&c, &login);
	if (cursor_done(&c)) {
		ledger_encode_login(&b, &login);
		require(b.len == size && memcmp(b.data, data, size) == 0);
	}
	buf_free(&b);
}

/* A selector's value as somebody may type it: what is taken is spelled once and for all. */
static void
spelling(const uint8_t *data, size_t size)
{
	const char *why;
	char *given, *text, *again;
	int kind;

	if (size == 0)
		return;
	given = malloc(size);
	require(given != NULL);
	memcpy(given, data + 1, size - 1);
	given[size - 1] = '\0';
	kind = data[0] % OPERATOR_KINDS;
	text = operator_text((enum operator_kind)kind, given, &why);
	if (text != NULL) {
		again = operator_text((enum operator_kind)kind, text, &why);
		require(again != NULL && strcmp(again, text) == 0);
		free(again);
	}
	free(text);
	free(given);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	disk(data, size);
	messages(data, size);
	spelling(data, size);
	return 0;
}
