/*
 * UTF-8 (RFC 3629), one character after the other.
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Octets of the character that begins at S, which is before END, and its number; 0: there is none, because it is cut short,
 * longer than it need be, a surrogate, above U+10FFFF or no UTF-8 at all. */
size_t utf8_next(const char *s, const char *end, uint32_t *character);

#endif
