/*
 * What the gate's rules ask for, found out for one caller (doorman_facts.h).
 *
 * Each fact comes from the session itself or from somebody who is asked: DNS, the ledger.  Whatever fails to answer is a
 * fact that is known to have failed: no rule matches it, nobody is refused for it.  Answers come from the loop, never from
 * inside the call that asks; then the doorman judges again.
 *
 * Nobody is asked in the first moment of a caller who will be kept waiting: the pause still hides the time that answers
 * take, and whoever talks at once and is refused for it has cost nobody a question.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/conf.h"
#include "filters/dnsbl_ask.h"
#include "filters/helo.h"
#include "filters/rdns.h"
#include "filters/s25r.h"
#include "filters/sender_domain.h"
#include "filters/spf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "smtpd/census.h"
#include "smtpd/doorman_facts.h"
#include "smtpd/health.h"
#include "smtpd/meters.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* Programs that talk at once have done so by then. */
#define MOMENT_MS 50

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
	s->door.caller_stayed = c->stayed;
	s->door.caller_left = c->left;
	s->door.mail_words = c->mail_words;
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

/* When it is our own DNS that fails, it fails for everybody. */
static void
log_temperror(const struct session *s, const char *why)
{
	static struct log_pace pace;
	uint64_t held = 0;

	if (!health_dns_is_broken() || log_may_tell(&pace, &held))
		log_notice("dns.temperror", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
		    F_STR("why", why), F_U64("others", held));
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
		log_temperror(s, r->why);
	/* the operator may have said something about this name: the ledger is asked again before he is believed a stranger */
	if (r->name != NULL && (d->facts.known | d->asked) & DOOR_CALLER)
		ask_caller(s);
	health_note_dns(&s->ip, r->status == RDNS_TEMPERROR, r->outage);
	/* "temperror" is an answer to `rdns`, unless it is our own fault; to `s25r` it is none */
	if (r->status == RDNS_TEMPERROR)
		d->facts.failed |= health_dns_is_broken() ? DOOR_RDNS : FACT_BIT(FACT_S25R);
	learned(s, DOOR_RDNS, false);
}

/* Every list's answer may be the one that decides. */
static void
on_dnsbl(const struct dnsbl_answers *answers, bool last, void *arg)
{
	struct session *s = arg;

	s->door.facts.dnsbl = *answers;
	if (last)
		s->door.dnsbl = NULL;
	learned(s, last ? DOOR_LISTS : 0, false);
}

static void
ask_lists(struct session *s)
{
	struct dnsbl_ask what = { .set = session_conf()->gate.lists, .questions = health_lists(),
		.observe = health_note_list, .done = on_dnsbl, .arg = s };

	s->door.asked |= DOOR_LISTS;
	s->door.lists_due = !health_lists_proven();
	if (!s->door.lists_due)
		s->door.dnsbl = dnsbl_ask(&what, &s->ip);
}

void
door_lists_proven(struct session *s)
{
	if (s->door.lists_due)
		ask_lists(s);
}

static void
on_helo(bool resolves, bool failed, void *arg)
{
	struct session *s = arg;

	s->door.helo_query = NULL;
	s->door.facts.helo_resolves = resolves;
	learned(s, FACT_BIT(FACT_HELO_RESOLVES), failed);
}

/* "temperror" is an answer here, unless it is our own fault. */
static void
on_sender_domain(enum sender_domain result, void *arg)
{
	struct session *s = arg;

	s->door.sender_domain = NULL;
	s->door.facts.sender_domain = result;
	learned(s, FACT_BIT(FACT_SENDER_DOMAIN), result == SENDER_DOMAIN_TEMPERROR && health_dns_is_broken());
}

/* "temperror" is an answer here, too, except while nobody is there to be asked. */
static void
on_spf(const struct spf_answer *a, void *arg)
{
	struct session *s = arg;
	struct doorman *d = &s->door;

	d->spf = NULL;
	d->facts.spf = a->result;
	d->facts.spf_blanket = a->blanket;
	if (a->result == AUTH_PASS && !a->blanket)
		d->spf_domain = xstrdup(a->domain);
	if (a->explanation != NULL)
		d->spf_words = xstrdup(a->explanation);
	d->facts.spf_domain = d->spf_domain;
	log_info("spf", F_STR("session", id_text(s->id).s), F_STR("result", auth_result_name(a->result)),
	    F_STR("domain", a->domain), F_STR("why", a->why));
	learned(s, FACT_BIT(FACT_SPF), a->result == AUTH_TEMPERROR && health_dns_is_broken());
}

static void
ask_spf(struct session *s)
{
	struct spf_question q = { .client = s->ip, .sender = s->door.facts.sender, .helo = s->door.facts.helo,
		.host = session_conf()->host };

	s->door.asked |= FACT_BIT(FACT_SPF);
	s->door.spf = spf_ask(&q, on_spf, s);
}

static void
forget_spf(struct doorman *d)
{
	if (d->spf != NULL)
		spf_cancel(d->spf);
	d->spf = NULL;
	free(d->spf_domain);
	free(d->spf_words);
	d->spf_domain = d->spf_words = NULL;
	d->facts.spf_domain = NULL;
	d->facts.spf = AUTH_NONE;
	d->facts.spf_blanket = false;
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
static void
put_questions(struct session *s, uint32_t mine)
{
	struct doorman *d = &s->door;
	struct facts *f = &d->facts;

	if (mine & DOOR_RDNS) {
		d->asked |= DOOR_RDNS;
		d->rdns = rdns_ask(&s->ip, on_rdns, s);
	}
	if (mine & DOOR_CALLER)
		ask_caller(s);
	if ((mine & DOOR_LISTS) && session_conf()->gate.lists != NULL)
		ask_lists(s);
	if ((mine & FACT_BIT(FACT_HELO_RESOLVES)) && f->helo != NULL) {
		d->asked |= FACT_BIT(FACT_HELO_RESOLVES);
		d->helo_query = helo_ask(f->helo, &s->ip, on_helo, s);
	}
	if ((mine & FACT_BIT(FACT_SENDER_DOMAIN)) && f->sender != NULL) {
		d->asked |= FACT_BIT(FACT_SENDER_DOMAIN);
		d->sender_domain = sender_domain_ask(f->sender, on_sender_domain, s);
	}
	if ((mine & FACT_BIT(FACT_SPF)) && f->sender != NULL)
		ask_spf(s);
	if ((mine & FACT_BIT(FACT_KNOWN_CORRESPONDENT)) && f->sender != NULL && f->recipient != NULL) {
		d->asked |= FACT_BIT(FACT_KNOWN_CORRESPONDENT);
		d->correspondent = ledger_ask_correspondent(f->sender, f->recipient, on_correspondent, s);
	}
	mine &= ~d->asked;
	f->known |= mine;
	f->failed |= mine;
}

/* One of the pauses may be his. */
static bool
may_be_kept(const struct session *s)
{
	const struct gate *gate = &session_conf()->gate;
	uint32_t missing = 0;
	unsigned i;

	for (i = 0; i < gate->n; i++) {
		const struct rule *r = &gate->rules[i];

		if (r->action == ACTION_PAUSE && !r->observe && condition_eval(r->when, &s->door.facts, &missing) != 0)
			return true;
	}
	return false;
}

/* He rang just now, has said nothing, and may be kept waiting anyway. */
static bool
in_first_moment(const struct session *s)
{
	return s->door.phase <= PHASE_GREETING && !s->door.rung && !s->door.facts.early_talker && may_be_kept(s);
}

void
door_ask(struct session *s, uint32_t missing)
{
	struct doorman *d = &s->door;
	uint32_t mine = missing & ~d->facts.known & ~d->asked;

	if (mine == 0)
		return;
	if (d->later == 0 && !in_first_moment(s)) {
		put_questions(s, mine);
		return;
	}
	if (d->later == 0)
		session_set_timer(s, MOMENT_MS);
	d->asked |= mine;
	d->later |= mine;
}

void
door_ask_ahead(struct session *s, uint32_t facts)
{
	struct doorman *d = &s->door;

	if (gate_foresee(&session_conf()->gate, (enum phase)d->phase, PHASE_RCPT, &d->facts) == NULL)
		door_ask(s, facts);
}

void
door_ask_now(struct session *s)
{
	struct doorman *d = &s->door;
	uint32_t facts = d->later;

	d->rung = true;
	d->later = 0;
	d->asked &= ~facts;
	door_ask_ahead(s, facts);
	d->learned(s);
}

/* The client calls itself by our name, by that of a domain of ours, or by the address that it reached us at. */
static bool
is_own_name(const struct session *s, const char *helo)
{
	struct ip claimed;

	if (conf_is_ours(session_conf(), helo))
		return true;
	return (ip_parse_literal(helo, strlen(helo), &claimed) || ip_parse(helo, &claimed)) && session_reached(s, &claimed);
}

static void
forget_facts(struct session *s, uint32_t facts)
{
	struct doorman *d = &s->door;

	d->facts.known &= ~facts;
	d->facts.failed &= ~facts;
	d->asked &= ~facts;
}

static void
take_helo(struct session *s)
{
	struct doorman *d = &s->door;

	if (d->helo_query != NULL)
		helo_cancel(d->helo_query);
	d->helo_query = NULL;
	forget_facts(s, FACT_BIT(FACT_HELO_RESOLVES));
	d->facts.helo = s->helo;
	d->facts.helo_own = is_own_name(s, s->helo);
	d->facts.known |= FACT_BIT(FACT_HELO);
}

/* At MAIL, and when a transaction was given up. */
static void
take_sender(struct session *s)
{
	struct doorman *d = &s->door;

	if (d->sender_domain != NULL)
		sender_domain_cancel(d->sender_domain);
	d->sender_domain = NULL;
	forget_spf(d);
	forget_facts(s, FACT_BIT(FACT_SENDER) | FACT_BIT(FACT_SENDER_DOMAIN) | FACT_BIT(FACT_SPF));
	d->facts.sender = s->tx != NULL ? s->tx->env->sender : NULL;
	if (d->facts.sender != NULL)
		d->facts.known |= FACT_BIT(FACT_SENDER);
}

void
door_take_caller(struct session *s)
{
	struct facts *f = &s->door.facts;
	struct census_count count = census_look(&s->ip);
	time_t now = (time_t)clock_now();
	struct tm tm;

	f->client = s->ip;
	f->connections = count.address;
	f->network_connections = count.network;
	if (localtime_r(&now, &tm) != NULL)
		f->minute = (uint16_t)(tm.tm_hour * 60 + tm.tm_min);
	meters_count(FACT_RATE, &s->ip);
	meters_read(FACT_RATE, &s->ip, f->meters);
	f->known |= DOOR_PLAIN;
}

void
door_take_plain_facts(struct session *s, enum phase phase)
{
	struct facts *f = &s->door.facts;
	const struct transaction *tx = s->tx;

	if (phase == PHASE_HELO)
		take_helo(s);
	if (phase == PHASE_HELO || phase == PHASE_MAIL)
		take_sender(s);
	meters_read(FACT_UNKNOWN_RECIPIENTS, &s->ip, f->meters);
	f->recipient = phase == PHASE_RCPT && tx != NULL ? tx->recipient : NULL;
	if (phase == PHASE_RCPT)
		f->known |= FACT_BIT(FACT_RECIPIENT);
	if (phase == PHASE_RCPT) /* these are anew for each recipient */
		f->known &= ~FACT_BIT(FACT_KNOWN_CORRESPONDENT), f->failed &= ~FACT_BIT(FACT_KNOWN_CORRESPONDENT);
	if (phase >= PHASE_DATA) {
		f->pipelining = s->early_data;
		f->known |= FACT_BIT(FACT_PIPELINING);
	}
	if (phase == PHASE_MESSAGE && tx != NULL) {
		f->size = tx->found.size;
		f->known |= FACT_BIT(FACT_SIZE);
	}
	f->authenticated = s->login != NULL;
	f->tls = s->tls != NULL;
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
	if (d->dnsbl != NULL)
		dnsbl_cancel(d->dnsbl);
	if (d->helo_query != NULL)
		helo_cancel(d->helo_query);
	if (d->sender_domain != NULL)
		sender_domain_cancel(d->sender_domain);
	if (d->caller != NULL)
		ledger_cancel(d->caller);
	if (d->correspondent != NULL)
		ledger_cancel(d->correspondent);
	d->rdns = NULL;
	d->dnsbl = NULL;
	d->helo_query = NULL;
	d->sender_domain = NULL;
	d->caller = d->correspondent = NULL;
	forget_spf(d);
	free(d->name);
	free(d->claimed);
	d->name = d->claimed = NULL;
	d->facts.name = d->facts.claimed = NULL;
}

/* --- evidence --- */

/* "dnsbl=zen.example.net,other.example": where he is listed, whatever the rules make of it. */
static void
add_listings(struct buf *b, const struct dnsbl_answers *answers)
{
	const struct dnsbl_set *set = session_conf()->gate.lists;
	const char *before = " dnsbl=";
	unsigned i;

	for (i = 0; set != NULL && i < set->n; i++) {
		if (!(answers->listed & DNSBL_BIT(i)))
			continue;
		buf_addf(b, "%s%s", before, set->listings[i].text);
		before = ",";
	}
}

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
	add_listings(&b, &f->dnsbl);
	if (f->known & ~f->failed & FACT_BIT(FACT_SPF))
		buf_addf(&b, " spf=%s%s", auth_result_name(f->spf), f->spf_blanket ? " blanket" : "");
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
