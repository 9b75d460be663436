/*
 * Leads a caller who is not there through the gate of the configuration, rule by rule, and says what
 * he could do about it.
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
#include "filters/rhythm.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/explain.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

struct walk {
	const struct conf *conf;
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
	const struct rule *owes;   /* a tarpit ... else greylist that he left */
	bool only_passed;          /* a pass has decided this phase */
	bool excused;              /* nothing is refused to the postmaster */
	bool uncertain;            /* a rule above the verdict was open */
	const struct rule *wait;   /* the longest of this phase */
	uint32_t waits;            /* seconds of all phases */
};

/* --- rules --- */

/* "helo= from=": the words that would give these facts, each once. */
static void
add_words(struct buf *b, const struct caller *c, uint32_t facts)
{
	const char *word;
	unsigned i;

	for (i = 0; i < FACT_COUNT; i++) {
		word = caller_word(c, (enum fact)i);
		if ((facts & FACT_BIT(i)) && strstr(buf_str(b), word) == NULL)
			buf_addf(b, "%s%s", b->len > 0 ? " " : "", word);
	}
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

/* Ends the rules of its phase. */
static bool
is_decisive(enum action action)
{
	return action == ACTION_TRUST || action == ACTION_PASS || action == ACTION_GREYLIST ||
	    action == ACTION_TEMPFAIL || action == ACTION_REJECT || action == ACTION_DROP;
}

/* Lets in later, and not at all to whom the operator has allowed. */
static bool
puts_off(enum action action)
{
	return action == ACTION_PAUSE || action == ACTION_TARPIT || action == ACTION_GREYLIST ||
	    action == ACTION_TEMPFAIL;
}

/* As the doorman: whoever passed lately does not wait, and whoever hung up in a tarpit with a greylist behind it owes that. */
static const char *
apply_wait(struct walk *w, const struct rule *r)
{
	const struct caller *c = w->caller;
	bool choice = r->action == ACTION_TARPIT && r->else_greylist;

	if ((r->action == ACTION_PAUSE && c->passed) || (choice && c->stayed))
		return "not again";
	if (choice && c->left) {
		w->owes = r;
		return "owed";
	}
	if (w->wait == NULL || r->seconds > w->wait->seconds)
		w->wait = r;
	return "waits";
}

static bool
is_excused(const struct walk *w, const struct rule *r)
{
	const struct facts *f = &w->caller->facts;

	return r->at == PHASE_RCPT && f->recipient != NULL && !f->early_talker &&
	    (r->action == ACTION_GREYLIST || r->action == ACTION_TEMPFAIL || r->action == ACTION_REJECT) &&
	    conf_is_postmaster(w->conf, f->recipient);
}

/* At rcpt the operator's word is asked for with all that is known of the mail. */
static bool
is_allowed(const struct caller *c, const struct rule *r)
{
	return (r->at == PHASE_RCPT ? c->mail_allowed : c->allowed) && puts_off(r->action);
}

/* The rule matches and is not only an observer. */
static const char *
apply(struct walk *w, const struct rule *r)
{
	if (is_allowed(w->caller, r)) {
		w->decided = w->decided || is_decisive(r->action);
		return "allowed"; /* by the operator, or rescued */
	}
	if (r->action == ACTION_PAUSE || r->action == ACTION_TARPIT)
		return apply_wait(w, r);
	if (!is_decisive(r->action))
		return "applies";
	w->decided = true;
	if (is_excused(w, r)) {
		w->excused = true;
		return "excused";
	}
	w->uncertain = w->uncertain || w->open != NULL;
	if (r->action == ACTION_TRUST)
		w->trust = r;
	else if (r->action == ACTION_GREYLIST)
		w->grey = w->grey == NULL ? r : w->grey;
	else if (r->action != ACTION_PASS)
		w->refusal = r;
	w->only_passed = r->action == ACTION_PASS;
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
		w->decided = w->decided || rule_ends_phase(w->gate, r);
	}
}

/* The greylist behind a tarpit needs a recipient. */
static enum phase
owed_at(const struct rule *tarpit)
{
	return tarpit->at > PHASE_RCPT ? tarpit->at : PHASE_RCPT;
}

static void
ask_what_is_owed(struct walk *w)
{
	struct rule greylist = { .action = ACTION_GREYLIST, .at = w->phase };

	/* a pass that was reached stands below the tarpit of its phase */
	if (w->owes == NULL || w->phase != owed_at(w->owes) || w->refusal != NULL || w->trust != NULL ||
	    (w->decided && !(w->only_passed && w->owes->at == w->phase)))
		return;
	if (is_excused(w, &greylist))
		w->excused = true;
	else if (w->grey == NULL)
		w->grey = w->owes;
}

static void
walk_phase(struct walk *w, enum phase phase)
{
	unsigned i;

	w->phase = phase;
	w->decided = w->only_passed = false;
	w->open = NULL;
	w->wait = NULL;
	for (i = 0; i < w->gate->n; i++)
		if (w->gate->rules[i].at == phase)
			judge(w, &w->gate->rules[i]);
	if (w->wait != NULL)
		w->waits += w->wait->seconds;
	w->uncertain = w->uncertain || w->open != NULL;
	ask_what_is_owed(w);
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

/* Each line would do alone. */
static void
tell_ways(struct walk *w, const struct rule *r)
{
	struct ways ways = { 0 };
	unsigned i;

	ways_past(&ways, r, w->caller, w->gate);
	for (i = 0; i < ways.n; i++)
		tell(w, "to pass", "%s", ways.list[i]);
	if (ways.n == 0)
		tell(w, "to pass", "a trust rule above line %u: this one is for everybody",
		    r->place.line);
	ways_clear(&ways);
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
		ask_triplet(w, ask.identity, ask.sender, ask.recipient);
	human_add_seconds(&times, ask.question.delay);
	buf_adds(&times, " later, within ");
	human_add_seconds(&times, ask.question.window);
	if (w->refusal == NULL)
		tell(w, "to pass", "come back %s, from any host of the same identity; or: "
		    "smtpctl grey allow client=%s", buf_str(&times), ip_text(&f->client).s);
	if (w->refusal == NULL && r->when != NULL)
		tell_ways(w, r);
	buf_free(&times);
	grey_ask_clear(&ask);
}

/* A tempfail lets nobody in who only waits: it takes somebody's word, or a rule that sees a mail server come back. */
static void
tell_rescue(struct walk *w)
{
	const struct facts *f = &w->caller->facts;
	const struct rule *r = w->refusal;
	struct buf time = { 0 };
	struct grey_ask ask;

	grey_ask_make(&ask, r, f);
	tell(w, "ledger", "remembers him as identity \"%s\"; smtpctl grey allow identity=%s would let him in",
	    ask.identity, ask.identity);
	if (w->caller->ledger_asked && f->sender != NULL && f->recipient != NULL)
		ask_triplet(w, ask.identity, ask.sender, ask.recipient);
	human_add_seconds(&time, r->rescue);
	if (r->rescue != 0)
		tell(w, "to pass",
		    "come back as mail servers do, %u times or more within %u minutes or longer: then let in for %s",
		    RHYTHM_TRIES - 1, RHYTHM_SPREAD / 60, buf_str(&time));
	buf_free(&time);
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

/* The operator's word refuses at rcpt, whatever the rules say there. */
static bool
is_denied(const struct walk *w)
{
	static const struct rule reject = { .action = ACTION_REJECT, .at = PHASE_RCPT };

	return w->caller->denied && w->gate->n > 0 && w->trust == NULL &&
	    (w->refusal == NULL || w->refusal->at >= PHASE_RCPT) && !is_excused(w, &reject);
}

static void
tell_verdict(struct walk *w)
{
	const struct rule *r = find_verdict(w);
	struct buf missing = { 0 };

	if (w->waits > 0)
		tell(w, "waits", "%u seconds in all", w->waits);
	if (is_denied(w)) {
		tell(w, "verdict", "reject at rcpt: denied by the operator");
		return;
	}
	add_words(&missing, w->caller, w->missing);
	if (w->uncertain)
		tell(w, "uncertain", "some rules are open; give %s", buf_str(&missing));
	buf_free(&missing);
	if (r == NULL)
		tell(w, "verdict", "let in: %s",
		    w->gate->n == 0 ? "the gate has no rules" : "no rule stops this caller");
	else
		tell(w, "verdict", "%s at %s, by rule %u (line %u%s)",
		    action_name(r == w->owes ? ACTION_GREYLIST : r->action),
		    phase_name(r == w->owes ? owed_at(r) : r->at), r->number, r->place.line,
		    w->gate->built_in ? " of the built-in gate" : "");
	if (w->excused)
		tell(w, "excused", "nothing is refused to %s, so that who is refused elsewhere can ask why",
		    w->caller->facts.recipient);
	if (w->refusal != NULL && rule_is_softened(r, &w->caller->facts))
		tell(w, "softened", "carried out as tempfail: DNS gave no answer");
	if (w->grey != NULL)
		tell_greylist(w);
	if (w->refusal != NULL && w->refusal->action == ACTION_TEMPFAIL && w->refusal->at == PHASE_RCPT)
		tell_rescue(w);
	if (w->refusal != NULL)
		tell_ways(w, w->refusal);
}

void
explain_caller(struct caller *caller, const struct conf *conf)
{
	struct walk w = { .conf = conf, .gate = &conf->gate, .caller = caller, .out = output_new(OUTPUT_TABLE) };
	enum phase phase;

	caller_show(caller, conf, w.out);
	if (conf->gate.built_in)
		output_note(w.out, "rules of the built-in gate (smtpctl config show prints it)");
	else
		output_note(w.out, "rules of %s", conf->path);
	for (phase = PHASE_CONNECT; phase < PHASE_COUNT; phase++)
		walk_phase(&w, phase);
	tell_verdict(&w);
	output_end(w.out);
}
