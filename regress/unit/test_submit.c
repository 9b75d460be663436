/*
 * Units of queue/submit.c, the submitter's side, against a queue that the test plays: what it
 * sends, when it is busy, and that every submission has exactly one end, whatever becomes of the
 * queue.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/peer.h"
#include "queue/submit_wire.h"

static struct {
	struct event_base *base;
	struct channel *channel; /* the queue's end */
	/* what the queue got */
	unsigned messages, files, forgotten;
	uint64_t last_id;
	bool in_file;
	size_t content_len;
	char sender[64];
} queue;

/* What the owner of the one submission heard. */
static struct {
	unsigned done, ready;
	enum submit_status status;
	char text[128];
} heard;

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct submit_message message;

	(void)ch;
	(void)arg;
	queue.last_id = m->id;
	switch (m->type) {
	case SUBMIT_FILE:
		queue.files++;
		return true;
	case SUBMIT_FORGET:
		queue.forgotten++;
		return true;
	case SUBMIT_MESSAGE:
		if (!submit_read_message(&m->body, &message))
			return false;
		queue.messages++;
		queue.in_file = message.in_file;
		queue.content_len = message.content_len;
		strlcpy(queue.sender, message.envelope->sender, sizeof(queue.sender));
		envelope_free(message.envelope);
		return true;
	}
	return false;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	queue.channel = NULL;
}

static const struct channel_ops queue_ops = { on_message, on_closed };

static void
turn(void)
{
	int i;

	/* a few turns: a message goes, an answer comes, a callback is called */
	for (i = 0; i < 8; i++)
		event_base_loop(queue.base, EVLOOP_NONBLOCK);
}

static void
queue_up(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	queue.channel = channel_new(queue.base, pair[0], &queue_ops, NULL);
	peer_connect(ROLE_QUEUE, 0, pair[1]);
	turn();
}

static void
queue_down(void)
{
	channel_free(queue.channel);
	queue.channel = NULL;
	turn();
}

static void
answer(uint64_t id, enum submit_status status, const char *text)
{
	struct submit_answer a = { .status = (uint8_t)status, .text = text };

	submit_add_answer(channel_begin(queue.channel, SUBMIT_ANSWER, id), &a);
	channel_end(queue.channel, -1);
	turn();
}

static void
answer_file(uint64_t id, int fd, const char *text)
{
	buf_add_str(channel_begin(queue.channel, SUBMIT_FILE_ANSWER, id), text);
	channel_end(queue.channel, fd);
	turn();
}

static int
setup(void **state)
{
	(void)state;
	memset(&heard, 0, sizeof(heard));
	queue.messages = queue.files = queue.forgotten = 0;
	if (queue.base == NULL) {
		queue.base = event_base_new();
		peer_set_base(queue.base);
		submit_client_init();
	}
	if (queue.channel == NULL)
		queue_up();
	return 0;
}

/* --- the owner --- */

static void
on_done(enum submit_status status, const char *text, void *arg)
{
	assert_ptr_equal(arg, &heard);
	heard.done++;
	heard.status = status;
	strlcpy(heard.text, text, sizeof(heard.text));
}

static void
on_ready(void *arg)
{
	assert_ptr_equal(arg, &heard);
	heard.ready++;
}

static void
write_octets(struct submission *s, size_t n)
{
	struct evbuffer *text = evbuffer_new();
	char *octets = xcalloc(1, n);

	evbuffer_add(text, octets, n);
	submit_write(s, text);
	assert_int_equal(evbuffer_get_length(text), 0);
	evbuffer_free(text);
	free(octets);
}

static void
commit(struct submission *s, uint64_t id, unsigned recipients)
{
	struct envelope *env = envelope_new();
	char address[300];
	unsigned i;

	env->id = id;
	envelope_set(&env->sender, "a@example.org");
	envelope_set(&env->origin, "test");
	memset(address, 'x', sizeof(address));
	for (i = 0; i < recipients; i++) {
		snprintf(address + 50, sizeof(address) - 50, "%u@%0*d.example.net", i,
		    recipients > 1 ? 200 : 1, 0);
		envelope_add_recipient(env, address, NULL, 0);
	}
	submit_commit(s, env, on_done, &heard);
	/* never from inside the call */
	assert_int_equal(heard.done, 0);
	envelope_free(env);
	turn();
}

static void
assert_ended(enum submit_status status, const char *text)
{
	assert_int_equal(heard.done, 1);
	assert_int_equal(heard.status, status);
	if (strncmp(heard.text, text, strlen(text)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", heard.text, text);
}

/* --- tests --- */

static void
small_goes_inline(void **state)
{
	struct submission *s = submit_begin(1);

	(void)state;
	write_octets(s, 1000);
	write_octets(s, 24);
	assert_false(submit_busy(s));
	assert_int_equal(submit_size(s), 1024);
	commit(s, 1, 1);
	assert_int_equal(queue.messages, 1);
	assert_false(queue.in_file);
	assert_int_equal(queue.content_len, 1024);
	assert_string_equal(queue.sender, "a@example.org");
	assert_int_equal(heard.done, 0);
	answer(1, SUBMIT_OK, "");
	assert_ended(SUBMIT_OK, "");
	/* an answer too many is nobody's */
	answer(1, SUBMIT_OK, "");
	assert_int_equal(heard.done, 1);
}

static void
limit_is_exact(void **state)
{
	struct submission *s = submit_begin(2);

	(void)state;
	write_octets(s, STORE_INLINE_MAX);
	turn();
	assert_int_equal(queue.files, 0);
	write_octets(s, 1);
	turn();
	assert_int_equal(queue.files, 1);
	submit_abort(s);
	turn();
	assert_int_equal(queue.forgotten, 1);
}

/* Many that are small by themselves are large together: those that come then go to files, until memory is free again. */
static void
crowd_goes_to_files(void **state)
{
	enum { CROWD = 300 };
	struct submission *crowd[CROWD], *one;
	unsigned i;

	(void)state;
	for (i = 0; i < CROWD; i++) {
		crowd[i] = submit_begin(1000 + i);
		write_octets(crowd[i], STORE_INLINE_MAX);
	}
	turn();
	assert_in_range(queue.files, 1, CROWD / 2);
	queue.files = 0;
	one = submit_begin(2000);
	write_octets(one, 1000);
	assert_false(submit_busy(one)); /* a short letter is taken as ever */
	write_octets(one, 10000);
	assert_true(submit_busy(one));
	for (i = 0; i < CROWD; i++)
		submit_abort(crowd[i]);
	submit_abort(one);
	one = submit_begin(2001);
	write_octets(one, STORE_INLINE_MAX);
	assert_false(submit_busy(one));
	submit_abort(one);
	turn();
}

static void
large_goes_to_a_file(void **state)
{
	char path[] = "/tmp/genkan-submit.XXXXXX";
	struct submission *s = submit_begin(3);
	int fd = mkstemp(path);
	struct stat st;

	(void)state;
	write_octets(s, STORE_INLINE_MAX + 1);
	assert_true(submit_busy(s));
	submit_on_ready(s, on_ready, &heard);
	turn();
	assert_int_equal(heard.ready, 0);
	assert_int_equal(queue.last_id, 3);
	answer_file(3, fd, "");
	assert_int_equal(heard.ready, 1);
	assert_false(submit_busy(s));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, STORE_INLINE_MAX + 1);
	write_octets(s, 5000);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, STORE_INLINE_MAX + 5001);
	commit(s, 3, 1);
	assert_true(queue.in_file);
	answer(3, SUBMIT_OK, "");
	assert_ended(SUBMIT_OK, "");
	assert_int_equal(queue.forgotten, 0);
	unlink(path);
}

static void
no_file(void **state)
{
	struct submission *s = submit_begin(4);

	(void)state;
	write_octets(s, STORE_INLINE_MAX + 1);
	submit_on_ready(s, on_ready, &heard);
	turn();
	answer_file(4, -1, "452 4.3.1 Insufficient system storage");
	assert_int_equal(heard.ready, 1);
	write_octets(s, 100000); /* the owner reads on to the end */
	commit(s, 4, 1);
	assert_ended(SUBMIT_TEMP, "452 4.3.1 ");
	assert_int_equal(queue.messages, 0);
}

/* Writes to /dev/full fail like those to a full disk. */
static void
disk_full(void **state)
{
	struct submission *s = submit_begin(5);

	(void)state;
	write_octets(s, STORE_INLINE_MAX + 1);
	turn();
	answer_file(5, open("/dev/full", O_WRONLY | O_CLOEXEC), "");
	assert_int_equal(queue.forgotten, 1);
	commit(s, 5, 1);
	assert_ended(SUBMIT_TEMP, "452 4.3.1 ");
	assert_int_equal(queue.messages, 0);
}

static void
too_many_recipients(void **state)
{
	struct submission *s = submit_begin(6);

	(void)state;
	write_octets(s, 10);
	commit(s, 6, 4000);
	assert_ended(SUBMIT_TEMP, "452 4.5.3 ");
	assert_int_equal(queue.messages, 0);
}

static void
abort_after_commit(void **state)
{
	struct submission *s = submit_begin(7);

	(void)state;
	write_octets(s, 10);
	commit(s, 7, 1);
	submit_abort(s);
	answer(7, SUBMIT_OK, "");
	assert_int_equal(heard.done, 0);
}

/* What the queue was given and did not confirm is not taken, and what is in its files is gone; what
 * is in memory is not. */
static void
queue_dies(void **state)
{
	struct submission *given = submit_begin(8), *in_memory = submit_begin(9),
			  *asked = submit_begin(10);

	(void)state;
	write_octets(in_memory, 10);
	write_octets(asked, STORE_INLINE_MAX + 1);
	submit_on_ready(asked, on_ready, &heard);
	commit(given, 8, 1);
	assert_null(submit_refusal(0));
	queue_down();
	assert_ended(SUBMIT_TEMP, "451 4.3.0 ");
	assert_int_equal(heard.ready, 1);
	assert_non_null(submit_refusal(0));
	queue_up();
	assert_null(submit_refusal(0));
	memset(&heard, 0, sizeof(heard));
	commit(asked, 10, 1);
	assert_ended(SUBMIT_TEMP, "451 4.3.0 ");
	memset(&heard, 0, sizeof(heard));
	commit(in_memory, 9, 1);
	answer(9, SUBMIT_OK, "");
	assert_ended(SUBMIT_OK, "");
}

static void
no_queue(void **state)
{
	struct submission *s, *large;

	(void)state;
	queue_down();
	s = submit_begin(11);
	write_octets(s, 10);
	commit(s, 11, 1);
	assert_ended(SUBMIT_TEMP, "451 4.3.0 ");
	memset(&heard, 0, sizeof(heard));
	large = submit_begin(12);
	write_octets(large, STORE_INLINE_MAX + 1);
	assert_false(submit_busy(large));
	submit_abort(large);
	/* an end that was on its way is not told after an abort */
	s = submit_begin(13);
	commit(s, 13, 1);
	memset(&heard, 0, sizeof(heard));
	s = submit_begin(14);
	write_octets(s, STORE_INLINE_MAX + 1);
	submit_on_ready(s, on_ready, &heard);
	submit_abort(s);
	turn();
	assert_int_equal(heard.ready + heard.done, 0);
}

static void
room(void **state)
{
	static const struct {
		struct submit_room room;
		uint64_t size;
		bool refused;
	} cases[] = {
		{ { UINT64_MAX, "452 4.3.1 Full" }, UINT64_MAX, false },
		{ { 1000, "452 4.3.1 Full" }, 1000, false },
		{ { 1000, "452 4.3.1 Full" }, 0, false },
		{ { 1000, "452 4.3.1 Full" }, 1001, true },
		{ { 0, "451 4.3.0 Broken" }, 0, true },
		{ { 0, "451 4.3.0 Broken" }, 1, true },
	};
	const char *refusal;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		submit_add_room(channel_begin(queue.channel, SUBMIT_ROOM, 0), &cases[i].room);
		channel_end(queue.channel, -1);
		turn();
		refusal = submit_refusal(cases[i].size);
		assert_int_equal(refusal != NULL, cases[i].refused);
		if (refusal != NULL)
			assert_string_equal(refusal, cases[i].room.text);
	}
}

/* A queue that talks nonsense is a queue that is gone. */
static void
nonsense(void **state)
{
	struct submission *s = submit_begin(15);

	(void)state;
	commit(s, 15, 1);
	buf_add_u8(channel_begin(queue.channel, SUBMIT_ANSWER, 15), 9);
	channel_end(queue.channel, -1);
	turn();
	assert_ended(SUBMIT_TEMP, "451 4.3.0 ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(small_goes_inline, setup),
		cmocka_unit_test_setup(limit_is_exact, setup),
		cmocka_unit_test_setup(large_goes_to_a_file, setup),
		cmocka_unit_test_setup(crowd_goes_to_files, setup),
		cmocka_unit_test_setup(no_file, setup),
		cmocka_unit_test_setup(disk_full, setup),
		cmocka_unit_test_setup(too_many_recipients, setup),
		cmocka_unit_test_setup(abort_after_commit, setup),
		cmocka_unit_test_setup(queue_dies, setup),
		cmocka_unit_test_setup(no_queue, setup),
		cmocka_unit_test_setup(room, setup),
		cmocka_unit_test_setup(nonsense, setup),
	};

	return cmocka_run_group_tests_name("submit", tests, NULL, NULL);
}
