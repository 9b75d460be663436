/*
 * Rules and conditions of the gate, as the grammar reads them.
 *
 * Every rule is judged by rule_check() as soon as it is complete, so that its complaint stands
 * among the others in the order of the file.  A condition is a tree that several functions walk by
 * recursion; QUESTIONS_MAX keeps it flat enough for that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "lib/mem.h"
#include "lib/table.h"

/* More is a table written in the wrong place. */
#define QUESTIONS_MAX 500

void
build_gate(struct build *build, struct place place, bool observe)
{
	build_once(build, &build->gate_at, place, "gate");
	build->gate.observe = observe;
}

/* The built-in rules, watched: without `observe` there would be nothing to say about them. */
void
build_gate_alone(struct build *build)
{
	if (!build->gate.observe)
		complain(&build->errors, build->gate_at,
		    "a gate needs its rules in { }; only \"gate observe\" stands alone, for the built-in ones");
	build->gate.built_in = true;
}

void
build_rule_skipped(struct build *build)
{
	build->questions = 0;
}

void
build_rule(struct build *build, struct rule rule)
{
	struct gate *gate = &build->gate;
	char *why;

	if (build->questions > QUESTIONS_MAX)
		complain(&build->errors, rule.place,
		    "this rule asks more than %d questions; a table can answer many at once",
		    QUESTIONS_MAX);
	build->questions = 0;
	rule.number = gate->n + 1;
	if (gate->observe && rule.observe)
		complain(&build->errors, rule.place, "all of this gate only observes; \"observe\" is not said again");
	rule.observe = rule.observe || (gate->observe && rule.action != ACTION_TRUST && rule.action != ACTION_PASS);
	why = rule_check(&rule);
	if (why != NULL)
		complain_placed(&build->errors, why);
	free(why);
	gate->rules = xreallocarray(gate->rules, gate->n + 1, sizeof(rule));
	gate->rules[gate->n++] = rule;
}

/* Beyond the limit nothing is kept; build_rule() complains, and until then any condition will
 * do. */
static bool
is_too_much(struct build *build)
{
	return ++build->questions > QUESTIONS_MAX;
}

struct condition *
build_test(struct build *build, struct test test)
{
	struct condition *condition = xcalloc(1, sizeof(*condition));

	is_too_much(build);
	condition->op = CONDITION_TEST;
	condition->test = test;
	return condition;
}

struct condition *
build_operator(struct build *build, int op, struct condition *left, struct condition *right)
{
	struct condition *condition;

	if (is_too_much(build)) {
		condition_free(right);
		return left;
	}
	condition = xcalloc(1, sizeof(*condition));
	condition->op = op;
	condition->left = left;
	condition->right = right;
	return condition;
}

/* "06:30" at *S, which moves behind it. */
static bool
read_minute(const char **s, uint16_t *minute)
{
	unsigned hours, minutes;
	int used = 0;

	if (sscanf(*s, "%2u:%2u%n", &hours, &minutes, &used) != 2 || used == 0)
		return false;
	*s += used;
	*minute = (uint16_t)(hours * 60 + minutes);
	return minutes < 60 && *minute <= 24 * 60;
}

struct condition *
build_daytime(struct build *build, struct place place, struct place text_at, char *text)
{
	struct test test = { .fact = FACT_TIME, .place = place };
	const char *s = text;

	if (strspn(text, "0123456789:-") != strlen(text) || !read_minute(&s, &test.from) || *s++ != '-' ||
	    !read_minute(&s, &test.to) || *s != '\0') {
		complain(&build->errors, text_at, "\"%s\" is no time of the day such as 22:00-06:00", text);
		test.to = test.from + 1;
	}
	free(text);
	return build_test(build, test);
}

void
build_greylist_time(
    struct build *build, struct place place, uint32_t *member, const char *name, uint64_t seconds)
{
	if (*member != 0)
		complain(&build->errors, place, "\"%s\" is given twice in this rule", name);
	if (seconds == 0)
		complain(&build->errors, place, "a %s of 0s is none; leave it out for the default",
		    name);
	*member = (uint32_t)seconds;
}

void
build_greylist_text(struct build *build, struct place place, struct rule *rule, char *text)
{
	if (rule->text != NULL)
		complain(&build->errors, place, "a text is given twice in this rule");
	free(rule->text);
	rule->text = text;
}

uint32_t
build_rescue(struct build *build, struct place place, uint64_t seconds)
{
	if (seconds == 0)
		complain(&build->errors, place, "a rescue of 0s is none; leave it out");
	return (uint32_t)seconds;
}

/* "by triplet" is what holds without it, so nothing but another key shows that it was given. */
void
build_greylist_by(struct build *build, struct place place, struct rule *rule, enum grey_by by)
{
	if (rule->by != GREY_BY_TRIPLET)
		complain(&build->errors, place, "\"by\" is given twice in this rule");
	rule->by = by;
}

void
build_greylist_trust(
    struct build *build, struct place place, struct rule *rule, uint64_t triplets)
{
	if (rule->trust_after != 0)
		complain(&build->errors, place, "\"trust-after\" is given twice in this rule");
	if (triplets == 0)
		complain(&build->errors, place,
		    "trust after nothing is no greylist; \"trust-after off\" trusts nobody");
	rule->trust_after =
	    triplets < GREYLIST_TRUST_NEVER ? (uint32_t)triplets : GREYLIST_TRUST_NEVER;
}
