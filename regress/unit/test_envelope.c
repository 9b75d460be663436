/*
 * Units of queue/envelope.c: what goes in comes out, and nothing else gets in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "queue/envelope.h"
#include "queue/shared_text.h"

static struct envelope *
sample(uint32_t recipients)
{
	struct envelope *env = envelope_new();
	char address[64];
	uint32_t i;

	env->id = 0x1234567890abcdef;
	env->session = 77;
	env->time = 1700000000;
	env->expires = 1700432000;
	env->sender = xstrdup("a@example.org");
	env->origin = xstrdup("mail.example.org[192.0.2.1]");
	env->envid = xstrdup("QQ314159");
	env->size = 4711;
	env->body = BODY_8BITMIME;
	env->ret = 2;
	env->utf8 = true;
	env->ours = true;
	if (recipients % 2 == 0) {
		env->release = 1700003600;
		env->hold = xstrdup("for;3600");
		env->deliver_by = 1700007200;
		env->by = BY_NOTIFY | BY_TRACE;
		strcpy(env->verp, "-=");
	}
	for (i = 0; i < recipients; i++) {
		snprintf(address, sizeof(address), "user%u@example.net", i);
		assert_int_equal(
		    envelope_add_recipient(env, address, i % 2 ? "rfc822;Old@example.net" : NULL,
			NOTIFY_FAILURE | NOTIFY_DELAY),
		    i);
	}
	return env;
}

static void
assert_text(const char *a, const char *b)
{
	assert_true((a == NULL) == (b == NULL));
	if (a != NULL)
		assert_string_equal(a, b);
}

static void
assert_same(const struct envelope *a, const struct envelope *b)
{
	uint32_t i;

	assert_int_equal(a->id, b->id);
	assert_int_equal(a->session, b->session);
	assert_int_equal(a->time, b->time);
	assert_int_equal(a->expires, b->expires);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->body, b->body);
	assert_int_equal(a->ret, b->ret);
	assert_int_equal(a->utf8, b->utf8);
	assert_int_equal(a->release, b->release);
	assert_text(a->hold, b->hold);
	assert_int_equal(a->deliver_by, b->deliver_by);
	assert_int_equal(a->by, b->by);
	assert_string_equal(a->verp, b->verp);
	assert_int_equal(a->held, b->held);
	assert_int_equal(a->ours, b->ours);
	assert_text(a->sender, b->sender);
	assert_text(a->origin, b->origin);
	assert_text(a->envid, b->envid);
	assert_int_equal(a->recipients_n, b->recipients_n);
	for (i = 0; i < a->recipients_n; i++) {
		const struct recipient *r = &a->recipients[i], *s = &b->recipients[i];

		assert_text(r->address, s->address);
		assert_text(r->original, s->original);
		assert_text(r->reason, s->reason);
		assert_text(r->host, s->host);
		assert_int_equal(r->due, s->due);
		assert_int_equal(r->parent, s->parent);
		assert_int_equal(r->attempts, s->attempts);
		assert_int_equal(r->state, s->state);
		assert_int_equal(r->notify, s->notify);
		assert_int_equal(r->delay_told, s->delay_told);
		assert_int_equal(r->owed, s->owed);
		assert_int_equal(r->relayed, s->relayed);
		assert_text(r->route, s->route);
	}
}

static struct envelope *
decode_exactly(const struct buf *b, size_t len)
{
	/* of its own size, so that the sanitizer sees a read behind it */
	uint8_t *copy = xmalloc(len > 0 ? len : 1);
	struct cursor c;
	struct envelope *env;

	if (len > 0)
		memcpy(copy, b->data, len);
	c = cursor_init(copy, len);
	env = envelope_decode(&c);
	assert_true((env == NULL) == c.bad);
	free(copy);
	return env;
}

static void
test_round_trip(void **state)
{
	static const uint32_t counts[] = { 1, 2, 3, 4, 5, 8, 9, 1000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct envelope *env = sample(counts[i]), *back;
		struct recipient *last = &env->recipients[counts[i] - 1];
		struct buf b = { 0 };

		last->due = INT64_MIN;
		last->attempts = 65535;
		last->state = RECIPIENT_FAILED;
		last->delay_told = true;
		envelope_set(&last->reason, "550 5.1.1 nobody of that name");
		envelope_set(&last->host, "mx.example.net[192.0.2.2]");
		env->held = counts[i] == 3;
		envelope_encode(&b, env);
		back = decode_exactly(&b, b.len);
		assert_non_null(back);
		assert_same(env, back);
		/* what was read can grow */
		assert_int_equal(
		    envelope_add_recipient(back, "more@example.net", NULL, 0), counts[i]);
		assert_int_equal(
		    envelope_add_recipient(back, "still@example.net", NULL, 0), counts[i] + 1);
		envelope_free(back);
		envelope_free(env);
		buf_free(&b);
	}
}

static void
test_null_sender(void **state)
{
	struct envelope *env = sample(1), *back;
	struct buf b = { 0 };

	(void)state;
	envelope_set(&env->sender, "");
	envelope_set(&env->envid, NULL);
	envelope_encode(&b, env);
	back = decode_exactly(&b, b.len);
	assert_non_null(back);
	assert_string_equal(back->sender, "");
	assert_null(back->envid);
	envelope_free(back);
	envelope_free(env);
	buf_free(&b);
}

static void
test_cut_and_flipped(void **state)
{
	struct envelope *env = sample(3), *back;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	envelope_encode(&b, env);
	for (i = 0; i < b.len; i++)
		assert_null(decode_exactly(&b, i));
	for (i = 0; i < b.len; i++) {
		b.data[i] = (char)(b.data[i] ^ 0x81);
		back = decode_exactly(&b, b.len); /* whatever it is, it is an envelope or nothing */
		assert_true(back == NULL || envelope_ok(back));
		envelope_free(back);
		b.data[i] = (char)(b.data[i] ^ 0x81);
	}
	envelope_free(env);
	buf_free(&b);
}

/* A count of recipients that the bytes cannot hold must not become an allocation. */
static void
test_absurd_count(void **state)
{
	struct envelope *env = sample(1);
	struct buf b = { 0 };
	size_t at;

	(void)state;
	envelope_set(&env->recipients[0].address, "findme@example.net");
	envelope_encode(&b, env);
	at = (size_t)((char *)memmem(b.data, b.len, "findme", 6) - b.data) - 8;
	memset(b.data + at, 0xff, 4);
	assert_null(decode_exactly(&b, b.len));
	memset(b.data + at, 0, 4);
	assert_null(decode_exactly(&b, b.len));
	envelope_free(env);
	buf_free(&b);
}

/* LEN octets of C, then TAIL. */
static char *
text(char c, size_t len, const char *tail)
{
	char *s = xmalloc(len + strlen(tail) + 1);

	memset(s, c, len);
	strcpy(s + len, tail);
	return s;
}

/* RFC 5321 4.5.3.1.1 and 4.5.3.1.2: at least 64 and 255 octets; what mailaddr.h lets in must come
 * back from disk */
static void
test_limits(void **state)
{
	static const struct {
		size_t local, domain;
		bool ok;
	} cases[] = {
		{ 1, 1, true },
		{ 64, 255, true },
		{ MAILADDR_LOCAL_MAX, MAILADDR_DOMAIN_MAX, true },
		{ MAILADDR_LOCAL_MAX + 1, 11, false },
		{ 1, MAILADDR_DOMAIN_MAX + 1, false },
		{ 2000, 10, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope *env = sample(1);
		char *domain = text('d', cases[i].domain, ""), *at = xasprintf("@%s", domain);
		char *address = text('l', cases[i].local, at);

		envelope_set(&env->recipients[0].address, address);
		assert_int_equal(envelope_ok(env), cases[i].ok);
		envelope_set(&env->recipients[0].address, "a@b");
		envelope_set(&env->sender, address);
		assert_int_equal(envelope_ok(env), cases[i].ok);
		free(domain);
		free(at);
		free(address);
		envelope_free(env);
	}
}

static void
test_refused(void **state)
{
	struct envelope *env = sample(2);
	char *quoted = xasprintf("\"%s\"@example.net",
	    "\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\""
	    "\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\"
	    "\"\\\"\\\"");

	(void)state;
	assert_true(envelope_ok(env));
	/* 40 octets, written with 82 */
	envelope_set(&env->recipients[1].address, quoted);
	assert_true(envelope_ok(env));
	env->recipients[1].parent = 0;
	assert_true(envelope_ok(env));
	env->recipients[0].parent = 0;
	assert_false(envelope_ok(env));
	env->recipients[0].parent = 1;
	assert_false(envelope_ok(env));
	env->recipients[0].parent = UINT32_MAX;
	env->recipients[0].state = RECIPIENT_REMOVED + 1;
	assert_false(envelope_ok(env));
	env->recipients[0].state = RECIPIENT_REMOVED;
	assert_true(envelope_ok(env));
	assert_false(envelope_finished(env));
	env->recipients[1].state = RECIPIENT_EXPANDED;
	assert_true(envelope_finished(env));
	env->id = 0;
	assert_false(envelope_ok(env));
	free(quoted);
	envelope_free(env);
}

/* A formula is one, and needs a sender; what it makes depends on who sends, and whom he named. */
static void
test_verp(void **state)
{
	static const char *const bad[] = { "+", "ab", "+x" };
	struct envelope *env = sample(1);
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(env->verp, bad[i]);
		assert_false(envelope_ok(env));
	}
	path = envelope_return_path(env, 0);
	free(path);
	strcpy(env->verp, "+=");
	assert_true(envelope_ok(env));
	path = envelope_return_path(env, 0);
	assert_string_equal(path, "a+user0=example.net@example.org");
	free(path);
	/* an alias, and behind it a list with an owner */
	envelope_add_recipient(env, "other@there.example", NULL, 0);
	env->recipients[1].parent = 0;
	envelope_add_recipient(env, "member@there.example", NULL, 0);
	env->recipients[2].parent = 1;
	path = envelope_return_path(env, 2);
	assert_string_equal(path, "a+user0=example.net@example.org");
	free(path);
	envelope_set(&env->recipients[1].sender, "owner@example.org");
	assert_true(envelope_has_own_path(env, 1));
	assert_false(envelope_has_own_path(env, 2));
	path = envelope_return_path(env, 2);
	assert_string_equal(path, "owner@example.org");
	free(path);
	envelope_set(&env->sender, "");
	assert_false(envelope_ok(env));
	envelope_free(env);
}

/* Words of other servers are cut, never a reason to refuse. */
static void
test_long_words(void **state)
{
	struct envelope *env = sample(1), *back;
	struct buf b = { 0 };
	char *words = text('w', 5000, "");

	(void)state;
	envelope_set(&env->origin, words);
	envelope_set(&env->recipients[0].reason, words);
	envelope_set(&env->recipients[0].host, words);
	assert_true(envelope_ok(env));
	envelope_encode(&b, env);
	back = decode_exactly(&b, b.len);
	assert_non_null(back);
	assert_int_equal(strlen(back->recipients[0].reason), 1024);
	assert_int_equal(strlen(back->origin), 1024);
	free(words);
	envelope_free(env);
	envelope_free(back);
	buf_free(&b);
}

static void
test_state(void **state)
{
	struct recipient r = { .due = 5,
		.parent = 3,
		.attempts = 2,
		.state = RECIPIENT_FAILED,
		.notify = NOTIFY_SUCCESS },
			 s = { .address = NULL };
	struct buf b = { 0 };
	struct cursor c;
	size_t i;

	(void)state;
	r.reason = xstrdup("550 no");
	envelope_encode_state(&b, &r);
	for (i = 0; i < b.len; i++) {
		c = cursor_init(b.data, i);
		assert_false(envelope_decode_state(&c, &s, 4));
		assert_int_equal(s.attempts, 0);
	}
	/* an expansion comes after what it was expanded from */
	c = cursor_init(b.data, b.len);
	assert_false(envelope_decode_state(&c, &s, 3));
	assert_int_equal(s.attempts, 0);
	c = cursor_init(b.data, b.len);
	assert_true(envelope_decode_state(&c, &s, 4));
	assert_true(cursor_done(&c));
	assert_int_equal(s.state, RECIPIENT_FAILED);
	assert_int_equal(s.parent, 3);
	assert_string_equal(s.reason, "550 no");
	assert_null(s.host);
	free(r.reason);
	free(s.reason);
	buf_free(&b);
}

/* Versions before there were routes ended here, with 0 or 1 for the delay notice. */
static void
test_state_with_route(void **state)
{
	struct recipient r = { .owed = true, .relayed = true, .state = RECIPIENT_DELIVERED };
	struct recipient s = { .route = xstrdup("[192.0.2.1]:25") };
	struct buf plain = { 0 }, routed = { 0 };
	struct cursor c;

	(void)state;
	envelope_encode_state(&plain, &r);
	r.route = xstrdup("[127.0.0.1]:2525");
	envelope_encode_state(&routed, &r);
	assert_int_equal(routed.len, plain.len + 4 + strlen(r.route) + 1);
	c = cursor_init(plain.data, plain.len);
	assert_true(envelope_decode_state(&c, &s, 1));
	assert_true(cursor_done(&c));
	assert_true(s.owed && s.relayed && !s.delay_told);
	assert_null(s.route);
	c = cursor_init(routed.data, routed.len);
	assert_true(envelope_decode_state(&c, &s, 1));
	assert_string_equal(s.route, r.route);
	/* behind due, parent, attempts, state and notify */
	plain.data[16] = 16;
	c = cursor_init(plain.data, plain.len);
	assert_false(envelope_decode_state(&c, &s, 1));
	free(r.route);
	free(s.route);
	buf_free(&plain);
	buf_free(&routed);
}

/* --- shared texts --- */

static void
test_shared(void **state)
{
	char *texts[3000];
	unsigned i, round;

	(void)state;
	memset(texts, 0, sizeof(texts));
	text_share(&texts[0]);
	assert_null(texts[0]);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3000; i++) {
			texts[i] = xasprintf("451 4.7.1 text %u", i % 1000);
			text_share(&texts[i]);
			text_share(&texts[i]);
		}
		assert_int_equal(text_shared(), 1000);
		for (i = 0; i < 3000; i++) {
			char *expected = xasprintf("451 4.7.1 text %u", i % 1000);

			assert_string_equal(texts[i], expected);
			assert_ptr_equal(texts[i], texts[i % 1000]);
			text_drop(expected); /* reads the same and is not the shared one */
		}
		/* out of order, so that gaps close */
		for (i = 0; i < 3000; i++) {
			unsigned k = (i * 7 + round * 13) % 3000;

			text_drop(texts[k]);
			if (i == 1500)
				assert_true(text_shared() > 0);
		}
		assert_int_equal(text_shared(), 0);
	}
}

static void
test_shared_envelopes(void **state)
{
	struct envelope *a = sample(2), *b = sample(2);

	(void)state;
	envelope_set(&a->recipients[0].reason, "451 later");
	envelope_set(&b->recipients[1].reason, "451 later");
	envelope_share(a);
	envelope_share(b);
	assert_int_equal(text_shared(), 3); /* origin, sender and reason */
	assert_ptr_equal(a->recipients[0].reason, b->recipients[1].reason);
	envelope_set(&a->recipients[0].reason, "550 never"); /* b's stays */
	assert_string_equal(b->recipients[1].reason, "451 later");
	envelope_share_state(&a->recipients[0]);
	assert_int_equal(text_shared(), 4);
	envelope_free(a);
	assert_int_equal(text_shared(), 3);
	assert_string_equal(b->recipients[1].reason, "451 later");
	envelope_free(b);
	assert_int_equal(text_shared(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_null_sender),
		cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_absurd_count),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_verp),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_state_with_route),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_shared_envelopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
