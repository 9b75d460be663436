/*
 * Text in UTF-8 as ASCII, for the places where a protocol knows nothing else: an SMTP reply (RFC
 * 5321 4.2) stays readable to whoever gets it.
 */
#ifndef LIB_ASCII_H
#define LIB_ASCII_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* No octet of S is above 127. */
bool ascii_only(const char *s);
/* S is well-formed UTF-8 without control characters other than tabs. */
bool ascii_is_text(const char *s);
/* Adds S: Latin letters without their marks, punctuation as typewriters have it, and '?' for each
 * other character.  Returns how many of those there are.  S must be a text. */
size_t ascii_add(struct buf *, const char *s);

#endif
