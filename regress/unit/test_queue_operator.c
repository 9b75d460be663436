/*
 * What smtpctl can do to a queue (queue_world.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "regress/unit/queue_world.h"

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
	assert_true(is_told("queue summary", "destination=\"mx twentytwo.test\" state=paused domains=1 "));
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

/* Who is asked about, or waits with a deliverer, cannot be returned at once: he is when that is over. */
static void
bounces_the_busy(void **state)
{
	unsigned told = reached(SENDER);

	(void)state;
	world.mute = true;
	submit(SENDER, "ok-asked@fifteen.test", 0);
	until(is_told("queue list", "state=active"));
	assert_true(is_told("queue bounce all", "result=returned"));
	assert_true(is_told("queue list", "ok-asked@fifteen.test"));
	world.mute = false;
	drop_actor(&world.lookup);
	connect_actor(&world.lookup);
	until(reached(SENDER) == told + 1);
	assert_non_null(strstr(world.content, "Returned by the operator"));
	until(is_empty());
	submit(SENDER, "wait-idle@fifteen.test", 0);
	until(world.relays[0].waiting_n + world.relays[1].waiting_n == 1);
	assert_true(is_told("queue bounce all", "result=returned"));
	until(reached(SENDER) == told + 2);
	until(is_empty());
	assert_int_equal(reached("ok-asked@fifteen.test") + reached("wait-idle@fifteen.test"), 0);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(bounces_the_busy),
		cmocka_unit_test(pauses),
		cmocka_unit_test(shows),
	};

	return cmocka_run_group_tests_name("queue", tests, set_up, tear_down);
}
