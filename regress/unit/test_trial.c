/*
 * A trial remembers as the ledger does: both are asked the same thousands of questions, by callers
 * who share names, networks and addresses, while time goes by; and a session goes through a gate as
 * it would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "filters/grey_ask.h"
#include "filters/ledger_role.h"
#include "lib/buf.h"
#include "regress/unit/tree.h"
#include "smtpctl/trial.h"

#define T0 1700000000

static char base[] = "/tmp/genkan-trial-XXXXXX";
static struct ledger ledger;

static int
setup(void **state)
{
	char *why = NULL;

	(void)state;
	if (mkdtemp(base) == NULL)
		return -1;
	ledger.operators = operator_list_new();
	ledger.count = ledger_count_new();
	ledger.store = ledger_store_open(base, &why);
	free(why);
	return ledger.store != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	ledger_store_close(ledger.store);
	ledger_count_free(ledger.count);
	operator_list_free(ledger.operators);
	return tree_remove(base);
}

static uint32_t
random_below(uint32_t n)
{
	static uint64_t seed = 42;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % n);
}

/* One of a small world's callers, so that they meet. */
static void
random_facts(struct facts *f, char *sender, size_t size)
{
	static const char *const names[] = { NULL, "mx1.a.example", "mx2.a.example", "mx.b.example" };
	static const char *const recipients[] = { "x@o.example", "y@o.example" };
	char address[32];

	*f = (struct facts){ .name = names[random_below(4)], .recipient = recipients[random_below(2)] };
	snprintf(address, sizeof(address), "192.0.%u.%u", random_below(2), random_below(3));
	assert_true(ip_parse(address, &f->client));
	snprintf(sender, size, random_below(8) == 0 ? "" : "s%u@x.example", random_below(4));
	f->sender = sender;
}

static void
test_as_the_ledger(void **state)
{
	static const enum grey_by keys[] = { GREY_BY_TRIPLET, GREY_BY_TRIPLET, GREY_BY_NETWORK, GREY_BY_ADDRESS,
		GREY_BY_CLIENT };
	struct trial_memory *m = trial_memory_new();
	struct grey_answer real, ours;
	struct grey_ask ask;
	struct facts f;
	int64_t now = T0;
	char sender[32];
	unsigned i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		struct rule rule = { .action = ACTION_GREYLIST, .by = keys[random_below(5)], .delay = 60,
			.window = 3600, .lifetime = 20000, .trust_after = random_below(4) };

		random_facts(&f, sender, sizeof(sender));
		grey_ask_make(&ask, &rule, &f);
		ledger_decide(&ledger, &ask.question, now, &real);
		trial_grey(m, &ask.question, now, &ours);
		if (real.state != ours.state || real.left != ours.left || real.waited != ours.waited ||
		    real.first_pass != ours.first_pass)
			fail_msg("question %u, %s %s %s: the ledger says %s, the trial %s", i,
			    ask.question.identity, ask.question.sender, ask.question.recipient,
			    grey_state_name(real.state), grey_state_name(ours.state));
		grey_ask_clear(&ask);
		now += random_below(100) == 0 ? random_below(30000) : random_below(40);
	}
	trial_memory_free(m);
}

/* Who comes back to a tempfail, and whom that rescues. */
static void
test_rescues_as_the_ledger(void **state)
{
	struct trial_memory *m = trial_memory_new();
	struct rule rule = { .action = ACTION_TEMPFAIL, .rescue = 4000 };
	struct grey_answer real, ours;
	unsigned i, rescued = 0, refused = 0;
	struct grey_ask ask;
	struct facts f;
	int64_t now = T0 + 1000 * 86400; /* long after the test before */
	char sender[32];

	(void)state;
	for (i = 0; i < 20000; i++) {
		random_facts(&f, sender, sizeof(sender));
		grey_ask_make(&ask, &rule, &f);
		ledger_decide(&ledger, &ask.question, now, &real);
		trial_rescue(m, &ask.question, now, &ours);
		if (real.state != ours.state || real.waited != ours.waited || real.first_pass != ours.first_pass)
			fail_msg("question %u, %s %s %s: the ledger says %s %u, the trial %s %u", i, ask.question.identity,
			    ask.question.sender, ask.question.recipient, grey_state_name(real.state), real.waited,
			    grey_state_name(ours.state), ours.waited);
		rescued += real.state == GREY_TRUSTED && real.first_pass;
		refused += real.state != GREY_TRUSTED;
		grey_ask_clear(&ask);
		now += random_below(100) == 0 ? random_below(100000) : random_below(60);
	}
	assert_true(rescued > 100 && refused > 1000);
	trial_memory_free(m);
}

static void
test_correspondents(void **state)
{
	struct trial_memory *m = trial_memory_new();

	(void)state;
	assert_false(trial_corresponds(m, "them@x.example", "us@o.example", T0));
	trial_wrote(m, "us@o.example", "Them@X.example", T0);
	assert_true(trial_corresponds(m, "them@x.example", "US@o.example", T0 + 1));
	assert_false(trial_corresponds(m, "them@x.example", "other@o.example", T0 + 1));
	assert_false(trial_corresponds(m, "us@o.example", "them@x.example", T0 + 1));
	assert_false(trial_corresponds(m, "them@x.example", "us@o.example", T0 + 181 * 86400));
	trial_memory_free(m);
}

static struct conf *
parse(const char *gate)
{
	struct buf text = { 0 }, errors = { 0 }, warnings = { 0 };
	struct conf *conf;

	buf_addf(&text, "host mx.example.org\ndomain example.org { users { \"alice\" } }\n%s", gate);
	conf = conf_parse("test", text.data, text.len, &errors, &warnings);
	if (conf == NULL)
		fail_msg("%s", buf_str(&errors));
	buf_free(&text);
	buf_free(&errors);
	buf_free(&warnings);
	return conf;
}

/* What is not known fails its rule and is noted; a phase sees nothing of a later one. */
static void
test_unknown_facts(void **state)
{
	struct conf *conf = parse("gate {\n\treject when spf fail\n\treject when not spf pass\n\ttempfail when s25r 0\n}\n");
	struct trial t = { .conf = conf, .memory = trial_memory_new(), .now = T0 };
	struct trial_step step;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &t.facts.client));
	t.facts.known = FACT_BIT(FACT_CLIENT) | FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R);
	t.facts.sender = "a@x.example";
	t.facts.recipient = "alice@example.org";
	trial_begin(&t);
	trial_pass(&t, PHASE_CONNECT, &step);
	assert_int_equal(step.code, 0);
	assert_int_equal(t.missing, 0);
	trial_pass(&t, PHASE_RCPT, &step);
	assert_int_equal(step.code, 450);
	assert_int_equal(step.verdict->number, 3);
	assert_true((t.missing & FACT_BIT(FACT_SPF)) != 0);
	trial_step_clear(&step);
	trial_memory_free(t.memory);
	conf_free(conf);
}

static void
test_waits(void **state)
{
	struct conf *conf = parse("gate {\n\tpause 20s when s25r\n\tpause 4s\n\ttarpit 60s else greylist\n}\n");
	struct trial t = { .conf = conf, .memory = trial_memory_new(), .now = T0, .patience = 30 };
	struct trial_step step;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &t.facts.client));
	t.facts.known = FACT_BIT(FACT_CLIENT) | FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R);
	t.facts.sender = "a@x.example";
	t.facts.recipient = "alice@example.org";
	trial_begin(&t);
	trial_pass(&t, PHASE_GREETING, &step);
	assert_int_equal(step.seconds, 20);
	assert_int_equal(t.now, T0 + 20);
	trial_pass(&t, PHASE_RCPT, &step);
	assert_true(step.hung_up);
	assert_int_equal(step.seconds, 30);
	/* he comes again: no second pause, but that he sat through one does not pay for the tarpit */
	trial_begin(&t);
	assert_true(t.left && t.passed && !t.stayed);
	trial_pass(&t, PHASE_GREETING, &step);
	assert_int_equal(step.seconds, 0);
	trial_pass(&t, PHASE_RCPT, &step);
	assert_int_equal(step.seconds, 0);
	assert_int_equal(step.action, ACTION_GREYLIST);
	assert_int_equal(step.grey.state, GREY_EARLY); /* it has seen him hang up */
	assert_int_equal(step.code, 450);
	trial_step_clear(&step);
	t.now += GREYLIST_DELAY;
	trial_pass(&t, PHASE_RCPT, &step);
	assert_int_equal(step.code, 0);
	trial_step_clear(&step);
	/* a stranger with patience: after the pause, the tarpit, and then neither */
	assert_true(ip_parse("192.0.2.8", &t.facts.client));
	t.patience = 0;
	trial_begin(&t);
	trial_pass(&t, PHASE_GREETING, &step);
	assert_int_equal(step.seconds, 20);
	trial_begin(&t);
	trial_pass(&t, PHASE_RCPT, &step);
	assert_int_equal(step.seconds, 60);
	assert_int_equal(step.code, 0);
	trial_begin(&t);
	assert_true(t.stayed && t.passed && !t.left);
	trial_pass(&t, PHASE_RCPT, &step);
	assert_int_equal(step.seconds, 0);
	assert_int_equal(step.code, 0);
	trial_memory_free(t.memory);
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_ledger),
		cmocka_unit_test(test_rescues_as_the_ledger),
		cmocka_unit_test(test_correspondents),
		cmocka_unit_test(test_unknown_facts),
		cmocka_unit_test(test_waits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
