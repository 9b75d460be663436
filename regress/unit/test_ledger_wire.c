/*
 * The ledger's messages, its keys, and its records.
 */
#include <sys/socket.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "regress/unit/ledger_world.h"

/*
 * Messages
 */

static void
test_event_message(void **state)
{
	struct gate_event in = event, out;
	struct buf b = { 0 };
	struct cursor c;
	size_t i;

	(void)state;
	in.client = ip("2001:db8::25");
	ledger_encode_event(&b, &in);
	c = cursor_init(b.data, b.len);
	ledger_decode_event(&c, &out);
	assert_true(cursor_done(&c));
	assert_true(
	    out.session == in.session && out.time == in.time && out.rule == 5 && out.line == 14);
	assert_true(out.action == ACTION_GREYLIST && out.phase == PHASE_RCPT && out.observe &&
		    out.left && out.waited == 7);
	assert_string_equal(out.identity, in.identity);
	assert_true(ip_equal(&out.client, &in.client));
	assert_string_equal(out.name, in.name);
	assert_null(out.helo);
	assert_string_equal(out.sender, "");
	assert_string_equal(out.evidence, in.evidence);
	for (i = 0; i < b.len; i++) {
		c = cursor_init(b.data, i);
		ledger_decode_event(&c, &out);
		assert_false(cursor_done(&c));
	}
	buf_free(&b);
}

/* Texts are cut, not refused: a name of a mile must not cost the record. */
static void
test_long_text(void **state)
{
	char *text;
	struct buf b = { 0 };
	struct cursor c;

	(void)state;
	text = xmalloc(LEDGER_TEXT_MAX + 100);
	memset(text, 'x', LEDGER_TEXT_MAX + 99);
	text[LEDGER_TEXT_MAX + 99] = '\0';
	ledger_encode_text(&b, text);
	c = cursor_init(b.data, b.len);
	assert_int_equal(strlen(ledger_decode_text(&c)), LEDGER_TEXT_MAX);
	assert_true(cursor_done(&c));
	buf_clear(&b);
	buf_add_u8(&b, 1);
	buf_add_str(&b, text);
	c = cursor_init(b.data, b.len);
	assert_null(ledger_decode_text(&c));
	assert_false(cursor_done(&c));
	buf_free(&b);
	free(text);
}

static void
test_question_and_answer(void **state)
{
	struct grey_question q = { .identity = "name:example.org",
		.sender = "",
		.recipient = "b@example.net",
		.delay = 1,
		.window = 2,
		.lifetime = 3,
		.trust_after = 4,
		.rule = 5,
		.line = 6,
		.observe = true,
		.narrow = true,
		.tempfail = true,
		.word_only = true,
		.rescue = 7,
		.client = { .family = AF_INET, .bytes = { 192, 0, 2, 7 } },
		.name = "mx.example.org" },
			     q2;
	struct grey_answer a = { .state = GREY_PASS,
		.left = 1,
		.waited = 2,
		.first_pass = true,
		.first = T0 },
			   a2;
	struct ledger_caller l = { .denied = true, .trapped = true, .left = true, .stayed = true, .mail_words = true }, l2;
	struct buf b = { 0 };
	struct cursor c;

	(void)state;
	ledger_encode_question(&b, &q);
	ledger_encode_answer(&b, &a);
	ledger_encode_caller(&b, &l);
	c = cursor_init(b.data, b.len);
	ledger_decode_question(&c, &q2);
	ledger_decode_answer(&c, &a2);
	ledger_decode_caller(&c, &l2);
	assert_true(cursor_done(&c));
	assert_string_equal(q2.identity, q.identity);
	assert_string_equal(q2.sender, "");
	assert_string_equal(q2.recipient, q.recipient);
	assert_true(q2.delay == 1 && q2.window == 2 && q2.lifetime == 3 && q2.trust_after == 4 &&
		    q2.rule == 5 && q2.line == 6 && q2.observe && !q2.client_only);
	assert_true(ip_equal(&q2.client, &q.client));
	assert_true(q2.narrow && q2.tempfail && q2.word_only && q2.rescue == 7 && q2.helo == NULL);
	assert_string_equal(q2.name, q.name);
	assert_true(a2.state == GREY_PASS && a2.left == 1 && a2.waited == 2 && a2.first_pass &&
		    a2.first == T0);
	assert_true(!l2.unknown && !l2.allowed && l2.denied && !l2.passed && l2.trapped && l2.left &&
		    l2.stayed && l2.mail_words);

	/* values that do not exist */
	buf_clear(&b);
	a.state = (enum grey_state)(GREY_DENIED + 1);
	ledger_encode_answer(&b, &a);
	c = cursor_init(b.data, b.len);
	ledger_decode_answer(&c, &a2);
	assert_false(cursor_done(&c));
	buf_free(&b);
}

/*
 * Records
 */

static void
test_keys_do_not_run_together(void **state)
{
	static const char *const triplets[][3] = { { "a", "b", "c" }, { "ab", "", "c" },
		{ "a", "bc", "" }, { "", "ab", "c" }, { "", "", "abc" }, { "a\nb", "c", "" },
		{ "a", "b/c", "" }, { "a/b", "c", "" } };
	struct buf keys[COUNT(triplets)] = { { 0 } };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(triplets); i++) {
		ledger_key_triplet(&keys[i], triplets[i][0], triplets[i][1], triplets[i][2]);
		for (j = 0; j < i; j++)
			assert_false(keys[i].len == keys[j].len &&
				     memcmp(keys[i].data, keys[j].data, keys[i].len) == 0);
	}
	for (i = 0; i < COUNT(triplets); i++)
		buf_free(&keys[i]);
}

static void
test_items(void **state)
{
	struct grey_record r = {
		.first = T0, .last = T0, .expires = T0 + 9, .count = 1, .delay = 60
	};
	struct ledger_item item;
	struct buf k = { 0 }, v = { 0 };
	struct ip client = ip("192.0.2.7");

	(void)state;
	ledger_key_triplet(&k, "net:192.0.2.0/24", "", "b@example.net");
	grey_record_encode(&v, &r);
	assert_true(ledger_item_decode(TABLE_GREY, k.data, k.len, v.data, v.len, &item));
	assert_int_equal(item.type, ITEM_TRIPLET);
	assert_string_equal(item.identity, "net:192.0.2.0/24");
	assert_string_equal(item.sender, "");
	assert_string_equal(item.recipient, "b@example.net");
	assert_int_equal(ledger_item_expires(&item), T0 + 9);
	assert_string_equal(ledger_item_state(&item, T0 + 1), "waiting");
	assert_string_equal(ledger_item_state(&item, T0 + 10), "expired");
	assert_false(ledger_item_decode(TABLE_GREY, k.data, k.len - 1, v.data, v.len, &item));
	assert_false(ledger_item_decode(TABLE_CALLER, k.data, k.len, v.data, v.len, &item));

	buf_clear(&k);
	buf_clear(&v);
	ledger_key_caller(&k, ITEM_TRAP, &client);
	ledger_until_encode(&v, T0, T0 + 5);
	assert_true(ledger_item_decode(TABLE_CALLER, k.data, k.len, v.data, v.len, &item));
	assert_int_equal(item.type, ITEM_TRAP);
	assert_true(ip_equal(&item.client, &client));
	assert_string_equal(ledger_item_state(&item, T0), "trapped");

	buf_clear(&k);
	buf_clear(&v);
	ledger_key_event(&k, 42);
	ledger_event_value(&v, &event);
	assert_true(ledger_item_decode(TABLE_EVENT, k.data, k.len, v.data, v.len, &item));
	assert_int_equal(item.number, 42);
	assert_string_equal(item.event.evidence, event.evidence);
	buf_free(&k);
	buf_free(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_message),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_question_and_answer),
		cmocka_unit_test(test_keys_do_not_run_together),
		cmocka_unit_test(test_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
