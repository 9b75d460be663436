/*
 * Addresses of ours as the world shall see them: "root@host7.example.org" becomes
 * "admin@example.org", and whole domains, or what is below one, become another.  Pure.
 */
#ifndef LIB_REWRITE_H
#define LIB_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct table;
struct header_field;

/* What TABLE makes of ADDRESS by its first row of "local@domain", "@domain", "@.parent" (all below
 * it); a value "@new" keeps the local part.  NULL: nothing, or no address.  The caller frees. */
char *rewrite_address(const struct table *, const char *address);
/* The field with "@HOST" behind every address that has no domain (HOST may be NULL), and every address
 * then as TABLE makes it (NULL: as it is). */
void rewrite_add_field(
    struct buf *, const struct header_field *, const char *host, const struct table *);
/* Whether a field names who a message is from: From, Sender, Reply-To, and the same of Resent-. */
bool rewrite_field_wanted(const struct header_field *);
/* The header lines of LEN octets, with the addresses in those fields rewritten, to OUT. */
void rewrite_header(struct buf *out, const char *lines, size_t len, const struct table *);

#endif
