/*
 * One caller's way through the gate (doorman.h).
 *
 * The rules are pure (gate_run), and what they ask for is found out in doorman_facts.c.  Facts that rules up to the banner
 * ask for are asked for when the caller rings, all at once, and arrive while he waits.  A later phase asks for what it
 * misses and is judged again when the answer is there.  Nobody is asked about one who is refused by what is known already
 * (gate_foresee), nor in the first moment of one who will be kept waiting: programs that talk at once are gone by then.
 * What is then said, and told to log and ledger, is doorman_answer.c.
 *
 * The answers of a phase come in this order: the wait (pause, tarpit), then the verdict, then, if the verdict is to
 * greylist, the ledger's word.  An `observe` rule is logged and counted and does nothing.
 */
#include <stdlib.h>

#include "conf/conf.h"
#include "filters/gate.h"
#include "filters/gate_reply.h"
#include "filters/grey_ask.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "smtpd/doorman.h"
#include "smtpd/doorman_answer.h"
#include "smtpd/doorman_facts.h"
#include "smtpd/meters.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void judge(struct session *);

static const struct gate *
gate(void)
{
	return &session_conf()->gate;
}

/* --- the operator's word --- */

static bool
allowed(const struct doorman *d)
{
	return d->heard ? d->mail_allowed : d->caller_allowed;
}

static bool
denied(const struct doorman *d)
{
	return d->heard ? d->mail_denied : d->caller_denied;
}

static void
on_word(const struct grey_answer *g, void *arg)
{
	struct session *s = arg;

	s->door.grey = NULL;
	s->door.heard = g->state != GREY_UNKNOWN;
	s->door.mail_words = s->door.heard; /* a ledger that is silent is not asked again */
	s->door.mail_allowed = g->state == GREY_TRUSTED;
	s->door.mail_denied = g->state == GREY_DENIED;
	judge(s);
}

/* His word on the caller came at connect; that on sender, recipient or identity, which SPF may name, is asked for at rcpt,
 * when there is any.  True while it is not known. */
static bool
must_hear(struct session *s)
{
	static const struct rule anybody = { .action = ACTION_GREYLIST };
	struct doorman *d = &s->door;
	struct grey_ask ask;

	if (d->phase != PHASE_RCPT || d->no_such_user || d->heard)
		return false;
	if (d->asked & DOOR_CALLER)
		return true;
	if (!d->mail_words)
		return false;
	door_ask(s, FACT_BIT(FACT_SPF));
	if (d->asked & FACT_BIT(FACT_SPF))
		return true;
	grey_ask_make(&ask, &anybody, &d->facts);
	ask.question.word_only = true;
	d->grey = ledger_ask_grey(&ask.question, on_word, s);
	grey_ask_clear(&ask);
	return true;
}

/* --- the phases --- */

/* He is spared this wait: a pause is waited only once by one who passed lately. */
static bool
is_spared(const struct doorman *d, const struct rule *wait)
{
	return allowed(d) || (wait->action == ACTION_PAUSE && d->caller_passed);
}

/* Milliseconds of it that he has yet to wait.  While the world was asked about him a pause ran already. */
static uint64_t
wait_left(const struct doorman *d, const struct rule *wait)
{
	uint64_t ms = (uint64_t)wait->seconds * 1000, gone = clock_ms() - d->since_ms;

	if (wait->action == ACTION_TARPIT)
		return ms;
	return ms > gone ? ms - gone : 0;
}

static void has_waited(struct session *);

/* Begins the wait that the rules of this phase ask for; false when there is none, or he is spared it. */
static bool
begin_wait(struct session *s, const struct rule *wait)
{
	uint64_t ms;

	if (wait == NULL || s->door.served)
		return false;
	s->door.rule = wait;
	if (wait->seconds == 0 || is_spared(&s->door, wait))
		return false;
	ms = wait_left(&s->door, wait);
	if (ms == 0) {
		has_waited(s);
		return true;
	}
	s->door.waiting = true;
	log_debug("gate.wait", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("phase", phase_name(s->door.phase)), F_U64("line", wait->place.line), F_U64("ms", ms));
	if (s->eof) /* he has left already */
		session_drop(s, "the client left");
	else
		session_set_timer(s, ms);
	return true;
}

/* The pause is judged before it is over, when nobody can know yet whether the caller talks in it. */
static void
run(struct session *s, struct gate_result *r)
{
	struct facts f = s->door.facts;

	if (s->door.phase == PHASE_GREETING && !s->door.served)
		f.known |= FACT_BIT(FACT_EARLY_TALKER);
	gate_run(gate(), s->door.phase, &f, r);
}

static uint32_t
longest_trap(uint64_t traps)
{
	uint32_t seconds = 0;
	unsigned i;

	for (i = 0; i < gate()->n && i < GATE_BITS; i++)
		if ((traps & (UINT64_C(1) << i)) && gate()->rules[i].seconds > seconds)
			seconds = gate()->rules[i].seconds;
	return seconds;
}

/* Rules that act beside the verdict. */
static void
note_others(struct session *s, const struct gate_result *r)
{
	door_tell_each(s, r->observed, "would have acted");
	s->door.marks |= r->marks;
	door_tell_each(s, r->traps, "trapped");
	if (r->traps != 0)
		ledger_trap(&s->ip, longest_trap(r->traps));
}

/* Whoever is put off is known by SPF first of all (identity.h), so it is asked even if no rule does. */
static bool
must_identify(const struct doorman *d, const struct rule *verdict)
{
	if (verdict == NULL || denied(d) || d->no_such_user)
		return false;
	return (verdict->action == ACTION_GREYLIST && verdict->by == GREY_BY_TRIPLET) ||
	    (verdict->action == ACTION_TEMPFAIL && d->phase == PHASE_RCPT);
}

static bool
puts_off(const struct rule *r)
{
	return r != NULL && (r->action == ACTION_GREYLIST || r->action == ACTION_TEMPFAIL);
}

/* Rules that put off do nothing to whom the operator has allowed (`grey allow`); rules that refuse for good do. */
static bool
is_allowed(const struct doorman *d, const struct rule *verdict)
{
	return d->caller_allowed && d->phase != PHASE_RCPT && puts_off(verdict);
}

/*
 * `tarpit ... else greylist` leaves the caller the choice.  Whoever has waited in one lately, or passed the greylist, has shown
 * what it asks for; a pause, which is shorter, shows less.  Whoever hung up has chosen the greylist, which then needs a
 * recipient.  Everybody else waits.
 */
static const struct rule *
choose_wait(struct session *s, const struct gate_result *r)
{
	struct doorman *d = &s->door;

	if (r->wait_else == NULL || d->caller_stayed || allowed(d))
		return r->wait;
	if (d->caller_left) {
		d->owes = r->wait_else;
		return r->wait;
	}
	return r->wait == NULL || r->wait_else->seconds > r->wait->seconds ? r->wait_else : r->wait;
}

/* What he owes for having hung up, in this phase. */
static const struct rule *
owed(const struct session *s)
{
	const struct doorman *d = &s->door;

	if (d->owes == NULL || d->phase < PHASE_RCPT)
		return NULL;
	return d->phase == PHASE_RCPT || d->owes->at == d->phase ? d->owes : NULL;
}

/* This recipient is refused nothing: because he is the postmaster, to whom whoever is refused elsewhere can turn, or because
 * there is no such recipient and he is refused already.  An early talker does not reach the postmaster: he is a program that
 * reads no answers. */
static bool
is_excused(const struct session *s, const struct rule *verdict)
{
	const struct doorman *d = &s->door;

	if (verdict != NULL && verdict->action != ACTION_GREYLIST && verdict->action != ACTION_TEMPFAIL &&
	    verdict->action != ACTION_REJECT)
		return false;
	return d->no_such_user ||
	    (d->phase == PHASE_RCPT && !d->facts.early_talker && d->facts.recipient != NULL &&
		conf_is_postmaster(session_conf(), d->facts.recipient));
}

/* He talked before the banner, and is refused in its place for that: nothing is gained by keeping him. */
static bool
has_said_enough(const struct session *s)
{
	const struct doorman *d = &s->door;
	struct gate_result r;

	if (d->phase != PHASE_GREETING || d->served || !d->facts.early_talker)
		return false;
	gate_run(gate(), PHASE_GREETING, &d->facts, &r);
	return r.missing == 0 && r.verdict != NULL && gate_refusal(r.verdict->action) != NULL;
}

/* A phase is judged from its beginning each time that something was learned, until nothing is missing. */
static void
judge(struct session *s)
{
	struct doorman *d = &s->door;
	struct gate_result r;
	bool keep;

	if (d->done == NULL || d->waiting || d->grey != NULL)
		return;
	run(s, &r);
	if (r.missing != 0) {
		door_ask(s, r.missing);
		if (r.missing & d->asked)
			return;
		run(s, &r);
	}
	keep = (r.wait != NULL || r.wait_else != NULL) && !d->served && !has_said_enough(s);
	if (keep || puts_off(r.verdict)) {
		door_ask(s, DOOR_CALLER); /* must he wait again, or at all? */
		if (d->asked & DOOR_CALLER)
			return;
	}
	if (must_hear(s))
		return;
	d->undecided = r.verdict == NULL || gate_owed_first(&r, r.wait_else);
	if (keep && begin_wait(s, choose_wait(s, &r)))
		return;
	if (d->phase == PHASE_GREETING && !d->served) {
		d->served = true; /* now it is known whether he talked */
		d->facts.known |= FACT_BIT(FACT_EARLY_TALKER);
		judge(s);
		return;
	}
	if (must_identify(d, r.verdict)) {
		door_ask(s, FACT_BIT(FACT_SPF));
		if (d->asked & FACT_BIT(FACT_SPF))
			return;
	}
	note_others(s, &r);
	if (d->phase == PHASE_RCPT && denied(d) && !is_excused(s, NULL))
		door_refuse_denied(s);
	else if (gate_owed_first(&r, owed(s)) && !is_excused(s, NULL))
		door_ask_greylist(s, owed(s));
	else if (r.verdict == NULL || is_excused(s, r.verdict) || is_allowed(d, r.verdict))
		door_go_on(s);
	else
		door_act(s, r.verdict);
}

void
door_pass(struct session *s, enum phase phase, door_callback done)
{
	struct doorman *d = &s->door;

	d->done = done;
	d->phase = (uint8_t)phase;
	d->served = d->waiting = d->no_such_user = d->heard = false;
	if (d->open) {
		door_go_on(s);
		return;
	}
	door_take_plain_facts(s, phase);
	door_ask_ahead(s, gate_wants(gate(), phase, PHASE_MESSAGE) & DOOR_EARLY);
	judge(s);
}

bool
door_refuses(const struct session *s, const char *recipient)
{
	struct facts f = s->door.facts;
	const struct rule *r;

	if (s->door.open || gate_wants(gate(), PHASE_RCPT, PHASE_MESSAGE) & FACT_BIT(FACT_UNKNOWN_RECIPIENTS))
		return false;
	f.recipient = recipient;
	f.known = (f.known | FACT_BIT(FACT_RECIPIENT)) & ~FACT_BIT(FACT_KNOWN_CORRESPONDENT);
	r = gate_foresee(gate(), PHASE_RCPT, PHASE_RCPT, &f);
	return r != NULL && (f.early_talker || !conf_is_postmaster(session_conf(), recipient));
}

void
door_pass_unknown(struct session *s, door_callback done)
{
	struct doorman *d = &s->door;

	d->done = done;
	d->phase = PHASE_RCPT;
	d->served = d->waiting = d->heard = false;
	d->no_such_user = true;
	if (d->open) {
		door_go_on(s);
		return;
	}
	meters_count(FACT_UNKNOWN_RECIPIENTS, &s->ip);
	door_take_plain_facts(s, PHASE_RCPT);
	judge(s);
}

/* The wait is over. */
static void
has_waited(struct session *s)
{
	struct doorman *d = &s->door;

	d->waiting = false;
	d->served = true;
	d->waited = (uint16_t)(d->waited + d->rule->seconds);
	if (d->rule->action == ACTION_TARPIT)
		door_tell(s, d->rule, "waited", d->rule->seconds);
	if (d->rule->else_greylist) {
		d->caller_stayed = d->caller_passed = true;
		ledger_caller_stayed(&s->ip);
	}
	if (d->phase == PHASE_GREETING) {
		d->facts.known |= FACT_BIT(FACT_EARLY_TALKER);
		if (!d->facts.early_talker && d->rule->seconds > 0)
			ledger_caller_passed(&s->ip, (uint16_t)d->rule->number, (uint16_t)d->rule->place.line, d->rule->seconds);
	}
	judge(s);
}

void
door_timer(struct session *s)
{
	struct doorman *d = &s->door;

	if (d->later != 0)
		door_ask_now(s);
	else if (d->waiting)
		has_waited(s);
}

void
door_early(struct session *s)
{
	uint64_t ms;

	if (s->door.facts.early_talker)
		return;
	s->door.facts.early_talker = true;
	s->door.facts.known |= FACT_BIT(FACT_EARLY_TALKER);
	ms = clock_ms() - s->door.since_ms;
	if (s->door.later != 0) {
		door_ask_now(s);
	} else if (has_said_enough(s)) {
		s->door.waiting = false;
		judge(s);
	}
	if (s->fd >= 0 && s->state == STATE_DOOR) /* else the verdict says it */
		log_info("gate.early_talker", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
		    F_U64("ms", ms));
}

/* Whoever leaves before a tarpit that has a greylist behind it has begun left it as well: it takes its judgement to know. */
bool
door_left(const struct session *s)
{
	unsigned i;

	for (i = 0; i < gate()->n && !s->door.open && !s->door.waiting; i++)
		if (gate()->rules[i].else_greylist)
			return false;
	return s->door.waiting || s->in.len == 0;
}

static void
on_greeting(struct session *s, const struct door_answer *a)
{
	if (a->code == 0)
		session_greet(s, 0, NULL, NULL);
	else /* RFC 5321 3.1: 554 in the banner's place; 421 and 450 when it is for now */
		session_greet(s, a->code == 550 ? 554 : a->code, a->status, a->text);
	if (a->close)
		session_finish(s, "gate");
}

static void
on_connect_judged(struct session *s, const struct door_answer *a)
{
	if (a->code != 0) {
		on_greeting(s, a);
		return;
	}
	/* only now, so that nobody asks the world about friends */
	if (!s->door.open)
		door_ask_ahead(s, gate_wants(gate(), PHASE_CONNECT, PHASE_MESSAGE) & DOOR_LISTS);
	door_pass(s, PHASE_GREETING, on_greeting);
}

void
door_open(struct session *s)
{
	struct doorman *d = &s->door;
	uint32_t wants;

	d->since_ms = clock_ms();
	d->learned = judge;
	door_take_caller(s);
	/* where only our own may send, whoever is no one of them gets no further than MAIL */
	d->open = (s->relay_client || s->login != NULL || s->listener->submission) && !s->listener->gate;
	if (!d->open) {
		wants = gate_wants(gate(), PHASE_CONNECT, PHASE_RCPT);
		if (gate()->n > 0)
			wants |= DOOR_CALLER; /* whoever passed lately does not wait again; the operator may have denied him */
		door_ask_ahead(s, wants & (DOOR_RDNS | DOOR_CALLER));
	}
	session_wait(s);
	door_pass(s, PHASE_CONNECT, on_connect_judged);
}

static void
nobody_waits_for_it(const struct grey_answer *g, void *arg)
{
	(void)g;
	(void)arg;
}

/* Whoever hangs up while he is kept waiting was stopped by that rule.  If it has a greylist behind it, and no other rule would have
 * decided, this was the first try that the greylist saw: he comes back once, as every other who is greylisted. */
static void
note_hung_up(struct session *s)
{
	struct doorman *d = &s->door;
	struct grey_ask ask;

	door_tell(s, d->rule, DOOR_HUNG_UP, (uint32_t)((clock_ms() - d->since_ms) / 1000));
	if (d->rule->else_greylist)
		ledger_caller_left(&s->ip);
	if (d->phase != PHASE_RCPT || d->facts.recipient == NULL || d->no_such_user)
		return;
	grey_ask_make(&ask, d->rule, &d->facts);
	ledger_hung_up(&ask.question);
	if (d->rule->else_greylist && d->undecided)
		(void)ledger_ask_grey(&ask.question, nobody_waits_for_it, NULL);
	grey_ask_clear(&ask);
}

void
door_close(struct session *s)
{
	struct doorman *d = &s->door;

	if (d->waiting && s->state != STATE_CLOSING)
		note_hung_up(s);
	door_forget(s);
	if (d->grey != NULL)
		ledger_cancel(d->grey);
	*d = (struct doorman){ .since_ms = d->since_ms };
}

void
door_let_in(struct session *s)
{
	const struct facts *f = &s->door.facts;
	char *evidence, *who;
	struct gate_event e;

	if (s->door.open)
		return;
	evidence = door_evidence(s);
	who = door_identity(s);
	e = (struct gate_event){ .session = s->id, .time = clock_now(), .client = s->ip, .name = f->name,
		.helo = s->helo, .sender = s->tx->env->sender,
		.recipient = s->tx->env->recipients_n > 0 ? s->tx->env->recipients[0].address : NULL,
		.identity = who, .action = ACTION_COUNT, .phase = PHASE_MESSAGE, .waited = s->door.grey_waited, .evidence = evidence };
	ledger_record(&e);
	free(evidence);
	free(who);
}
