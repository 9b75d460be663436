/*
 * A Postfix regexp table of client names as rules of the gate (import.h).
 *
 *	/\.google\.com$/		OK
 *	/^223\.123\.45\.67$/		OK
 *	/^unknown$/			450 reverse lookup failure, be patient
 *	/^[^.]*[0-9]{5}/		450 S25R check, be patient
 *	/\.dip\.t-dialin\.net$/		REJECT
 *	/^user.+\.mindspring\.com$/	450 domain check, be patient
 *
 * Pure.  The first line that matches decides in Postfix, the first rule in the gate, so the order is
 * kept; neighbours that do the same become one rule.  The published expressions of S25R in all their
 * revisions are known and become `s25r N`; those that are more than a name stay what they are, in a
 * table of patterns behind the gate.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/table.h"
#include "smtpctl/import.h"

/* Besides s25r_expression(): older and simpler ones, and those without a place of their own. */
static const struct {
	const char *regex;
	int rule;
} published[] = {
	{ "^unknown$", 0 },
	{ "^[^.]*[0-9][^0-9.]+[0-9]", 1 }, /* until 2009-02-01 */
	{ "^[^.]*[0-9]{5,}", 2 },
	{ "^[^.]*[0-9][0-9][0-9][0-9][0-9]", 2 },
	{ "^(dhcp|dialup|ppp|adsl)[^.]*[0-9]", 6 },
	{ "^(dhcp|dialup|ppp|adsl|pool)[^.]*[0-9]", 6 },
	{ "^(dhcp|dialup|ppp|dsl)[^.]*[0-9]", 6 },
	{ "^(dhcp|dialup|ppp|[achrsvx]?dsl)[^.]*[0-9]", 6 },
};

enum verdict { VERDICT_TRUST, VERDICT_TEMPFAIL, VERDICT_REJECT, VERDICT_GREYLIST, VERDICT_NONE };

/* What several neighbours do together. */
struct group {
	enum verdict verdict;
	char *text;
	struct import_list names;
	struct table *patterns; /* or NULL */
	bool rules[S25R_RULES + 1];
	bool any;
	struct buf *tables; /* for all groups: what stands behind the gate */
};

static int
s25r_rule_of(const char *regex)
{
	size_t i;
	int rule;

	for (rule = 1; rule <= S25R_RULES; rule++)
		if (strcmp(regex, s25r_expression(rule)) == 0)
			return rule;
	for (i = 0; i < sizeof(published) / sizeof(published[0]); i++)
		if (strcmp(regex, published[i].regex) == 0)
			return published[i].rule;
	return -1;
}

static void
print_condition(struct buf *out, const struct group *g)
{
	const char *before = "";
	int rule;

	if (g->names.n > 0) {
		/* addresses are the client's, names must be verified: `client in` asks for both */
		buf_adds(out, "client in ");
		import_list_print(out, &g->names);
		before = " or ";
	}
	if (g->patterns != NULL) {
		buf_addf(out, "%sclient in <%s>", before, table_name(g->patterns));
		before = " or ";
	}
	for (rule = 0; rule <= S25R_RULES; rule++) {
		if (!g->rules[rule])
			continue;
		buf_addf(out, "%ss25r %d", before, rule);
		before = " or ";
		/* Postfix calls a name unknown as well when DNS does not answer */
		if (rule == 0)
			buf_adds(out, " or rdns temperror");
	}
}

static void
flush(struct buf *out, struct group *g)
{
	static const char *const words[] = { "trust", "tempfail", "reject", "greylist" };

	if (g->any) {
		buf_addf(out, "\t%s", words[g->verdict]);
		if (g->verdict == VERDICT_TEMPFAIL || g->verdict == VERDICT_REJECT)
			import_print_text(out, g->text);
		buf_adds(out, " when ");
		print_condition(out, g);
		buf_addc(out, '\n');
	}
	if (g->patterns != NULL) {
		buf_addf(g->tables, "table %s ", table_name(g->patterns));
		table_print_content(g->tables, g->patterns);
		buf_addc(g->tables, '\n');
		table_free(g->patterns);
	}
	free(g->text);
	import_list_clear(&g->names);
	*g = (struct group){ .verdict = VERDICT_NONE, .tables = g->tables };
}

/* The group of neighbours that a line with this VERDICT belongs to. */
static void
join(struct buf *out, struct group *g, enum verdict verdict, const char *text)
{
	if (g->any && (g->verdict != verdict || strcmp(g->text, text) != 0))
		flush(out, g);
	if (!g->any)
		*g = (struct group){ .verdict = verdict, .text = xstrdup(text), .any = true, .tables = g->tables };
}

static bool
contains(const char *s, const char *word)
{
	return strcasestr(s, word) != NULL;
}

/* Words and their verdicts (access(5)); behind a word, or a code, comes the reply's text. */
static enum verdict
read_action(const char *action, const char **text)
{
	static const struct {
		const char *word;
		enum verdict verdict;
	} words[] = {
		{ "OK", VERDICT_TRUST },
		{ "PERMIT", VERDICT_TRUST },
		{ "DUNNO", VERDICT_TRUST },
		{ "REJECT", VERDICT_REJECT },
		{ "DEFER_IF_PERMIT", VERDICT_TEMPFAIL },
		{ "DEFER_IF_REJECT", VERDICT_TEMPFAIL },
		{ "DEFER", VERDICT_TEMPFAIL },
	};
	size_t i, len = strcspn(action, " \t");

	*text = action + len + strspn(action + len, " \t");
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].word) == len && strncasecmp(words[i].word, action, len) == 0)
			return words[i].verdict;
	if (len == 3 && (action[0] == '4' || action[0] == '5') && isdigit((unsigned char)action[1])) {
		/* an enhanced status code is ours to give */
		if (isdigit((unsigned char)**text) && (*text)[1] == '.')
			*text += strcspn(*text, " \t");
		*text += strspn(*text, " \t");
		return action[0] == '4' ? VERDICT_TEMPFAIL : VERDICT_REJECT;
	}
	return contains(action, "grey") ? VERDICT_GREYLIST : VERDICT_NONE;
}

static void
not_said(struct buf *out, struct group *g, unsigned number, const char *line, const char *why)
{
	flush(out, g);
	buf_addf(out, "\t# line %u: %s: %s\n", number, line, why);
}

/* The slash that ends the expression which begins behind LINE's first octet. */
static const char *
expression_end(const char *line)
{
	const char *p;

	for (p = line + 1; *p != '\0' && *p != '/'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '/' ? p : NULL;
}

/* NULL, or why the expression cannot stand in a table (caller frees). */
static char *
keep_pattern(struct group *g, unsigned number, const char *regex)
{
	char *name;

	if (g->patterns == NULL) {
		name = xasprintf("expressions-%u", number);
		g->patterns = table_new(name);
		table_set_kind(g->patterns, TABLE_REGEX);
		free(name);
	}
	return table_add_element(g->patterns, regex, NULL);
}

/* An expression that Perl's engine would not take, or text that only Postfix could fill in. */
static char *
cannot_stay(const char *regex, const char *flags, size_t flags_n, const char *text)
{
	struct group trial = { .verdict = VERDICT_NONE };
	const char *p;
	char *why = NULL;

	for (p = text; *p != '\0' && why == NULL; p++)
		if (p[0] == '$' && p[1] != '\0')
			why = xstrdup("its text is filled in from the expression");
	if (why == NULL && flags_n > 0)
		why = xasprintf("the flags \"%.*s\" are Postfix's", (int)flags_n, flags);
	if (why == NULL)
		why = keep_pattern(&trial, 0, regex);
	table_free(trial.patterns);
	return why;
}

/* A line of its own: the expression between slashes, flags, and the action behind. */
static void
import_line(struct buf *out, struct group *g, unsigned number, const char *line)
{
	const char *end = line[0] == '/' ? expression_end(line) : NULL, *flags_end, *action, *text;
	enum verdict verdict;
	char *regex, *name, *why;
	int rule;

	flags_end = end != NULL ? end + 1 + strspn(end + 1, "imxAEDSUX") : "";
	if (!isspace((unsigned char)*flags_end)) {
		not_said(out, g, number, line, "only /expression/ and an action can be taken over");
		return;
	}
	action = flags_end + strspn(flags_end, " \t");
	verdict = read_action(action, &text);
	regex = xstrndup(line + 1, (size_t)(end - line - 1));
	name = import_name_of_regex(regex, strlen(regex));
	rule = s25r_rule_of(regex);
	why = name == NULL && rule < 0 ? cannot_stay(regex, end + 1, (size_t)(flags_end - end - 1), text) : NULL;
	if (verdict == VERDICT_NONE || why != NULL) {
		not_said(out, g, number, line, verdict == VERDICT_NONE ? "no such action here" : why);
	} else {
		join(out, g, verdict, text);
		if (rule >= 0)
			g->rules[rule] = true;
		else if (name != NULL)
			import_list_add(&g->names, name);
		else
			free(keep_pattern(g, number, regex));
	}
	free(why);
	free(name);
	free(regex);
}

void
import_regexp(struct buf *out, const char *text, size_t len)
{
	struct import_lines lines = { text, text + len, 0 };
	struct buf tables = { 0 };
	struct group g = { .verdict = VERDICT_NONE, .tables = &tables };
	const char *line;
	char *copy;
	size_t n;

	buf_adds(out, "gate {\n");
	while (import_next_line(&lines, &line, &n)) {
		if (n == 0 || line[0] == '#')
			continue;
		copy = xstrndup(line, n);
		import_line(out, &g, lines.number, copy);
		free(copy);
	}
	flush(out, &g);
	buf_adds(out, "}\n");
	buf_adds(out, buf_str(&tables));
	buf_free(&tables);
}
