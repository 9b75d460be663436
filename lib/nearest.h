/*
 * The word that somebody probably meant, for messages such as: unknown word "greylst" (did you mean
 * "greylist"?).
 */
#ifndef LIB_NEAREST_H
#define LIB_NEAREST_H

#include <stddef.h>

/*
 * Among N words (NULL ones are passed over) the one with the fewest letters to change, add, drop or
 * swap with the next to get there from WORD, letter case ignored; the first of equals.  NULL when
 * none is near: more than a third of the letters, and never more than 3, would have to change.
 */
const char *nearest_word(const char *word, const char *const *words, size_t n);

#endif
