/*
 * Units of queue/submit_wire.c: submissions and their answers survive the way, and nothing else is
 * taken for one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/mem.h"
#include "queue/submit_wire.h"

static struct buf
envelope_bytes(void)
{
	struct envelope *env = envelope_new();
	struct buf b = { 0 };

	env->id = 42;
	env->sender = xstrdup("a@example.org");
	env->origin = xstrdup("mail.example.org[192.0.2.1]");
	envelope_add_recipient(env, "b@example.net", NULL, NOTIFY_FAILURE);
	envelope_encode(&b, env);
	envelope_free(env);
	return b;
}

static struct buf
message_bytes(const char *content)
{
	struct buf env = envelope_bytes(), b = { 0 };
	struct evbuffer *out = NULL;

	if (content != NULL) {
		out = evbuffer_new();
		evbuffer_add(out, content, strlen(content));
	}
	submit_add_message(&b, &env, out);
	if (out != NULL) {
		assert_int_equal(evbuffer_get_length(out), 0);
		evbuffer_free(out);
	}
	buf_free(&env);
	return b;
}

static void
message_round_trip(void **state)
{
	static const char *const contents[] = { "Subject: x\r\n\r\nbody\r\n", "", NULL };
	struct submit_message m;
	struct cursor c;
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		b = message_bytes(contents[i]);
		c = cursor_init(b.data, b.len);
		assert_true(submit_read_message(&c, &m));
		assert_int_equal(m.envelope->id, 42);
		assert_string_equal(m.envelope->recipients[0].address, "b@example.net");
		assert_int_equal(m.in_file, contents[i] == NULL);
		assert_int_equal(m.content_len, contents[i] != NULL ? strlen(contents[i]) : 0);
		if (m.content_len > 0)
			assert_memory_equal(m.content, contents[i], m.content_len);
		envelope_free(m.envelope);
		buf_free(&b);
	}
}

static void
conf_round_trip(void **state)
{
	const struct queue_conf conf = { .dir = "/", .host = "mx.example.org", .retry_first = 1, .retry_most = 2,
		.lifetime = 3, .notice_lifetime = 4, .delay_notice = 5, .destination_most = 6, .local_most = 7 };
	struct queue_conf read = { 0 };
	struct buf b = { 0 };
	struct cursor c;
	size_t len;

	(void)state;
	submit_add_conf(&b, &conf);
	for (len = 0; len < b.len; len++) {
		c = cursor_init(b.data, len);
		assert_false(submit_read_conf(&c, &read));
	}
	c = cursor_init(b.data, b.len);
	assert_true(submit_read_conf(&c, &read));
	assert_null(read.dir);
	assert_string_equal(read.host, conf.host);
	assert_int_equal(read.retry_first, 1);
	assert_int_equal(read.retry_most, 2);
	assert_int_equal(read.lifetime, 3);
	assert_int_equal(read.notice_lifetime, 4);
	assert_int_equal(read.delay_notice, 5);
	assert_int_equal(read.destination_most, 6);
	assert_int_equal(read.local_most, 7);
	buf_free(&b);
}

/* Cut anywhere, or followed by anything, it is no message; nothing leaks (the sanitizer looks). */
static void
message_damaged(void **state)
{
	struct buf b = message_bytes("body");
	struct submit_message m;
	struct cursor c;
	uint8_t *copy;
	size_t len;

	(void)state;
	for (len = 0; len < b.len; len++) {
		copy = xmalloc(len); /* its own memory, so that reading on is seen */
		memcpy(copy, b.data, len);
		c = cursor_init(copy, len);
		assert_false(submit_read_message(&c, &m));
		free(copy);
	}
	buf_addc(&b, 'x');
	c = cursor_init(b.data, b.len);
	assert_false(submit_read_message(&c, &m));
	buf_free(&b);
}

static void
message_refused(void **state)
{
	struct buf env = envelope_bytes(), b = { 0 };
	char *large = xcalloc(1, STORE_INLINE_MAX + 1);
	struct submit_message m;
	struct cursor c;

	(void)state;
	/* a place that is none */
	buf_add_blob(&b, env.data, env.len);
	buf_add_u8(&b, 2);
	c = cursor_init(b.data, b.len);
	assert_false(submit_read_message(&c, &m));
	/* more than an inline content */
	buf_clear(&b);
	buf_add_blob(&b, env.data, env.len);
	buf_add_u8(&b, 0);
	buf_add_blob(&b, large, STORE_INLINE_MAX + 1);
	c = cursor_init(b.data, b.len);
	assert_false(submit_read_message(&c, &m));
	/* an envelope with something behind it */
	buf_clear(&b);
	buf_addc(&env, 'x');
	buf_add_blob(&b, env.data, env.len);
	buf_add_u8(&b, 1);
	c = cursor_init(b.data, b.len);
	assert_false(submit_read_message(&c, &m));
	free(large);
	buf_free(&b);
	buf_free(&env);
}

static void
answers(void **state)
{
	static const struct submit_answer cases[] = { { SUBMIT_OK, "" },
		{ SUBMIT_TEMP, "452 4.3.1 Full" } };
	struct submit_answer a;
	struct submit_room room;
	struct buf b = { 0 };
	struct cursor c;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		buf_clear(&b);
		submit_add_answer(&b, &cases[i]);
		c = cursor_init(b.data, b.len);
		assert_true(submit_read_answer(&c, &a));
		assert_int_equal(a.status, cases[i].status);
		assert_string_equal(a.text, cases[i].text);
		c = cursor_init(b.data, b.len - 1);
		assert_false(submit_read_answer(&c, &a));
	}
	b.data[0] = SUBMIT_TEMP + 1;
	c = cursor_init(b.data, b.len);
	assert_false(submit_read_answer(&c, &a));
	buf_clear(&b);
	submit_add_room(
	    &b, &(struct submit_room){ .largest = UINT64_MAX, .text = "452 4.3.1 Full" });
	c = cursor_init(b.data, b.len);
	assert_true(submit_read_room(&c, &room));
	assert_true(room.largest == UINT64_MAX);
	assert_string_equal(room.text, "452 4.3.1 Full");
	c = cursor_init(b.data, b.len - 3);
	assert_false(submit_read_room(&c, &room));
	buf_free(&b);
}

/* The longest of everything fits one message between roles. */
static void
limits_fit(void **state)
{
	(void)state;
	assert_true(4 + SUBMIT_ENVELOPE_MAX + 1 + 4 + STORE_INLINE_MAX <= MESSAGE_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_round_trip),
		cmocka_unit_test(conf_round_trip),
		cmocka_unit_test(message_damaged),
		cmocka_unit_test(message_refused),
		cmocka_unit_test(answers),
		cmocka_unit_test(limits_fit),
	};

	return cmocka_run_group_tests_name("submit_wire", tests, NULL, NULL);
}
