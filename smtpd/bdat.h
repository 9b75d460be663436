/*
 * The argument of BDAT (RFC 3030 2): "chunk-size [SP LAST]".  Syntax only: no session.
 */
#ifndef SMTPD_BDAT_H
#define SMTPD_BDAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bdat_argument {
	BDAT_OK,
	BDAT_TAIL,      /* wrong behind the size: a chunk of that size comes */
	BDAT_MISSING,   /* no number at all: nothing was announced */
	BDAT_UNREADABLE /* no size that 64 bits hold: nobody knows where the chunk ends */
};

/* LEN octets behind the verb.  *SIZE is set for BDAT_OK and BDAT_TAIL, *LAST for BDAT_OK. */
enum bdat_argument bdat_parse(const char *, size_t len, uint64_t *size, bool *last);

#endif
