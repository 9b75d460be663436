/*
 * The words of a syntax error: what stands there, what would have fitted, and which word was
 * perhaps meant.
 */
#ifndef CONF_EXPECT_H
#define CONF_EXPECT_H

#include <stdbool.h>

struct lexer;

/*
 * `unknown word "greylst"; expected an action (did you mean "greylist"?)` about the lexer's last
 * token, which is of kind TOKEN.  EXPECTED tells of each token of conf/parse.y whether it would
 * have fitted.  The caller frees.
 */
char *expect_message(
    const struct lexer *, int token, bool (*expected)(int token, void *arg), void *arg);

#endif
