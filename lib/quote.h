/*
 * Strings as the configuration writes them: in double quotes, with '\' before '"' and '\'.  There
 * are no other escapes, because no value of the language may hold a control character: such a value
 * could become a second line of a log or a reply.
 */
#ifndef LIB_QUOTE_H
#define LIB_QUOTE_H

#include <stddef.h>

struct buf;

void quote_add(struct buf *, const char *);
/*
 * Reads a string that begins with '"' at S.  Returns the octets used, both quotes included, and
 * appends the content to OUT.  On failure returns 0 and *WHY says what is wrong at S + *AT.
 */
size_t quote_read(const char *s, size_t len, struct buf *out, const char **why, size_t *at);

#endif
