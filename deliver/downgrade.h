/*
 * A message for a server that takes text of 7 bits only (RFC 6152 3, RFC 2045 6): each part that such
 * a server would damage is encoded, text as quoted-printable, what is none in base64, and all else
 * stays octet by octet what it is.  Pure: octets in, a plan of pieces, and the new text bit by bit,
 * so that a large message is never held in memory twice.
 */
#ifndef DELIVER_DOWNGRADE_H
#define DELIVER_DOWNGRADE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

enum downgrade_how { DOWNGRADE_COPY, DOWNGRADE_QUOTED, DOWNGRADE_BASE64 };

struct downgrade_piece {
	enum downgrade_how how;
	const char *s;
	size_t len;
};

/* Zero-initialised is empty and valid. */
struct downgrade {
	struct downgrade_piece *pieces; /* the new text, from the first to the last */
	size_t n, cap;
	/* how far it is written */
	size_t piece, at;
	unsigned column;
};

/* Plans for the message S, which stays where it is as long as the plan is used.  NULL, or why it
 * cannot be encoded without breaking it: words for a notice.  Either way downgrade_free. */
const char *downgrade_plan(struct downgrade *, const char *s, size_t len);
/* Appends at least one octet and about 64 KiB at most; false: that was all. */
bool downgrade_next(struct downgrade *, struct buf *out);
/* From the beginning again. */
void downgrade_rewind(struct downgrade *);
void downgrade_free(struct downgrade *);

/* True when a header in S, the message's own or that of a part, has octets above 127: then it is
 * one of RFC 6532, and needs SMTPUTF8. */
bool downgrade_has_utf8_header(const char *s, size_t len);

#endif
