/*
 * The lexer: one function a kind of token, over a text in memory that may hold anything.
 *
 * Called by the parser alone.  It fails for a string that does not end, an address that is none, a
 * number that does not fit and a byte that has no place in a text; each time with a token of its
 * own kind and a reason, so that the parser can go on with the next statement.  It never reads
 * behind the text and never allocates more than the token is long.
 *
 * Whether "{" opens a block or a list is known from the first word of the statement.  That is what
 * makes the rest of the language simple: names in lists need no quotes, and a block with an unknown
 * name is skipped whole.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/conf.h"
#include "conf/lex.h"
#include "conf/parse.h"
#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "lib/quote.h"

static const struct keyword {
	const char *name;
	int kind;
} keywords[] = {
#define KEYWORD(token, word) { word, T_##token },
#include "conf/keywords.h"
#undef KEYWORD
};

const char *const conf_keywords[] = {
#define KEYWORD(token, word) word,
#include "conf/keywords.h"
#undef KEYWORD
	NULL
};

void
lexer_init(struct lexer *lexer, const char *text, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf"; /* some editors begin a file with it */

	*lexer = (struct lexer){ .pos = text, .end = text + len, .place = { 1, 1 } };
	if (len >= 3 && memcmp(text, mark, 3) == 0)
		lexer->pos += 3;
	lexer->token = lexer->pos;
}

void
lexer_free(struct lexer *lexer)
{
	free(lexer->error);
	lexer->error = NULL;
}

unsigned
lexer_open_line(const struct lexer *lexer)
{
	return lexer->lists > 0 ? lexer->list_line : lexer->in_block ? lexer->block_line : 0;
}

/* Columns are characters, for that is what an editor shows: continuation bytes of UTF-8 do not
 * count, nor does the first half of CRLF. */
static void
advance(struct lexer *lexer, size_t len)
{
	for (; len > 0; len--, lexer->pos++) {
		if (*lexer->pos == '\n') {
			lexer->place.line++;
			lexer->place.column = 1;
		} else if ((*lexer->pos & 0xc0) != 0x80 && *lexer->pos != '\r') {
			lexer->place.column++;
		}
	}
}

static bool
at(const struct lexer *lexer, size_t offset, char c)
{
	return (size_t)(lexer->end - lexer->pos) > offset && lexer->pos[offset] == c;
}

static bool
skips_newline(const struct lexer *lexer)
{
	return lexer->lists > 0 || lexer->parentheses > 0;
}

static void
skip_space(struct lexer *lexer)
{
	const char *newline;

	while (lexer->pos < lexer->end) {
		if (*lexer->pos == ' ' || *lexer->pos == '\t' ||
		    (at(lexer, 0, '\r') && at(lexer, 1, '\n'))) {
			advance(lexer, 1);
		} else if (*lexer->pos == '#') {
			newline = memchr(lexer->pos, '\n', (size_t)(lexer->end - lexer->pos));
			advance(
			    lexer, (size_t)((newline != NULL ? newline : lexer->end) - lexer->pos));
		} else if (*lexer->pos == '\n' && skips_newline(lexer)) {
			advance(lexer, 1);
		} else {
			break;
		}
	}
}

static int __attribute__((format(printf, 2, 3)))
bad(struct lexer *lexer, const char *fmt, ...)
{
	va_list ap;

	free(lexer->error);
	va_start(ap, fmt);
	lexer->error = xvasprintf(fmt, ap);
	va_end(ap);
	return T_BAD;
}

static bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c & 0x80) != 0 || (c != '\0' && strchr("_.:/@*+%~-[]$!?", c) != NULL);
}

/* A field such as %{home} belongs to its word. */
static size_t
word_span(const struct lexer *lexer)
{
	const char *s = lexer->pos, *close;

	while (s < lexer->end) {
		if (is_word_char(*s)) {
			s++;
		} else if (*s == '{' && s > lexer->pos && s[-1] == '%') {
			for (close = s + 1; close < lexer->end && (is_word_char(*close)); close++)
				;
			if (close == lexer->end || *close != '}')
				break;
			s = close + 1;
		} else {
			break;
		}
	}
	return (size_t)(s - lexer->pos);
}

/* True of what nobody writes for anything else: digits and dots, or hexadecimal digits and two
 * colons or more. */
static bool
looks_like_address(const char *word)
{
	size_t dots = 0, colons = 0, span = strspn(word, "0123456789abcdefABCDEF.:"), i;
	bool decimal = strspn(word, "0123456789.") == span;

	if (word[span] != '\0' && word[span] != '/')
		return false;
	for (i = 0; i < span; i++) {
		dots += word[i] == '.';
		colons += word[i] == ':';
	}
	return colons >= 2 || (decimal && dots > 0 && word[0] != '.');
}

/* LEXER's word is an address or network, and is none as it stands. */
static int
bad_address(struct lexer *lexer, const char *word)
{
	const char *slash = strchr(word, '/');
	char *address, *rest;
	unsigned long bits;
	struct ipnet net;
	struct ip ip;
	int kind = 0;

	if (slash != NULL && slash[1] != '\0') {
		address = xstrndup(word, (size_t)(slash - word));
		bits = strtoul(slash + 1, &rest, 10);
		if (ip_parse(address, &ip) && *rest == '\0' &&
		    bits <= (ip.family == AF_INET ? 32 : 128)) {
			net = ip_network(&ip, (uint8_t)bits);
			kind = bad(lexer, "%s has bits set behind its length; the network is %s",
			    word, ipnet_text(&net).s);
		}
		free(address);
	}
	return kind != 0 ? kind : bad(lexer, "%s is not an address or network", word);
}

static int
keyword_kind(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strcmp(keywords[i].name, word) == 0)
			return keywords[i].kind;
	}
	return T_WORD;
}

/* Where any word is a name: what is listed, what a table is called, which limit it is. */
static bool
takes_names(const struct lexer *lexer)
{
	return lexer->lists > 0 || lexer->last == T_TABLE || lexer->last == T_LIMIT;
}

static int
word(struct lexer *lexer, struct token *token)
{
	struct ipnet net;
	size_t len = word_span(lexer);

	token->text = xstrndup(lexer->pos, len);
	advance(lexer, len);
	if (ipnet_parse(token->text, &net))
		return T_NETWORK;
	if (looks_like_address(token->text))
		return bad_address(lexer, token->text);
	if (takes_names(lexer))
		return T_WORD;
	switch (quantity_parse(token->text, len, &token->number)) {
	case QUANTITY_COUNT:
		return T_NUMBER;
	case QUANTITY_SIZE:
		return T_BYTES;
	case QUANTITY_TIME:
		return T_TIME;
	case QUANTITY_TOO_LARGE:
		return bad(lexer, "%s is too large", token->text);
	case QUANTITY_NONE:
		break;
	}
	return keyword_kind(token->text);
}

static int
string(struct lexer *lexer, struct token *token)
{
	struct buf content = { 0 };
	const char *why, *newline;
	size_t used, where = 0;

	used = quote_read(lexer->pos, (size_t)(lexer->end - lexer->pos), &content, &why, &where);
	if (used > 0) {
		advance(lexer, used);
		token->text = buf_take(&content);
		return T_STRING;
	}
	buf_free(&content);
	advance(lexer, where);
	token->place = lexer->place;
	/* The rest of the line is in the string or nowhere. */
	newline = memchr(lexer->pos, '\n', (size_t)(lexer->end - lexer->pos));
	advance(lexer, (size_t)((newline != NULL ? newline : lexer->end) - lexer->pos));
	return bad(lexer, "%s", why);
}

/* <friends> */
static int
table_name_token(struct lexer *lexer, struct token *token)
{
	const char *s;

	for (s = lexer->pos + 1; s < lexer->end && is_word_char(*s); s++)
		;
	if (s == lexer->end || *s != '>' || s == lexer->pos + 1) {
		advance(lexer, 1);
		return bad(lexer, "a table is named as in <friends>");
	}
	token->text = xstrndup(lexer->pos + 1, (size_t)(s - lexer->pos - 1));
	advance(lexer, (size_t)(s + 1 - lexer->pos));
	return T_TABLE_NAME;
}

static int
open_brace(struct lexer *lexer)
{
	bool block = lexer->first == T_GATE || lexer->first == T_DOMAIN || lexer->first == T_RELAY;

	if (block && !lexer->in_block && lexer->lists == 0 && !lexer->recovering) {
		lexer->in_block = true;
		lexer->block_line = lexer->place.line;
		lexer->first = 0;
		return T_OPEN;
	}
	if (lexer->lists++ == 0)
		lexer->list_line = lexer->place.line;
	return T_LIST_OPEN;
}

static int
close_brace(struct lexer *lexer)
{
	if (lexer->lists > 0) {
		lexer->lists--;
		return T_LIST_CLOSE;
	}
	lexer->in_block = false;
	return T_CLOSE;
}

static int
sign(struct lexer *lexer, char c)
{
	switch (c) {
	case '{':
		return open_brace(lexer);
	case '}':
		return close_brace(lexer);
	case '(':
		lexer->parentheses++;
		return c;
	case ')':
		lexer->parentheses -= lexer->parentheses > 0;
		return c;
	case ',':
	case '=':
	case '>':
		return c;
	default:
		if ((unsigned char)c < ' ' || c == '\x7f')
			return bad(lexer, "control character 0x%02x", (unsigned char)c);
		return bad(lexer, "unexpected \"%c\"", c);
	}
}

/* The last line counts as one even without its newline. */
static int
end_of_text(const struct lexer *lexer)
{
	return lexer->lists > 0 || lexer->last == T_NEWLINE || lexer->last == 0 ? 0 : T_NEWLINE;
}

static int
scan(struct lexer *lexer, struct token *token)
{
	int kind;

	if (lexer->pos == lexer->end)
		return end_of_text(lexer);
	if (*lexer->pos == '"')
		return string(lexer, token);
	if (*lexer->pos == '<')
		return table_name_token(lexer, token);
	if (is_word_char(*lexer->pos))
		return word(lexer, token);
	if (at(lexer, 0, '>') && at(lexer, 1, '=')) {
		advance(lexer, 2);
		return T_AT_LEAST;
	}
	kind = *lexer->pos == '\n' ? T_NEWLINE : sign(lexer, *lexer->pos);
	advance(lexer, 1);
	return kind;
}

static bool
has_text(int kind)
{
	return kind == T_WORD || kind == T_STRING || kind == T_NETWORK || kind == T_TABLE_NAME;
}

void
lexer_next(struct lexer *lexer, struct token *token)
{
	bool starts;

	skip_space(lexer);
	*token = (struct token){ .place = lexer->place };
	lexer->token = lexer->pos;
	starts = lexer->first == 0;
	token->kind = scan(lexer, token);
	lexer->token_len = (size_t)(lexer->pos - lexer->token);
	lexer->last = token->kind;
	lexer->line_start = starts;
	if (!has_text(token->kind)) {
		free(token->text);
		token->text = NULL;
	}
	if (token->kind == T_NEWLINE) {
		lexer->first = 0;
		lexer->parentheses = 0;
		lexer->recovering = false;
	} else if (starts && token->kind != T_OPEN) {
		lexer->first = token->kind;
	}
}

void
lexer_recover(struct lexer *lexer)
{
	lexer->parentheses = 0;
	if (lexer->last == T_NEWLINE)
		return;
	lexer->recovering = true;
	if (lexer->last == T_OPEN) {
		lexer->in_block = false;
		lexer->lists = 1;
		lexer->list_line = lexer->block_line;
	}
}
