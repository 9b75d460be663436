/*
 * Taking apart what aliases and .forward files say (alias_item.h).
 *
 * alias.c asks item by item.  Commas divide them, outside of double quotes; within these a
 * backslash takes away the meaning of what follows, as in sendmail's files.  An address may have
 * comments, "bob@example.net (Bob, the treasurer)", as list managers write them.  A line end within
 * a value cannot be: values are one line, and .forward is read line by line.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/alias_item.h"
#include "deliver/command_line.h"
#include "deliver/target.h"
#include "lib/buf.h"
#include "lib/mem.h"

static const char include_word[] = ":include:";
#define INCLUDE_LEN (sizeof(include_word) - 1)

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Programs, files and includes have no comments: a parenthesis is part of a name there. */
static bool
may_have_comments(const char *item)
{
	return strchr("|/:", item[0]) == NULL;
}

/* The next comma outside of quotes and comments, or the end; NULL: one of these is not closed, and
 * *WHY (a constant) says which. */
static const char *
item_end(const char *s, const char **why)
{
	bool quoted = false, comments = may_have_comments(s);
	unsigned depth = 0;

	for (; *s != '\0' && (quoted || depth > 0 || *s != ','); s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		else if (*s == '"' && depth == 0)
			quoted = !quoted;
		else if (*s == '(' && comments && !quoted)
			depth++;
		else if (*s == ')' && depth > 0)
			depth--;
	}
	if (quoted)
		*why = "a quote (\") is not closed";
	else if (depth > 0)
		*why = "a parenthesis is not closed";
	return quoted || depth > 0 ? NULL : s;
}

/* S, in which item_end found all closed, without its comments. */
static char *
without_comments(const char *s)
{
	struct buf out = { 0 };
	bool quoted = false;
	unsigned depth = 0;

	for (; *s != '\0'; s++) {
		const char *from = s;

		if (*s == '\\' && s[1] != '\0')
			s++;
		else if (*s == '"' && depth == 0)
			quoted = !quoted;
		else if (*s == '(' && !quoted)
			depth++;
		if (depth == 0)
			buf_add(&out, from, (size_t)(s - from) + 1);
		else if (*s == ')' && s == from)
			depth--;
	}
	return buf_take(&out);
}

/* The quoted string that S begins with, without quotes and backslashes; *END is behind it.  NULL:
 * it does not end. */
static char *
unquote(const char *s, const char **end)
{
	struct buf out = { 0 };

	for (s++; *s != '\0' && *s != '"'; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		buf_addc(&out, *s);
	}
	*end = *s == '"' ? s + 1 : NULL;
	return buf_take(&out);
}

/* S without white space around it. */
static char *
trimmed(const char *s)
{
	size_t len;

	while (is_space(*s))
		s++;
	len = strlen(s);
	while (len > 0 && is_space(s[len - 1]))
		len--;
	return xstrndup(s, len);
}

/* --- the kinds: each takes TEXT over, and gives NULL or what is wrong --- */

static char *
take(struct alias_item *item, enum alias_item_kind kind, char *text)
{
	item->kind = kind;
	item->text = text;
	return NULL;
}

/* REST is what stands behind the '|'. */
static char *
take_program(struct alias_item *item, const char *rest)
{
	char *command = trimmed(rest), *inner, *text, *why, **argv;
	const char *end = NULL;

	if (command[0] == '"') {
		inner = unquote(command, &end);
		if (end != NULL && *end == '\0') {
			free(command);
			command = inner;
		} else {
			free(inner);
		}
	}
	why = command_split(command, &argv);
	if (why != NULL) {
		free(command);
		return why;
	}
	command_argv_free(argv);
	text = xasprintf("|%s", command);
	free(command);
	return take(item, ITEM_PROGRAM, text);
}

static char *
take_include(struct alias_item *item, const char *rest)
{
	char *path = trimmed(rest), *why;

	if (path[0] == '/')
		return take(item, ITEM_INCLUDE, path);
	why = xasprintf("\":include:%s\": the path must begin with \"/\"", path);
	free(path);
	return why;
}

/* What quotes, or nothing, stand around. */
static char *
take_plain(struct alias_item *item, const char *s)
{
	const char *open = strrchr(s, '<');
	size_t len = strlen(s);

	if (s[0] == '|')
		return take_program(item, s + 1);
	if (s[0] == '/')
		return take(item, ITEM_FILE, xstrdup(s));
	if (strncasecmp(s, include_word, INCLUDE_LEN) == 0)
		return take_include(item, s + INCLUDE_LEN);
	if (s[0] == ':')
		return xstrdup("only \":include:/path\" may begin with a colon");
	if (s[0] == '@')
		return take(item, ITEM_DOMAIN, xstrdup(s));
	if (s[0] == '\\')
		return take(item, ITEM_MAILBOX, xstrdup(s + 1));
	if (len > 0 && s[len - 1] == '>' && open != NULL)
		return take(item, ITEM_ADDRESS, xstrndup(open + 1, len - (size_t)(open - s) - 2));
	return take(item, ITEM_ADDRESS, xstrdup(s));
}

/* "..." as a whole, a quoted local part, or a display name. */
static char *
take_quoted(struct alias_item *item, const char *s)
{
	const char *end;
	char *inner = unquote(s, &end), *why;

	if (end == NULL || *end != '\0')
		why = take_plain(item, s);
	else if (inner[0] == '|' || inner[0] == '/' || inner[0] == ':' || inner[0] == '\\' ||
		 strchr(inner, '@') != NULL)
		why = take_plain(item, inner);
	else
		why = take(item, ITEM_ADDRESS, xstrdup(s));
	free(inner);
	return why;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return true;
	return false;
}

static char *
take_item(struct alias_item *item, const char *raw)
{
	char *why;

	if (has_control(raw))
		return xstrdup("there is a control character in it");
	why = raw[0] == '"' ? take_quoted(item, raw) : take_plain(item, raw);
	if (why != NULL || strlen(item->text) <= TARGET_MAX / 2)
		return why;
	free(item->text);
	item->text = NULL;
	return xasprintf("an item is longer than %d characters", TARGET_MAX / 2);
}

int
alias_item_next(const char **at, struct alias_item *item, char **why)
{
	const char *s = *at, *end, *unclosed = NULL;
	char *raw, *text, *bare;

	*item = (struct alias_item){ .text = NULL };
	*why = NULL;
	while (*s == ',' || is_space(*s))
		s++;
	*at = s;
	if (*s == '\0')
		return 0;
	end = item_end(s, &unclosed);
	if (end == NULL) {
		*at = s + strlen(s);
		*why = xstrdup(unclosed);
		return -1;
	}
	*at = end;
	text = xstrndup(s, (size_t)(end - s));
	bare = may_have_comments(text) ? without_comments(text) : xstrdup(text);
	raw = trimmed(bare);
	free(bare);
	free(text);
	*why = take_item(item, raw);
	free(raw);
	return *why == NULL ? 1 : -1;
}
