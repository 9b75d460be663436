/*
 * Tables of patterns (Perl's, by PCRE2), asked from the first to the last.
 *
 * `table NAME regex` is the only caller.  A pattern sees the whole address, name or client as text;
 * the case of letters does not matter, as in every table.  "$1" in a value is what the first group
 * matched.  That came from a stranger and may become part of an alias, so a group that holds
 * anything but letters, digits and the marks of plain addresses makes the row match nobody: it can
 * never become a second address, a program or a file.  A pattern that takes too many steps does not
 * match.  Can fail: a pattern that is none, when it is added.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/table_inside.h"

#define STEPS_MAX 100000
#define DEPTH_MAX 1000
#define OPTIONS (PCRE2_CASELESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C)

struct pattern {
	char *text, *value;
	unsigned line;
	pcre2_code *code;
};

struct regex {
	struct table_content content;
	struct pattern *patterns;
	size_t n;
	pcre2_match_data *found;
	pcre2_match_context *limits;
	struct buf value; /* of the last answer */
};

/* "/PATTERN/" and "PATTERN" are the same. */
static char *
strip(const char *text)
{
	size_t len = strlen(text);

	return len >= 2 && text[0] == '/' && text[len - 1] == '/' ? xstrndup(text + 1, len - 2)
								  : xstrdup(text);
}

/* "$7" needs seven groups. */
static char *
check_groups(const char *value, uint32_t groups)
{
	const char *at;

	for (at = strchr(value, '$'); at != NULL; at = strchr(at + 1, '$'))
		if (at[1] >= '0' && at[1] <= '9' && (uint32_t)(at[1] - '0') > groups)
			return xasprintf("there is no group %.2s in the pattern", at);
	return NULL;
}

static char *
regex_add(struct table_content *content, const char *key, const char *value, unsigned line)
{
	struct regex *regex = (struct regex *)content;
	struct pattern pattern = { .text = strip(key), .value = xstrdup(value != NULL ? value : ""),
		.line = line };
	char words[128], *why;
	PCRE2_SIZE at;
	uint32_t groups = 0;
	int error;

	pattern.code = pcre2_compile((PCRE2_SPTR)pattern.text, PCRE2_ZERO_TERMINATED, OPTIONS,
	    &error, &at, NULL);
	if (pattern.code == NULL) {
		pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof(words));
		why = xasprintf("\"%s\" is no pattern: %s at character %zu", pattern.text, words,
		    (size_t)at + 1);
	} else {
		pcre2_pattern_info(pattern.code, PCRE2_INFO_CAPTURECOUNT, &groups);
		why = check_groups(pattern.value, groups);
	}
	if (why != NULL) {
		free(pattern.text);
		free(pattern.value);
		pcre2_code_free(pattern.code);
		return why;
	}
	regex->patterns = xreallocarray(regex->patterns, regex->n + 1, sizeof(pattern));
	regex->patterns[regex->n++] = pattern;
	return NULL;
}

static bool
is_harmless(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c >= 0x80 || strchr("@._+-=~", c) != NULL))
			return false;
	}
	return true;
}

/* False: a group of what was found in TEXT may not become part of a value. */
static bool
fill_in(struct regex *regex, const char *value, const char *text)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->found);
	uint32_t n = pcre2_get_ovector_count(regex->found), group;
	size_t len;

	buf_clear(&regex->value);
	for (; *value != '\0'; value++) {
		if (value[0] != '$' || value[1] < '0' || value[1] > '9') {
			buf_addc(&regex->value, *value);
			continue;
		}
		group = (uint32_t)(*++value - '0');
		if (group >= n || ends[2 * group] == PCRE2_UNSET)
			continue;
		len = ends[2 * group + 1] - ends[2 * group];
		if (!is_harmless(text + ends[2 * group], len))
			return false;
		buf_add(&regex->value, text + ends[2 * group], len);
	}
	return true;
}

static bool
regex_find(struct table_content *content, const char *text, struct table_row *row)
{
	struct regex *regex = (struct regex *)content;
	size_t i, len = strlen(text);

	for (i = 0; i < regex->n; i++) {
		const struct pattern *pattern = &regex->patterns[i];

		if (pcre2_match(pattern->code, (PCRE2_SPTR)text, len, 0, 0, regex->found,
			regex->limits) < 0 ||
		    !fill_in(regex, pattern->value, text))
			continue;
		*row = (struct table_row){ buf_str(&regex->value), pattern->line, NULL };
		return true;
	}
	return false;
}

static void
regex_each(const struct table_content *content,
    void (*visit)(const char *, const char *, unsigned, void *), void *arg)
{
	const struct regex *regex = (const struct regex *)content;
	size_t i;

	for (i = 0; i < regex->n; i++)
		visit(regex->patterns[i].text, regex->patterns[i].value, regex->patterns[i].line,
		    arg);
}

static size_t
regex_count(const struct table_content *content)
{
	return ((const struct regex *)content)->n;
}

static void
regex_free(struct table_content *content)
{
	struct regex *regex = (struct regex *)content;
	size_t i;

	for (i = 0; i < regex->n; i++) {
		free(regex->patterns[i].text);
		free(regex->patterns[i].value);
		pcre2_code_free(regex->patterns[i].code);
	}
	free(regex->patterns);
	pcre2_match_data_free(regex->found);
	pcre2_match_context_free(regex->limits);
	buf_free(&regex->value);
	free(regex);
}

struct table_content *
table_regex_new(void)
{
	static const struct table_ops ops = {
		.find = regex_find,
		.add = regex_add,
		.each = regex_each,
		.count = regex_count,
		.free = regex_free,
	};
	struct regex *regex = xcalloc(1, sizeof(*regex));

	regex->content.ops = &ops;
	regex->content.shape.names = true;
	regex->found = pcre2_match_data_create(10, NULL);
	regex->limits = pcre2_match_context_create(NULL);
	if (regex->found == NULL || regex->limits == NULL)
		fatal("pcre2: out of memory");
	pcre2_set_match_limit(regex->limits, STEPS_MAX);
	pcre2_set_depth_limit(regex->limits, DEPTH_MAX);
	return &regex->content;
}
