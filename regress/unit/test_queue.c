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

#define SENDER "alice@sender.test"

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

/* --- dead destinations --- */

static void
asks_a_dead_host_once(void **state)
{
	unsigned i, attempts;

	(void)state;
	submit(SENDER, "host1@dead.test", 0);
	submit(SENDER, "host2@dead.test", 0);
	until(is_told("queue show to=host2@dead.test", "attempts=1"));
	attempts = world.attempts;
	for (i = 0; i < 50; i++)
		submit(SENDER, "host3@dead.test", 0);
	until(is_told("queue summary", "deferred=52"));
	assert_int_equal(world.attempts, attempts);
	assert_true(
	    is_told("queue list to=host3@dead.test", "reason=\"451 4.4.1 Connection refused\""));
	/* its time comes: one asks for all */
	world.now += 661;
	until(world.attempts > attempts);
	until(is_told("queue summary", "deferred=52"));
	assert_in_range(world.attempts - attempts, 1, 2);
	world.healed = true;
	world.now += 2 * 661;
	until(reached("host3@dead.test") == 50);
	until(is_empty());
	world.healed = false;
}

static void
flush_wakes_the_dead(void **state)
{
	(void)state;
	submit(SENDER, "host@grave.test", 0);
	submit(SENDER, "host@grave.test", 0);
	until(is_told("queue summary", "deferred=2"));
	world.healed = true;
	ctl("queue flush all");
	until(reached("host@grave.test") == 2);
	until(is_empty());
	world.healed = false;
}

/* A busy destination does not get more at once than it has shown to bear; others do not wait for
 * it. */
static void
window_holds_back(void **state)
{
	unsigned jobs = world.jobs, i;

	(void)state;
	for (i = 0; i < 4; i++)
		submit(SENDER, "wait@slow.test", 0);
	submit(SENDER, "ok@fast.test", 0);
	until(reached("ok@fast.test") == 1);
	assert_int_equal(world.jobs - jobs, 3);
	world.healed = true; /* for those to come */
	finish_waiting(&world.relays[0]);
	finish_waiting(&world.relays[1]);
	until(is_empty());
	assert_int_equal(world.jobs - jobs, 5);
	world.healed = false;
}

/* --- many destinations with the same servers --- */

/* One attempt tells that all are dead, and one that all are back. */
static void
dies_with_its_servers(void **state)
{
	unsigned i, attempts;
	char address[60];

	(void)state;
	submit(SENDER, "host@shared0.dead.test", 0);
	submit(SENDER, "host@shared0.dead.test", 0);
	until(is_told("queue summary", "deferred=2"));
	attempts = world.attempts;
	for (i = 1; i <= 100; i++) {
		snprintf(address, sizeof(address), "host@shared%u.dead.test", i);
		submit(SENDER, address, 0);
	}
	until(is_told("queue list to=host@shared100.dead.test", "state=deferred"));
	until(is_told("queue list to=host@shared99.dead.test", "state=deferred"));
	assert_int_equal(world.attempts, attempts);
	assert_true(is_told(
	    "queue list to=host@shared7.dead.test", "reason=\"451 4.4.1 Connection refused\""));
	/* the time comes: one asks for all hundred */
	world.now += 661;
	until(world.attempts > attempts);
	until(!is_told("queue list", "state=active"));
	assert_in_range(world.attempts - attempts, 1, 2);
	world.healed = true;
	world.now += 2 * 661;
	until(is_empty());
	assert_int_equal(reached("host@shared77.dead.test"), 1);
	world.healed = false;
}

static unsigned
waiting_now(void)
{
	return world.relays[0].waiting_n + world.relays[1].waiting_n;
}

static bool
is_waiting(const char *address)
{
	unsigned i, k;

	for (i = 0; i < 2; i++)
		for (k = 0; k < world.relays[i].waiting_n; k++)
			if (strcmp(world.relays[i].waiting[k].address, address) == 0)
				return true;
	return false;
}

/* The window is that of the servers; a domain with much to say takes turns with the others. */
static void
shares_the_window(void **state)
{
	unsigned before = world.jobs, i;

	(void)state;
	for (i = 0; i < 6; i++)
		submit(SENDER, "wait@shared1.slow2.test", 0);
	submit(SENDER, "wait@shared2.slow2.test", 0);
	submit(SENDER, "ok@aside.test", 0);
	until(reached("ok@aside.test") == 1);
	/* two at once, whatever the number of domains */
	assert_int_equal(waiting_now(), 2);
	assert_int_equal(world.jobs - before, 3);
	/* four have room when the two are done, and the second domain is among them */
	assert_false(is_waiting("wait@shared2.slow2.test"));
	finish_waiting(&world.relays[0]);
	finish_waiting(&world.relays[1]);
	until(waiting_now() == 4);
	assert_true(is_waiting("wait@shared2.slow2.test"));
	world.healed = true;
	while (!is_empty()) {
		finish_waiting(&world.relays[0]);
		finish_waiting(&world.relays[1]);
	}
	world.healed = false;
}

/* What a provider takes at once is a limit for all its domains together. */
static void
keeps_to_the_providers_limit(void **state)
{
	char address[60];
	unsigned i;

	(void)state;
	world.most = 1;
	for (i = 0; i < 5; i++) {
		snprintf(address, sizeof(address), "wait@shared%u.narrow.test", i);
		submit(SENDER, address, 0);
	}
	submit(SENDER, "ok@aside2.test", 0);
	until(reached("ok@aside2.test") == 1);
	for (i = 0; i < 5; i++) {
		until(waiting_now() == 1);
		finish_waiting(&world.relays[0]);
		finish_waiting(&world.relays[1]);
	}
	until(is_empty());
	world.most = 0;
}

/* A reply that asks for a pause: one attempt, and all domains there wait for so long. */
static void
rests_when_asked(void **state)
{
	unsigned attempts;

	(void)state;
	world.pause = 1800;
	submit(SENDER, "busy@shared1.busy.test", 0);
	until(is_told("queue summary", "deferred=1"));
	attempts = world.attempts;
	submit(SENDER, "ok@shared2.busy.test", 0);
	submit(SENDER, "ok@shared1.busy.test", 0);
	until(is_told("queue list to=ok@shared2.busy.test", "reason=\"451 4.7.500 Too much from you\""));
	settle();
	world.now += 1700;
	settle();
	assert_int_equal(reached("ok@shared2.busy.test"), 0);
	assert_in_range(world.attempts - attempts, 2, 2); /* what settles */
	world.healed = true;
	world.now += 101;
	until(is_empty());
	assert_int_equal(reached("ok@shared2.busy.test"), 1);
	assert_int_equal(reached("busy@shared1.busy.test"), 1);
	world.healed = false;
	world.pause = 0;
}

/* --- deliverers that die --- */

static void
reconnect_relays(void)
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (world.relays[i].channel == NULL)
			connect_actor(&world.relays[i]);
}

static void
survives_a_death(void **state)
{
	(void)state;
	world.crashes = 1;
	submit(SENDER, "crash@eight.test", 0);
	until(reached("crash@eight.test") == 1);
	until(is_empty());
	reconnect_relays();
}

/* They die before they say where a destination leads: the next ones are asked. */
static void
asks_the_next(void **state)
{
	unsigned asked = world.asked, i;
	char address[60];

	(void)state;
	world.speechless = true;
	for (i = 0; i < 10; i++) {
		snprintf(address, sizeof(address), "ok@unsaid%u.test", i);
		submit(SENDER, address, 0);
	}
	until(world.asked - asked == 10);
	assert_true(is_told("queue summary", "active=10"));
	/* what waits for the answer can be held at once */
	ctl("queue hold to=ok@unsaid3.test");
	assert_true(is_told("queue list to=ok@unsaid3.test", "state=held"));
	ctl("queue release to=ok@unsaid3.test");
	drop_actor(&world.relays[0]);
	drop_actor(&world.relays[1]);
	world.speechless = false;
	reconnect_relays();
	until(is_empty());
	for (i = 0; i < 10; i++) {
		snprintf(address, sizeof(address), "ok@unsaid%u.test", i);
		assert_int_equal(reached(address), 1);
	}
}

/* More destinations than one process is asked about at once. */
static void
asks_about_many(void **state)
{
	enum { MANY = 2500 };
	struct buf recipients = { 0 };
	unsigned asked = world.asked, before = world.delivered_n, i;

	(void)state;
	world.speechless = true;
	for (i = 0; i < MANY; i++)
		buf_addf(&recipients, "%sok@many%u.test", i > 0 ? " " : "", i);
	submit("", buf_str(&recipients), 0);
	buf_free(&recipients);
	until(world.asked - asked == 2000);
	for (i = 0; i < 20; i++)
		event_base_loop(world.base, EVLOOP_NONBLOCK);
	assert_int_equal(world.asked - asked, 2000);
	drop_actor(&world.relays[0]);
	drop_actor(&world.relays[1]);
	world.speechless = false;
	reconnect_relays();
	until(is_empty());
	assert_int_equal(world.delivered_n - before, MANY);
}

/* A relay role that talks of what it was not asked is none. */
static void
unasked_answers_cost_the_connection(void **state)
{
	struct delivery_site site = { .destination = "mx unasked.test", .site = "x", .holds = 300 };

	(void)state;
	delivery_send_site(world.relays[0].channel, &site);
	until(world.relays[0].channel == NULL);
	reconnect_relays();
	settle();
}

static void
defers_what_kills(void **state)
{
	(void)state;
	world.crashes = 100;
	submit(SENDER, "crash@nine.test", 0);
	until(world.crashes == 98);
	reconnect_relays();
	until(world.crashes == 97);
	reconnect_relays();
	until(is_told("queue list",
	    "reason=\"451 4.3.0 The delivery process ended without a result, several times\""));
	assert_true(is_told("queue show all", "attempts=1"));
	world.crashes = 0;
	ctl("queue flush all");
	until(reached("crash@nine.test") == 1);
	until(is_empty());
}

static void
silence_is_no_success(void **state)
{
	(void)state;
	submit(SENDER, "silent@ten.test ok@ten.test", 0);
	until(is_told("queue list", "reason=\"451 4.3.0 The delivery process gave no result\""));
	assert_int_equal(reached("ok@ten.test"), 1);
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

/* --- mailboxes --- */

static void
starts_one_process_for_an_owner(void **state)
{
	unsigned starts = world.starts, i;

	(void)state;
	for (i = 0; i < 20; i++)
		submit(SENDER, "box@here.test", 0);
	until(is_empty());
	assert_int_equal(reached("box@here.test"), 21); /* one was before */
	assert_in_range(world.starts - starts, 0, 1);
	/* and ends it when nothing comes for a while */
	world.ms += 5001;
	until(world.locals[0].channel == NULL && world.locals[1].channel == NULL);
}

/* Two owners, one place: neither waits for ever. */
static void
shares_the_places(void **state)
{
	unsigned i;

	(void)state;
	world.conf.local_most = 1;
	queue_role_renew(&world.conf);
	for (i = 0; i < 10; i++) {
		struct envelope *env =
		    new_envelope(SENDER, i % 2 ? "box1@here.test" : "cot1@here.test", 0);

		send_envelope(env, "x\r\n");
		envelope_free(env);
	}
	until(reached("box1@here.test") == 5 && reached("cot1@here.test") == 5);
	until(is_empty());
	for (i = 0; i < LOCALS; i++)
		assert_true(i == 0 || world.locals[i].channel == NULL);
	world.conf.local_most = 2;
	queue_role_renew(&world.conf);
}

static void
local_process_dies(void **state)
{
	(void)state;
	world.crashes = 1;
	submit(SENDER, "box2@here.test", 0);
	until(reached("box2@here.test") == 1);
	/* the address says so to the process, not to the address book */
	submit(SENDER, "cot2@here.test", 0);
	until(reached("cot2@here.test") == 1);
	until(is_empty());
	world.crashes = 0;
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

/* --- the operator --- */

static void
holds_and_releases(void **state)
{
	uint64_t id = submit(SENDER, "temp@fourteen.test", 0);
	char *request = xasprintf("queue hold %s", id_text(id).s);

	(void)state;
	until(is_told("queue list", "state=deferred"));
	assert_true(is_told("queue hold -n all", "state=deferred"));
	assert_false(is_told("queue list", "state=held"));
	assert_true(is_told(request, "result=held"));
	assert_true(is_told("queue list state=held", "state=held"));
	world.healed = true;
	world.now += 86400;
	ctl("queue flush all");
	settle();
	assert_int_equal(reached("temp@fourteen.test"), 0);
	ctl("queue release from=" SENDER);
	until(reached("temp@fourteen.test") == 1);
	until(is_empty());
	world.healed = false;
	free(request);
}

/* What waits in a lane is taken back; what a deliverer has is not. */
static void
holds_in_the_lane(void **state)
{
	unsigned jobs = world.jobs, i;

	(void)state;
	for (i = 0; i < 3; i++)
		submit(SENDER, "wait@eighteen.test", 0);
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 2);
	ctl("queue hold all");
	assert_true(is_told("queue summary", "held=3"));
	finish_waiting(&world.relays[0]);
	finish_waiting(&world.relays[1]);
	until(is_told("queue summary", "messages=1"));
	settle();
	assert_int_equal(world.jobs - jobs, 3); /* and that of settle() */
	world.healed = true;
	ctl("queue release all");
	until(reached("wait@eighteen.test") == 1);
	until(is_empty());
	world.healed = false;
}

/* What a deliverer has not begun is called back, and waits as if nothing had happened. */
static void
calls_back(void **state)
{
	unsigned cancels = world.cancels;

	(void)state;
	submit(SENDER, "wait-idle@eighteen.test", 0);
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 1);
	ctl("queue hold all");
	until(is_told("queue list", "state=held"));
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 0);
	assert_int_equal(world.cancels, cancels + 1);
	assert_true(is_told("queue show all", "attempts=0"));
	world.healed = true;
	ctl("queue release all");
	until(is_empty());
	assert_int_equal(reached("wait-idle@eighteen.test"), 1);
	world.healed = false;
}

/* Held or removed while a deliverer has it, who then dies: not handed to the next one. */
static void
stays_back_when_a_deliverer_dies(void **state)
{
	unsigned i;

	(void)state;
	submit(SENDER, "wait@twentysix.test", 0);
	submit(SENDER, "wait@twentyseven.test", 0);
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 2);
	ctl("queue hold to=wait@twentysix.test");
	ctl("queue remove to=wait@twentyseven.test");
	world.healed = true;
	for (i = 0; i < 2; i++)
		if (world.relays[i].waiting_n > 0)
			drop_actor(&world.relays[i]);
	reconnect_relays();
	settle();
	until(is_told("queue list", "state=held"));
	assert_false(is_told("queue list", "twentyseven"));
	assert_int_equal(reached("wait@twentysix.test") + reached("wait@twentyseven.test"), 0);
	ctl("queue release all");
	until(is_empty());
	assert_int_equal(reached("wait@twentysix.test"), 1);
	assert_int_equal(reached("wait@twentyseven.test"), 0);
	world.healed = false;
}

/* To another server than where the address leads, and only those who are meant; durably. */
static void
reroutes(void **state)
{
	(void)state;
	ctl("pause out");
	submit(SENDER, "ok@twenty.test ok@twentyone.test", 0);
	assert_true(is_told("queue reroute domain=twenty.test to nowhere:at:all", "no server"));
	assert_int_equal(world.status, 2);
	assert_true(is_told("queue reroute -n domain=twenty.test to [192.0.2.9]:2525", "sender="));
	assert_false(is_told("queue show all", "route="));
	assert_true(is_told("queue reroute domain=twenty.test to [192.0.2.9]:2525", "rerouted"));
	assert_true(is_told("queue show to=ok@twenty.test",
	    "recipient=ok@twenty.test state=waiting"));
	assert_true(is_told("queue show all", "route=[192.0.2.9]:2525"));
	ctl("queue reroute domain=twenty.test to default");
	assert_false(is_told("queue show all", "route="));
	ctl("queue reroute domain=twenty.test to [192.0.2.9]");
	ctl("resume out");
	until(is_empty());
	assert_string_equal(delivery_of("ok@twenty.test")->destination, "[192.0.2.9]:25");
	assert_string_equal(delivery_of("ok@twentyone.test")->destination, "mx twentyone.test");
}

/* One destination waits, the others go on. */
static void
pauses_one(void **state)
{
	(void)state;
	assert_true(is_told("pause out TwentyTwo.test", "mx twentytwo.test"));
	submit(SENDER, "ok@twentytwo.test ok@twentythree.test", 0);
	until(reached("ok@twentythree.test") == 1);
	assert_int_equal(reached("ok@twentytwo.test"), 0);
	assert_false(is_told("resume out twentytwo.test", "destination_paused"));
	until(reached("ok@twentytwo.test") == 1);
	until(is_empty());
}

/* A time of its own: not before, and then. */
static void
flushes_later(void **state)
{
	char request[80];

	(void)state;
	submit(SENDER, "temp@twentyfour.test", 0);
	until(is_told("queue list", "state=deferred"));
	world.healed = true;
	snprintf(request, sizeof(request), "queue flush at=%lld all", (long long)world.now + 7200);
	ctl(request);
	world.now += 7100;
	settle();
	assert_int_equal(reached("temp@twentyfour.test"), 0);
	world.now += 200;
	until(reached("temp@twentyfour.test") == 1);
	until(is_empty());
	assert_true(is_told("queue flush at=noon all", "no time"));
	world.healed = false;
}

/* All that happened, also when it is over. */
static void
remembers(void **state)
{
	uint64_t id = submit(SENDER, "temp@twentyfive.test ok@twentyfive.test", 0);
	char request[80];
	const char *told;

	(void)state;
	until(is_told("queue list", "state=deferred"));
	ctl("queue hold all");
	ctl("queue release all");
	world.healed = true;
	ctl("queue flush all");
	until(is_empty());
	world.healed = false;
	snprintf(request, sizeof(request), "queue log %s", id_text(id).s);
	until(is_told(request, "event=finished"));
	told = ctl(request);
	assert_non_null(strstr(told, "event=accepted"));
	assert_non_null(strstr(told, "event=deferred recipient=temp@twentyfive.test attempts=1"));
	assert_non_null(strstr(told, "event=held"));
	assert_non_null(strstr(told, "event=delivered recipient=ok@twentyfive.test"));
	assert_true(strstr(told, "event=delivered recipient=temp@twentyfive.test") >
		    strstr(told, "event=held"));
	assert_true(is_told("queue log 6AMZGPG000002", "nothing about this message"));
	assert_int_equal(world.status, 1);
}

/* Removed while a deliverer has it: it ends there. */
static void
removes_under_way(void **state)
{
	(void)state;
	submit(SENDER, "wait@nineteen.test temp@nineteen.test", 0);
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 1);
	assert_true(is_told("queue remove all", "result=removed"));
	finish_waiting(&world.relays[0]);
	finish_waiting(&world.relays[1]);
	until(is_empty());
}

static void
bounces(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	submit(SENDER, "temp@fifteen.test", 0);
	until(is_told("queue list", "state=deferred"));
	assert_true(is_told("queue bounce reason=4.2.1", "result=returned"));
	until(reached(SENDER) == told + 1);
	assert_non_null(strstr(world.content, "Returned by the operator"));
	until(is_empty());
}

static void
pauses(void **state)
{
	(void)state;
	ctl("pause out");
	submit(SENDER, "ok@sixteen.test box3@here.test", 0);
	until(reached("box3@here.test") == 1);
	assert_int_equal(reached("ok@sixteen.test"), 0);
	ctl("resume");
	until(reached("ok@sixteen.test") == 1);
	ctl("pause");
	submit(SENDER, "ok2@sixteen.test box4@here.test", 0);
	assert_true(is_told("queue list", "state=waiting"));
	assert_int_equal(reached("box4@here.test"), 0);
	ctl("resume");
	until(is_empty());
	assert_int_equal(reached("ok2@sixteen.test"), 1);
}

static void
shows(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *told;
	} cases[] = {
		{ "queue", 2, "queue: what?" },
		{ "queue frobnicate", 2, "queue: what?" },
		{ "queue remove", 2, "say \"all\"" },
		{ "queue remove -n", 2, "say \"all\"" },
		{ "queue list state=odd", 2, "no such state" },
		{ "queue show 6AMZGPG000002", 1, "no such message" },
		{ "queue list to=temp@seventeen.test", 0,
		    "recipients=temp@seventeen.test waiting=1" },
		{ "queue summary", 0, "domain=seventeen.test recipients=1 oldest=0 10m=1 1h=0" },
		{ "queue show domain=seventeen.test", 0,
		    "recipient=ok@seventeen.test state=delivered" },
		{ "queue log domain=seventeen.test", 2, "name one message" },
		{ "queue cat domain=seventeen.test", 0, "Subject: test\r\n\r\nbody\r\n" },
		{ "pause sideways", 2, "out DESTINATION or local" },
	};
	size_t i;

	(void)state;
	submit(SENDER, "temp@seventeen.test ok@seventeen.test", 0);
	until(is_told("queue list", "state=deferred"));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  %s\n", cases[i].request);
		assert_true(is_told(cases[i].request, cases[i].told));
		assert_int_equal(world.status, cases[i].status);
	}
	ctl("queue remove all");
	until(is_empty());
}

/* --- all of it --- */

static int
begin(void **state)
{
	(void)state;
	begin_world();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	remove_tree(world.dir);
	return 0;
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
		cmocka_unit_test(asks_a_dead_host_once),
		cmocka_unit_test(flush_wakes_the_dead),
		cmocka_unit_test(window_holds_back),
		cmocka_unit_test(dies_with_its_servers),
		cmocka_unit_test(shares_the_window),
		cmocka_unit_test(keeps_to_the_providers_limit),
		cmocka_unit_test(rests_when_asked),
		cmocka_unit_test(survives_a_death),
		cmocka_unit_test(asks_the_next),
		cmocka_unit_test(asks_about_many),
		cmocka_unit_test(unasked_answers_cost_the_connection),
		cmocka_unit_test(defers_what_kills),
		cmocka_unit_test(silence_is_no_success),
		cmocka_unit_test(expands),
		cmocka_unit_test(sees_circles),
		cmocka_unit_test(starts_one_process_for_an_owner),
		cmocka_unit_test(shares_the_places),
		cmocka_unit_test(local_process_dies),
		cmocka_unit_test(large_by_descriptor),
		cmocka_unit_test(half_made_files_go),
		cmocka_unit_test(nonsense_costs_the_connection),
		cmocka_unit_test(states_are_ours),
		cmocka_unit_test(holds_and_releases),
		cmocka_unit_test(holds_in_the_lane),
		cmocka_unit_test(calls_back),
		cmocka_unit_test(stays_back_when_a_deliverer_dies),
		cmocka_unit_test(reroutes),
		cmocka_unit_test(pauses_one),
		cmocka_unit_test(flushes_later),
		cmocka_unit_test(remembers),
		cmocka_unit_test(removes_under_way),
		cmocka_unit_test(bounces),
		cmocka_unit_test(pauses),
		cmocka_unit_test(shows),
	};

	return cmocka_run_group_tests_name("queue", tests, begin, end);
}
