/*
 * The six expressions of S25R, as published (gabacho-net.jp/en/anti-spam, rule 1 as of 2009-02-01),
 * in one table.
 *
 * The gate asks for a caller's verified name; smtpctl asks for any name.  PCRE2 reads the POSIX
 * expressions unchanged: they use nothing in which the two differ once case is folded, as Postfix's
 * regexp tables do, and '.' takes every character.  They are compiled at the first question and
 * stay.  No JIT: the roles that ask may not make memory executable.
 *
 * A name comes from whoever owns the reverse zone.  So it is cut at 255 octets, and the matcher has
 * a budget; an expression that could not be decided within it does not accuse.  No name of 255
 * octets comes near the budget (regress/unit/test_s25r.c).
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <strings.h>

#include "filters/s25r.h"
#include "lib/fatal.h"

#define NAME_MAX_OCTETS 255
#define MATCH_BUDGET 1000000
#define HEAP_BUDGET_KIB 1024

static const char *const expressions[S25R_RULES] = {
	/* 1: two runs of digits in the lowest label */
	"^[^.]*[0-9][^0-9.]+[0-9].*\\.",
	/* 2: five digits in a row in the lowest label */
	"^[^.]*[0-9]{5}",
	/* 3: above three upper levels, the lowest or second label begins with a digit */
	"^([^.]+\\.)?[0-9][^.]*\\.[^.]+\\..+\\.[a-z]",
	/* 4: the lowest label ends in a digit, the second has two runs joined by a hyphen */
	"^[^.]*[0-9]\\.[^.]*[0-9]-[0-9]",
	/* 5: five levels, the two lowest labels end in digits */
	"^[^.]*[0-9]\\.[^.]*[0-9]\\.[^.]+\\..+\\.",
	/* 6: a word for a dialled or DSL line, and a digit */
	"^(dhcp|dialup|ppp|[achrsvx]?dsl)[^.]*[0-9]",
};

static pcre2_code *compiled[S25R_RULES];
static pcre2_match_context *limits;
static pcre2_match_data *scratch;

static void
compile_all(void)
{
	PCRE2_SIZE offset;
	int i, error;

	limits = pcre2_match_context_create(NULL);
	scratch = pcre2_match_data_create(1, NULL);
	if (limits == NULL || scratch == NULL)
		fatal("s25r: out of memory");
	pcre2_set_match_limit(limits, MATCH_BUDGET);
	pcre2_set_heap_limit(limits, HEAP_BUDGET_KIB);
	for (i = 0; i < S25R_RULES; i++) {
		compiled[i] = pcre2_compile((PCRE2_SPTR)expressions[i], PCRE2_ZERO_TERMINATED,
		    PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_NO_AUTO_CAPTURE, &error, &offset, NULL);
		if (compiled[i] == NULL)
			fatal("s25r: rule %d does not compile at %zu, error %d", i + 1, offset,
			    error);
	}
}

/* Octets of NAME that count: not the root's dot, and no more than a name can have. */
static size_t
name_len(const char *name)
{
	size_t len = strnlen(name, NAME_MAX_OCTETS);

	return len > 1 && name[len - 1] == '.' ? len - 1 : len;
}

static bool
is_no_name(const char *name)
{
	return name == NULL || name[0] == '\0' || strcasecmp(name, "unknown") == 0;
}

bool
s25r_matches_rule(const char *name, int rule)
{
	if (rule < 0 || rule > S25R_RULES)
		return false;
	if (is_no_name(name) || rule == 0)
		return is_no_name(name) && rule == 0;
	if (limits == NULL)
		compile_all();
	/* negative: no match, or over budget */
	return pcre2_match(compiled[rule - 1], (PCRE2_SPTR)name, name_len(name), 0, 0, scratch,
	    limits) >= 0;
}

int
s25r_match(const char *name)
{
	int rule;

	for (rule = 0; rule <= S25R_RULES; rule++) {
		if (s25r_matches_rule(name, rule))
			return rule;
	}
	return S25R_PASS;
}

const char *
s25r_expression(int rule)
{
	return rule >= 1 && rule <= S25R_RULES ? expressions[rule - 1] : NULL;
}
