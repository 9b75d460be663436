/*
 * The answering side of smtpctl's requests, driven by a control role made of one socketpair: who is
 * answered what, and what becomes of a request whose caller goes away, reads slowly, or never was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/buf.h"
#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/log.h"

static struct event_base *base;
static struct channel *control; /* the control role's end */
static unsigned control_lost;
static struct buf answers;      /* "ID:record key=value ID:end 0 " */
static struct ctl *held[8];     /* by handlers that answer later */
static unsigned held_n, drained_n;

/* --- the control role --- */

static bool
on_answer(struct channel *ch, struct message *m, void *arg)
{
	unsigned long long id = m->id;
	struct field *fields;
	const char *why;
	size_t len;
	int status;

	(void)ch;
	(void)arg;
	switch (m->type) {
	case CTL_RECORD:
		fields = field_decode(&m->body);
		assert_non_null(fields);
		buf_addf(&answers, "%llu:record ", id);
		field_text(&answers, fields);
		buf_addc(&answers, ' ');
		field_free(fields);
		break;
	case CTL_TEXT:
		cursor_blob(&m->body, &len);
		buf_addf(&answers, "%llu:text %zu ", id, len);
		break;
	case CTL_END:
		assert_true(ctl_end_read(&m->body, &status, &why));
		buf_addf(&answers, "%llu:end %d%s%s ", id, status, *why != '\0' ? " " : "", why);
		break;
	default:
		fail_msg("type %u", m->type);
	}
	return true;
}

static void
on_lost(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	control = NULL;
	control_lost++;
}

static const struct channel_ops control_ops = { on_answer, on_lost };

static void
connect_control(enum role role)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer_connect(role, 0, pair[0]);
	control = channel_new(base, pair[1], &control_ops, NULL);
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
ask(uint64_t id, uint32_t uid, unsigned n, const char *const *words)
{
	struct buf *b = channel_begin(control, CTL_REQUEST, id);

	buf_add_u32(b, uid);
	ctl_words_write(b, n, words);
	channel_end(control, -1);
}

static void
ask_word(uint64_t id, const char *word)
{
	ask(id, 1000, 1, &word);
}

static void
expect(const char *want)
{
	turn();
	assert_string_equal(buf_str(&answers), want);
	buf_clear(&answers);
}

/* --- handlers --- */

static void
echo(struct ctl *c, unsigned n, const char *const *words)
{
	unsigned i;

	ctl_record(c, FIELDS(F_U64("uid", ctl_uid(c)), F_U64("n", n)));
	for (i = 1; i < n; i++)
		ctl_record(c, FIELDS(F_STR("word", words[i])));
	ctl_end(c, 0, NULL);
}

static void
refuse(struct ctl *c, unsigned n, const char *const *words)
{
	(void)n;
	(void)words;
	assert_false(ctl_busy(c));
	ctl_end(c, 1, "no");
}

static void
hold(struct ctl *c, unsigned n, const char *const *words)
{
	(void)n;
	(void)words;
	held[held_n++] = c;
}

static void
on_drained(struct ctl *c, void *arg)
{
	assert_ptr_equal(arg, &drained_n);
	assert_non_null(c);
	drained_n++;
}

static int
setup(void **state)
{
	(void)state;
	base = event_base_new();
	peer_set_base(base);
	ctl_register("echo", echo);
	ctl_register("refuse", refuse);
	ctl_register("hold", hold);
	connect_control(ROLE_CONTROL);
	held_n = drained_n = control_lost = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (held_n > 0)
		ctl_end(held[--held_n], 0, NULL);
	channel_free(control);
	turn();
	buf_free(&answers);
	peer_forget_inherited();
	ctl_forget();
	return 0;
}

static void
test_answers(void **state)
{
	static const char *const words[] = { "echo", "list", "from=a@b", "" };

	(void)state;
	ask(7, 33, 4, words);
	ask_word(8, "refuse");
	ask_word(9, "nothing");
	expect("7:record uid=33 n=4 7:record word=list 7:record word=from=a@b 7:record word=\"\" 7:end 0 "
	       "8:end 1 no 9:end 2 this part of the server knows no such request ");
}

static void
test_long_text(void **state)
{
	static char text[200 * 1024];

	(void)state;
	ask_word(1, "hold");
	turn();
	ctl_text(held[0], text, 0);
	ctl_text(held[0], text, sizeof(text));
	ctl_end(held[--held_n], 0, NULL);
	expect("1:text 65536 1:text 65536 1:text 65536 1:text 8192 1:end 0 ");
}

/* The caller goes: output is dropped, the handler still ends its request; its own end of the channel stays. */
static void
test_cancel(void **state)
{
	(void)state;
	ask_word(1, "hold");
	ask_word(2, "hold");
	turn();
	assert_int_equal(held_n, 2);
	ctl_on_drained(held[0], on_drained, &drained_n);
	channel_send(control, CTL_PAUSE, 1);
	turn();
	drained_n = 0;
	ctl_on_drained(held[0], on_drained, &drained_n);
	channel_send(control, CTL_CANCEL, 1);
	channel_send(control, CTL_CANCEL, 99); /* which has ended meanwhile */
	turn();
	assert_true(ctl_gone(held[0]));
	assert_false(ctl_busy(held[0]));
	assert_int_equal(drained_n, 1);
	ctl_on_drained(held[0], on_drained, &drained_n); /* nobody to wait for: at once */
	assert_int_equal(drained_n, 2);
	ctl_record(held[0], FIELDS(F_STR("a", "b")));
	ctl_text(held[0], "c", 1);
	ctl_end(held[0], 0, NULL);
	assert_false(ctl_gone(held[1]));
	ctl_record(held[1], FIELDS(F_STR("a", "b")));
	ctl_end(held[1], 0, NULL);
	held_n = 0;
	expect("2:record a=b 2:end 0 ");
}

/* The control role itself goes. */
static void
test_control_lost(void **state)
{
	(void)state;
	ask_word(1, "hold");
	ask_word(2, "hold");
	turn();
	channel_send(control, CTL_PAUSE, 1);
	turn();
	ctl_on_drained(held[0], on_drained, &drained_n);
	channel_free(control);
	control = NULL;
	turn();
	assert_true(ctl_gone(held[0]) && ctl_gone(held[1]));
	assert_int_equal(drained_n, 1);
	/* its successor may use the same numbers; they are not the same requests */
	connect_control(ROLE_CONTROL);
	ask_word(1, "hold");
	turn();
	ctl_end(held[0], 0, "late");
	ctl_end(held[1], 0, "late");
	ctl_end(held[2], 0, "in time");
	held_n = 0;
	expect("1:end 0 in time ");
}

static void
test_slow_caller(void **state)
{
	static char text[300 * 1024];

	(void)state;
	ask_word(1, "hold");
	ask_word(2, "hold");
	turn();
	channel_send(control, CTL_PAUSE, 1);
	turn();
	assert_true(ctl_busy(held[0]));
	assert_false(ctl_busy(held[1])); /* that was another caller */
	ctl_on_drained(held[0], on_drained, &drained_n);
	ctl_on_drained(held[1], on_drained, &drained_n);
	turn();
	assert_int_equal(drained_n, 1);
	channel_send(control, CTL_RESUME, 1);
	turn();
	assert_false(ctl_busy(held[0]));
	assert_int_equal(drained_n, 2);
	/* the channel is full: all wait for it */
	channel_pause(control, true);
	ctl_text(held[0], text, sizeof(text));
	ctl_text(held[0], text, sizeof(text));
	assert_true(ctl_busy(held[0]) && ctl_busy(held[1]));
	ctl_on_drained(held[0], on_drained, &drained_n);
	ctl_on_drained(held[1], on_drained, &drained_n);
	turn();
	assert_int_equal(drained_n, 2);
	channel_pause(control, false);
	turn();
	assert_int_equal(drained_n, 4);
	assert_false(ctl_busy(held[0]));
}

/* What no control role sends costs its sender the channel. */
static const struct {
	const char *what;
	enum role role;
	uint16_t type;
	const char *body; /* LEN octets */
	size_t len;
} nonsense[] = {
	{ "no words", ROLE_CONTROL, CTL_REQUEST, "\0\0\0\0\0\0\0\0", 8 },
	{ "no uid", ROLE_CONTROL, CTL_REQUEST, "\0\0\0", 3 },
	{ "too many words", ROLE_CONTROL, CTL_REQUEST, "\0\0\0\0\xff\xff\xff\xff", 8 },
	{ "words that end early", ROLE_CONTROL, CTL_REQUEST, "\0\0\0\0\2\0\0\0\1\0\0\0a\0", 14 },
	{ "a NUL in a word", ROLE_CONTROL, CTL_REQUEST, "\0\0\0\0\1\0\0\0\2\0\0\0a\0\0", 15 },
	{ "something behind the words", ROLE_CONTROL, CTL_REQUEST, "\0\0\0\0\1\0\0\0\1\0\0\0a\0x", 15 },
	{ "an answer", ROLE_CONTROL, CTL_RECORD, "", 0 },
	{ "an end", ROLE_CONTROL, CTL_END, "\0\0\0\0\0\0", 6 },
	{ "a type that is none", ROLE_CONTROL, MESSAGE_TYPE(SUBJECT_CONTROL, 200), "", 0 },
	{ "a cancel with a body", ROLE_CONTROL, CTL_CANCEL, "x", 1 },
	{ "another role", ROLE_SESSION, CTL_REQUEST, "\0\0\0\0\1\0\0\0\4\0\0\0echo\0", 17 },
};

static void
test_nonsense(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		channel_free(control);
		connect_control(nonsense[i].role);
		control_lost = 0;
		buf_add(channel_begin(control, nonsense[i].type, 1), nonsense[i].body, nonsense[i].len);
		channel_end(control, -1);
		turn();
		if (control_lost != 1)
			fail_msg("%s: still connected", nonsense[i].what);
	}
	expect("");
}

int
main(void)
{
	static const struct log_conf quiet = { .to_stderr = true };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	log_init(&quiet, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
