/*
 * What the doorman says (doorman_answer.h).
 *
 * Every rule that did something leaves one line in the log and one event for the ledger, with the evidence; every refusal
 * has the rule's words, or the action's, and by what to find the decision in the log.  A ledger that gives no answer lets
 * in, but for a tempfail that nobody has spoken against.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "filters/gate.h"
#include "filters/gate_reply.h"
#include "filters/grey_ask.h"
#include "filters/identity.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "smtpd/doorman.h"
#include "smtpd/doorman_answer.h"
#include "smtpd/doorman_facts.h"
#include "smtpd/session.h"

/* --- what is told --- */

char *
door_identity(const struct session *s)
{
	const struct facts *f = &s->door.facts;

	return identity_of(&f->client, f->name, f->spf == AUTH_PASS ? f->spf_domain : NULL);
}

/* One line in the log and one entry in the ledger for each thing that a rule did, or would have done; ACTION is the rule's,
 * or its alternative. */
static void
tell_action(struct session *s, const struct rule *r, enum action action, const char *what, uint32_t waited)
{
	const struct facts *f = &s->door.facts;
	char *evidence = door_evidence(s), *who = door_identity(s), tag[32];
	struct gate_event e = { .session = s->id, .time = clock_now(), .client = s->ip, .name = f->name, .helo = s->helo,
		.sender = f->sender, .recipient = f->recipient, .identity = who, .rule = (uint16_t)r->number,
		.line = (uint16_t)r->place.line, .action = action, .phase = s->door.phase, .observe = r->observe,
		.left = strcmp(what, DOOR_HUNG_UP) == 0, .waited = waited, .evidence = evidence };

	rule_tag(r, tag, sizeof(tag));
	log_info("gate.verdict", F_STR("session", id_text(s->id).s), F_STR("rule", tag), F_U64("line", r->place.line),
	    F_STR("phase", phase_name(s->door.phase)), F_STR("client", ip_text(&s->ip).s), F_STR("helo", s->helo),
	    F_STR("from", f->sender), F_STR("to", f->recipient), F_STR("what", what), F_U64("waited", waited),
	    F_U64("ms", clock_ms() - s->door.since_ms), F_STR("evidence", evidence), F_BOOL("observe", r->observe));
	ledger_record(&e);
	free(evidence);
	free(who);
}

void
door_tell(struct session *s, const struct rule *r, const char *what, uint32_t waited)
{
	tell_action(s, r, r->action, what, waited);
}

void
door_tell_each(struct session *s, uint64_t rules, const char *what)
{
	const struct gate *gate = &session_conf()->gate;
	unsigned i;

	for (i = 0; i < gate->n && i < 64; i++)
		if (rules & (UINT64_C(1) << i))
			door_tell(s, &gate->rules[i], what, 0);
}

/* --- answers --- */

static void
answer(struct session *s, int code, const char *status, const char *text, bool close)
{
	struct door_answer a = { code, status, text, close };
	door_callback done = s->door.done;

	s->door.done = NULL;
	if (done != NULL)
		done(s, &a);
}

void
door_go_on(struct session *s)
{
	answer(s, 0, NULL, NULL, false);
}

/* The rule's words, or the action's, and by what to find the decision in the log. */
static char *
reply_text(struct session *s, const struct rule *r, const char *text, unsigned minutes)
{
	char *words_sent = gate_reply(r->text != NULL ? r->text : text, &s->door.facts, minutes), *line;
	char tag[32];

	rule_tag(r, tag, sizeof(tag));
	line = xasprintf("%s (%s %s)", words_sent, tag, id_text(s->id).s);
	free(words_sent);
	return line;
}

static void
answer_refusal(struct session *s, const struct rule *r)
{
	enum action action = rule_is_softened(r, &s->door.facts) ? ACTION_TEMPFAIL : r->action;
	const struct gate_refusal *refusal = gate_refusal(action);
	/* RFC 7208 8.4: not our words, and said to be so */
	const char *theirs = rule_asks(r, FACT_SPF) ? s->door.spf_words : NULL;
	char *ours = reply_text(s, r, refusal->text, 0);
	char *text = xasprintf("%s%s%s", ours, theirs != NULL ? "; the sender's domain explains: " : "",
	    theirs != NULL ? theirs : "");

	free(ours);
	door_tell(s, r, text, 0);
	answer(s, refusal->code, gate_status(r, action), text, refusal->close);
	free(text);
}

/* Rounded up to whole minutes: the sender's administrator reads it, and a spammer learns nothing exact. */
static char *
grey_text(struct session *s, const struct rule *r, const struct grey_answer *g)
{
	unsigned minutes = (g->left + 59) / 60;

	return reply_text(s, r, gate_grey_text(minutes), minutes);
}

/* A tempfail rule asked, and nobody has spoken for the caller. */
static bool
is_put_off(const struct rule *r, enum grey_state state)
{
	return r->action == ACTION_TEMPFAIL && (state == GREY_NEW || state == GREY_EARLY || state == GREY_UNKNOWN);
}

static void
on_grey(const struct grey_answer *g, void *arg)
{
	struct session *s = arg;
	const struct rule *r = s->door.rule;
	char *text;

	s->door.grey = NULL;
	if (is_put_off(r, g->state)) {
		answer_refusal(s, r);
		return;
	}
	log_info(r->action == ACTION_TEMPFAIL ? "rescue" : "greylist", F_STR("session", id_text(s->id).s),
	    F_STR("state", grey_state_name(g->state)), F_STR("from", s->door.facts.sender),
	    F_STR("to", s->door.facts.recipient), F_U64("left", g->left), F_U64("waited", g->waited));
	switch (g->state) {
	case GREY_NEW:
	case GREY_EARLY:
		text = grey_text(s, r, g);
		tell_action(s, r, ACTION_GREYLIST, text, g->left);
		answer(s, 450, "4.7.1", text, false);
		free(text);
		break;
	case GREY_DENIED:
		door_tell(s, r, "denied by the operator", 0);
		answer(s, 550, "5.7.1", "refused by the operator of this server", false);
		break;
	default:
		if (g->first_pass)
			s->door.grey_waited = g->waited;
		door_go_on(s);
	}
}

void
door_ask_greylist(struct session *s, const struct rule *r)
{
	struct grey_ask ask;

	grey_ask_make(&ask, r, &s->door.facts);
	s->door.rule = r;
	s->door.grey = ledger_ask_grey(&ask.question, on_grey, s);
	grey_ask_clear(&ask);
}

void
door_act(struct session *s, const struct rule *r)
{
	switch (r->action) {
	case ACTION_PASS:
		door_tell(s, r, "passed", 0);
		door_go_on(s);
		break;
	case ACTION_TRUST:
		door_tell(s, r, "trusted", 0);
		s->door.open = true;
		door_go_on(s);
		break;
	case ACTION_GREYLIST:
		door_ask_greylist(s, r);
		break;
	case ACTION_TEMPFAIL:
		/* the ledger knows mail by its recipient, and whoever comes back with it */
		if (s->door.phase == PHASE_RCPT)
			door_ask_greylist(s, r);
		else
			answer_refusal(s, r);
		break;
	default:
		answer_refusal(s, r);
	}
}

void
door_refuse_denied(struct session *s)
{
	log_info("gate.denied", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("from", s->door.facts.sender), F_STR("to", s->door.facts.recipient));
	answer(s, 550, "5.7.1", "refused by the operator of this server", false);
}
