/*
 * Judging and counting the attempts of an old log (replay.h).
 *
 * What the old server accepted is taken for wanted mail, what it refused and never accepted for the
 * rest.  A triplet that it accepted at once does not come again in its log, though it would have for us:
 * so whoever we greylist there is taken as come back when the delay was over, and is counted among
 * those of whom the log cannot tell how long they would have waited.  A triplet that the old server put
 * off itself is in the log with its real retries, and those are measured.
 *
 * Millions of attempts: a mail is known here by a hash of its triplet and a few numbers.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "filters/grey_ask.h"
#include "filters/identity.h"
#include "filters/rhythm.h"
#include "lib/dict.h"
#include "lib/mem.h"
#include "lib/table.h"
#include "smtpctl/replay.h"

struct mail {
	int64_t held; /* when the greylist first held it, in this round; 0: it does not */
	uint32_t refused[REPLAY_OUTCOMES]; /* what we would have said when the old server refused */
	uint16_t rule;
	bool accepted;
	struct replay_identity *identity;
};

/* Attempts of an address in the present and the last period of a meter. */
struct rate {
	int64_t start;
	uint32_t now, before;
};

void
replay_init(struct replay *r, const struct conf *conf)
{
	*r = (struct replay){ .conf = conf };
	r->memory = trial_memory_new();
	r->rules = xcalloc(conf->gate.n + 1, sizeof(*r->rules));
	r->mails = dict_new(sizeof(struct mail));
	r->identities = dict_new(sizeof(struct replay_identity));
	r->rates = dict_new(sizeof(struct rate));
}

void
replay_clear(struct replay *r)
{
	trial_memory_free(r->memory);
	free(r->rules);
	dict_free(r->mails);
	dict_free(r->identities);
	dict_free(r->rates);
}

/* --- facts --- */

static void
take_name(struct replay *r, struct facts *f, const struct attempt *a, const struct replay_name *asked)
{
	f->known |= FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R);
	if (asked != NULL) {
		f->rdns = asked->status;
		f->name = asked->name;
		if (f->rdns == RDNS_TEMPERROR)
			f->failed |= FACT_BIT(FACT_S25R);
		return;
	}
	switch (a->name_is) {
	case LOG_NAME_UNTOLD:
		r->untold++;
		f->known &= ~(FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R));
		break;
	case LOG_NAME_NONE:
		f->rdns = RDNS_NONE;
		break;
	case LOG_NAME_FORGED:
		r->forged++;
		f->rdns = RDNS_MISMATCH;
		f->claimed = a->name;
		break;
	case LOG_NAME_UNVERIFIED:
		r->unverified++;
		/* FALLTHROUGH */
	case LOG_NAME_VERIFIED:
		f->rdns = RDNS_PASS;
		f->name = a->name;
		break;
	}
}

static uint32_t
rate_of(struct replay *r, unsigned meter, const struct ip *client, int64_t now)
{
	const struct gate_meter *m = &r->conf->gate.meters[meter];
	uint8_t bits = client->family == AF_INET6 ? (m->network ? 64 : 128) : (m->network ? 24 : 32);
	struct ipnet net = ip_network(client, bits);
	uint8_t key[18] = { (uint8_t)meter, net.bits };
	struct rate *rate;
	int64_t gone;

	memcpy(key + 2, net.ip.bytes, 16);
	rate = dict_put(r->rates, key, sizeof(key));
	gone = now - rate->start;
	if (gone >= m->period) {
		rate->before = gone < 2 * (int64_t)m->period ? rate->now : 0;
		rate->now = 0;
		rate->start = now - gone % m->period;
		gone = now - rate->start;
	}
	rate->now++;
	/* the last period counts as far as it still lies in the one that ends now */
	return rate->now + (uint32_t)(rate->before * (uint64_t)(m->period - (gone > 0 ? gone : 0)) / m->period);
}

static struct facts
facts_of(struct replay *r, const struct attempt *a, const struct replay_name *asked)
{
	struct facts f = { .client = a->client, .helo = a->helo, .sender = a->sender, .recipient = a->recipient,
		.early_talker = a->early };
	const struct gate *gate = &r->conf->gate;
	unsigned i;

	f.known = FACT_BIT(FACT_CLIENT) | FACT_BIT(FACT_TIME) | FACT_BIT(FACT_EARLY_TALKER) |
	    FACT_BIT(FACT_RECIPIENT) | FACT_BIT(FACT_AUTHENTICATED) | FACT_BIT(FACT_KNOWN_CORRESPONDENT);
	if (a->helo != NULL)
		f.known |= FACT_BIT(FACT_HELO);
	if (a->sender != NULL)
		f.known |= FACT_BIT(FACT_SENDER);
	f.minute = (uint16_t)(a->time % 86400 / 60);
	take_name(r, &f, a, asked);
	for (i = 0; i < gate->meters_n; i++)
		if (gate->meters[i].fact == FACT_RATE) {
			f.meters[i] = rate_of(r, i, &a->client, a->time);
			f.known |= FACT_BIT(FACT_RATE);
		}
	if (gate->lists == NULL)
		f.known |= FACT_BIT(FACT_DNSBL) | FACT_BIT(FACT_DNSWL);
	return f;
}

/* --- judging --- */

struct verdict {
	enum replay_outcome outcome;
	const struct rule *rule; /* that decided; or NULL */
	struct grey_answer grey;
	char *identity; /* the greylist's, or NULL; the caller frees */
};

static void
note_step(struct replay *r, const struct trial_step *step)
{
	unsigned i;

	if (step->wait != NULL)
		r->rules[step->wait->number - 1].waits++;
	for (i = 0; step->result.observed != 0 && i < r->conf->gate.n && i < GATE_BITS; i++)
		if (step->result.observed & (UINT64_C(1) << i))
			r->rules[i].observed++;
}

static enum replay_outcome
outcome_of(const struct trial_step *step)
{
	if (step->code == 0)
		return REPLAY_IN;
	if (step->action == ACTION_GREYLIST || (step->verdict != NULL && step->verdict->rescue != 0))
		return REPLAY_WAITS;
	return step->action == ACTION_TEMPFAIL ? REPLAY_PUT_OFF : REPLAY_REFUSED;
}

static void
judge(struct replay *r, struct trial *t, struct verdict *v)
{
	struct trial_step step = { .identity = NULL };
	enum phase phase;

	*v = (struct verdict){ .outcome = REPLAY_IN };
	trial_begin(t);
	for (phase = PHASE_CONNECT; phase <= PHASE_RCPT && v->outcome == REPLAY_IN; phase++) {
		trial_pass(t, phase, &step);
		note_step(r, &step);
		v->outcome = outcome_of(&step);
		if (step.verdict != NULL)
			v->rule = step.verdict;
		if (step.identity != NULL) {
			free(v->identity);
			v->identity = step.identity;
			v->grey = step.grey;
		}
	}
	r->missing |= t->missing;
}

/* --- counting --- */

static uint64_t
add_hash(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)tolower((unsigned char)*s)) * 1099511628211u;
	return (h ^ 0xff) * 1099511628211u;
}

static struct mail *
mail_of(struct replay *r, const char *identity, const struct attempt *a)
{
	char *sender = identity_sender(a->sender != NULL ? a->sender : "?");
	uint64_t key = add_hash(add_hash(add_hash(14695981039346656037u, identity), sender), a->recipient);

	free(sender);
	return dict_put(r->mails, &key, sizeof(key));
}

static struct replay_identity *
identity_entry(struct replay *r, const char *identity, const struct attempt *a)
{
	struct replay_identity *id = dict_put(r->identities, identity, strlen(identity) + 1);

	if (id->example[0] == '\0')
		snprintf(id->example, sizeof(id->example), "%s, <%s>",
		    a->name != NULL ? a->name : ip_text(&a->client).s, a->sender != NULL ? a->sender : "?");
	return id;
}

/* Held, and the old server took it: it would have come again for us. */
static void
assume_return(struct replay *r, const struct trial *t, const struct verdict *v)
{
	struct grey_ask ask;
	uint32_t least;

	grey_ask_make(&ask, v->rule, &t->facts);
	if (ask.question.tempfail)
		trial_rescued(r->memory, &ask.question, t->now + RHYTHM_SPREAD);
	else
		trial_grey_returns(r->memory, &ask.question, t->now + v->grey.left);
	least = ask.question.tempfail ? RHYTHM_SPREAD : ask.question.delay;
	if (least > r->least_wait)
		r->least_wait = least;
	grey_ask_clear(&ask);
}

static void
count_accepted(struct replay *r, const struct trial *t, const struct attempt *a, const struct verdict *v, struct mail *m)
{
	r->accepted[v->outcome]++;
	m->identity->accepted[v->outcome]++;
	m->accepted = true;
	if (v->outcome == REPLAY_IN && m->held != 0) {
		r->after_waiting++;
		report_waits_add(&r->waits, (uint32_t)(a->time > m->held ? a->time - m->held : 0));
		m->held = 0;
	} else if (v->outcome == REPLAY_WAITS) {
		assume_return(r, t, v);
		m->held = 0;
	}
}

/* Whom the greylist lets pass is not counted with its rule: it did nothing to him. */
static void
count_rule(struct replay *r, const struct attempt *a, const struct verdict *v)
{
	if (v->rule == NULL ||
	    (v->outcome == REPLAY_IN && (v->rule->action == ACTION_GREYLIST || v->rule->rescue != 0)))
		return;
	if (a->accepted)
		r->rules[v->rule->number - 1].accepted++;
	else
		r->rules[v->rule->number - 1].refused++;
}

static void
count(struct replay *r, const struct trial *t, const struct attempt *a, struct verdict *v)
{
	char *identity = v->identity != NULL ? v->identity : identity_of(&a->client, t->facts.name, NULL);
	struct mail *m = mail_of(r, identity, a);

	m->identity = identity_entry(r, identity, a);
	if (v->outcome != REPLAY_IN && v->rule != NULL)
		m->identity->rule = m->rule = (uint16_t)v->rule->number;
	if (v->outcome == REPLAY_WAITS && m->held == 0)
		m->held = a->time;
	count_rule(r, a, v);
	if (a->accepted)
		count_accepted(r, t, a, v, m);
	else
		m->refused[v->outcome]++;
	free(identity);
	v->identity = NULL;
}

/* Mail of the old server's own users teaches whom they know. */
static bool
is_own(struct replay *r, const struct attempt *a)
{
	if (!a->authenticated && !table_match_client(r->conf->relay_from, &a->client, NULL))
		return false;
	r->own++;
	if (a->sender != NULL && *a->sender != '\0' && a->recipient != NULL && a->accepted)
		trial_wrote(r->memory, a->sender, a->recipient, a->time);
	return true;
}

void
replay_attempt(struct replay *r, const struct attempt *a, const struct replay_name *asked)
{
	struct trial t = { .conf = r->conf, .memory = r->memory, .now = a->time };
	struct verdict v;

	if (r->first == 0 || a->time < r->first)
		r->first = a->time;
	if (a->time > r->last)
		r->last = a->time;
	if (is_own(r, a))
		return;
	r->early += a->early;
	if (a->recipient == NULL || *a->recipient == '\0') {
		r->without_recipient++;
		return;
	}
	r->attempts++;
	t.facts = facts_of(r, a, asked);
	judge(r, &t, &v);
	count(r, &t, a, &v);
}

static void
finish_mail(const void *key, size_t len, void *value, void *arg)
{
	const struct mail *m = value;
	struct replay *r = arg;
	int i;

	(void)key;
	(void)len;
	for (i = 0; i < REPLAY_OUTCOMES; i++) {
		if (m->accepted) {
			r->retries += m->refused[i];
		} else {
			r->refused[i] += m->refused[i];
			m->identity->refused[i] += m->refused[i];
		}
	}
}

void
replay_finish(struct replay *r)
{
	dict_each(r->mails, finish_mail, r);
}
