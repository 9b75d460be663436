/*
 * A caller's way through the gate without a session (trial.h).
 *
 * Pure but for the memory.  Facts that the phase cannot know are hidden from the rules, so that a gate
 * behaves as it would, also where the caller's words told everything at once.  What nobody knows is
 * taken as failed, as in a session, and noted: such rules did not act.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "filters/gate_reply.h"
#include "filters/grey_ask.h"
#include "lib/mem.h"
#include "smtpctl/trial.h"

void
trial_begin(struct trial *t)
{
	t->caller = trial_caller(t->memory, &t->facts.client);
	t->passed = t->caller->passed > t->now;
	t->stayed = t->caller->stayed > t->now;
	t->left = t->caller->left > t->now && !t->stayed;
	if (t->caller->trapped > t->now)
		t->facts.trapped = true;
	t->facts.known |= FACT_BIT(FACT_TRAPPED);
	t->open = false;
	t->owes = NULL;
	t->waited = 0;
	t->missing = 0;
}

/* What can be known at PHASE; the rest has failed. */
struct facts
trial_facts_at(struct trial *t, enum phase phase)
{
	struct facts f = t->facts;
	unsigned i;

	for (i = 0; i < FACT_COUNT; i++)
		if (fact_phase((enum fact)i) > phase)
			f.known &= ~FACT_BIT(i);
	if (phase >= PHASE_RCPT && f.sender != NULL && f.recipient != NULL &&
	    trial_corresponds(t->memory, f.sender, f.recipient, t->now)) {
		f.known_correspondent = true;
		f.known |= FACT_BIT(FACT_KNOWN_CORRESPONDENT);
	}
	return f;
}

static void
run(struct trial *t, const struct facts *f, struct trial_step *step)
{
	struct facts all = *f;

	gate_run(&t->conf->gate, step->phase, &all, &step->result);
	if (step->result.missing == 0)
		return;
	t->missing |= step->result.missing;
	all.known |= step->result.missing;
	all.failed |= step->result.missing;
	gate_run(&t->conf->gate, step->phase, &all, &step->result);
}

/* `tarpit ... else greylist` leaves a choice to whoever has not made it yet. */
static const struct rule *
choose_wait(struct trial *t, const struct gate_result *r)
{
	if (r->wait_else == NULL || t->stayed)
		return r->wait;
	if (t->left) {
		t->owes = r->wait_else;
		return r->wait;
	}
	return r->wait == NULL || r->wait_else->seconds > r->wait->seconds ? r->wait_else : r->wait;
}

/* The greylist behind a tarpit that he left has seen him, if no other rule would have decided. */
static void
note_first_try(struct trial *t, const struct rule *tarpit)
{
	struct grey_answer nobody_waits_for_it;
	struct grey_ask ask;

	grey_ask_make(&ask, tarpit, &t->facts);
	trial_grey(t->memory, &ask.question, t->now, &nobody_waits_for_it);
	grey_ask_clear(&ask);
}

/* False when he hung up. */
static bool
sit_through(struct trial *t, struct trial_step *step)
{
	const struct rule *wait = choose_wait(t, &step->result);

	if (wait == NULL || (wait->action == ACTION_PAUSE && t->passed))
		return true;
	step->wait = wait;
	step->seconds = wait->seconds;
	step->hung_up = t->patience != 0 && wait->seconds > t->patience;
	if (step->hung_up)
		step->seconds = t->patience;
	t->now += step->seconds;
	t->waited += step->seconds;
	if (step->hung_up && wait->else_greylist)
		t->caller->left = t->now + GREYLIST_WINDOW;
	if (step->hung_up && gate_owed_first(&step->result, wait->else_greylist ? wait : NULL) && step->phase == PHASE_RCPT)
		note_first_try(t, wait);
	if (step->hung_up)
		return false;
	if (wait->else_greylist) {
		t->stayed = t->passed = true;
		trial_caller_stayed(t->memory, &t->facts.client, t->now);
	} else if (step->phase == PHASE_GREETING && !t->facts.early_talker) {
		trial_caller_passed(t->memory, &t->facts.client, t->now);
	}
	return true;
}

/* --- verdicts --- */

static bool
is_excused(const struct trial *t, const struct rule *verdict, enum phase phase)
{
	if (verdict != NULL && verdict->action != ACTION_GREYLIST && verdict->action != ACTION_TEMPFAIL &&
	    verdict->action != ACTION_REJECT)
		return false;
	return phase == PHASE_RCPT && !t->facts.early_talker && t->facts.recipient != NULL &&
	    conf_is_postmaster(t->conf, t->facts.recipient);
}

static const struct rule *
owed(const struct trial *t, enum phase phase)
{
	if (t->owes == NULL || phase < PHASE_RCPT)
		return NULL;
	return phase == PHASE_RCPT || t->owes->at == phase ? t->owes : NULL;
}

static void
ask_greylist(struct trial *t, const struct rule *r, struct trial_step *step)
{
	struct grey_ask ask;

	grey_ask_make(&ask, r, &t->facts);
	trial_grey(t->memory, &ask.question, t->now, &step->grey);
	step->identity = xstrdup(ask.identity);
	grey_ask_clear(&ask);
	step->verdict = r;
	step->action = ACTION_GREYLIST;
	if (step->grey.state == GREY_NEW || step->grey.state == GREY_EARLY)
		step->code = gate_refusal(ACTION_TEMPFAIL)->code;
}

/* Whoever came back to a `tempfail rescue` as a mail server does. */
static bool
is_rescued(struct trial *t, const struct rule *r, struct trial_step *step)
{
	struct grey_ask ask;

	if (r->rescue == 0)
		return false;
	grey_ask_make(&ask, r, &t->facts);
	trial_rescue(t->memory, &ask.question, t->now, &step->grey);
	step->identity = xstrdup(ask.identity);
	grey_ask_clear(&ask);
	return step->grey.state == GREY_TRUSTED;
}

static void
act(struct trial *t, const struct rule *r, struct trial_step *step)
{
	const struct gate_refusal *refusal;

	step->verdict = r;
	step->action = r->action;
	if (r->action == ACTION_GREYLIST) {
		ask_greylist(t, r, step);
		return;
	}
	if (is_rescued(t, r, step))
		return;
	t->open = t->open || r->action == ACTION_TRUST;
	if (rule_is_softened(r, &t->facts))
		step->action = ACTION_TEMPFAIL;
	refusal = gate_refusal(step->action);
	if (refusal == NULL)
		return;
	step->code = refusal->code;
	step->close = refusal->close;
	/* RFC 5321 3.1: in the banner's place */
	if (step->phase <= PHASE_GREETING && step->code == 550)
		step->code = 554;
}

static void
spring_traps(struct trial *t, const struct gate_result *r)
{
	const struct gate *gate = &t->conf->gate;
	unsigned i;

	for (i = 0; i < gate->n && i < GATE_BITS; i++)
		if ((r->traps & (UINT64_C(1) << i)) &&
		    t->caller->trapped < t->now + gate->rules[i].seconds)
			t->caller->trapped = t->now + gate->rules[i].seconds;
}

void
trial_pass(struct trial *t, enum phase phase, struct trial_step *step)
{
	struct facts f;

	*step = (struct trial_step){ .phase = phase, .action = ACTION_COUNT };
	if (t->open)
		return;
	f = trial_facts_at(t, phase);
	/* whether he talks is known when the pause is over */
	if (phase == PHASE_GREETING)
		f.early_talker = false;
	run(t, &f, step);
	if (!sit_through(t, step))
		return;
	f.early_talker = t->facts.early_talker;
	if (phase == PHASE_GREETING)
		run(t, &f, step);
	spring_traps(t, &step->result);
	if (gate_owed_first(&step->result, owed(t, phase)) && !is_excused(t, NULL, phase))
		ask_greylist(t, owed(t, phase), step);
	else if (step->result.verdict != NULL && !is_excused(t, step->result.verdict, phase))
		act(t, step->result.verdict, step);
}

void
trial_step_clear(struct trial_step *step)
{
	free(step->identity);
	step->identity = NULL;
}

void
trial_let_in(struct trial *t, uint32_t held)
{
	if (held > 0)
		trial_caller_stayed(t->memory, &t->facts.client, t->now);
}
