/*
 * The judgement of a gate at load time: may every rule act where it stands?
 *
 * The configuration calls it once for every rule that it reads.  What must never happen: a rule
 * that is accepted and can never act, or acts on what it cannot know yet, because then somebody
 * believes in a guard that sleeps.  So the phases of facts and the limits of waiting are tables
 * here, and whatever does not fit them is an error with the place of the word that is to blame.
 * Nothing else can fail.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/gate.h"
#include "filters/gate_reply.h"
#include "filters/s25r.h"
#include "lib/ascii.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "lib/table.h"

/* RFC 5321 4.5.3.1.5: a reply line has 512 octets, of which code, rule id and CRLF need some. */
#define TEXT_MAX 400
/* Of what is counted over time. */
#define PERIOD_MAX (7 * 86400)
/* RFC 5322 2.1.1: a header line should have at most 78. */
#define NAME_MAX_OCTETS 70

/* RFC 5321 4.5.3.2: seconds after which a client may give up waiting for the reply of a phase
 * (the reply to EHLO is not listed; it is as the greeting). */
static const uint32_t client_patience[PHASE_COUNT] = {
	[PHASE_CONNECT] = 300,
	[PHASE_GREETING] = 300,
	[PHASE_HELO] = 300,
	[PHASE_MAIL] = 300,
	[PHASE_RCPT] = 300,
	[PHASE_DATA] = 120,
	[PHASE_MESSAGE] = 600,
};

/* RFC 8601 2.7.1 to 2.7.2, RFC 7489 11.2: results that each of them can have. */
#define RESULT(r) (1u << (r))
static const unsigned auth_results[FACT_COUNT] = {
	[FACT_SPF] = RESULT(AUTH_NONE) | RESULT(AUTH_NEUTRAL) | RESULT(AUTH_PASS) |
		     RESULT(AUTH_FAIL) | RESULT(AUTH_SOFTFAIL) | RESULT(AUTH_TEMPERROR) |
		     RESULT(AUTH_PERMERROR),
	[FACT_DKIM] = RESULT(AUTH_NONE) | RESULT(AUTH_NEUTRAL) | RESULT(AUTH_PASS) |
		      RESULT(AUTH_FAIL) | RESULT(AUTH_POLICY) | RESULT(AUTH_TEMPERROR) |
		      RESULT(AUTH_PERMERROR),
	[FACT_DMARC] = RESULT(AUTH_NONE) | RESULT(AUTH_PASS) | RESULT(AUTH_FAIL) |
		       RESULT(AUTH_TEMPERROR) | RESULT(AUTH_PERMERROR),
};

static char *complaint(struct place, const char *, ...) __attribute__((format(printf, 2, 3)));

static char *
complaint(struct place place, const char *fmt, ...)
{
	va_list ap;
	char *what, *text;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	text = xasprintf("%u:%u: %s", place.line, place.column, what);
	free(what);
	return text;
}

/* In the order of the file; the first for which VISIT is true. */
static const struct test *
condition_find(
    const struct condition *condition, bool (*visit)(const struct test *, void *), void *arg)
{
	const struct test *found;

	if (condition == NULL)
		return NULL;
	if (condition->op == CONDITION_TEST)
		return visit(&condition->test, arg) ? &condition->test : NULL;
	found = condition_find(condition->left, visit, arg);
	return found != NULL ? found : condition_find(condition->right, visit, arg);
}

static bool
raise_to_fact(const struct test *test, void *arg)
{
	enum phase *phase = arg;

	if (fact_phase(test->fact) > *phase)
		*phase = fact_phase(test->fact);
	return false;
}

static bool
is_later(const struct test *test, void *arg)
{
	return fact_phase(test->fact) > *(enum phase *)arg;
}

/* The phase of a rule that names none: its action's own, or as much later as its condition
 * needs. */
static enum phase
default_phase(const struct rule *rule)
{
	enum phase phase = rule->action == ACTION_TRUST ? PHASE_CONNECT : PHASE_RCPT;

	if (rule->action == ACTION_PAUSE)
		return PHASE_GREETING;
	condition_find(rule->when, raise_to_fact, &phase);
	return phase;
}

static char *
check_phase(const struct rule *rule)
{
	const struct test *test;
	enum phase latest = rule->at;

	if (rule->action == ACTION_PAUSE && rule->at != PHASE_GREETING)
		return complaint(rule->place,
		    "\"pause\" acts before the banner, at greeting, not at %s; "
		    "\"tarpit\" delays later replies",
		    phase_name(rule->at));
	if (rule->action == ACTION_GREYLIST && rule->at < PHASE_RCPT)
		return complaint(rule->place,
		    "\"greylist\" needs the recipient, who is not known at %s; "
		    "the earliest phase is rcpt",
		    phase_name(rule->at));
	/* How long to wait is decided before the waiting begins. */
	if (rule->action == ACTION_PAUSE)
		latest = PHASE_CONNECT;
	test = condition_find(rule->when, is_later, &latest);
	if (test == NULL)
		return NULL;
	return complaint(test->place, "\"%s\" is not known at %s; the earliest phase is %s",
	    fact_name(test->fact), phase_name(latest), phase_name(fact_phase(test->fact)));
}

static bool
is_impossible(const struct test *test, void *arg)
{
	(void)arg;
	switch (test->fact) {
	case FACT_S25R:
		return test->value > S25R_RULES;
	case FACT_SPF:
	case FACT_DKIM:
	case FACT_DMARC:
		return (auth_results[test->fact] & RESULT(test->value)) == 0;
	case FACT_RATE:
	case FACT_UNKNOWN_RECIPIENTS:
		return test->period == 0 || test->period > PERIOD_MAX;
	case FACT_TIME:
		return test->from == test->to;
	default:
		return false;
	}
}

static char *
check_tests(const struct rule *rule)
{
	const struct test *test = condition_find(rule->when, is_impossible, NULL);

	if (test == NULL)
		return NULL;
	switch (test->fact) {
	case FACT_S25R:
		return complaint(
		    test->place, "S25R has rules 0 to %d, not %d", S25R_RULES, test->value);
	case FACT_RATE:
	case FACT_UNKNOWN_RECIPIENTS:
		return complaint(test->place, "\"%s\" is counted over one second to 7 days", fact_name(test->fact));
	case FACT_TIME:
		return complaint(test->place, "this time has no length");
	default:
		return complaint(test->place, "\"%s\" never has the result \"%s\"",
		    fact_name(test->fact), auth_result_name(test->value));
	}
}

static char *
check_seconds(const struct rule *rule)
{
	struct buf text = { 0 };
	char *why = NULL;

	if (rule->action != ACTION_PAUSE && rule->action != ACTION_TARPIT &&
	    rule->action != ACTION_TRAP)
		return NULL;
	if (rule->seconds == 0)
		return complaint(
		    rule->place, "\"%s\" of no time does nothing", action_name(rule->action));
	if (rule->action == ACTION_TRAP || rule->seconds <= client_patience[rule->at])
		return NULL;
	quantity_add_time(&text, rule->seconds);
	buf_addf(&text, " at %s is too long; clients hang up after ", phase_name(rule->at));
	quantity_add_time(&text, client_patience[rule->at]);
	why = complaint(rule->place, "\"%s\" of %s (RFC 5321 4.5.3.2)", action_name(rule->action),
	    buf_str(&text));
	buf_free(&text);
	return why;
}

static char *
check_greylist(const struct rule *rule)
{
	uint32_t delay = rule->delay > 0 ? rule->delay : GREYLIST_DELAY;
	uint32_t window = rule->window > 0 ? rule->window : GREYLIST_WINDOW;
	uint32_t lifetime = rule->lifetime > 0 ? rule->lifetime : GREYLIST_LIFETIME;

	if (rule->action != ACTION_GREYLIST)
		return NULL;
	if (delay >= window)
		return complaint(rule->place,
		    "nobody can pass this greylist: its delay is not shorter than its window");
	if (window > lifetime)
		return complaint(
		    rule->place, "the window of this greylist is longer than its lifetime");
	return NULL;
}

/* RFC 5322 2.2: printable, no colon.  X-Genkan carries the verdicts, and only we write it. */
static char *
check_header_name(const struct rule *rule)
{
	const char *s;

	if (rule->name == NULL)
		return NULL;
	for (s = rule->name; *s > ' ' && *s < '\x7f' && *s != ':'; s++)
		;
	if (*s != '\0' || s == rule->name || s - rule->name > NAME_MAX_OCTETS)
		return complaint(rule->place, "\"%s\" is not the name of a header", rule->name);
	if (strcasecmp(rule->name, "X-Genkan") == 0)
		return complaint(
		    rule->place, "the header \"X-Genkan\" is the gate's own; choose another name");
	return NULL;
}

/* RFC 5321 4.2 (textstring): replies are written in UTF-8 and sent as ASCII.  RFC 5322 2.2: a header is ASCII. */
static char *
check_text(const struct rule *rule)
{
	const char *action = action_name(rule->action);
	struct buf ascii = { 0 };
	bool same;
	size_t len;

	if (rule->text == NULL)
		return NULL;
	if (!ascii_is_text(rule->text))
		return complaint(rule->place, "the text of \"%s\" holds control characters, or is not UTF-8",
		    action);
	ascii_add(&ascii, rule->text);
	len = ascii.len;
	same = strcmp(buf_str(&ascii), rule->text) == 0;
	buf_free(&ascii);
	if (rule->action == ACTION_MARK && !same)
		return complaint(rule->place, "the text of \"mark\" holds other characters than ASCII");
	if (len == 0 || len > TEXT_MAX)
		return complaint(rule->place, "the text of \"%s\" has %zu octets; 1 to %d fit in a line", action,
		    len, TEXT_MAX);
	return NULL;
}

/* The fields of a reply (gate_reply.h); a header's text has none. */
static char *
check_fields(const struct rule *rule)
{
	char *field, *why;

	if (rule->text == NULL || rule->action == ACTION_MARK)
		return NULL;
	field = gate_reply_unknown_field(rule->text);
	if (field == NULL)
		return NULL;
	why = complaint(rule->place,
	    "there is no field %%{%s}; a reply has client, name, helo, sender, recipient and minutes", field);
	free(field);
	return why;
}

/* Whoever comes back is known by the mail that he brings. */
static char *
check_rescue(const struct rule *rule)
{
	if (rule->rescue == 0 || rule->at == PHASE_RCPT)
		return NULL;
	return complaint(rule->place, "\"rescue\" goes by sender and recipient; it can only stand at rcpt");
}

/* What applies beside a verdict is told by bits (struct gate_result). */
static char *
check_number(const struct rule *rule)
{
	if (rule->number <= GATE_BITS ||
	    (!rule->observe && rule->action != ACTION_MARK && rule->action != ACTION_TRAP))
		return NULL;
	return complaint(rule->place, "\"%s\" must be among the first %d rules; this is rule %u",
	    rule->observe ? "observe" : action_name(rule->action), GATE_BITS, rule->number);
}

char *
rule_check(struct rule *rule)
{
	static char *(*const checks[])(const struct rule *) = { check_phase, check_tests,
		check_seconds, check_greylist, check_header_name, check_text, check_fields, check_rescue,
		check_number };
	char *why = NULL;
	size_t i;

	if (!rule->at_given)
		rule->at = default_phase(rule);
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]) && why == NULL; i++)
		why = checks[i](rule);
	return why;
}

static void
keep_first(struct place place, const char *text, void *arg)
{
	char **why = arg;

	if (*why == NULL)
		*why = complaint(place, "%s", text);
}

char *
gate_check(struct gate *gate)
{
	char *why = NULL;
	unsigned i;

	for (i = 0; i < gate->n && why == NULL; i++)
		why = rule_check(&gate->rules[i]);
	if (why == NULL)
		gate_number(gate, keep_first, &why);
	return why;
}

/* --- warnings --- */

struct warner {
	void (*warn)(struct place, const char *, void *);
	void *arg;
	uint32_t told; /* FACT_BIT()s */
};

/* What nobody could read: a text that loses most of its characters on the way. */
static void
warn_lost_text(const struct rule *rule, struct warner *warner)
{
	struct buf ascii = { 0 };
	char *text;
	size_t lost;

	if (rule->text == NULL)
		return;
	lost = ascii_add(&ascii, rule->text);
	buf_free(&ascii);
	if (lost == 0)
		return;
	text = xasprintf("%zu character%s of this text %s no form in ASCII and %s sent as \"?\"", lost,
	    lost == 1 ? "" : "s", lost == 1 ? "has" : "have", lost == 1 ? "is" : "are");
	warner->warn(rule->place, text, warner->arg);
	free(text);
}

/* Once for each fact: a gate may ask for the same one in many rules. */
static bool
warn_unevaluated(const struct test *test, void *arg)
{
	struct warner *warner = arg;
	char *text;

	if (fact_is_evaluated(test->fact) || (warner->told & FACT_BIT(test->fact)) != 0)
		return false;
	warner->told |= FACT_BIT(test->fact);
	text = xasprintf("\"%s\" is not evaluated by this version and counts as unknown",
	    fact_name(test->fact));
	warner->warn(test->place, text, warner->arg);
	free(text);
	return false;
}

/* True when no caller gets past FIRST to LATER, which stands below it. */
static bool
hides(const struct rule *first, const struct rule *later)
{
	if (first->when != NULL || first->observe)
		return false;
	switch (first->action) {
	case ACTION_TRUST:
		return first->at <= later->at;
	case ACTION_PASS:
	case ACTION_TEMPFAIL:
	case ACTION_REJECT:
	case ACTION_DROP:
		return first->at == later->at;
	default:
		return false;
	}
}

static void
warn_hidden(const struct gate *gate, unsigned later, struct warner *warner)
{
	const struct rule *rule = &gate->rules[later];
	char *text;
	unsigned i;

	for (i = 0; i < later && !hides(&gate->rules[i], rule); i++)
		;
	if (i == later)
		return;
	text = xasprintf("nothing reaches this rule; \"%s\" on line %u takes everybody before it",
	    action_name(gate->rules[i].action), gate->rules[i].place.line);
	warner->warn(rule->place, text, warner->arg);
	free(text);
}

void
gate_warn(const struct gate *gate, void (*warn)(struct place, const char *, void *), void *arg)
{
	struct warner warner = { .warn = warn, .arg = arg };
	unsigned i;

	for (i = 0; i < gate->n; i++) {
		condition_find(gate->rules[i].when, warn_unevaluated, &warner);
		warn_lost_text(&gate->rules[i], &warner);
		warn_hidden(gate, i, &warner);
	}
}

/* --- ownership --- */

void
condition_free(struct condition *condition)
{
	if (condition == NULL)
		return;
	condition_free(condition->left);
	condition_free(condition->right);
	if (condition->op == CONDITION_TEST) {
		table_free_in_place(condition->test.in);
		free(condition->test.zone);
		free(condition->test.terms.list);
	}
	free(condition);
}

void
gate_free(struct gate *gate)
{
	unsigned i;

	for (i = 0; i < gate->n; i++) {
		condition_free(gate->rules[i].when);
		free(gate->rules[i].text);
		free(gate->rules[i].name);
	}
	free(gate->rules);
	dnsbl_set_free(gate->lists);
	*gate = (struct gate){ 0 };
}
