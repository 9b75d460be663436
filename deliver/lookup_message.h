/*
 * What the lookup role and its clients tell each other.  Encoders and decoders are pure; a decoder
 * takes any bytes.
 */
#ifndef DELIVER_LOOKUP_MESSAGE_H
#define DELIVER_LOOKUP_MESSAGE_H

#include "deliver/lookup.h"
#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/peer.h"

/* The id of a message is the client's number for its question. */
enum lookup_type {
	LOOKUP_RECIPIENT = MESSAGE_TYPE(SUBJECT_LOOKUP, 1), /* string address */
	LOOKUP_ROUTE,	/* strings address, sender, via ("": none) */
	LOOKUP_SENDER,	/* strings address, account */
	LOOKUP_VERDICT, /* u8 enum recipient_verdict, string why */
	LOOKUP_ANSWER	/* a route answer, as below */
};

void lookup_answer_encode(struct buf *, const struct route_answer *);
/* Strings point into the message; TARGETS is allocated: free with lookup_answer_free.  False, and
 * nothing to free: it is none. */
bool lookup_answer_decode(struct cursor *, struct route_answer *);
void lookup_answer_free(struct route_answer *);

#endif
