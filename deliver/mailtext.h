/*
 * A message on its way into a mailbox: from the form of the wire (CRLF) to the form of a file (LF),
 * with the lines of the header that a final delivery must not leave as they are.  Pure and
 * incremental: the input may come in any pieces.
 */
#ifndef DELIVER_MAILTEXT_H
#define DELIVER_MAILTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

/* Delivered-To lines that are remembered: more than any real message has. */
#define MAILTEXT_DELIVERED_MAX 100

struct mailtext {
	bool binary;	 /* set before the first piece: the body's octets stay as they are (RFC 3030 3) */
	bool in_body;
	bool dropping;	 /* a field that goes, and its continuations */
	bool pending_cr; /* the last octet of the piece before */
	struct buf line; /* of the header, not yet whole */
	char *delivered[MAILTEXT_DELIVERED_MAX];
	size_t delivered_n;
};

/* Zero-initialised is the beginning.  Appends to OUT.  Return-Path fields are left out (RFC
 * 5321 4.4: the one on top is made by the final delivery). */
void mailtext_feed(struct mailtext *, const char *, size_t, struct buf *out);
/* The end of the input: what was held back for want of more. */
void mailtext_end(struct mailtext *, struct buf *out);
/* True when the header said, as far as it was seen, that the message was delivered to ADDRESS
 * before. */
bool mailtext_delivered_to(const struct mailtext *, const char *address);
void mailtext_free(struct mailtext *);

#endif
