/*
 * The judgement of rules: every fact at every phase, the phases of rules that name none, and what
 * else a rule can have wrong.  Rules are built by hand, for nothing here should depend on the
 * configuration's parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/gate.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/table.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Design 3: from when on a fact is known; whether this version evaluates it. */
static const struct {
	enum fact fact;
	const char *name, *phase;
	bool evaluated;
} facts[] = {
	{ FACT_CLIENT, "client", "connect", true },
	{ FACT_TIME, "time", "connect", true },
	{ FACT_RDNS, "rdns", "connect", true },
	{ FACT_S25R, "s25r", "connect", true },
	{ FACT_DNSBL, "dnsbl", "connect", true },
	{ FACT_DNSWL, "dnswl", "connect", true },
	{ FACT_RATE, "rate", "connect", true },
	{ FACT_CONNECTIONS, "connections", "connect", true },
	{ FACT_TRAPPED, "trapped", "connect", true },
	{ FACT_EARLY_TALKER, "early-talker", "greeting", true },
	{ FACT_HELO, "helo", "helo", true },
	{ FACT_HELO_RESOLVES, "helo resolves-to-client", "helo", true },
	{ FACT_SENDER, "sender", "mail", true },
	{ FACT_SENDER_DOMAIN, "sender-domain", "mail", true },
	{ FACT_SPF, "spf", "mail", true },
	{ FACT_RECIPIENT, "recipient", "rcpt", true },
	{ FACT_KNOWN_CORRESPONDENT, "known-correspondent", "rcpt", true },
	{ FACT_LIST_MEMBER, "list-member", "rcpt", false },
	{ FACT_UNKNOWN_RECIPIENTS, "unknown-recipients", "connect", true },
	{ FACT_PIPELINING, "pipelining", "data", true },
	{ FACT_DKIM, "dkim", "message", false },
	{ FACT_DMARC, "dmarc", "message", false },
	{ FACT_SIZE, "size", "message", true },
	{ FACT_AUTHENTICATED, "authenticated", "mail", true },
	{ FACT_TLS, "tls", "mail", true },
};

static struct condition *
new_test(enum fact fact, unsigned line, unsigned column)
{
	struct condition *condition = xcalloc(1, sizeof(*condition));

	condition->op = CONDITION_TEST;
	condition->test.fact = fact;
	condition->test.place = (struct place){ line, column };
	if (fact == FACT_DNSBL || fact == FACT_DNSWL)
		condition->test.zone = xstrdup("zen.example.net");
	if (fact == FACT_RATE || fact == FACT_UNKNOWN_RECIPIENTS)
		condition->test.period = 60;
	if (fact == FACT_TIME)
		condition->test.to = 60;
	if (fact == FACT_S25R)
		condition->test.value = S25R_ANY;
	return condition;
}

static struct condition *
new_operator(int op, struct condition *left, struct condition *right)
{
	struct condition *condition = xcalloc(1, sizeof(*condition));

	condition->op = op;
	condition->left = left;
	condition->right = right;
	return condition;
}

static struct rule
new_rule(enum action action, struct condition *when)
{
	return (struct rule){
		.action = action, .place = { 7, 2 }, .number = 3, .when = when, .seconds = 20
	};
}

static void
end_rule(struct rule *rule)
{
	condition_free(rule->when);
	free(rule->text);
	free(rule->name);
}

/* Judges RULE and frees it; EXPECTED NULL: nothing is wrong. */
static void
assert_judgement(struct rule *rule, const char *expected)
{
	char *why = rule_check(rule);

	if (expected == NULL && why != NULL)
		fail_msg("%s", why);
	if (expected != NULL && why == NULL)
		fail_msg("nothing wrong; expected %s", expected);
	if (expected != NULL)
		assert_string_equal(why, expected);
	free(why);
	end_rule(rule);
}

static void
test_facts(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(N(facts), FACT_COUNT);
	for (i = 0; i < N(facts); i++) {
		assert_string_equal(fact_name(facts[i].fact), facts[i].name);
		assert_string_equal(phase_name(fact_phase(facts[i].fact)), facts[i].phase);
		assert_int_equal(fact_is_evaluated(facts[i].fact), facts[i].evaluated);
	}
	assert_string_equal(fact_name(FACT_COUNT), "unknown");
	assert_string_equal(phase_name(PHASE_COUNT), "unknown");
	assert_string_equal(action_name(ACTION_COUNT), "unknown");
	assert_false(fact_is_evaluated(FACT_COUNT));
	for (i = 0; i < PHASE_COUNT; i++)
		assert_int_equal(phase_by_name(phase_name(i)), i);
	assert_int_equal(phase_by_name("banner"), -1);
	assert_int_equal(phase_by_name(""), -1);
}

/* A reject on every fact at every phase: right from the fact's phase on, else the words of the
 * design. */
static void
test_every_phase(void **state)
{
	struct rule rule;
	char *expected;
	size_t i, phase;

	(void)state;
	for (i = 0; i < N(facts); i++) {
		for (phase = 0; phase < PHASE_COUNT; phase++) {
			rule = new_rule(ACTION_REJECT, new_test(facts[i].fact, 14, 9));
			rule.at_given = true;
			rule.at = phase;
			expected = phase >= fact_phase(facts[i].fact) ? NULL :
			    xasprintf("14:9: \"%s\" is not known at %s; the earliest phase is %s",
				facts[i].name, phase_name(phase), facts[i].phase);
			assert_judgement(&rule, expected);
			free(expected);
		}
	}
}

/* The phases of rules that name none: trust as early as it can, pause before the banner, all
 * others not before rcpt. */
static void
test_default_phase(void **state)
{
	struct rule rule;
	enum phase expected;
	size_t action, i;

	(void)state;
	for (action = 0; action < ACTION_COUNT; action++) {
		for (i = 0; i < N(facts); i++) {
			expected = fact_phase(facts[i].fact);
			if (action == ACTION_PAUSE && expected > PHASE_CONNECT)
				continue;
			if (action == ACTION_PAUSE)
				expected = PHASE_GREETING;
			else if (action != ACTION_TRUST && expected < PHASE_RCPT)
				expected = PHASE_RCPT;
			rule = new_rule(action, new_test(facts[i].fact, 1, 1));
			assert_judgement(&rule, NULL);
			assert_int_equal(rule.at, expected);
		}
		rule = new_rule(action, NULL);
		assert_judgement(&rule, NULL);
		assert_int_equal(rule.at, action == ACTION_TRUST ? PHASE_CONNECT :
		    action == ACTION_PAUSE ? PHASE_GREETING : PHASE_RCPT);
	}
}

/* Wherever in the condition it hides, the first in the order of the file is told. */
static void
test_nested(void **state)
{
	struct rule rule = new_rule(ACTION_REJECT, new_operator(CONDITION_OR,
	    new_operator(CONDITION_AND, new_test(FACT_S25R, 3, 10),
		new_operator(CONDITION_NOT, new_test(FACT_SIZE, 3, 20), NULL)),
	    new_test(FACT_DKIM, 3, 30)));

	(void)state;
	rule.at_given = true;
	rule.at = PHASE_RCPT;
	assert_judgement(
	    &rule, "3:20: \"size\" is not known at rcpt; the earliest phase is message");
}

static void
test_pause(void **state)
{
	struct rule rule = new_rule(ACTION_PAUSE, new_test(FACT_EARLY_TALKER, 5, 6));

	(void)state;
	assert_judgement(
	    &rule, "5:6: \"early-talker\" is not known at connect; the earliest phase is greeting");
	rule = new_rule(ACTION_PAUSE, NULL);
	rule.at_given = true;
	rule.at = PHASE_MAIL;
	assert_judgement(&rule, "7:2: \"pause\" acts before the banner, at greeting, not at mail; "
	    "\"tarpit\" delays later replies");
	rule = new_rule(ACTION_PAUSE, NULL);
	rule.at_given = true;
	rule.at = PHASE_GREETING;
	assert_judgement(&rule, NULL);
}

/* RFC 5321 4.5.3.2 */
static void
test_patience(void **state)
{
	static const uint32_t most[PHASE_COUNT] = { 300, 300, 300, 300, 300, 120, 600 };
	struct rule rule;
	size_t phase;
	char *why;

	(void)state;
	for (phase = 0; phase < PHASE_COUNT; phase++) {
		rule = new_rule(ACTION_TARPIT, NULL);
		rule.at_given = true;
		rule.at = phase;
		rule.seconds = most[phase];
		assert_null(rule_check(&rule));
		rule.seconds++;
		why = rule_check(&rule);
		assert_non_null(why);
		assert_non_null(strstr(why, "is too long; clients hang up after "));
		free(why);
		rule.seconds = 0;
		assert_judgement(&rule, "7:2: \"tarpit\" of no time does nothing");
	}
}

static void
test_other_mistakes(void **state)
{
	static const struct {
		struct rule rule;
		const char *text, *name, *expected;
	} cases[] = {
		{ { .action = ACTION_GREYLIST, .at_given = true, .at = PHASE_MAIL }, NULL, NULL,
		    "1:1: \"greylist\" needs the recipient, who is not known at mail; the earliest "
		    "phase is rcpt" },
		{ { .action = ACTION_GREYLIST, .delay = GREYLIST_WINDOW }, NULL, NULL,
		    "1:1: nobody can pass this greylist: its delay is not shorter than its "
		    "window" },
		{ { .action = ACTION_GREYLIST, .window = GREYLIST_DELAY }, NULL, NULL,
		    "1:1: nobody can pass this greylist: its delay is not shorter than its "
		    "window" },
		{ { .action = ACTION_GREYLIST, .lifetime = GREYLIST_WINDOW - 1 }, NULL, NULL,
		    "1:1: the window of this greylist is longer than its lifetime" },
		{ { .action = ACTION_GREYLIST, .delay = 1, .window = 2, .lifetime = 2 }, NULL, NULL,
		    NULL },
		{ { .action = ACTION_TRAP }, NULL, NULL, "1:1: \"trap\" of no time does nothing" },
		{ { .action = ACTION_TRAP, .seconds = UINT32_MAX }, NULL, NULL, NULL },
		{ { .action = ACTION_REJECT }, "", NULL,
		    "1:1: the text of \"reject\" has 0 octets; 1 to 400 fit in a line" },
		{ { .action = ACTION_REJECT }, "a\r\n250 ok", NULL,
		    "1:1: the text of \"reject\" holds control characters, or is not UTF-8" },
		{ { .action = ACTION_DROP }, "\xc3", NULL,
		    "1:1: the text of \"drop\" holds control characters, or is not UTF-8" },
		{ { .action = ACTION_DROP }, "\xc3\xa9", NULL, NULL },
		{ { .action = ACTION_DROP }, "for %{client} 100% {} %{}", NULL,
		    "1:1: there is no field %{}; a reply has client, name, helo, sender, recipient and "
		    "minutes" },
		{ { .action = ACTION_GREYLIST }, "%{minute}", NULL,
		    "1:1: there is no field %{minute}; a reply has client, name, helo, sender, recipient "
		    "and minutes" },
		{ { .action = ACTION_GREYLIST }, "%{minutes} %{minutes", NULL, NULL },
		{ { .action = ACTION_MARK }, "%{minute}", "X-A", NULL },
		{ { .action = ACTION_MARK }, "\xc3\xbc", "X-A", /* as long as "ue" */
		    "1:1: the text of \"mark\" holds other characters than ASCII" },
		{ { .action = ACTION_MARK }, "\xc3\xa9", "X-A",
		    "1:1: the text of \"mark\" holds other characters than ASCII" },
		{ { .action = ACTION_TEMPFAIL }, "go\taway", NULL, NULL },
		{ { .action = ACTION_MARK }, "yes", "", "1:1: \"\" is not the name of a header" },
		{ { .action = ACTION_MARK }, "yes",
		    "X-A:", "1:1: \"X-A:\" is not the name of a header" },
		{ { .action = ACTION_MARK }, "yes", "X A",
		    "1:1: \"X A\" is not the name of a header" },
		{ { .action = ACTION_MARK }, "yes", "x-genkan",
		    "1:1: the header \"X-Genkan\" is the gate's own; choose another name" },
		{ { .action = ACTION_MARK }, "yes\nBcc: x", "X-A",
		    "1:1: the text of \"mark\" holds control characters, or is not UTF-8" },
		{ { .action = ACTION_MARK }, "yes", "X-A", NULL },
	};
	struct rule rule;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		rule = cases[i].rule;
		rule.place = (struct place){ 1, 1 };
		rule.text = cases[i].text != NULL ? xstrdup(cases[i].text) : NULL;
		rule.name = cases[i].name != NULL ? xstrdup(cases[i].name) : NULL;
		assert_judgement(&rule, cases[i].expected);
	}
}

/* RFC 8601 2.7, RFC 7489 11.2: which results there are. */
static void
test_results(void **state)
{
	static const struct {
		enum fact fact;
		const char *results;
	} cases[] = {
		{ FACT_SPF, "none neutral pass fail softfail temperror permerror " },
		{ FACT_DKIM, "none neutral pass fail policy temperror permerror " },
		{ FACT_DMARC, "none pass fail temperror permerror " },
	};
	struct buf possible = { 0 };
	struct rule rule;
	size_t i;
	char *why;
	int result;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		for (result = AUTH_NONE; result <= AUTH_PERMERROR; result++) {
			rule = new_rule(ACTION_REJECT, new_test(cases[i].fact, 1, 1));
			rule.when->test.value = result;
			why = rule_check(&rule);
			if (why == NULL)
				buf_addf(&possible, "%s ", auth_result_name(result));
			free(why);
			end_rule(&rule);
		}
		assert_string_equal(buf_str(&possible), cases[i].results);
		buf_clear(&possible);
	}
	buf_free(&possible);
}

static void
test_impossible(void **state)
{
	struct rule rule;
	int value;

	(void)state;
	for (value = S25R_OWN; value <= S25R_RULES + 1; value++) {
		rule = new_rule(ACTION_REJECT, new_test(FACT_S25R, 1, 1));
		rule.when->test.value = value;
		assert_judgement(
		    &rule, value <= S25R_RULES ? NULL : "1:1: S25R has rules 0 to 6, not 7");
	}
	rule = new_rule(ACTION_REJECT, new_test(FACT_RATE, 1, 1));
	rule.when->test.period = 0;
	assert_judgement(&rule, "1:1: \"rate\" is counted over one second to 7 days");
	rule = new_rule(ACTION_REJECT, new_test(FACT_UNKNOWN_RECIPIENTS, 1, 1));
	rule.when->test.period = 7 * 86400 + 1;
	assert_judgement(&rule, "1:1: \"unknown-recipients\" is counted over one second to 7 days");
	rule = new_rule(ACTION_REJECT, new_test(FACT_TIME, 1, 1));
	rule.when->test.from = rule.when->test.to;
	assert_judgement(&rule, "1:1: this time has no length");
}

/* What only the whole gate shows: the zones and weights of lists, and how many of all there are. */
static void
test_numbers(void **state)
{
	static const struct {
		const char *key, *weight, *why; /* KEY NULL: the table is empty */
		int at_least;
	} cases[] = {
		{ "zen.example.net", "2", NULL, 2 },
		{ "zen.example.net=127.0.0.[2;4-11]", NULL, NULL, 0 },
		{ "", NULL, "\"\" is not the name of a DNS zone", 0 },
		{ "a b", NULL, "\"a b\" is not the name of a DNS zone", 0 },
		{ "[192.0.2.1]", NULL, "\"[192.0.2.1]\" is not the name of a DNS zone", 0 },
		{ "zen.example.net.", NULL, "\"zen.example.net.\" is not the name of a DNS zone", 0 },
		{ "-x.example", NULL, "\"-x.example\" is not the name of a DNS zone", 0 },
		{ "z=127", NULL, "\"z=127\" has no reply behind \"=\" such as 127.0.0.2 or 127.0.0.[2;4-11]", 0 },
		{ "z", "x", "the weight of \"z\" is \"x\"; expected a number from -1000 to 1000, not 0", 0 },
		{ "z", "0", "the weight of \"z\" is \"0\"; expected a number from -1000 to 1000, not 0", 0 },
		{ "z", "2", "the weights here come to 2 at most, never to 3", 3 },
		{ "z", "-2", "the weights here come to 0 at most, never to 1", 0 },
		{ NULL, NULL, "this list of zones is empty", 0 },
	};
	struct gate gate;
	struct table *table;
	char *why;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		gate = (struct gate){ .n = 1, .rules = xcalloc(1, sizeof(struct rule)) };
		gate.rules[0] = new_rule(ACTION_REJECT, new_test(FACT_DNSBL, 4, 9));
		gate.rules[0].when->test.in = table = table_new("");
		gate.rules[0].when->test.at_least = cases[i].at_least;
		if (cases[i].key != NULL)
			table_add(table, cases[i].key, cases[i].weight);
		why = gate_check(&gate);
		if (cases[i].why == NULL && why != NULL)
			fail_msg("%s", why);
		if (cases[i].why != NULL) {
			assert_non_null(why);
			assert_memory_equal(why, "4:9: ", 5);
			assert_string_equal(why + 5, cases[i].why);
		}
		free(why);
		gate_free(&gate);
	}
}

/* As many as fit, and one more. */
static void
test_too_many(void **state)
{
	struct gate gate = { .n = DNSBL_LISTINGS_MAX + 1 };
	char *why;
	unsigned i;

	(void)state;
	gate.rules = xcalloc(gate.n, sizeof(gate.rules[0]));
	for (i = 0; i < gate.n; i++) {
		gate.rules[i] = new_rule(ACTION_REJECT, new_test(FACT_DNSBL, i + 1, 1));
		free(gate.rules[i].when->test.zone);
		gate.rules[i].when->test.zone = xasprintf("z%u.example", i);
	}
	why = gate_check(&gate);
	assert_string_equal(why, "65:1: \"z64.example\" is one too many; a gate asks at most 64 lists");
	free(why);
	gate_free(&gate);
	gate.n = GATE_METERS + 1;
	gate.rules = xcalloc(gate.n, sizeof(gate.rules[0]));
	for (i = 0; i < gate.n; i++) {
		gate.rules[i] = new_rule(ACTION_REJECT, new_test(FACT_RATE, i + 1, 1));
		gate.rules[i].when->test.period = i + 1;
	}
	why = gate_check(&gate);
	assert_string_equal(why, "9:1: a gate counts at most 8 things over time");
	free(why);
	gate_free(&gate);
}

/* gate_check stops at the first bad rule; gate_free takes tables in place and leaves named ones. */
static void
test_gate(void **state)
{
	struct table *named = table_new("friends"), *in_place = table_new("");
	struct gate gate = { .n = 3 };
	char *why;

	(void)state;
	gate.rules = xcalloc(3, sizeof(gate.rules[0]));
	gate.rules[0] = new_rule(ACTION_TRUST, new_test(FACT_CLIENT, 1, 5));
	gate.rules[0].when->test.in = named;
	gate.rules[1] = new_rule(ACTION_REJECT, new_test(FACT_HELO, 2, 5));
	gate.rules[1].when->test.in = in_place;
	gate.rules[1].at_given = true;
	gate.rules[1].at = PHASE_CONNECT;
	gate.rules[2] = new_rule(ACTION_PAUSE, new_test(FACT_SPF, 3, 5));
	why = gate_check(&gate);
	assert_string_equal(
	    why, "2:5: \"helo\" is not known at connect; the earliest phase is helo");
	free(why);
	gate.rules[1].at = PHASE_HELO;
	why = gate_check(&gate);
	assert_string_equal(
	    why, "3:5: \"spf\" is not known at connect; the earliest phase is mail");
	free(why);
	gate.rules[2].action = ACTION_DROP;
	assert_null(gate_check(&gate));
	assert_int_equal(gate.rules[0].at, PHASE_CONNECT);
	gate_free(&gate);
	assert_int_equal(gate.n, 0);
	assert_string_equal(table_name(named), "friends");
	table_free(named);
}

static void
test_print(void **state)
{
	struct table *list = table_new("");
	struct condition *left, *right;
	struct buf out = { 0 };
	struct rule rule;
	char tag[32];

	(void)state;
	table_add(list, "192.0.2.0/24", NULL);
	table_add(list, "a \"b\"", NULL);
	left = new_operator(CONDITION_OR, new_test(FACT_S25R, 1, 1),
	    new_operator(CONDITION_NOT, new_test(FACT_RDNS, 1, 1), NULL));
	right = new_operator(CONDITION_AND, new_test(FACT_CLIENT, 1, 1), new_test(FACT_RATE, 1, 1));
	right->left->test.in = list;
	right->right->test.more_than = 30;
	right = new_operator(CONDITION_NOT, right, NULL);
	rule = new_rule(ACTION_REJECT, new_operator(CONDITION_AND, left, right));
	rule.seconds = 0;
	rule.observe = true;
	rule.text = xstrdup("no \"way\"");
	assert_null(rule_check(&rule));
	rule_print(&out, &rule);
	assert_string_equal(buf_str(&out),
	    "observe reject \"no \\\"way\\\"\" at rcpt when (s25r or not rdns pass) and "
	    "not (client in { 192.0.2.0/24, \"a \\\"b\\\"\" } and rate > 30 per 1m)");
	rule_tag(&rule, tag, sizeof(tag));
	assert_string_equal(tag, "reject#3");
	rule_tag(&rule, tag, 4);
	assert_string_equal(tag, "rej");
	end_rule(&rule);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_every_phase),
		cmocka_unit_test(test_default_phase),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_other_mistakes),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
