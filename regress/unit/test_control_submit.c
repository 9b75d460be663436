/*
 * Mail handed in to the control role (control_world.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/ctl.h"
#include "queue/submit_wire.h"
#include "regress/unit/control_world.h"

/* --- mail --- */

static void
submit(struct asker *c, const char *line, const void *content, size_t len)
{
	ask_line(c, line);
	send_content(c, content, len);
	channel_send(c->channel, CTL_CONTENT_END, 7);
	run_turn();
}

static void
test_submit(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own();

	(void)state;
	submit(c, "submit from=\"a\"@B.example to=c@d.example to=e@f.example envid=E ret=hdrs verp=-= notify=success,delay",
	    "x: y\r\n\r\nbody \xc3\x84", 15);
	expect_begin(c, "record message=");
	assert_string_equal(q->env->sender, "a@b.example");
	assert_int_equal(q->env->recipients_n, 2);
	assert_string_equal(q->env->recipients[1].address, "e@f.example");
	assert_int_equal(q->env->recipients[1].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_string_equal(q->env->envid, "E");
	assert_int_equal(q->env->ret, 2);
	assert_string_equal(q->env->verp, "-=");
	assert_int_equal(q->env->body, BODY_8BITMIME);
	assert_true(q->env->ours);
	assert_int_equal(q->env->size, q->mail.len);
	assert_memory_equal(buf_str(&q->mail), "Received: from ", 15);
	assert_non_null(strstr(buf_str(&q->mail), "by h.example with local id "));
	/* what was missing at the end is there */
	assert_memory_equal(q->mail.data + q->mail.len - 17, "x: y\r\n\r\nbody \xc3\x84\r\n", 17);
	leave(c);
	role_dies(q);
}

static void
test_submit_refused(void **state)
{
	static const struct {
		const char *words, *content, *answer;
		size_t len;
	} t[] = {
		{ "submit", "", "end 1 501 5.5.4 from= is missing", 0 },
		{ "submit from=a@b", "", "end 1 554 5.5.1 no recipients", 0 },
		{ "submit from=a to=c@d", "", "end 1 553 5.1.7 sender \"a\"", 0 },
		{ "submit from=a@b to=c", "", "end 1 553 5.1.3 recipient \"c\"", 0 },
		{ "submit from=a@b to=", "", "end 1 553 5.1.3 recipient \"\"", 0 },
		{ "submit from=a@b from=c@d to=c@d", "", "end 1 501 5.5.4 more than one", 0 },
		{ "submit from=a@b to=c@d more=x", "", "end 1 501 5.5.4 submit does not know", 0 },
		{ "submit from=a@b to=c@d verp=ab", "", "end 1 501 5.5.4 verp=", 0 },
		{ "submit from= to=c@d verp=+=", "", "end 1 501 5.5.4 verp=", 0 },
		{ "submit from=a@b to=c@d ret=x", "", "end 1 501 5.5.4 ret=", 0 },
		{ "submit from=a@b to=c@d notify=never,delay", "", "end 1 501 5.5.4 notify=never", 0 },
		{ "submit from=a@b to=c@d notify=x", "", "end 1 501 5.5.4 notify=", 0 },
		{ "submit from=a@b to=c@d", "a: b\n\r\n", "end 1 554 5.6.0", 7 },
		{ "submit from=a@b to=c@d", "a: b\r\r\n\r\n", "end 1 554 5.6.0", 9 },
		{ "submit from=a@b to=c@d", "a: b\r", "end 1 554 5.6.0", 5 },
		{ "submit from=a@b to=c@d", "a: \0b\r\n\r\n", "end 1 554 5.6.0", 9 },
		{ "submit from=a@b to=c@d", "Received: 1\r\nReceived: 2\r\nReceived: 3\r\n\r\n", "end 1 554 5.4.6", 41 },
		{ "submit from=a@b to=c@d", "0123456789012345678901234567890123456789012345678901234567890", "end 1 552 5.3.4", 61 },
	};
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(t); i++) {
		submit(c, t[i].words, t[i].content, t[i].len);
		expect_begin(c, t[i].answer);
		assert_null(q->env);
	}
	submit(c, "submit from= to=c@d.example", "\r\n", 2); /* and goes on after all that; the null sender is one */
	expect_begin(c, "record message=");
	assert_string_equal(q->env->sender, "");
	leave(c);
	role_dies(q);
}

/* "Done" is the queue's word only. */
static void
test_submit_not_stored(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own();

	(void)state;
	q->refuse_mail = true;
	submit(c, "submit from=a@b to=c@d", "\r\n", 2);
	expect(c, "end 1 452 4.3.1 disk full");
	q->keep_mail = true;
	submit(c, "submit from=a@b to=c@d", "\r\n", 2);
	expect(c, "");
	role_dies(q);
	expect_begin(c, "end 1 451 4.3.0");
	submit(c, "submit from=a@b to=c@d", "\r\n", 2);
	expect_begin(c, "end 1 451 4.3.0");
	leave(c);
}

/* Half a message is none; a whole one is, whoever waits for the answer. */
static void
test_submit_leaves(void **state)
{
	struct role_end *q = connect_role(ROLE_QUEUE, 0);
	struct asker *c = connect_own();

	(void)state;
	ask_line(c, "submit from=a@b to=c@d");
	send_content(c, "a: b\r\n", 6);
	run_turn();
	leave(c);
	assert_null(q->env);
	c = connect_own();
	q->keep_mail = true;
	submit(c, "submit from=a@b to=c@d", "a: b\r\n", 6);
	assert_non_null(q->env);
	leave(c);
	submit_add_answer(channel_begin(q->channel, SUBMIT_ANSWER, q->env->id), &(struct submit_answer){ SUBMIT_OK, "" });
	channel_end(q->channel, -1);
	run_turn();
	role_dies(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_submit),
		cmocka_unit_test(test_submit_refused),
		cmocka_unit_test(test_submit_not_stored),
		cmocka_unit_test(test_submit_leaves),
	};

	return cmocka_run_group_tests_name("control", tests, set_up, tear_down);
}
