/*
 * smtpctl gate explain: what the gate of the configuration would do with a caller, rule by rule,
 * and what he could do about it.
 *
 * The rules are evaluated by the same code as in a session.  Where a fact was not given, a rule is
 * open, and so is every verdict below it in that phase; the end says which words would settle it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "filters/gate.h"
#include "filters/grey_ask.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/explain.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

struct walk {
	const struct gate *gate;
	struct caller *caller;
	struct output *out;
	enum phase phase;
	bool decided;              /* this phase is */
	const struct rule *open;   /* the first rule of this phase that could not be judged */
	uint32_t missing;          /* FACT_BIT()s that would have been needed, all phases */
	const struct rule *trust;  /* ended the gate */
	const struct rule *refusal; /* tempfail, reject, drop: ended it, too */
	const struct rule *grey;   /* asks the ledger */
	bool uncertain;            /* a rule above the verdict was open */
	const struct rule *wait;   /* the longest of this phase */
	uint32_t waits;            /* seconds of all phases */
};

/* --- facts --- */

static void
tell_fact(struct walk *w, const char *fact, const char *value, const char *more)
{
	struct buf line = { 0 };

	if (options.json) {
		output_record(FIELDS(F_STR("part", "fact"), F_STR("fact", fact),
		    F_STR("value", value), F_STR("why", more)),
		    w->out);
		return;
	}
	buf_addf(&line, "  %-20s %s", fact, value);
	if (more != NULL)
		buf_addf(&line, " (%s)", more);
	output_note(w->out, "%s", buf_str(&line));
	buf_free(&line);
}

static void
tell_s25r(struct walk *w)
{
	const struct facts *f = &w->caller->facts;
	int rule = s25r_match(f->name);
	char text[32];

	if (f->failed & FACT_BIT(FACT_S25R)) {
		tell_fact(w, "s25r", "not known", "DNS gave no answer");
		return;
	}
	snprintf(text, sizeof(text), "rule %d", rule);
	tell_fact(w, "s25r", rule == S25R_PASS ? "pass" : text,
	    rule == 0 ? "no verified name" : rule > 0 ? s25r_expression(rule) : NULL);
	if (f->name != NULL)
		tell_fact(w, "s25r own-address",
		    s25r_own_address(f->name, &f->client) ? "yes" : "no", NULL);
}

static void
tell_rdns(struct walk *w)
{
	const struct caller *c = w->caller;
	const struct facts *f = &c->facts;
	struct buf more = { 0 };

	if (f->name != NULL)
		buf_addf(&more, "%s", f->name);
	else if (f->claimed != NULL)
		buf_addf(&more, "claims %s", f->claimed);
	if (c->rdns_why != NULL)
		buf_addf(&more, "%s%s", more.len > 0 ? "; " : "", c->rdns_why);
	if (c->name_given)
		buf_adds(&more, more.len > 0 ? "; as given" : "as given");
	tell_fact(w, "rdns", rdns_status_name(f->rdns), more.len > 0 ? buf_str(&more) : NULL);
	buf_free(&more);
}

static void
tell_spf(struct walk *w)
{
	const struct caller *c = w->caller;

	if (c->facts.known & FACT_BIT(FACT_SPF))
		tell_fact(w, "spf", auth_result_name(c->facts.spf), c->spf_why);
	else
		tell_fact(w, "spf", "not asked", "from= is not given");
}

/* A yes or no that was given, found, or assumed. */
static void
tell_sign(struct walk *w, enum fact fact, bool value)
{
	tell_fact(w, fact_name(fact), value ? "yes" : "no",
	    w->caller->assumed & FACT_BIT(fact) ? "assumed" : NULL);
}

static void
tell_facts(struct walk *w)
{
	const struct caller *c = w->caller;
	const struct facts *f = &c->facts;
	const char *sender = f->sender != NULL && *f->sender == '\0' ? "<>" : f->sender;

	output_note(w->out, "facts");
	tell_fact(w, "client", ip_text(&f->client).s, NULL);
	tell_rdns(w);
	tell_s25r(w);
	tell_fact(w, "helo", f->helo != NULL ? f->helo : "not given", NULL);
	tell_fact(w, "sender", sender != NULL ? sender : "not given", NULL);
	tell_spf(w);
	tell_fact(w, "recipient", f->recipient != NULL ? f->recipient : "not given", NULL);
	tell_sign(w, FACT_EARLY_TALKER, f->early_talker);
	tell_sign(w, FACT_PIPELINING, f->pipelining);
	tell_sign(w, FACT_TRAPPED, f->trapped);
	tell_sign(w, FACT_KNOWN_CORRESPONDENT, f->known_correspondent);
	if (!c->ledger_asked)
		tell_fact(w, "ledger", "not asked", "no server runs, or it does not answer us");
	else
		tell_fact(w, "ledger",
		    c->denied ? "denied by the operator" :
		    c->allowed ? "allowed by the operator" :
		    c->passed ? "sat through a pause lately" : "knows nothing of the address",
		    NULL);
}

/* --- rules --- */

/* "helo= from=": the words that would give these facts. */
static void
add_words(struct buf *b, uint32_t facts)
{
	unsigned i;

	for (i = 0; i < FACT_COUNT; i++)
		if (facts & FACT_BIT(i))
			buf_addf(b, "%s%s", b->len > 0 ? " " : "", caller_word((enum fact)i));
}

static void
tell_rule(struct walk *w, const struct rule *r, const char *outcome)
{
	struct buf rule = { 0 };

	rule_print(&rule, r);
	if (options.json)
		output_record(FIELDS(F_STR("part", "rule"), F_U64("rule", r->number),
		    F_U64("line", r->place.line), F_STR("phase", phase_name(r->at)),
		    F_STR("text", buf_str(&rule)), F_STR("outcome", outcome)), w->out);
	else
		output_note(w->out, "  %-9s line %-4u %-12s %s", phase_name(r->at), r->place.line,
		    outcome, buf_str(&rule));
	buf_free(&rule);
}

static bool
is_decisive(enum action action)
{
	return action == ACTION_TRUST || action == ACTION_GREYLIST || action == ACTION_TEMPFAIL ||
	    action == ACTION_REJECT || action == ACTION_DROP;
}

/* The rule matches and is not only an observer. */
static const char *
apply(struct walk *w, const struct rule *r)
{
	if (r->action == ACTION_PAUSE && (w->caller->passed || w->caller->allowed))
		return "not again"; /* whoever passed lately does not wait */
	if (r->action == ACTION_PAUSE || r->action == ACTION_TARPIT) {
		if (w->wait == NULL || r->seconds > w->wait->seconds)
			w->wait = r;
		return "waits";
	}
	if (!is_decisive(r->action))
		return "applies";
	w->decided = true;
	w->uncertain = w->uncertain || w->open != NULL;
	if (r->action == ACTION_TRUST)
		w->trust = r;
	else if (r->action == ACTION_GREYLIST)
		w->grey = w->grey == NULL ? r : w->grey;
	else
		w->refusal = r;
	return "decides";
}

static void
judge(struct walk *w, const struct rule *r)
{
	uint32_t missing = 0;
	int outcome;

	if (w->trust != NULL || w->refusal != NULL || w->decided) {
		tell_rule(w, r, "not reached");
		return;
	}
	outcome = condition_eval(r->when, &w->caller->facts, &missing);
	if (outcome < 0) {
		w->missing |= missing;
		if (w->open == NULL && is_decisive(r->action) && !r->observe)
			w->open = r;
		tell_rule(w, r, "open");
	} else if (outcome == 0) {
		tell_rule(w, r, "no");
	} else {
		tell_rule(w, r, r->observe ? "observes" : apply(w, r));
	}
}

static void
walk_phase(struct walk *w, enum phase phase)
{
	unsigned i;

	w->phase = phase;
	w->decided = false;
	w->open = NULL;
	w->wait = NULL;
	for (i = 0; i < w->gate->n; i++)
		if (w->gate->rules[i].at == phase)
			judge(w, &w->gate->rules[i]);
	if (w->wait != NULL)
		w->waits += w->wait->seconds;
	w->uncertain = w->uncertain || w->open != NULL;
}

/* --- the verdict --- */

static void __attribute__((format(printf, 3, 4)))
tell(struct walk *w, const char *part, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	if (options.json)
		output_record(FIELDS(F_STR("part", part), F_STR("text", text)), w->out);
	else
		output_note(w->out, "%s: %s", part, text);
	free(text);
}

/* What a caller can do about a fact, or the operator for him. */
static const char *const advice[FACT_COUNT] = {
	[FACT_CLIENT] = "call from another address, or be taken into the table",
	[FACT_RDNS] = "a PTR name that leads back to the address",
	[FACT_S25R] = "a host name that no S25R rule matches",
	[FACT_TRAPPED] = "the trap to run out, or: smtpctl grey forget client=",
	[FACT_EARLY_TALKER] = "wait for the banner before talking",
	[FACT_HELO] = "another name in HELO",
	[FACT_SENDER] = "another sender",
	[FACT_SPF] = "an SPF record of the sender's domain that permits the address",
	[FACT_RECIPIENT] = "another recipient",
	[FACT_KNOWN_CORRESPONDENT] = "that the recipient wrote first",
	[FACT_UNKNOWN_RECIPIENTS] = "fewer recipients that do not exist",
	[FACT_PIPELINING] = "no pipelining before it is offered",
	[FACT_SIZE] = "a smaller message",
	[FACT_AUTHENTICATED] = "authenticate",
	[FACT_TLS] = "TLS",
};

static uint32_t
facts_of(const struct condition *c)
{
	if (c == NULL)
		return 0;
	if (c->op == CONDITION_TEST)
		return FACT_BIT(c->test.fact);
	return facts_of(c->left) | facts_of(c->right);
}

static void
tell_remedies(struct walk *w, const struct rule *r)
{
	uint32_t facts = facts_of(r->when);
	unsigned i;

	if (facts == 0)
		tell(w, "to pass", "a trust rule above line %u: this one is for everybody",
		    r->place.line);
	for (i = 0; i < FACT_COUNT; i++)
		if ((facts & FACT_BIT(i)) && advice[i] != NULL)
			tell(w, "to pass", "%s", advice[i]);
}

static void
on_triplet(const struct field *fields, void *arg)
{
	struct walk *w = arg;
	struct buf b = { 0 };

	if (options.json) {
		output_record(fields, w->out);
		return;
	}
	field_text(&b, fields);
	output_note(w->out, "  ledger: %s", buf_str(&b));
	buf_free(&b);
}

/* What a server that runs knows of the triplet. */
static void
ask_triplet(struct walk *w, const char *identity, const char *sender, const char *recipient)
{
	char *words[] = { xstrdup("grey"), xstrdup("list"), xasprintf("identity=%s", identity),
		xasprintf("from=%s", *sender != '\0' ? sender : "<>"),
		    xasprintf("to=%s", recipient) };
	struct request r = { .n = 5, .words = (const char *const *)words, .record = on_triplet,
	    .arg = w };
	char *why = NULL;
	size_t i;

	(void)client_request(&r, true, &why);
	free(why);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		free(words[i]);
}

static void
tell_greylist(struct walk *w)
{
	const struct facts *f = &w->caller->facts;
	const struct rule *r = w->grey;
	struct buf times = { 0 };
	struct grey_ask ask;

	grey_ask_make(&ask, r, f);
	if (r->by == GREY_BY_CLIENT)
		tell(w, "greylist", "would be asked for \"%s\" alone", ask.identity);
	else
		tell(w, "greylist",
		    "would be asked for identity \"%s\", sender \"%s\", recipient \"%s\"",
		    ask.identity, f->sender != NULL ? ask.sender : "?",
		    f->recipient != NULL ? f->recipient : "?");
	if (w->caller->ledger_asked && f->sender != NULL && f->recipient != NULL)
		ask_triplet(w, ask.identity, ask.sender, f->recipient);
	human_add_seconds(&times, ask.question.delay);
	buf_adds(&times, " later, within ");
	human_add_seconds(&times, ask.question.window);
	if (w->refusal == NULL)
		tell(w, "to pass", "come back %s, from any host of the same identity; or: "
		    "smtpctl grey allow client=%s", buf_str(&times), ip_text(&f->client).s);
	buf_free(&times);
	grey_ask_clear(&ask);
}

/* The rule that the verdict is: a refusal, else the greylist, else trust; NULL: none. */
static const struct rule *
find_verdict(const struct walk *w)
{
	if (w->refusal != NULL)
		return w->refusal;
	return w->grey != NULL ? w->grey : w->trust;
}

static void
tell_verdict(struct walk *w)
{
	const struct rule *r = find_verdict(w);
	struct buf missing = { 0 };

	if (w->waits > 0)
		tell(w, "waits", "%u seconds in all", w->waits);
	add_words(&missing, w->missing);
	if (w->uncertain)
		tell(w, "uncertain", "some rules are open; give %s", buf_str(&missing));
	buf_free(&missing);
	if (r == NULL)
		tell(w, "verdict", "let in: %s",
		    w->gate->n == 0 ? "the gate has no rules" : "no rule stops this caller");
	else
		tell(w, "verdict", "%s at %s, by rule %u (line %u%s)", action_name(r->action),
		    phase_name(r->at), r->number, r->place.line,
		    w->gate->built_in ? " of the built-in gate" : "");
	if (w->caller->denied && w->refusal == NULL)
		tell(w, "ledger", "the operator denied this caller; a greylist rule refuses him");
	if (w->grey != NULL)
		tell_greylist(w);
	if (w->refusal != NULL)
		tell_remedies(w, w->refusal);
}

static void
explain(struct caller *caller, const struct conf *conf)
{
	struct walk w = { .gate = &conf->gate, .caller = caller, .out = output_new(OUTPUT_TABLE) };
	enum phase phase;

	tell_facts(&w);
	if (conf->gate.built_in)
		output_note(w.out, "rules of the built-in gate (smtpctl config show prints it)");
	else
		output_note(w.out, "rules of %s", conf->path);
	for (phase = PHASE_CONNECT; phase < PHASE_COUNT; phase++)
		walk_phase(&w, phase);
	tell_verdict(&w);
	output_end(w.out);
}

/* "gate explain session=ID" asks the ledger for a decision of the past; everything else is worked
 * out here. */
int
gate_explain(int n, char **words)
{
	const struct conf *conf;
	struct caller caller = { 0 };
	char *why;
	int status = EXIT_DONE;

	if (strncmp(words[2], "session=", 8) == 0)
		return output_answer(OUTPUT_BLOCKS, n, words);
	conf = smtpctl_conf();
	if (conf == NULL)
		return EXIT_FAILED;
	why = caller_read(&caller, n - 2, words + 2);
	if (why != NULL)
		status = smtpctl_usage("%s", why);
	else if (caller_ask_dns(&caller, conf, &why) < 0)
		status = smtpctl_failed("%s", why);
	free(why);
	if (status == EXIT_DONE) {
		caller_ask_ledger(&caller);
		explain(&caller, conf);
	}
	caller_free(&caller);
	return status;
}
