/*
 * Ids of sessions and messages: 64 bits, the upper 32 the seconds of their birth, the lower 32 the process and
 * its count from a random start; printed as 13 characters of Crockford's base 32, which sort by time and can be
 * read over the telephone.
 */
#ifndef LIB_ID_H
#define LIB_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_LEN 13
struct id_text {
	char s[ID_LEN + 1];
};

/* Never 0. */
uint64_t id_new(void);
struct id_text id_text(uint64_t);
/* Case folds, I and L read as 1, O as 0.  False when it is no id. */
bool id_parse(const char *, uint64_t *);

#endif
