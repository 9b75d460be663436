/*
 * The local delivery process as the queue sees it: many jobs at once, contents in memory and by descriptor, what it does
 * not know, and when it says that it is done.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/delivery.h"
#include "deliver/domain.h"
#include "deliver/lookup.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "regress/unit/tree.h"

static char dir[] = "/tmp/test_local.XXXXXX";
static char *alice, *bob, *file;
static struct event_base *base;
static const struct lookup_conf nothing = { .host = "mx.example.net" };
static struct local_conf conf = { .host = "mx.example.net", .account = "me", .home = dir, .lookup = &nothing };

static struct {
	struct channel *channel;
	struct buf log;
	unsigned results, done;
} queue;

static const char *const status_names[] = { "ok", "temp", "perm", "host" };

static void
log_expansion(struct message *m)
{
	struct delivery_expansion e;
	unsigned i;

	assert_true(delivery_read_expansion(m, &e));
	buf_addf(&queue.log, "%llu/%u is", (unsigned long long)e.job, e.index);
	for (i = 0; i < e.targets_n; i++)
		buf_addf(&queue.log, " %s", e.targets[i]);
	buf_adds(&queue.log, "\n");
	free(e.targets);
}

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct delivery_result result;

	(void)ch;
	(void)arg;
	if (m->type == DELIVERY_DONE) {
		queue.done++;
		buf_addf(&queue.log, "%llu done\n", (unsigned long long)m->id);
		return true;
	}
	if (m->type == DELIVERY_EXPANSION) {
		log_expansion(m);
		return true;
	}
	assert_true(delivery_read_result(m, &result));
	queue.results++;
	assert_string_equal(result.host, "");
	/* what is said to be there is there */
	if (strstr(result.text, "thrown away") == NULL)
		assert_int_equal(result.detail[0] != '\0', result.status == DELIVERY_OK);
	if (result.detail[0] != '\0')
		assert_int_equal(access(result.detail, R_OK), 0);
	buf_addf(&queue.log, "%llu/%u %s %.9s\n", (unsigned long long)result.job, result.index,
	    status_names[result.status], result.text);
	return true;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	fail();
}

static void
submit(uint64_t id, const struct job_recipient *to, unsigned n, const char *text, bool by_file)
{
	struct job job = { .id = id, .message = id, .sender = "s@example.org", .recipients_n = n,
		.recipients = (struct job_recipient *)to, .size = strlen(text) };
	struct evbuffer *content = evbuffer_new();
	FILE *f = NULL;

	if (by_file) {
		f = tmpfile();
		fputs(text, f);
		fflush(f);
	} else {
		evbuffer_add(content, text, strlen(text));
	}
	delivery_send_job(queue.channel, &job, content, by_file ? dup(fileno(f)) : -1);
	if (f != NULL)
		fclose(f);
	evbuffer_free(content);
}

static void
run_until_done(unsigned jobs)
{
	while (queue.done < jobs)
		event_base_loop(base, EVLOOP_ONCE);
}

static void
expect(const char *log)
{
	assert_string_equal(buf_str(&queue.log), log);
	buf_clear(&queue.log);
	queue.done = queue.results = 0;
}

static void
test_jobs(void **state)
{
	const struct job_recipient both[] = { { .index = 4, .address = "alice@example.net", .path = alice },
		{ .index = 9, .address = "\\bob@example.net", .path = bob } };
	const struct job_recipient odd[] = {
		{ .index = 0, .address = "alice@example.net", .path = alice, .method = MAILBOX_LMTP },
		{ .index = 1, .address = "alice@example.net", .path = "Maildir" },
		{ .index = 2, .address = "alice@example.net", .path = file },
		{ .index = 3, .address = "alice@example.net", .path = alice },
		{ .index = 5, .address = "bob@example.net", .path = bob },
		{ .index = 6, .address = "alice@example.net" },
	};

	(void)state;
	submit(1, both, 2, "A: 1\r\n\r\n", false);
	submit(2, both, 1, "A: 1\r\n\r\n", true);
	/* what cannot be done keeps nobody else from his mail */
	submit(3, odd, 6, "Delivered-To: bob@example.net\r\n\r\n", false);
	run_until_done(3);
	/* no job ends before all that were gathered with it are reported */
	expect("3/0 temp 451 4.3.5\n3/1 temp 451 4.3.5\n3/6 temp 451 4.3.5\n"
	       "1/4 ok 250 2.0.0\n1/9 ok 250 2.0.0\n2/4 ok 250 2.0.0\n"
	       "3/2 temp 451 4.2.0\n3/3 ok 250 2.0.0\n3/5 perm 554 5.4.6\n1 done\n2 done\n3 done\n");
}

/* More mailboxes than are written in one go. */
static void
test_many(void **state)
{
	struct job_recipient to[100];
	unsigned i;

	(void)state;
	for (i = 0; i < 100; i++)
		to[i] = (struct job_recipient){ .index = i, .address = "alice@example.net", .path = i & 1 ? alice : bob };
	for (i = 0; i < 6; i++)
		submit(i, to, 100, "A: 1\r\n\r\nbody\r\n", i & 1);
	run_until_done(6);
	assert_int_equal(queue.results, 600);
	assert_null(strstr(buf_str(&queue.log), "temp"));
	buf_clear(&queue.log);
}

/* Whatever is asked for, an account's process does what its .forward says and nothing else. */
static void
test_forward(void **state)
{
	char *ran = xasprintf("%s/ran", dir), *touch = xasprintf("|/bin/touch %s", ran),
	     *path = xasprintf("%s/.forward", dir);
	const struct job_recipient asked[] = {
		{ .index = 0, .address = "alice@example.net", .path = touch, .method = MAILBOX_FORWARD },
		{ .index = 1, .address = "alice@example.net", .path = "", .method = MAILBOX_FORWARD },
		{ .index = 2, .address = "alice@example.net", .path = "/dev/null", .method = MAILBOX_FORWARD },
		{ .index = 3, .address = "alice@example.net", .path = touch, .method = MAILBOX_ALIAS },
		{ .index = 4, .address = "alice@example.net", .path = alice, .forward = true },
	};
	FILE *f;

	(void)state;
	queue.done = queue.results = 0;
	conf.method = MAILBOX_FORWARD;
	submit(1, asked, 4, "A: 1\r\n\r\n", false);
	run_until_done(1);
	expect("1/0 is \\alice@example.net\n1/1 is \\alice@example.net\n1/2 is \\alice@example.net\n"
	       "1/3 temp 451 4.3.5\n1 done\n");
	f = fopen(path, "w");
	fputs("/dev/null, bob\n", f);
	fclose(f);
	submit(2, asked, 5, "A: 1\r\n\r\n", false);
	run_until_done(1);
	expect("2/0 is \\alice@example.net/dev/null bob@example.net\n"
	       "2/1 is \\alice@example.net/dev/null bob@example.net\n2/2 ok 250 2.0.0\n2/3 temp 451 4.3.5\n"
	       "2/4 is \\alice@example.net/dev/null bob@example.net\n2 done\n");
	assert_int_equal(access(ran, F_OK), -1);
	/* the same for aliases, which this process has none of */
	conf.method = MAILBOX_ALIAS;
	submit(3, asked + 2, 2, "A: 1\r\n\r\n", false);
	run_until_done(1);
	expect("3/2 temp 451 4.3.5\n3/3 temp 451 4.3.5\n3 done\n");
	assert_int_equal(access(ran, F_OK), -1);
	conf.method = MAILBOX_MAILDIR;
	unlink(path);
	free(path);
	free(touch);
	free(ran);
}

int
main(void)
{
	static const struct channel_ops ops = { on_message, on_closed };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_forward),
	};
	int pair[2], failed;

	if (mkdtemp(dir) == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	alice = xasprintf("%s/alice", dir);
	bob = xasprintf("%s/bob", dir);
	file = xasprintf("%s/file", dir);
	fclose(fopen(file, "w"));
	base = event_base_new();
	peer_set_base(base);
	local_role_start(&conf);
	queue.channel = channel_new(base, pair[0], &ops, NULL);
	peer_connect(ROLE_QUEUE, 0, pair[1]);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	tree_remove(dir);
	free(alice);
	free(bob);
	free(file);
	return failed;
}
