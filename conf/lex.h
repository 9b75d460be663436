/*
 * Text into tokens.  A newline is a token and ends a statement, or a rule within the braces of
 * `gate`, `domain` and `relay`; inside a list (every other pair of braces) and inside parentheses
 * it is space, and in a list no word is a keyword.
 */
#ifndef CONF_LEX_H
#define CONF_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/gate.h"

struct token {
	int kind;           /* a token of conf/parse.y; 0: end of the text */
	struct place place; /* lines and characters from 1 */
	char *text;         /* of a word, string, address or <table>: the caller frees; else NULL */
	uint64_t number;    /* of a number, time or size */
};

struct lexer {
	const char *pos, *end;
	struct place place; /* of POS */
	const char *token;  /* the last token as it was written, for messages */
	size_t token_len;
	int last;           /* its kind */
	int first;          /* the first token of this statement; 0 at its start */
	bool line_start;    /* the last token was that first one */
	bool in_block;
	unsigned lists, parentheses; /* how many are open */
	unsigned block_line, list_line; /* where the outermost of each was opened */
	bool recovering;
	char *error;        /* behind a token of kind T_BAD: what is wrong with it, at its place */
};

/* TEXT stays the caller's and must outlive the lexer. */
void lexer_init(struct lexer *, const char *text, size_t len);
void lexer_free(struct lexer *);
void lexer_next(struct lexer *, struct token *);
/* The parser could not use the last token: what follows to the end of the statement, a block
 * that nobody understands included, is skipped as one. */
void lexer_recover(struct lexer *);
/* The line of the innermost brace that is open, or 0. */
unsigned lexer_open_line(const struct lexer *);

#endif
