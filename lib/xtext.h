/*
 * xtext (RFC 3461 4): printable ASCII without "+", "=" and spaces; every other octet is "+" and two hexadecimal digits.
 */
#ifndef LIB_XTEXT_H
#define LIB_XTEXT_H

#include <stddef.h>

struct buf;

/* NULL when it is no xtext, or says what is not printable ASCII (RFC 3461 4.2, 4.4); else the caller frees. */
char *xtext_decode(const char *, size_t len);
void xtext_add(struct buf *, const char *);

#endif
