/*
 * The argument of BDAT (RFC 3030 2): "chunk-size [SP LAST]".  Syntax only: no session.
 */
#ifndef SMTPD_BDAT_H
#define SMTPD_BDAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* LEN octets behind the verb.  False when they are no size that 64 bits hold, and LAST or nothing behind it: then nobody knows
 * where the chunk ends. */
bool bdat_parse(const char *, size_t len, uint64_t *size, bool *last);

#endif
