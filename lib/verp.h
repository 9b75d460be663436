/*
 * Variable envelope return paths (VERP): a reverse-path for each recipient that names him, so that
 * whoever gets a bounce knows who bounced, whatever it says.  The formula is two characters: with "+=",
 * "owner@lists.example" and "alice@example.org" make "owner+alice=example.org@lists.example".
 * Postfix's VERP_README has the same.  Pure.
 */
#ifndef LIB_VERP_H
#define LIB_VERP_H

#include <stdbool.h>
#include <stddef.h>

#define VERP_DEFAULT "+="
#define VERP_SIZE 3 /* of a formula, with its end */

/* Two of "-", "=" and "+". */
bool verp_formula_ok(const char *s, size_t len);
/* The caller frees.  SENDER itself when it is the null one, or when there would be more octets than
 * a path may have: mail that arrives is better than a bounce that is told apart. */
char *verp_path(const char *formula, const char *sender, const char *recipient);

#endif
