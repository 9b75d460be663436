/*
 * The queue role as a whole, from a submission to its outcomes, among peers that a test plays
 * (queue_world.h).  The store is the real one, in a directory of its own; only time is made up, and
 * stands still unless a test moves it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "regress/unit/queue_world.h"

/* --- the plain way --- */

static void
delivers(void **state)
{
	uint64_t id = submit(SENDER, "ok@one.test", 0);

	(void)state;
	until(reached("ok@one.test") == 1);
	assert_int_equal(delivery_of("ok@one.test")->message, id);
	assert_string_equal(delivery_of("ok@one.test")->sender, SENDER);
	assert_string_equal(world.content, "Subject: test\r\n\r\nbody\r\n");
	until(is_empty());
	assert_true(is_told("stats", "delivered=1 "));
}

static void
delivers_once(void **state)
{
	(void)state;
	submit(SENDER, "twice@one.test other@one.test twice@one.test Twice@one.test", NOTIFY_DEFAULT);
	submit(SENDER, "told@one.test told@one.test", NOTIFY_FAILURE);
	until(is_empty());
	assert_int_equal(reached("twice@one.test"), 1);
	assert_int_equal(reached("Twice@one.test"), 1);
	assert_int_equal(reached("other@one.test"), 1);
	assert_int_equal(reached("told@one.test"), 2);
}

/* RFC 5321 4.5.3.1.8: no transaction has more than 100 recipients; but one has as many as go the
 * same way. */
static void
groups(void **state)
{
	struct buf recipients = { 0 };
	unsigned i, jobs = world.jobs;

	(void)state;
	for (i = 0; i < 250; i++)
		buf_addf(&recipients, "ok%u@%s.test ", i, i % 10 == 0 ? "small" : "large");
	submit(SENDER, buf_str(&recipients), 0);
	buf_free(&recipients);
	until(is_empty());
	assert_int_equal(world.jobs - jobs, 4);
	assert_int_equal(delivery_of("ok0@small.test")->together, 25);
	assert_int_equal(delivery_of("ok1@large.test")->together, 100);
	assert_int_equal(delivery_of("ok249@large.test")->together, 25);
	for (i = 0; i < 250; i++) {
		char address[64];

		snprintf(
		    address, sizeof(address), "ok%u@%s.test", i, i % 10 == 0 ? "small" : "large");
		assert_int_equal(reached(address), 1);
	}
}

static void
teaches_only_ours(void **state)
{
	struct envelope *env;
	unsigned taught = world.taught;

	(void)state;
	submit(SENDER, "ok@stranger.test", 0);
	until(is_empty());
	assert_int_equal(world.taught, taught);
	env = new_envelope(SENDER, "ok@friend.test box@here.test", 0);
	env->ours = true;
	send_envelope(env, "x\r\n");
	until(reached("ok@friend.test") == 1 && is_empty());
	assert_int_equal(world.taught, taught + 1);
	envelope_free(env);
}

/* --- failures --- */

static void
defers_and_tries_again(void **state)
{
	(void)state;
	submit(SENDER, "temp@two.test ok@two.test", 0);
	until(is_told("queue list", "state=deferred"));
	assert_int_equal(reached("ok@two.test"), 1);
	assert_true(is_told("queue list", "reason=\"451 4.2.1 Not now\""));
	/* not before its time: 600 s, 10 % more or less */
	world.now += 539;
	settle();
	assert_true(is_told("queue show to=temp@two.test", "attempts=1"));
	world.now += 122;
	until(is_told("queue show to=temp@two.test", "attempts=2"));
	world.healed = true;
	world.now += 1321;
	until(reached("temp@two.test") == 1);
	until(is_empty());
	world.healed = false;
}

/* The notice goes to the sender, from nobody, before the failure is final. */
static void
tells_of_failure(void **state)
{
	uint64_t id =
	    submit(SENDER, "perm1@three.test perm2@three.test nobody@three.test ok@three.test", 0);

	(void)state;
	until(reached(SENDER) == 1);
	until(is_empty());
	assert_string_equal(delivery_of(SENDER)->sender, "");
	assert_true(delivery_of(SENDER)->message != id);
	/* one notice for all */
	assert_non_null(strstr(world.content, "Final-Recipient: rfc822; perm1@three.test\r\n"));
	assert_non_null(strstr(world.content, "Final-Recipient: rfc822; perm2@three.test\r\n"));
	assert_non_null(strstr(world.content, "Final-Recipient: rfc822; nobody@three.test\r\n"));
	assert_null(strstr(world.content, "ok@three.test"));
	assert_non_null(strstr(world.content, "Subject: test\r\n"));
	assert_null(strstr(world.content, "\r\nbody\r\n"));
}

static void
tells_nobody(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	/* RFC 5321 6.1: nothing is ever sent to nobody; the postmaster hears of it */
	submit("", "perm@four.test", 0);
	until(is_empty());
	assert_true(is_told("stats", "double_bounces=1"));
	assert_int_equal(reached("postmaster"), 1);
	assert_string_equal(delivery_of("postmaster")->sender, "");
	assert_non_null(strstr(world.content, "Final-Recipient: rfc822; perm@four.test\r\n"));
	submit("", "perm@four.test", NOTIFY_NEVER);
	until(is_empty());
	assert_int_equal(reached("postmaster"), 1);
	/* RFC 3461 4.1 */
	submit(SENDER, "perm@four.test", NOTIFY_NEVER);
	until(is_empty());
	submit(SENDER, "perm@four.test", NOTIFY_SUCCESS);
	until(is_empty());
	assert_int_equal(reached(SENDER), told);
}

/* RFC 3461 5.2.2 to 5.2.4: who asked hears of it, unless the next server will tell him. */
static void
tells_of_success(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	submit(SENDER, "box@eleven.test ok@eleven.test dsn@eleven.test",
	    NOTIFY_SUCCESS | NOTIFY_FAILURE);
	until(is_empty());
	assert_int_equal(reached(SENDER), told + 1);
	assert_non_null(strstr(world.content,
	    "Final-Recipient: rfc822; box@eleven.test\r\nAction: delivered\r\nStatus: 2."));
	assert_non_null(strstr(world.content,
	    "Final-Recipient: rfc822; ok@eleven.test\r\nAction: relayed\r\nStatus: 2."));
	assert_null(strstr(world.content, "dsn@eleven.test"));
	submit(SENDER, "box@eleven.test", NOTIFY_DEFAULT);
	submit("", "box@eleven.test", NOTIFY_SUCCESS);
	until(is_empty());
	assert_int_equal(reached(SENDER), told + 1);
}

/* RFC 3461 5.2.7.2 and 5.2.7.3: one address behind an alias passes on what was asked, several end
 * it. */
static void
tells_of_expansion(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	world.targets[0] = "box1@twelve.test";
	world.targets_n = 1;
	submit(SENDER, "alias@twelve.test", NOTIFY_SUCCESS);
	until(is_empty());
	assert_int_equal(reached(SENDER), told + 1);
	assert_non_null(
	    strstr(world.content, "Final-Recipient: rfc822; box1@twelve.test\r\nAction: delivered"));
	world.targets[0] = "box2@twelve.test";
	world.targets[1] = "box3@twelve.test";
	world.targets_n = 2;
	submit(SENDER, "alias@twelve.test", NOTIFY_SUCCESS);
	until(is_empty());
	assert_int_equal(reached(SENDER), told + 2);
	assert_non_null(
	    strstr(world.content, "Final-Recipient: rfc822; alias@twelve.test\r\nAction: expanded"));
	assert_null(strstr(world.content, "box2@twelve.test"));
}

/* With VERP everybody is sent to from a path of his own, in one job, and a failure is told to that
 * one; of a delay the sender hears, once for all. */
static void
names_the_recipient(void **state)
{
	struct envelope *env = new_envelope(SENDER,
	    "ok@verp.test perm1@verp.test perm2@verp.test box@verp.test alias@verp.test temp@verp.test", 0);
	unsigned told = reached(SENDER), jobs = world.jobs;

	(void)state;
	world.targets[0] = "ok@alias.test";
	world.targets_n = 1;
	strcpy(env->verp, "+=");
	send_envelope(env, "Subject: test\r\n\r\nbody\r\n");
	until(reached("alice+perm1=verp.test@sender.test") == 1);
	until(reached("alice+perm2=verp.test@sender.test") == 1);
	until(is_told("queue show to=temp@verp.test", "verp=+= "));
	assert_non_null(strstr(world.content, "Final-Recipient: rfc822; perm"));
	assert_string_equal(delivery_of("ok@verp.test")->sender, "alice+ok=verp.test@sender.test");
	assert_int_equal(delivery_of("ok@verp.test")->together, 4);
	assert_string_equal(delivery_of("box@verp.test")->sender, "alice+box=verp.test@sender.test");
	assert_string_equal(
	    delivery_of("ok@alias.test")->sender, "alice+alias=verp.test@sender.test");
	/* three ways, and two notices */
	assert_int_equal(world.jobs - jobs, 5);
	assert_int_equal(reached(SENDER), told);
	until(is_told("queue show to=temp@verp.test", "attempts=1"));
	world.now += 4 * 3600;
	until(reached(SENDER) == told + 1);
	assert_non_null(strstr(world.content, "Action: delayed\r\n"));
	ctl("queue remove to=temp@verp.test");
	until(is_empty());
	envelope_free(env);
}

static void
tells_of_delay_once(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	submit(SENDER, "temp@five.test", 0);
	until(is_told("queue show to=temp@five.test", "attempts=1"));
	world.now += 4 * 3600;
	until(reached(SENDER) == told + 1);
	assert_non_null(strstr(world.content, "Action: delayed\r\n"));
	until(is_told("queue show to=temp@five.test", "attempts=2"));
	world.now += 4 * 3600;
	until(is_told("queue show to=temp@five.test", "attempts=3"));
	settle();
	assert_int_equal(reached(SENDER), told + 1);
	ctl("queue remove to=temp@five.test");
	until(is_empty());
}

static void
gives_up(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	submit(SENDER, "temp@six.test", NOTIFY_FAILURE);
	until(is_told("queue show to=temp@six.test", "attempts=1"));
	world.now += 5 * 86400;
	until(reached(SENDER) == told + 1);
	assert_non_null(strstr(world.content, "Status: 4.4.7\r\n"));
	assert_non_null(strstr(world.content, "Diagnostic-Code: smtp; 451 4.2.1 Not now\r\n"));
	until(is_empty());
	assert_true(is_told("stats", "expired=1 "));
}

/* An address book that is away is no answer: nothing counts as tried, and all goes on when it is
 * back. */
static void
waits_for_the_address_book(void **state)
{
	(void)state;
	drop_actor(&world.lookup);
	submit(SENDER, "ok@seven.test", 0);
	assert_true(is_told("queue list", "state=waiting"));
	connect_actor(&world.lookup);
	until(reached("ok@seven.test") == 1);
	until(is_empty());
	/* nor is one that goes away over the question */
	world.mute = true;
	submit(SENDER, "ok2@seven.test", 0);
	until(is_told("queue list", "state=active"));
	drop_actor(&world.lookup);
	until(is_told("queue list", "state=waiting"));
	assert_true(is_told("queue show all", "attempts=0"));
	world.mute = false;
	connect_actor(&world.lookup);
	until(reached("ok2@seven.test") == 1);
	until(is_empty());
	submit(SENDER, "later@seven.test", 0);
	until(is_told("queue list", "reason=\"451 4.3.0 The alias file cannot be read\""));
	ctl("queue remove all");
}

/* The times that a recipient was given once and no longer waits for mean nothing. */
static void
forgets_old_times(void **state)
{
	(void)state;
	submit(SENDER, "temp@old.test", 0);
	until(is_told("queue show to=temp@old.test", "attempts=1"));
	ctl("queue flush all");
	until(is_told("queue show to=temp@old.test", "attempts=2"));
	submit(SENDER, "temp@other.test", 0);
	until(is_told("queue show to=temp@other.test", "attempts=1"));
	world.now += 700; /* the first wait is over, the second is 1080 at least */
	until(is_told("queue show to=temp@other.test", "attempts=2"));
	settle();
	assert_true(is_told("queue show to=temp@old.test", "attempts=2"));
	ctl("queue remove all");
	until(is_empty());
}

/* --- expansion --- */

static void
expands(void **state)
{
	static const char *const targets[] = { "ok1@eleven.test", "ok2@eleven.test",
		"ok2@eleven.test" };

	(void)state;
	memcpy(world.targets, targets, sizeof(targets));
	world.targets_n = 3;
	submit(SENDER, "alias@here.test ok1@eleven.test", 0);
	until(is_empty());
	assert_int_equal(reached("ok1@eleven.test"), 1);
	assert_int_equal(reached("ok2@eleven.test"), 1);
}

static void
sees_circles(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	world.targets[0] = "alias2@here.test";
	world.targets_n = 1;
	submit(SENDER, "alias1@here.test", 0);
	until(reached(SENDER) == told + 1);
	assert_non_null(strstr(world.content, "Diagnostic-Code: x-genkan; 554 5.4.6 "));
	until(is_empty());
}

/* --- large contents --- */

static bool
has_file(const char *prefix, uint64_t id)
{
	char *path = xasprintf("%s/content/%s%s", world.dir, prefix, id_text(id).s);
	struct stat st;
	bool found = stat(path, &st) == 0;

	free(path);
	return found;
}

static void
ask_for_file(uint64_t id)
{
	unsigned before = world.answers;

	channel_send(world.session.channel, SUBMIT_FILE, id);
	until(world.answers > before);
}

static void
large_by_descriptor(void **state)
{
	struct envelope *env = new_envelope(SENDER, "ok@large-content.test", 0);
	char *octets = xcalloc(1, 300000);
	unsigned before;

	(void)state;
	memset(octets, 'x', 300000);
	ask_for_file(env->id);
	assert_true(world.file >= 0);
	assert_string_equal(world.file_text, "");
	assert_int_equal(write(world.file, octets, 300000), 300000);
	close(world.file);
	env->size = 300000;
	before = world.answers;
	send_envelope(env, NULL);
	until(world.answers > before);
	assert_int_equal(world.answer.status, SUBMIT_OK);
	until(reached("ok@large-content.test") == 1);
	assert_true(delivery_of("ok@large-content.test")->by_descriptor);
	until(is_empty());
	/* it goes when its end is durable, which is with the next flush */
	submit(SENDER, "ok@flush.test", 0);
	until(!has_file("", env->id));
	envelope_free(env);
	free(octets);
}

static void
half_made_files_go(void **state)
{
	uint64_t id = id_new(), forgotten = id_new();

	(void)state;
	ask_for_file(forgotten);
	close(world.file);
	assert_true(has_file("tmp.", forgotten));
	channel_send(world.session.channel, SUBMIT_FORGET, forgotten);
	until(!has_file("tmp.", forgotten));
	ask_for_file(id);
	close(world.file);
	assert_true(has_file("tmp.", id));
	drop_actor(&world.session);
	until(!has_file("tmp.", id));
	connect_actor(&world.session);
	until(world.room == UINT64_MAX);
}

/* --- submitters that talk nonsense --- */

static void
nonsense_costs_the_connection(void **state)
{
	static const char junk[] = "junk that is no message";
	struct envelope *env = new_envelope(SENDER, "ok@twelve.test", 0);
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		if (i == 0) { /* no envelope */
			buf_adds(channel_begin(world.session.channel, SUBMIT_MESSAGE, 5), junk);
			channel_end(world.session.channel, -1);
		} else if (i == 1) { /* a file that was never asked for */
			send_envelope(env, NULL);
		} else if (i == 2) { /* one and the same file twice */
			ask_for_file(env->id);
			close(world.file);
			channel_send(world.session.channel, SUBMIT_FILE, env->id);
		} else { /* a message of no type */
			channel_send(world.session.channel, SUBMIT_ROOM, 0);
		}
		until(world.session.channel == NULL);
		connect_actor(&world.session);
	}
	/* an id that is taken is the session's misfortune, not its fault */
	submit(SENDER, "temp@twelve.test", 0);
	env->id = world.answer.id;
	i = world.answers;
	send_envelope(env, "x");
	until(world.answers > i);
	assert_int_equal(world.answer.status, SUBMIT_TEMP);
	envelope_free(env);
	assert_int_equal(reached("ok@twelve.test"), 0);
	ctl("queue remove all");
	until(is_empty());
}

/* What a session says about states and times is not believed. */
static void
states_are_ours(void **state)
{
	struct envelope *env = new_envelope(SENDER, "ok1@thirteen.test ok2@thirteen.test", 0);

	(void)state;
	env->held = true;
	env->expires = 1;
	env->recipients[0].state = RECIPIENT_FAILED;
	env->recipients[1].due = INT64_MAX;
	env->recipients[1].attempts = 9;
	send_envelope(env, "x");
	until(reached("ok1@thirteen.test") == 1 && reached("ok2@thirteen.test") == 1);
	until(is_empty());
	envelope_free(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delivers),
		cmocka_unit_test(delivers_once),
		cmocka_unit_test(groups),
		cmocka_unit_test(teaches_only_ours),
		cmocka_unit_test(defers_and_tries_again),
		cmocka_unit_test(tells_of_failure),
		cmocka_unit_test(tells_nobody),
		cmocka_unit_test(tells_of_success),
		cmocka_unit_test(tells_of_expansion),
		cmocka_unit_test(names_the_recipient),
		cmocka_unit_test(tells_of_delay_once),
		cmocka_unit_test(gives_up),
		cmocka_unit_test(waits_for_the_address_book),
		cmocka_unit_test(forgets_old_times),
		cmocka_unit_test(expands),
		cmocka_unit_test(sees_circles),
		cmocka_unit_test(large_by_descriptor),
		cmocka_unit_test(half_made_files_go),
		cmocka_unit_test(nonsense_costs_the_connection),
		cmocka_unit_test(states_are_ours),
	};

	return cmocka_run_group_tests_name("queue", tests, set_up, tear_down);
}
