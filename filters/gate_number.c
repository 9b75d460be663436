/*
 * The numbers behind the words of a gate: which bit of an answer a blocklist has, which meter
 * counts for a rate.
 *
 * gate_number() is called once for a gate whose rules and tables are complete, because a rule may
 * name a table that is defined further down.  What a table holds can be wrong here for the first
 * time; every mistake is told with the place of the test that uses it.  What must never happen: a
 * test without numbers in a gate that nobody complained about, for it would be true or false of
 * everybody.
 */
#include <stdlib.h>

#include "filters/gate.h"
#include "lib/mem.h"
#include "lib/table.h"

struct numbering {
	struct gate *gate;
	struct test *test;
	void (*complain)(struct place, const char *, void *);
	void *arg;
};

static void __attribute__((format(printf, 2, 3)))
complain(const struct numbering *numbering, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	numbering->complain(numbering->test->place, text, numbering->arg);
	free(text);
}

static void
add_term(const char *listing, const char *weight_text, void *arg)
{
	const struct numbering *numbering = arg;
	struct dnsbl_terms *terms = &numbering->test->terms;
	const char *why;
	int number, weight;

	number = dnsbl_set_add(numbering->gate->lists, listing, &why);
	if (number < 0) {
		complain(numbering, "\"%s\" %s", listing, why);
		return;
	}
	if (!dnsbl_weight(weight_text, &weight)) {
		complain(numbering,
		    "the weight of \"%s\" is \"%s\"; expected a number from -%d to %d, not 0", listing,
		    weight_text, DNSBL_WEIGHT_MAX, DNSBL_WEIGHT_MAX);
		return;
	}
	terms->list = xreallocarray(terms->list, terms->n + 1, sizeof(terms->list[0]));
	terms->list[terms->n++] = (struct dnsbl_term){ (unsigned)number, weight };
}

static void
number_lists(const struct numbering *numbering)
{
	struct test *test = numbering->test;
	int wanted = test->at_least > 0 ? test->at_least : 1, most;

	if (numbering->gate->lists == NULL)
		numbering->gate->lists = xcalloc(1, sizeof(*numbering->gate->lists));
	if (test->in == NULL) {
		add_term(test->zone, "", (void *)(uintptr_t)numbering);
	} else {
		table_each(test->in, add_term, (void *)(uintptr_t)numbering);
		if (table_count(test->in) == 0)
			complain(numbering, "this list of zones is empty");
	}
	most = dnsbl_most(&test->terms);
	if (test->terms.n > 0 && most < wanted)
		complain(numbering, "the weights here come to %d at most, never to %d", most, wanted);
}

static void
number_meter(const struct numbering *numbering)
{
	struct test *test = numbering->test;
	struct gate *gate = numbering->gate;
	/* whoever tries names does it from many addresses */
	bool network = test->network || test->fact == FACT_UNKNOWN_RECIPIENTS;
	unsigned i;

	for (i = 0; i < gate->meters_n; i++)
		if (gate->meters[i].fact == test->fact && gate->meters[i].network == network &&
		    gate->meters[i].period == test->period)
			break;
	if (i == GATE_METERS) {
		complain(numbering, "a gate counts at most %d things over time", GATE_METERS);
		return;
	}
	if (i == gate->meters_n)
		gate->meters[gate->meters_n++] = (struct gate_meter){ test->fact, network, test->period };
	test->meter = i;
}

static void
number_condition(struct condition *condition, struct numbering *numbering)
{
	if (condition == NULL)
		return;
	if (condition->op != CONDITION_TEST) {
		number_condition(condition->left, numbering);
		number_condition(condition->right, numbering);
		return;
	}
	numbering->test = &condition->test;
	if (condition->test.fact == FACT_DNSBL || condition->test.fact == FACT_DNSWL)
		number_lists(numbering);
	if (condition->test.fact == FACT_RATE || condition->test.fact == FACT_UNKNOWN_RECIPIENTS)
		number_meter(numbering);
}

void
gate_number(
    struct gate *gate, void (*complain_fn)(struct place, const char *text, void *arg), void *arg)
{
	struct numbering numbering = { .gate = gate, .complain = complain_fn, .arg = arg };
	unsigned i;

	for (i = 0; i < gate->n; i++)
		number_condition(gate->rules[i].when, &numbering);
}
