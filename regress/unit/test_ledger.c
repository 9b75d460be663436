/*
 * What the ledger decides over a store, and what it remembers of callers, without its process.
 */
#include <sys/resource.h>

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <setjmp.h>
#include <cmocka.h>

#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "lib/buf.h"
#include "regress/unit/ledger_world.h"

/*
 * Decisions over a store
 */

static void
test_decide(void **state)
{
	(void)state;
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 60), GREY_EARLY);
	/* each part of the triplet counts */
	assert_int_equal(try("id2", "a@x.org", "b@y.net", 60), GREY_NEW);
	assert_int_equal(try("id", "", "b@y.net", 60), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "c@y.net", 60), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 120), GREY_PASS);
	/* over a restart */
	close_ledger();
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "b@y.net", 121), GREY_PASS);
	/* one passed; the second makes the identity trusted */
	assert_int_equal(try("id", "z@x.org", "b@y.net", 130), GREY_NEW);
	assert_int_equal(try("id", "", "b@y.net", 300), GREY_PASS);
	assert_int_equal(try("id", "z@x.org", "b@y.net", 301), GREY_TRUSTED);
	assert_int_equal(try("id", "never@x.org", "b@y.net", 86400 + 300), GREY_TRUSTED);
	/* that was a use: it lives on */
	assert_int_equal(try("id", "never@x.org", "b@y.net", 2 * 86400 + 300), GREY_TRUSTED);
	assert_int_equal(try("id", "never@x.org", "b@y.net", 3 * 86400 + 301), GREY_NEW);
	assert_int_equal(try("id2", "z@x.org", "b@y.net", 131), GREY_NEW);
}

/* The address alone is the key: whoever writes to whom. */
static void
test_decide_client_only(void **state)
{
	struct grey_question q = question("net:192.0.2.7/32", "a@x.org", "b@y.net");
	struct grey_answer a;

	(void)state;
	q.client_only = true;
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_NEW);
	q.sender = "other@x.org";
	q.recipient = "c@y.net";
	ledger_decide(&ledger, &q, T0 + 60, &a);
	assert_int_equal(a.state, GREY_EARLY);
	ledger_decide(&ledger, &q, T0 + 120, &a);
	assert_int_equal(a.state, GREY_PASS);
	/* the triplets of that identity are others' */
	q.client_only = false;
	ledger_decide(&ledger, &q, T0 + 120, &a);
	assert_int_equal(a.state, GREY_NEW);
}

/* What his network or his address has earned counts when nothing is known of his identity. */
static void
test_decide_elsewhere(void **state)
{
	struct grey_question q = question("name:x.org", "a@x.org", "b@y.net");
	struct grey_answer a;

	(void)state;
	assert_int_equal(try("net:192.0.2.0/24", "a@x.org", "b@y.net", 0), GREY_NEW);
	assert_true(ip_parse("192.0.2.7", &q.client));
	ledger_decide(&ledger, &q, T0 + 60, &a);
	assert_int_equal(a.state, GREY_EARLY);
	ledger_decide(&ledger, &q, T0 + 120, &a);
	assert_int_equal(a.state, GREY_PASS);
	assert_int_equal(a.waited, 120);
	/* from then on it is his own, wherever he calls from */
	assert_true(ip_parse("203.0.113.9", &q.client));
	ledger_decide(&ledger, &q, T0 + 130, &a);
	assert_int_equal(a.state, GREY_PASS);
	/* another network gives nothing */
	q.identity = "name:z.org";
	ledger_decide(&ledger, &q, T0 + 130, &a);
	assert_int_equal(a.state, GREY_NEW);
	/* an address that is trusted */
	try("net:203.0.113.9/32", "1@x.org", "b@y.net", 0);
	try("net:203.0.113.9/32", "2@x.org", "b@y.net", 0);
	try("net:203.0.113.9/32", "1@x.org", "b@y.net", 200);
	try("net:203.0.113.9/32", "2@x.org", "b@y.net", 200);
	ledger_decide(&ledger, &q, T0 + 210, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	/* a key that is narrower asks without an address */
	q.client.family = 0;
	ledger_decide(&ledger, &q, T0 + 210, &a);
	assert_int_equal(a.state, GREY_EARLY);
}

static void
test_decide_observe(void **state)
{
	struct grey_question q = question("id", "a@x.org", "b@y.net");
	struct grey_record r;
	struct grey_answer a;

	(void)state;
	q.observe = true;
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_NEW);
	assert_int_equal(ledger_get_triplet(ledger.store, &q, &r), 0);
}

static void
test_decide_operator(void **state)
{
	struct operator_entry e = {
		.kind = OPERATOR_FROM, .allow = true, .text = "x.org", .note = "", .created = T0
	};

	(void)state;
	assert_int_equal(ledger_put_operator(ledger.store, &e), 1);
	e = (struct operator_entry){
		.kind = OPERATOR_TO, .text = "closed@y.net", .note = "", .created = T0
	};
	assert_int_equal(ledger_put_operator(ledger.store, &e), 1);
	close_ledger();
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_TRUSTED);
	assert_int_equal(try("id", "a@x.org", "closed@y.net", 0), GREY_DENIED);
	assert_int_equal(try("id", "a@other.org", "b@y.net", 0), GREY_NEW);
	assert_int_equal(ledger_delete_operator(ledger.store, OPERATOR_TO, "closed@y.net"), 1);
	close_ledger();
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "closed@y.net", 0), GREY_TRUSTED);
}

/* What `grey allow` and `deny` say of an address or a name holds for the greylist, too; a mail's own entry is more exact. */
static void
test_decide_operator_on_caller(void **state)
{
	struct grey_question q = question("id", "a@x.org", "b@y.net");
	struct grey_answer a;

	(void)state;
	enter(ledger.operators, "+client:192.0.2.0/24", 0);
	enter(ledger.operators, "-name:bad.example", 0);
	q.client = ip("192.0.2.7");
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	enter(ledger.operators, "-from:a@x.org", 0);
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_DENIED);
	q.sender = "c@x.org";
	q.client = ip("203.0.113.7");
	q.name = "p1.bad.example";
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_DENIED);
	q.tempfail = true;
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_DENIED);
}

/*
 * What a tempfail puts off
 */

static struct grey_question
refused(const char *identity, const char *client)
{
	struct grey_question q = question(identity, "a@x.org", "b@y.net");

	q.tempfail = true;
	q.client = ip(client);
	q.name = "mx1.x.org";
	q.helo = "mx1";
	return q;
}

static struct tries
tries_of(const struct grey_question *q)
{
	struct tries t;

	(void)ledger_get_tries(ledger.store, q, &t);
	return t;
}

/* The rhythm makes a proposal and nothing more; what the operator says of it holds, and the evidence is kept. */
static void
test_proposal(void **state)
{
	struct grey_question q = refused("name:x.org", "192.0.2.7");
	struct ledger_item item = { .type = ITEM_TRIES,
		.identity = q.identity,
		.sender = q.sender,
		.recipient = q.recipient };
	struct report_counts c;
	struct grey_answer a;

	(void)state;
	ledger_decide(&ledger, &q, T0, &a);
	assert_true(a.state == GREY_NEW && a.left == 0);
	ledger_decide(&ledger, &q, T0 + 300, &a);
	assert_int_equal(a.state, GREY_EARLY);
	ledger_decide(&ledger, &q, T0 + 900, &a);
	assert_int_equal(a.state, GREY_EARLY); /* still refused */
	item.tries = tries_of(&q);
	assert_string_equal(ledger_item_state(&item, T0 + 900), "proposed");
	assert_true(ledger_tries_are_open(&ledger, &item, T0 + 900));
	c = counts(T0, 3, 10, ACTION_TEMPFAIL, false);
	assert_true(c.triplets == 1 && c.returned == 0 && c.window == 3600);
	/* denied for good: no proposal any more, and no entry of a rule beside it */
	enter(ledger.operators, "-identity:name:x.org", 0);
	assert_false(ledger_tries_are_open(&ledger, &item, T0 + 900));
	q.rescue = 86400;
	ledger_decide(&ledger, &q, T0 + 1800, &a);
	assert_int_equal(a.state, GREY_DENIED);
	/* or taken */
	enter(ledger.operators, "+identity:name:x.org", 0);
	assert_false(ledger_tries_are_open(&ledger, &item, T0 + 900));
	q.rescue = 0;
	ledger_decide(&ledger, &q, T0 + 2700, &a);
	assert_true(a.state == GREY_TRUSTED && a.first_pass && a.waited == 2700);
	item.tries = tries_of(&q);
	assert_string_equal(ledger_item_state(&item, T0 + 2700), "rescued");
	assert_string_equal(item.tries.made[3].helo, "mx1");
	c = counts(T0, 3, 10, ACTION_TEMPFAIL, false);
	assert_true(c.triplets == 1 && c.returned == 1);
	ledger_decide(&ledger, &q, T0 + 3000, &a); /* its next mail has not waited */
	assert_true(a.state == GREY_TRUSTED && !a.first_pass && a.waited == 0);
}

/* `tempfail rescue 1d`: taken by the rule, renewed by use, and over when nobody uses it. */
static void
test_rescue(void **state)
{
	struct grey_question q = refused("name:x.org", "192.0.2.7"), other;
	const struct operator_entry *e;
	struct grey_answer a;

	(void)state;
	q.rescue = 86400;
	ledger_decide(&ledger, &q, T0, &a);
	ledger_decide(&ledger, &q, T0 + 300, &a);
	assert_int_equal(a.state, GREY_EARLY);
	q.client = ip("203.0.113.9"); /* another host of the pool */
	ledger_decide(&ledger, &q, T0 + 900, &a);
	assert_true(a.state == GREY_TRUSTED && a.first_pass && a.waited == 900);
	e = operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org");
	assert_non_null(e);
	assert_true(e->allow && e->rescued && e->expires == T0 + 900 + 86400);
	assert_string_equal(e->note, "3 tries in 15m, line 10");
	/* whoever writes to whom, over a restart */
	close_ledger();
	open_ledger();
	other = q;
	other.sender = "z@x.org";
	other.recipient = "c@y.net";
	ledger_decide(&ledger, &other, T0 + 1000, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	e = operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org");
	assert_int_equal(e->expires, T0 + 900 + 86400); /* not for every mail */
	ledger_decide(&ledger, &other, T0 + 80000, &a);
	e = operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org");
	assert_int_equal(e->expires, T0 + 80000 + 86400);
	ledger_decide(&ledger, &other, T0 + 80000 + 86401, &a);
	assert_int_equal(a.state, GREY_NEW);
	/* the null sender, and one host of a network */
	q = refused("net:192.0.2.0/24", "192.0.2.8");
	q.sender = "";
	q.name = NULL;
	q.rescue = 3600;
	ledger_decide(&ledger, &q, T0, &a);
	ledger_decide(&ledger, &q, T0 + 600, &a);
	ledger_decide(&ledger, &q, T0 + 1200, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	assert_non_null(operator_list_find(ledger.operators, OPERATOR_CLIENT, "192.0.2.8/32"));
	q.client = ip("192.0.2.9");
	q.recipient = "c@y.net";
	ledger_decide(&ledger, &q, T0 + 1300, &a);
	assert_int_equal(a.state, GREY_NEW);
}

/* An operator's own entry with an end is not made longer by use. */
static void
test_rescue_leaves_the_operator(void **state)
{
	struct grey_question q = refused("name:x.org", "192.0.2.7");
	struct grey_answer a;

	(void)state;
	enter(ledger.operators, "+identity:name:x.org", T0 + 100);
	q.rescue = 86400;
	ledger_decide(&ledger, &q, T0 + 50, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	assert_int_equal(
	    operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org")->expires, T0 + 100);
}

/* Tries that return to the greylist are evidence, with the first of them although only its time is known. */
static void
test_greylist_tries(void **state)
{
	struct grey_question q = question("name:x.org", "a@x.org", "b@y.net");
	struct grey_answer a;
	struct tries t;

	(void)state;
	q.client = ip("192.0.2.7");
	ledger_decide(&ledger, &q, T0, &a);
	t = tries_of(&q);
	assert_int_equal(t.n, 0); /* who never returns costs nothing */
	ledger_decide(&ledger, &q, T0 + 60, &a);
	ledger_decide(&ledger, &q, T0 + 1000, &a);
	assert_int_equal(a.state, GREY_PASS);
	t = tries_of(&q);
	assert_true(t.n == 3 && t.made[0].time == T0 && t.made[0].client.family == 0);
	assert_true(t.let_in == T0 + 1000 && t.action == ACTION_GREYLIST && !t.proposed);
	ledger_decide(&ledger, &q, T0 + 2000, &a);
	t = tries_of(&q);
	assert_int_equal(t.rhythm.total, 3); /* another mail */
}

/* Who hung up in a tarpit and sat it out later; in what order the rest of the mail is told does not matter. */
static void
test_hung_up(void **state)
{
	struct grey_question q = question("name:x.org", "a@x.org", "b@y.net");
	struct gate_event e = { .session = 1,
		.time = T0 + 700,
		.sender = "a+tag@X.org",
		.recipient = "b@y.net",
		.identity = "name:x.org",
		.action = ACTION_COUNT,
		.phase = PHASE_MESSAGE };
	struct tries t;

	(void)state;
	ledger_tries_hung_up(&ledger, &q, T0);
	ledger_tries_hung_up(&ledger, &q, T0 + 300);
	t = tries_of(&q);
	assert_true(t.rhythm.total == 2 && t.action == ACTION_TARPIT && t.let_in == 0);
	ledger_take_event(&ledger, &e);
	t = tries_of(&q);
	assert_true(t.rhythm.total == 3 && t.let_in == T0 + 700 && tries_waited(&t) == 700);
}

/* A store that is down: what is not known is unknown, what the operator said holds. */
static void
test_decide_without_store(void **state)
{
	struct ledger_store *store = ledger.store;
	struct ip client = ip("192.0.2.1");
	struct ledger_caller c;

	(void)state;
	enter(ledger.operators, "+from:x.org", 0);
	enter(ledger.operators, "-client:192.0.2.1", 0);
	ledger.store = NULL;
	assert_int_equal(try("id", "a@other.org", "b@y.net", 0), GREY_UNKNOWN);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_TRUSTED);
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(c.denied && !c.unknown);
	client = ip("192.0.2.2");
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(c.unknown && !c.denied && !c.passed && !c.trapped && !c.allowed);
	ledger.store = store;
}

/* What cannot be remembered must not be asked to come back: it would be asked so for ever. */
static void
test_decide_full_disk(void **state)
{
	struct rlimit limit;
	rlim_t before;
	char sender[32];
	unsigned i, n;
	enum grey_state answer = GREY_NEW;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = 100 * 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (n = 0; n < 5000 && answer == GREY_NEW; n++) {
		snprintf(sender, sizeof(sender), "a%u@x.org", n);
		answer = try("id", sender, "b@y.net", 0);
	}
	limit.rlim_cur = before;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(answer, GREY_UNKNOWN);
	assert_false(ledger_store_is_open(ledger.store));
	ledger_count_free(ledger.count); /* what it holds cannot be flushed now */
	ledger.count = ledger_count_new();
	close_ledger();
	open_ledger();
	assert_true(ledger_store_is_open(ledger.store));
	for (i = 0; i < n - 1; i++) {
		snprintf(sender, sizeof(sender), "a%u@x.org", i);
		assert_int_equal(try("id", sender, "b@y.net", 60), GREY_EARLY);
	}
}

static void
test_callers(void **state)
{
	struct ip client = ip("192.0.2.1"), other = ip("192.0.2.2");
	struct gate_event e = {
		.session = 1, .time = T0, .action = ACTION_COUNT, .phase = PHASE_RCPT, .waited = 130
	};
	struct ledger_caller c;

	(void)state;
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(!c.unknown && !c.passed && !c.trapped);
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_PASSED, &client, T0, T0 + 100), 1);
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_TRAP, &client, T0, T0 + 50), 1);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 50, &c);
	assert_true(c.passed && c.trapped);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 51, &c);
	assert_true(c.passed && !c.trapped);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 101, &c);
	assert_true(!c.passed && !c.trapped);
	ledger_judge_caller(&ledger, &other, NULL, T0, &c);
	assert_true(!c.passed && !c.trapped);
	/* let in after waiting in the greylist: no pause or tarpit either */
	e.client = other;
	ledger_take_event(&ledger, &e);
	ledger_judge_caller(&ledger, &other, NULL, T0 + 86400, &c);
	assert_true(c.passed && c.stayed);
	/* trapped while the clock was a year ahead: free when it is right, and when it goes by a little he is not */
	client = ip("192.0.2.9");
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_TRAP, &client, T0 + 31536000, T0 + 31536000 + 86400), 1);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 31536000, &c);
	assert_true(c.trapped);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 31536000 - 60, &c);
	assert_true(c.trapped);
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(!c.trapped);
	/* who hung up has to be greylisted, until he shows that he waits */
	client = ip("192.0.2.3");
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_LEFT, &client, T0, T0 + 100), 1);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 100, &c);
	assert_true(c.left && !c.passed && !c.unknown);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 101, &c);
	assert_true(!c.left);
	ledger_caller_has_passed(&ledger, &client, T0 + 10); /* a pause is not what he left */
	ledger_judge_caller(&ledger, &client, NULL, T0 + 11, &c);
	assert_true(c.left && c.passed && !c.stayed);
	ledger_caller_has_stayed(&ledger, &client, T0 + 10);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 11, &c);
	assert_true(!c.left && c.passed && c.stayed);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 11 + 86400, &c);
	assert_true(!c.left && !c.passed && !c.stayed);
}

static void
test_correspondents(void **state)
{
	(void)state;
	assert_int_equal(
	    ledger_put_correspondent(ledger.store, "Them@Example.org", "us@y.net", T0 + 10), 1);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.org", "US@y.net", T0), 1);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.org", "us@y.net", T0 + 11), 0);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.org", "you@y.net", T0), 0);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.or", "gus@y.net", T0), 0);
}

/* A record that does not decode is deleted and was never there. */
static void
test_bad_record(void **state)
{
	struct kv_table *t;
	struct buf key = { 0 };
	struct kv *kv;
	char *why, out[100];
	size_t len;

	(void)state;
	close_ledger();
	kv = kv_open(dir, &why);
	assert_non_null(kv);
	t = kv_table_open(kv, "grey", &why);
	assert_non_null(t);
	ledger_key_triplet(&key, "id", "a@x.org", "b@y.net");
	assert_int_equal(kv_put(t, key.data, key.len, "rubbish", 7), 0);
	kv_close(kv);
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 120), GREY_PASS);
	close_ledger();

	/* a scan throws it out as well */
	kv = kv_open(dir, &why);
	t = kv_table_open(kv, "operator", &why);
	assert_int_equal(kv_put(t, "rubbish", 7, "rubbish", 7), 0);
	kv_close(kv);
	open_ledger();
	close_ledger();
	kv = kv_open(dir, &why);
	t = kv_table_open(kv, "operator", &why);
	assert_int_equal(kv_get(t, "rubbish", 7, out, sizeof(out), &len), 0);
	kv_close(kv);
	open_ledger();
	buf_free(&key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_decide, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_client_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_observe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_operator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_operator_on_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proposal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rescue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rescue_leaves_the_operator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_greylist_tries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hung_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_without_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_correspondents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_record, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
