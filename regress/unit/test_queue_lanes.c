/*
 * How the queue role hands mail on: destinations that are dead, share their servers or want less,
 * deliverers that die, processes of owners of mailboxes (queue_world.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "regress/unit/queue_world.h"

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
	assert_true(is_told("queue summary",
	    "destination=\"mx dead.test\" state=dead domains=1 next="));
	assert_true(is_told("queue summary", "host=mx.test[192.0.2.1] reason=\"451 4.4.1 Connection refused\"\n"));
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
	assert_true(is_told("queue summary", "destination=busy.test state=rests domains=2 next=1800 "));
	world.now += 1700;
	settle();
	assert_true(is_told("queue summary", "destination=busy.test state=rests domains=2 next=100 "));
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

/* --- mailboxes --- */

static void
starts_one_process_for_an_owner(void **state)
{
	unsigned starts = world.starts, i;

	(void)state;
	for (i = 0; i < 20; i++)
		submit(SENDER, "box@here.test", 0);
	until(is_empty());
	assert_int_equal(reached("box@here.test"), 20);
	assert_int_equal(world.starts - starts, 1);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(starts_one_process_for_an_owner),
		cmocka_unit_test(shares_the_places),
		cmocka_unit_test(local_process_dies),
	};

	return cmocka_run_group_tests_name("queue", tests, set_up, tear_down);
}
