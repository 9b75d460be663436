/*
 * The meaning of a gate: rules over facts, without input or output (gate.h).
 *
 * A test has four outcomes.  Besides yes and no, a fact may not be known yet, and then whoever drives the gate finds it out
 * and judges again; or it may have failed (DNS or the ledger gave no answer), and then it never matches, also not under
 * `not`: trouble of our own is nobody's fault.  Called by the doorman for every phase of every session, so nothing here
 * allocates.
 */
#include <stddef.h>

#include "filters/gate.h"
#include "filters/s25r.h"
#include "lib/table.h"

enum outcome { NO, YES, FAILED, MISSING };

static enum outcome
yes(bool b)
{
	return b ? YES : NO;
}

/* "temperror" is an answer to `rdns temperror`; to a question for the caller's name it is none. */
static bool
name_failed(const struct facts *f)
{
	return (f->failed & FACT_BIT(FACT_RDNS)) || f->rdns == RDNS_TEMPERROR;
}

/* Networks are known when the caller rings; names of the table need his own, verified. */
static enum outcome
test_client(const struct test *t, const struct facts *f, uint32_t *missing)
{
	if (table_match_client(t->in, &f->client, NULL))
		return YES;
	if (!table_has_names(t->in))
		return NO;
	if (!(f->known & FACT_BIT(FACT_RDNS))) {
		*missing |= FACT_BIT(FACT_RDNS);
		return MISSING;
	}
	return name_failed(f) ? FAILED : yes(table_match_client(t->in, &f->client, f->name));
}

static enum outcome
test_rdns(const struct test *t, const struct facts *f)
{
	if (t->in == NULL)
		return yes(f->rdns == (enum rdns_status)t->value);
	if (name_failed(f))
		return FAILED;
	return yes(f->name != NULL && table_match_name(t->in, f->name));
}

/* Each answer may settle a sum; what failed, or will never be known, may be a listing or not. */
static enum outcome
test_dnsbl(const struct test *t, const struct facts *f, uint32_t *missing)
{
	int least, greatest, wanted = t->at_least > 0 ? t->at_least : 1;

	dnsbl_sum(&t->terms, &f->dnsbl, &least, &greatest);
	if (least >= wanted)
		return YES;
	if (greatest < wanted)
		return NO;
	if (f->known & FACT_BIT(t->fact) || !dnsbl_is_open(&t->terms, &f->dnsbl))
		return FAILED;
	*missing |= FACT_BIT(t->fact);
	return MISSING;
}

static enum outcome
test_s25r(const struct test *t, const struct facts *f)
{
	if (t->value == S25R_OWN)
		return yes(f->name != NULL && s25r_own_address(f->name, &f->client));
	if (t->value == S25R_ANY)
		return yes(s25r_match(f->name) != S25R_PASS);
	return yes(s25r_matches_rule(f->name, t->value));
}

static enum outcome
test_auth(const struct test *t, enum auth_result result)
{
	return yes(result == (enum auth_result)t->value);
}

static enum outcome
test_address(const struct test *t, const char *address)
{
	return yes(address != NULL && table_match_address(t->in, address));
}

/* 22:00-06:00 goes over midnight. */
static bool
is_within(unsigned minute, unsigned from, unsigned to)
{
	return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
}

static enum outcome
test_helo(const struct test *t, const struct facts *f)
{
	if (f->helo == NULL)
		return NO;
	if (t->in != NULL)
		return yes(table_match_name(t->in, f->helo));
	if (t->value == HELO_OWN_NAME)
		return yes(f->helo_own);
	return yes(helo_kind(f->helo) == (enum helo_kind)t->value);
}

/* As with names: "temperror" answers the question for itself, and no other. */
static enum outcome
test_sender_domain(const struct test *t, const struct facts *f)
{
	if (f->sender_domain == SENDER_DOMAIN_TEMPERROR && t->value != SENDER_DOMAIN_TEMPERROR)
		return FAILED;
	return yes(f->sender_domain == (enum sender_domain)t->value);
}

/* The fact is known and did not fail. */
static enum outcome
test_known(const struct test *t, const struct facts *f)
{
	switch (t->fact) {
	case FACT_RDNS:
		return test_rdns(t, f);
	case FACT_S25R:
		return test_s25r(t, f);
	case FACT_RATE:
	case FACT_UNKNOWN_RECIPIENTS:
		return yes(f->meters[t->meter] > t->more_than);
	case FACT_CONNECTIONS:
		return yes((t->network ? f->network_connections : f->connections) > t->more_than);
	case FACT_TIME:
		return yes(is_within(f->minute, t->from, t->to));
	case FACT_SIZE:
		return yes(f->size > t->more_than);
	case FACT_TRAPPED:
		return yes(f->trapped);
	case FACT_EARLY_TALKER:
		return yes(f->early_talker);
	case FACT_PIPELINING:
		return yes(f->pipelining);
	case FACT_KNOWN_CORRESPONDENT:
		return yes(f->known_correspondent);
	case FACT_LIST_MEMBER:
		return yes(f->list_member);
	case FACT_AUTHENTICATED:
		return yes(f->authenticated);
	case FACT_TLS:
		return yes(f->tls);
	case FACT_HELO:
		return test_helo(t, f);
	case FACT_HELO_RESOLVES:
		return yes(f->helo_resolves);
	case FACT_SENDER_DOMAIN:
		return test_sender_domain(t, f);
	case FACT_SENDER:
		return test_address(t, f->sender);
	case FACT_RECIPIENT:
		return test_address(t, f->recipient);
	case FACT_SPF:
		return test_auth(t, f->spf_blanket ? AUTH_NEUTRAL : f->spf);
	case FACT_DKIM:
		return test_auth(t, f->dkim);
	case FACT_DMARC:
		return test_auth(t, f->dmarc);
	default:
		return FAILED;
	}
}

static enum outcome
test_eval(const struct test *t, const struct facts *f, uint32_t *missing)
{
	if (t->fact == FACT_CLIENT)
		return test_client(t, f, missing);
	if (t->fact == FACT_DNSBL || t->fact == FACT_DNSWL)
		return test_dnsbl(t, f, missing);
	if (!(f->known & FACT_BIT(t->fact))) {
		*missing |= FACT_BIT(t->fact);
		return MISSING;
	}
	return f->failed & FACT_BIT(t->fact) ? FAILED : test_known(t, f);
}

/* AND and OR in one: DECIDES is the value that settles it alone; what is open keeps it open. */
static enum outcome
join(enum outcome a, enum outcome b, enum outcome decides)
{
	if (a == decides || b == decides)
		return decides;
	if (a == MISSING || b == MISSING)
		return MISSING;
	if (a == FAILED || b == FAILED)
		return FAILED;
	return decides == YES ? NO : YES;
}

static enum outcome eval(const struct condition *, const struct facts *, uint32_t *missing);

/* What is decided asks for nothing; what is open asks for all of it at once. */
static enum outcome
eval_both(const struct condition *c, const struct facts *f, uint32_t *missing)
{
	enum outcome decides = c->op == CONDITION_AND ? NO : YES, o;
	uint32_t open = 0;

	o = eval(c->left, f, &open);
	if (o != decides)
		o = join(o, eval(c->right, f, &open), decides);
	if (o == MISSING)
		*missing |= open;
	return o;
}

static enum outcome
eval(const struct condition *c, const struct facts *f, uint32_t *missing)
{
	enum outcome o;

	if (c == NULL)
		return YES;
	switch (c->op) {
	case CONDITION_TEST:
		return test_eval(&c->test, f, missing);
	case CONDITION_NOT:
		o = eval(c->left, f, missing);
		return o == YES ? NO : o == NO ? YES : o;
	default:
		return eval_both(c, f, missing);
	}
}

int
condition_eval(const struct condition *c, const struct facts *f, uint32_t *missing)
{
	enum outcome o = eval(c, f, missing);

	return o == MISSING ? -1 : o == YES;
}

static bool
waits(const struct rule *r)
{
	return r->action == ACTION_PAUSE || r->action == ACTION_TARPIT;
}

static const struct rule *
longer(const struct rule *first, const struct rule *other)
{
	return first == NULL || other->seconds > first->seconds ? other : first;
}

/* A rule that matches and is no verdict. */
static void
note(const struct rule *r, unsigned i, struct gate_result *out)
{
	uint64_t bit = i < GATE_BITS ? UINT64_C(1) << i : 0;

	if (r->observe)
		out->observed |= bit;
	else if (r->action == ACTION_MARK)
		out->marks |= bit;
	else if (r->action == ACTION_TRAP)
		out->traps |= bit;
	else if (r->else_greylist)
		out->wait_else = longer(out->wait_else, r);
	else if (waits(r))
		out->wait = longer(out->wait, r);
}

bool
rule_ends_phase(const struct gate *gate, const struct rule *r)
{
	return (gate->observe || !r->observe) && !waits(r) && r->action != ACTION_MARK && r->action != ACTION_TRAP;
}

void
gate_run(const struct gate *gate, enum phase phase, const struct facts *f, struct gate_result *out)
{
	bool open = false; /* a rule above could not be judged yet: what follows asks for its facts, and decides nothing */
	unsigned i;
	int r;

	*out = (struct gate_result){ 0 };
	for (i = 0; i < gate->n; i++) {
		const struct rule *rule = &gate->rules[i];

		if (rule->at != phase)
			continue;
		r = condition_eval(rule->when, f, &out->missing);
		if (r < 0)
			open = true;
		if (r != 1)
			continue;
		if (!rule_ends_phase(gate, rule)) {
			note(rule, i, out);
			continue;
		}
		if (!open && rule->observe)
			note(rule, i, out);
		else if (!open)
			out->verdict = rule;
		return;
	}
}

bool
gate_owed_first(const struct gate_result *r, const struct rule *owes)
{
	return owes != NULL &&
	    (r->verdict == NULL || (r->verdict->action == ACTION_PASS && r->wait_else == owes));
}

const struct rule *
gate_foresee(const struct gate *gate, enum phase first, enum phase last, const struct facts *f)
{
	struct gate_result r;
	unsigned phase;

	for (phase = first; phase <= last; phase++) {
		gate_run(gate, (enum phase)phase, f, &r);
		if (r.missing != 0)
			return NULL;
		if (r.verdict == NULL || r.verdict->action == ACTION_PASS)
			continue;
		/* for whom others put off the operator may have spoken, or the ledger may */
		return r.verdict->action == ACTION_REJECT || r.verdict->action == ACTION_DROP ? r.verdict : NULL;
	}
	return NULL;
}

static uint32_t
facts_of(const struct condition *c)
{
	if (c == NULL)
		return 0;
	if (c->op != CONDITION_TEST)
		return facts_of(c->left) | facts_of(c->right);
	if (c->test.fact == FACT_CLIENT && table_has_names(c->test.in))
		return FACT_BIT(FACT_CLIENT) | FACT_BIT(FACT_RDNS);
	return FACT_BIT(c->test.fact);
}

bool
rule_asks(const struct rule *rule, enum fact fact)
{
	return facts_of(rule->when) & FACT_BIT(fact);
}

/* Facts whose answer is that DNS gave none. */
static uint32_t
without_answer(const struct facts *f)
{
	uint32_t bits = 0;

	if (f->rdns == RDNS_TEMPERROR)
		bits |= FACT_BIT(FACT_RDNS);
	if (f->sender_domain == SENDER_DOMAIN_TEMPERROR)
		bits |= FACT_BIT(FACT_SENDER_DOMAIN);
	if (f->spf == AUTH_TEMPERROR)
		bits |= FACT_BIT(FACT_SPF);
	return bits & f->known;
}

bool
rule_is_softened(const struct rule *rule, const struct facts *f)
{
	return rule->action == ACTION_REJECT && (facts_of(rule->when) & without_answer(f));
}

uint32_t
gate_wants(const struct gate *gate, enum phase first, enum phase last)
{
	uint32_t wants = 0, mask = 0;
	unsigned i;

	for (i = 0; i < gate->n; i++)
		if (gate->rules[i].at <= last)
			wants |= facts_of(gate->rules[i].when);
	for (i = 0; i < FACT_COUNT; i++)
		if (fact_phase((enum fact)i) <= first)
			mask |= FACT_BIT(i);
	return wants & mask;
}
