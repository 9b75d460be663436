/*
 * What the gate's rules ask for, found out for one caller (doorman_facts.h).
 *
 * Each fact comes from the session itself or from somebody who is asked: DNS, the ledger.  Whatever fails to answer is a
 * fact that is known to have failed: no rule matches it, nobody is refused for it.  Answers come from the loop, never from
 * inside the call that asks; then the doorman judges again.
 */
#include <stdlib.h>

#include "filters/rdns.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "smtpd/doorman_facts.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
learned(struct session *s, uint32_t facts, bool failed)
{
	s->door.asked &= ~facts;
	s->door.facts.known |= facts;
	if (failed)
		s->door.facts.failed |= facts;
	s->door.learned(s);
}

static void
on_caller(const struct ledger_caller *c, void *arg)
{
	struct session *s = arg;

	s->door.caller = NULL;
	s->door.caller_passed = c->passed;
	s->door.caller_allowed = c->allowed;
	s->door.caller_denied = c->denied;
	s->door.facts.trapped = c->trapped;
	learned(s, DOOR_CALLER, c->unknown);
}

static void
ask_caller(struct session *s)
{
	if (s->door.caller != NULL)
		ledger_cancel(s->door.caller);
	s->door.asked |= DOOR_CALLER;
	s->door.caller = ledger_ask_caller(&s->ip, s->door.facts.name, on_caller, s);
}

static void
on_rdns(const struct rdns *r, void *arg)
{
	struct session *s = arg;
	struct doorman *d = &s->door;

	d->rdns = NULL;
	d->facts.rdns = r->status;
	free(d->name);
	free(d->claimed);
	d->name = r->name != NULL ? xstrdup(r->name) : NULL;
	d->claimed = r->claimed != NULL ? xstrdup(r->claimed) : NULL;
	d->facts.name = d->name;
	d->facts.claimed = d->claimed;
	if (r->status == RDNS_TEMPERROR)
		log_notice("dns.temperror", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
		    F_STR("why", r->why));
	/* the operator may have said something about this name: the ledger is asked again before he is believed a stranger */
	if (r->name != NULL && (d->facts.known | d->asked) & DOOR_CALLER)
		ask_caller(s);
	/* "temperror" is an answer to `rdns`; to `s25r` it is none */
	if (r->status == RDNS_TEMPERROR)
		d->facts.failed |= FACT_BIT(FACT_S25R);
	learned(s, DOOR_RDNS, false);
}

static void
on_correspondent(bool known, void *arg)
{
	struct session *s = arg;

	s->door.correspondent = NULL;
	s->door.facts.known_correspondent = known;
	learned(s, FACT_BIT(FACT_KNOWN_CORRESPONDENT), false);
}

/* What nobody can answer is known to have failed, at once. */
void
door_ask(struct session *s, uint32_t missing)
{
	struct doorman *d = &s->door;
	struct facts *f = &d->facts;
	uint32_t mine = missing & ~f->known & ~d->asked;

	if (mine & DOOR_RDNS) {
		d->asked |= DOOR_RDNS;
		d->rdns = rdns_ask(&s->ip, on_rdns, s);
	}
	if (mine & DOOR_CALLER)
		ask_caller(s);
	if ((mine & FACT_BIT(FACT_KNOWN_CORRESPONDENT)) && f->sender != NULL && f->recipient != NULL) {
		d->asked |= FACT_BIT(FACT_KNOWN_CORRESPONDENT);
		d->correspondent = ledger_ask_correspondent(f->sender, f->recipient, on_correspondent, s);
	}
	mine &= ~d->asked;
	f->known |= mine;
	f->failed |= mine;
}

void
door_take_plain_facts(struct session *s, enum phase phase)
{
	struct facts *f = &s->door.facts;
	const struct transaction *tx = s->tx;

	if (phase >= PHASE_HELO) {
		f->helo = s->helo;
		f->known |= FACT_BIT(FACT_HELO);
	}
	if (phase >= PHASE_MAIL && tx != NULL) {
		f->sender = tx->env->sender;
		f->known |= FACT_BIT(FACT_SENDER);
	}
	f->recipient = phase == PHASE_RCPT && tx != NULL ? tx->recipient : NULL;
	if (phase == PHASE_RCPT)
		f->known |= FACT_BIT(FACT_RECIPIENT) | FACT_BIT(FACT_UNKNOWN_RECIPIENTS);
	if (phase == PHASE_RCPT) /* these are anew for each recipient */
		f->known &= ~FACT_BIT(FACT_KNOWN_CORRESPONDENT), f->failed &= ~FACT_BIT(FACT_KNOWN_CORRESPONDENT);
	if (phase >= PHASE_DATA) {
		f->pipelining = s->early_data;
		f->known |= FACT_BIT(FACT_PIPELINING);
	}
	if (phase == PHASE_MESSAGE && tx != NULL) {
		f->size = tx->reader.size;
		f->known |= FACT_BIT(FACT_SIZE);
	}
	f->authenticated = s->login != NULL;
}

void
door_set_name(struct session *s, enum rdns_status status, const char *name)
{
	struct doorman *d = &s->door;

	d->name = name != NULL ? xstrdup(name) : NULL;
	d->facts.name = d->name;
	d->facts.rdns = status;
	d->facts.known |= DOOR_RDNS;
	if (status == RDNS_TEMPERROR)
		d->facts.failed |= FACT_BIT(FACT_S25R);
}

void
door_forget(struct session *s)
{
	struct doorman *d = &s->door;

	if (d->rdns != NULL)
		rdns_cancel(d->rdns);
	if (d->caller != NULL)
		ledger_cancel(d->caller);
	if (d->correspondent != NULL)
		ledger_cancel(d->correspondent);
	d->rdns = NULL;
	d->caller = d->correspondent = NULL;
	free(d->name);
	free(d->claimed);
	d->name = d->claimed = NULL;
	d->facts.name = d->facts.claimed = NULL;
}

/* --- evidence --- */

char *
door_evidence(const struct session *s)
{
	const struct facts *f = &s->door.facts;
	struct buf b = { 0 };

	if (f->known & FACT_BIT(FACT_RDNS)) {
		buf_addf(&b, "rdns=%s", rdns_status_name(f->rdns));
		if (f->name != NULL)
			buf_addf(&b, " name=%s", f->name);
		else if (f->claimed != NULL)
			buf_addf(&b, " claimed=%s", f->claimed);
		if (s25r_match(f->name) != S25R_PASS && f->rdns != RDNS_TEMPERROR)
			buf_addf(&b, " s25r=%d%s", s25r_match(f->name),
			    f->name != NULL && s25r_own_address(f->name, &f->client) ? " own-address" : "");
	}
	if (f->early_talker)
		buf_adds(&b, " early-talker");
	if (f->pipelining)
		buf_adds(&b, " pipelining");
	if (s->door.waited > 0)
		buf_addf(&b, " waited=%us", s->door.waited);
	if (s->door.grey_waited > 0)
		buf_addf(&b, " greylisted=%us", s->door.grey_waited);
	return buf_take(&b);
}
