/*
 * Ways past a rule (explain.h): what would have to be otherwise so that its condition fails.
 *
 * The condition is read as it stands: of what is joined by `and`, one change is enough; of what is
 * joined by `or`, all that holds must change; `not` turns it round.  What a caller or his operator
 * could do about one test is a table, and where it has no row the test itself is named.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/explain.h"

/* More ways than these nobody reads. */
#define WAYS_MAX 12
#define ANY (-100)

static const struct {
	enum fact fact;
	int value; /* of the test, or ANY */
	bool to;   /* what the test has to become */
	const char *text;
} advice[] = {
	{ FACT_CLIENT, ANY, false, "call from another address" },
	{ FACT_RDNS, RDNS_PASS, true, "a PTR name that leads back to the address" },
	{ FACT_RDNS, RDNS_NONE, false, "a PTR name that leads back to the address" },
	{ FACT_RDNS, RDNS_MISMATCH, false, "a PTR name that leads back to the address" },
	{ FACT_RDNS, RDNS_TEMPERROR, false, "name servers of the address that answer" },
	{ FACT_S25R, ANY, false, "a host name that no S25R rule matches" },
	{ FACT_RATE, ANY, false, "connect less often" },
	{ FACT_CONNECTIONS, ANY, false, "fewer connections at a time" },
	{ FACT_TRAPPED, ANY, false, "the trap to run out, or: smtpctl grey forget client=" },
	{ FACT_EARLY_TALKER, ANY, false, "wait for the banner before talking" },
	{ FACT_HELO, HELO_INVALID, false, "a full host name in HELO" },
	{ FACT_HELO, ANY, false, "another name in HELO" },
	{ FACT_HELO_RESOLVES, ANY, true, "a name in HELO that leads to the address" },
	{ FACT_SENDER, ANY, false, "another sender" },
	{ FACT_SENDER_DOMAIN, SENDER_DOMAIN_NONE, false, "an MX or address for the sender's domain" },
	{ FACT_SENDER_DOMAIN, SENDER_DOMAIN_NULLMX, false, "a sender's domain that takes mail" },
	{ FACT_SENDER_DOMAIN, SENDER_DOMAIN_TEMPERROR, false,
	    "name servers of the sender's domain that answer" },
	{ FACT_SENDER_DOMAIN, SENDER_DOMAIN_RESOLVES, true,
	    "an MX or address for the sender's domain" },
	{ FACT_SPF, AUTH_PASS, true, "an SPF record of the sender's domain that permits the address" },
	{ FACT_SPF, AUTH_FAIL, false,
	    "a host that the sender's domain permits, or that in its SPF record" },
	{ FACT_SPF, AUTH_SOFTFAIL, false,
	    "a host that the sender's domain permits, or that in its SPF record" },
	{ FACT_SPF, AUTH_PERMERROR, false, "an SPF record without mistakes" },
	{ FACT_RECIPIENT, ANY, false, "another recipient" },
	{ FACT_KNOWN_CORRESPONDENT, ANY, true, "that the recipient wrote first" },
	{ FACT_UNKNOWN_RECIPIENTS, ANY, false, "fewer recipients that do not exist" },
	{ FACT_PIPELINING, ANY, false, "no pipelining before it is offered" },
	{ FACT_SIZE, ANY, false, "a smaller message" },
	{ FACT_AUTHENTICATED, ANY, true, "authenticate" },
	{ FACT_TLS, ANY, true, "TLS" },
};
#define ADVICE (sizeof(advice) / sizeof(advice[0]))

struct question {
	const struct caller *caller;
	const struct gate *gate;
};

/* Takes TEXT over.  What is there already is no other way. */
static void
ways_add(struct ways *w, char *text)
{
	unsigned i;

	for (i = 0; i < w->n && strcmp(w->list[i], text) != 0; i++)
		;
	if (i < w->n || w->n == WAYS_MAX) {
		free(text);
		return;
	}
	w->list = xreallocarray(w->list, w->n + 1, sizeof(*w->list));
	w->list[w->n++] = text;
}

void
ways_clear(struct ways *w)
{
	while (w->n > 0)
		free(w->list[--w->n]);
	free(w->list);
	w->list = NULL;
}

static const char *
advice_on(const struct test *t, bool to)
{
	size_t i;

	for (i = 0; i < ADVICE; i++)
		if (advice[i].fact == t->fact && advice[i].to == to && (t->in == NULL ||
		    advice[i].value == ANY) && (advice[i].value == ANY || advice[i].value == t->value))
			return advice[i].text;
	return NULL;
}

/* "be taken off zen.example.net, other.example": the lists that speak against the caller. */
static char *
advice_on_lists(const struct question *q, const struct test *t, bool to)
{
	const struct dnsbl_answers *a = &q->caller->facts.dnsbl;
	struct buf b = { 0 };
	const char *before = to ? "be listed by " : "be taken off ";
	unsigned i;

	for (i = 0; i < t->terms.n; i++) {
		unsigned number = t->terms.list[i].number;
		bool listed = a->listed & DNSBL_BIT(number);

		/* a list of negative weight is one to be on */
		if (listed == to || (t->terms.list[i].weight < 0))
			continue;
		buf_addf(&b, "%s%s", before, q->gate->lists->listings[number].text);
		before = ", ";
	}
	if (b.len == 0)
		buf_adds(&b, "other answers of the lists");
	return buf_take(&b);
}

static void
change_test(struct ways *out, const struct question *q, const struct condition *c, bool to)
{
	const char *text = advice_on(&c->test, to);
	struct buf b = { 0 };

	if (c->test.fact == FACT_DNSBL || c->test.fact == FACT_DNSWL) {
		ways_add(out, advice_on_lists(q, &c->test, to));
		return;
	}
	if (text != NULL) {
		buf_adds(&b, text);
	} else {
		buf_adds(&b, "that it is ");
		buf_adds(&b, to ? "" : "not ");
		condition_print(&b, c);
	}
	ways_add(out, buf_take(&b));
}

/* "this and that": both ways have to be gone. */
static void
combine(struct ways *out, const struct ways *a, const struct ways *b)
{
	unsigned i, k;

	for (i = 0; i < a->n; i++)
		for (k = 0; k < b->n; k++)
			ways_add(out, strcmp(a->list[i], b->list[k]) == 0 ? xstrdup(a->list[i]) :
			    xasprintf("%s, and %s", a->list[i], b->list[k]));
}

static bool
is_already(const struct question *q, const struct condition *c, bool to)
{
	uint32_t missing = 0;

	return condition_eval(c, &q->caller->facts, &missing) == (int)to;
}

/* Adds the ways by which C, which is not TO, would become so. */
static void
change(struct ways *out, const struct question *q, const struct condition *c, bool to)
{
	struct ways left = { 0 }, right = { 0 };

	if (c->op == CONDITION_TEST) {
		change_test(out, q, c, to);
	} else if (c->op == CONDITION_NOT) {
		change(out, q, c->left, !to);
	} else if ((c->op == CONDITION_AND) != to) { /* one side is enough */
		change(out, q, c->left, to);
		change(out, q, c->right, to);
	} else if (is_already(q, c->left, to)) {
		change(out, q, c->right, to);
	} else if (is_already(q, c->right, to)) {
		change(out, q, c->left, to);
	} else {
		change(&left, q, c->left, to);
		change(&right, q, c->right, to);
		combine(out, &left, &right);
		ways_clear(&left);
		ways_clear(&right);
	}
}

void
ways_past(struct ways *out, const struct rule *rule, const struct caller *caller,
    const struct gate *gate)
{
	struct question q = { caller, gate };

	if (rule->when != NULL)
		change(out, &q, rule->when, false);
}
