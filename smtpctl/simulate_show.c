/*
 * What `smtpctl gate simulate` prints (simulate.h): for people the dialogue with its reasons, for
 * programs a record for each caller, rule, reply and end.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "filters/gate_reply.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mem.h"
#include "smtpctl/output.h"
#include "smtpctl/simulate.h"
#include "smtpctl/smtpctl.h"

/* --- the caller --- */

static void
add_listings(struct buf *b, const struct gate *gate, const struct facts *f)
{
	unsigned i;

	for (i = 0; gate->lists != NULL && i < gate->lists->n; i++)
		if (f->dnsbl.listed & DNSBL_BIT(i))
			buf_addf(b, ", listed in %s", gate->lists->listings[i].text);
}

/* "rdns pass mail.example.net, s25r rule 1, spf pass" */
static char *
evidence(const struct trial *t)
{
	const struct facts *f = &t->facts;
	struct buf b = { 0 };
	int rule = s25r_match(f->name);

	buf_addf(&b, "rdns %s", rdns_status_name(f->rdns));
	if (f->name != NULL)
		buf_addf(&b, " %s", f->name);
	else if (f->claimed != NULL)
		buf_addf(&b, ", claims %s", f->claimed);
	if (f->rdns != RDNS_TEMPERROR && rule != S25R_PASS)
		buf_addf(&b, ", s25r rule %d%s", rule,
		    f->name != NULL && s25r_own_address(f->name, &f->client) ? " own-address" : "");
	if ((f->known & FACT_BIT(FACT_SPF)) && !(f->failed & FACT_BIT(FACT_SPF)))
		buf_addf(&b, ", spf %s", auth_result_name(f->spf));
	add_listings(&b, &t->conf->gate, f);
	if (f->early_talker)
		buf_adds(&b, ", talks before the banner");
	if (f->pipelining)
		buf_adds(&b, ", pipelines");
	if (f->authenticated)
		buf_adds(&b, ", authenticated");
	return buf_take(&b);
}

void
simulate_show_caller(struct output *o, const struct trial *t, unsigned number, int64_t at)
{
	char *what = evidence(t);
	struct buf when = { 0 };

	if (options.json) {
		output_record(FIELDS(F_STR("part", "caller"), F_U64("caller", number), F_I64("at", at),
				  F_STR("client", ip_text(&t->facts.client).s), F_STR("helo", t->facts.helo),
				  F_STR("from", t->facts.sender), F_STR("evidence", what),
				  F_BOOL("passed_before", t->passed), F_BOOL("stayed_before", t->stayed),
				  F_BOOL("hung_up_before", t->left),
				  F_BOOL("trapped", t->facts.trapped)), o);
	} else {
		human_add_seconds(&when, (uint64_t)at);
		if (number > 1)
			output_note(o, "%s", "");
		output_note(o, "%s: caller %u, %s", buf_str(&when), number, ip_text(&t->facts.client).s);
		output_note(o, "  %s%s%s%s", what,
		    t->stayed ? ", sat through a tarpit lately" : t->passed ? ", passed lately" : "",
		    t->left ? ", hung up lately" : "", t->facts.trapped ? ", trapped" : "");
	}
	buf_free(&when);
	free(what);
}

/* --- rules --- */

static const char *
outcome_of_wait(const struct trial *t, const struct trial_step *step, const struct rule *r)
{
	if (step->wait == r)
		return step->hung_up ? "hangs up" : "waits";
	if (r->else_greylist && t->owes == r)
		return "owed";
	return (r->else_greylist ? t->stayed : t->passed) ? "not again" : "shorter";
}

static const char *
outcome(const struct trial *t, const struct trial_step *step, const struct rule *r, const struct facts *f,
    bool decided)
{
	uint32_t missing = 0;
	int yes = condition_eval(r->when, f, &missing);

	if (decided)
		return "not reached";
	if (yes < 0)
		return "not known";
	if (yes == 0)
		return "no";
	if (r->observe)
		return "observes";
	if (r->action == ACTION_PAUSE || r->action == ACTION_TARPIT)
		return outcome_of_wait(t, step, r);
	if (r->action == ACTION_MARK || r->action == ACTION_TRAP)
		return "applies";
	if (r->action == ACTION_PASS && step->verdict != r)
		return "not reached"; /* the greylist that he owes comes first */
	return step->hung_up ? "not reached" : step->verdict == r ? "decides" : "excused";
}

static void
show_rule(struct output *o, const struct rule *r, const char *what)
{
	struct buf text = { 0 };

	rule_print(&text, r);
	if (options.json)
		output_record(FIELDS(F_STR("part", "rule"), F_U64("rule", r->number),
				  F_U64("line", r->place.line), F_STR("phase", phase_name(r->at)),
				  F_STR("text", buf_str(&text)), F_STR("outcome", what)), o);
	else
		output_note(o, "  %-9s line %-4u %-12s %s", phase_name(r->at), r->place.line, what,
		    buf_str(&text));
	buf_free(&text);
}

static void
show_rules(struct output *o, struct trial *t, const struct trial_step *step)
{
	struct facts f = trial_facts_at(t, step->phase);
	const struct gate *gate = &t->conf->gate;
	bool decided = false;
	const char *what;
	unsigned i;

	for (i = 0; i < gate->n; i++) {
		if (gate->rules[i].at != step->phase)
			continue;
		what = outcome(t, step, &gate->rules[i], &f, decided);
		decided = decided || strcmp(what, "decides") == 0 || strcmp(what, "excused") == 0 ||
		    strcmp(what, "not reached") == 0 ||
		    (strcmp(what, "observes") == 0 && rule_ends_phase(gate, &gate->rules[i]));
		show_rule(o, &gate->rules[i], what);
	}
}

/* --- replies --- */

/* What a client hears when nobody minds. */
static const int good[PHASE_COUNT] = { 0, 220, 250, 250, 250, 354, 250 };

static char *
reply(const struct trial *t, const struct trial_step *step)
{
	unsigned minutes = (step->grey.left + 59) / 60;
	const struct rule *r = step->verdict;
	const char *text;
	char *words, *line, tag[32];

	text = step->action == ACTION_GREYLIST ? gate_grey_text(minutes) : gate_refusal(step->action)->text;
	if (r->text != NULL && (step->action != ACTION_GREYLIST || r->action == ACTION_GREYLIST))
		text = r->text;
	words = gate_reply(text, &t->facts, minutes);
	rule_tag(r, tag, sizeof(tag));
	line = xasprintf("%s %s (%s)", step->action == ACTION_GREYLIST ? "4.7.1" : gate_status(r, step->action), words, tag);
	free(words);
	return line;
}

static void
show_greylist(struct output *o, const struct trial_step *step)
{
	const struct grey_answer *g = &step->grey;
	struct buf b = { 0 };

	if (g->state == GREY_UNKNOWN)
		return;
	if (options.json) {
		output_record(FIELDS(F_STR("part", "greylist"), F_STR("identity", step->identity),
				  F_STR("state", grey_state_name(g->state)), F_U64("left", g->left),
				  F_U64("waited", g->waited)), o);
		return;
	}
	buf_addf(&b, "%s", grey_state_name(g->state));
	if (g->left > 0) {
		buf_adds(&b, ", ");
		human_add_seconds(&b, g->left);
		buf_adds(&b, " left");
	}
	if (g->first_pass) {
		buf_adds(&b, ", after ");
		human_add_seconds(&b, g->waited);
	}
	output_note(o, "            %s: %s: %s", step->verdict != NULL && step->verdict->rescue != 0 ? "tries" : "greylist",
	    step->identity, buf_str(&b));
	buf_free(&b);
}

static void
show_dialogue(struct output *o, const struct trial_step *step, const char *to, int code, const char *text)
{
	struct buf b = { 0 };

	buf_addf(&b, "  %-9s ", phase_name(step->phase));
	if (to != NULL)
		buf_addf(&b, "%s: ", to);
	if (step->hung_up)
		buf_addf(&b, "hangs up after %us", step->seconds);
	else
		buf_addf(&b, "%d%s%s", code, text != NULL ? " " : "", text != NULL ? text : "");
	if (!step->hung_up && step->seconds > 0)
		buf_addf(&b, ", after %us", step->seconds);
	output_note(o, "%s", buf_str(&b));
	buf_free(&b);
}

static void
show_reply(struct output *o, const struct trial *t, const struct trial_step *step)
{
	char *text = step->code != 0 ? reply(t, step) : NULL;
	const char *to = step->phase == PHASE_RCPT ? t->facts.recipient : NULL;
	int code = step->hung_up ? 0 : step->code != 0 ? step->code : good[step->phase];

	if (options.json)
		output_record(FIELDS(F_STR("part", "reply"), F_STR("phase", phase_name(step->phase)), F_STR("to", to),
				  F_U64("code", (uint64_t)code), F_STR("text", text), F_U64("waited", step->seconds),
				  F_BOOL("hung_up", step->hung_up), F_BOOL("close", step->close)), o);
	else if (code != 0 || step->hung_up)
		show_dialogue(o, step, to, code, text);
	free(text);
}

void
simulate_show_step(struct output *o, struct trial *t, const struct trial_step *step)
{
	show_rules(o, t, step);
	show_greylist(o, step);
	show_reply(o, t, step);
}

/* --- the end --- */

static const char *
end_of(unsigned accepted, unsigned recipients, const struct trial_step *last)
{
	if (last->hung_up)
		return "hung up";
	if (accepted > 0)
		return accepted == recipients ? "let in" : "let in for some";
	if (last->action == ACTION_GREYLIST)
		return "greylisted";
	return last->close ? "closed" : last->code >= 500 ? "refused" : last->code > 0 ? "put off" : "no recipient";
}

void
simulate_show_end(struct output *o, const struct trial *t, unsigned number, unsigned accepted, unsigned recipients,
    const struct trial_step *last)
{
	const char *end = end_of(accepted, recipients, last);

	if (options.json)
		output_record(FIELDS(F_STR("part", "end"), F_U64("caller", number), F_STR("end", end),
				  F_U64("accepted", accepted), F_U64("recipients", recipients),
				  F_U64("waited", t->waited),
				  F_U64("rule", last->verdict != NULL ? last->verdict->number : 0)), o);
	else
		output_note(o, "  %s%s", end, t->open ? ", trusted" : "");
}
