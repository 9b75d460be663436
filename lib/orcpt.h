/*
 * Whom a message was for at first (RFC 3461 4.2): "rfc822;alice@example.org" as ORCPT said it, xtext undone, where the type
 * "utf-8" has "\x{4F8B}" for what is not ASCII (RFC 6533 3); or only the address that an alias replaced.
 */
#ifndef LIB_ORCPT_H
#define LIB_ORCPT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* RFC 5322 3.2.3: 1*atext. */
bool orcpt_is_atom(const char *, size_t len);
/* Length of the type before the semicolon; 0: there is none. */
size_t orcpt_type(const char *original);
/* "type;address" as a parameter of RCPT may have it, ASCII. */
void orcpt_add_param(struct buf *, const char *original);
/* The address, with UTF-8 where "\x{4F8B}" stands for it when UTF8; the caller frees. */
char *orcpt_address(const char *original, bool utf8);

#endif
