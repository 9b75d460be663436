/*
 * Names for the tokens that a parser in some state would take.
 *
 * The parser calls it once for each syntax error.  Pure.  Tokens that belong together (all actions,
 * all facts) are told as one thing, what goes without saying is left out, and a word near to one
 * that fits is shown, because the reader usually knows what he wanted and only needs to see where
 * he slipped.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/expect.h"
#include "conf/lex.h"
#include "conf/parse.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/nearest.h"

#define SHOWN_MAX 40 /* octets of an unexpected token */

static const struct word {
	int token;
	const char *name;
} words[] = {
#define KEYWORD(token, word) { T_##token, word },
#include "conf/keywords.h"
#undef KEYWORD
};
#define WORDS (sizeof(words) / sizeof(words[0]))

/* In the order in which they are told; the keywords come between. */
static const struct word things[] = {
	{ T_NETWORK, "an address" },
	{ T_WORD, "a name or string" },
	{ T_STRING, "a string in quotes" },
	{ T_TABLE_NAME, "a table such as <friends>" },
	{ T_NUMBER, "a number" },
	{ T_BYTES, "a size such as 50M" },
	{ T_TIME, "a time such as 20s" },
}, signs[] = {
	{ T_OPEN, "\"{\"" },
	{ T_LIST_OPEN, "a list in { }" },
	{ '(', "\"(\"" },
	{ ')', "\")\"" },
	{ '=', "\"=\"" },
	{ '>', "\">\"" },
	{ T_AT_LEAST, "\">=\"" },
	{ ',', "\",\"" },
	{ T_CLOSE, "\"}\"" },
	{ T_LIST_CLOSE, "\"}\"" },
	{ T_NEWLINE, "the end of the line" },
};
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Expected all at once, the first CORE of them are told as one thing, and those behind go along
 * with it. */
static const struct group {
	const char *name;
	unsigned core;
	int tokens[40];
} groups[] = {
	{ "a statement", 14, { T_HOST, T_SPOOL, T_RESOLVER, T_CERTIFICATE, T_TABLE, T_LISTEN,
	    T_ACCOUNTS, T_LIMIT, T_LOG, T_GATE, T_DOMAIN, T_POSTMASTER, T_REWRITE, T_RELAY } },
	{ "an action", 10, { T_TRUST, T_PASS, T_PAUSE, T_TARPIT, T_MARK, T_TRAP, T_GREYLIST, T_TEMPFAIL,
	    T_REJECT, T_DROP, T_OBSERVE } },
	{ "a fact", 24, { T_CLIENT, T_DAYTIME, T_RDNS, T_S25R, T_DNSBL, T_DNSWL, T_RATE, T_CONNECTIONS,
	    T_TRAPPED, T_EARLY_TALKER, T_HELO, T_SENDER, T_SENDER_DOMAIN, T_SPF, T_RECIPIENT,
	    T_KNOWN_CORRESPONDENT, T_LIST_MEMBER, T_UNKNOWN_RECIPIENTS, T_PIPELINING, T_DKIM,
	    T_DMARC, T_SIZE,
	    T_AUTHENTICATED, T_TLS, T_NOT, '(' } },
};

struct expectation {
	bool words[WORDS], things[N(things)], signs[N(signs)];
	const struct group *group;
};

static const char *
word_name(int token)
{
	size_t i;

	for (i = 0; i < WORDS; i++) {
		if (words[i].token == token)
			return words[i].name;
	}
	return NULL;
}

static void
ask(bool *flags, const struct word *of, size_t n, bool (*expected)(int, void *), void *arg)
{
	size_t i;

	for (i = 0; i < n; i++)
		flags[i] = expected(of[i].token, arg);
}

static void
forget(bool *flags, const struct word *of, size_t n, int token)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (of[i].token == token)
			flags[i] = false;
	}
}

static void
forget_sign(struct expectation *expectation, int token)
{
	forget(expectation->signs, signs, N(signs), token);
}

static void
find_group(struct expectation *expectation, bool (*expected)(int, void *), void *arg)
{
	const struct group *group;
	unsigned i;

	for (group = groups; group < groups + N(groups); group++) {
		for (i = 0; i < group->core && expected(group->tokens[i], arg); i++)
			;
		if (i < group->core)
			continue;
		expectation->group = group;
		for (i = 0; i < N(group->tokens) && group->tokens[i] != 0; i++) {
			forget(expectation->words, words, WORDS, group->tokens[i]);
			forget_sign(expectation, group->tokens[i]);
		}
	}
}

/* The word among those expected that TEXT is a slip of. */
static const char *
nearest_expected(const struct expectation *expectation, const char *text)
{
	const char *names[WORDS];
	size_t i;

	for (i = 0; i < WORDS; i++)
		names[i] = expectation->words[i] ? words[i].name : NULL;
	return nearest_word(text, names, WORDS);
}

static bool
any(const bool *flags, size_t n)
{
	return memchr(flags, true, n) != NULL;
}

/* --- what is there --- */

static void
print_token(struct buf *out, const struct lexer *lexer, int token, bool words_fit)
{
	size_t len = lexer->token_len;

	if (token == 0 || token == T_NEWLINE) {
		buf_addf(out, "unexpected end of the %s", token == 0 ? "file" : "line");
		return;
	}
	buf_adds(out, token == T_WORD && words_fit ? "unknown word " : "unexpected ");
	buf_adds(out, token == T_STRING ? "string " : "\"");
	buf_add(out, lexer->token, len < SHOWN_MAX ? len : SHOWN_MAX);
	if (len > SHOWN_MAX)
		buf_adds(out, "...");
	if (token != T_STRING)
		buf_addc(out, '"');
}

/* --- what would fit --- */

struct list {
	const char *items[WORDS + N(things) + N(signs) + 1];
	bool quoted[WORDS + N(things) + N(signs) + 1];
	size_t n;
};

static void
list_add(struct list *list, const char *item, bool quoted)
{
	list->quoted[list->n] = quoted;
	list->items[list->n++] = item;
}

static void
list_print(struct buf *out, const struct list *list)
{
	const char *quote;
	size_t i;

	for (i = 0; i < list->n; i++) {
		quote = list->quoted[i] ? "\"" : "";
		buf_adds(out, i == 0 ? "" : i + 1 < list->n ? ", " : " or ");
		buf_addf(out, "%s%s%s", quote, list->items[i], quote);
	}
}

static void
print_expected(struct buf *out, const struct expectation *expectation)
{
	struct list list = { .n = 0 };
	size_t i;

	if (expectation->group != NULL)
		list_add(&list, expectation->group->name, false);
	for (i = 0; i < N(things); i++) {
		if (expectation->things[i])
			list_add(&list, things[i].name, false);
	}
	for (i = 0; i < WORDS; i++) {
		if (expectation->words[i])
			list_add(&list, words[i].name, true);
	}
	for (i = 0; i < N(signs); i++) {
		if (expectation->signs[i])
			list_add(&list, signs[i].name, false);
	}
	if (list.n == 0)
		return;
	buf_adds(out, "; expected ");
	list_print(out, &list);
}

static void
print_members(struct buf *out, const struct group *group)
{
	struct list list = { .n = 0 };
	unsigned i;

	for (i = 0; i < group->core; i++)
		list_add(&list, word_name(group->tokens[i]), false);
	buf_adds(out, " (");
	list_print(out, &list);
	buf_adds(out, ")");
}

/* What goes without saying is left out. */
static void
thin_out(struct expectation *expectation, const struct lexer *lexer,
    bool (*expected)(int, void *), void *arg)
{
	if (expected(T_WORD, arg))
		forget(expectation->things, things, N(things), T_STRING);
	if (lexer->line_start) {
		forget_sign(expectation, T_NEWLINE);
		forget_sign(expectation, T_CLOSE);
	}
	if (expected(T_NEWLINE, arg))
		forget_sign(expectation, T_CLOSE);
}

char *
expect_message(const struct lexer *lexer, int token, bool (*expected)(int, void *), void *arg)
{
	struct expectation expectation = { .group = NULL };
	struct buf out = { 0 };
	char *text = xstrndup(lexer->token, lexer->token_len);
	const char *near = NULL;
	unsigned line = lexer_open_line(lexer);

	ask(expectation.words, words, WORDS, expected, arg);
	ask(expectation.things, things, N(things), expected, arg);
	ask(expectation.signs, signs, N(signs), expected, arg);
	print_token(&out, lexer, token, any(expectation.words, WORDS));
	if (token == T_WORD)
		near = nearest_expected(&expectation, text);
	thin_out(&expectation, lexer, expected, arg);
	find_group(&expectation, expected, arg);
	if (token == 0 && line > 0)
		buf_addf(&out, "; the \"{\" on line %u is not closed", line);
	else
		print_expected(&out, &expectation);
	if (near != NULL)
		buf_addf(&out, " (did you mean \"%s\"?)", near);
	else if (word_name(token) != NULL && expected(T_WORD, arg))
		buf_addf(&out, " (\"%s\" is a word of the language; as a name it needs quotes)",
		    text);
	else if (expectation.group != NULL && token != 0)
		print_members(&out, expectation.group);
	free(text);
	return buf_take(&out);
}
