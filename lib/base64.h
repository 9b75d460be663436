/*
 * Base 64 (RFC 4648 4), strict: SASL messages, where two spellings of one thing would be one too many.
 */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Appends what S stands for.  False, and nothing appended: an octet of another alphabet, white space, padding that is
 * missing, too much or not at the end, or bits set behind the last octet. */
bool base64_decode(struct buf *, const char *s, size_t len);
void base64_encode(struct buf *, const void *, size_t len);

#endif
