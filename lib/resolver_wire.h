/*
 * What the resolver role and its clients tell each other.  Encoders and decoders are pure; a
 * decoder takes any bytes.
 */
#ifndef LIB_RESOLVER_WIRE_H
#define LIB_RESOLVER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/dns.h"
#include "lib/peer.h"

/* The id of a message is the client's number for its question. */
enum resolver_message {
	RESOLVER_ASK = MESSAGE_TYPE(SUBJECT_RESOLVER, 1), /* u16 type, string name */
	RESOLVER_CANCEL,                                  /* nothing; an answer may cross it */
	RESOLVER_ANSWER                                   /* an answer, as below */
};

void resolver_ask_encode(struct buf *, const char *name, uint16_t type);
/* False when it makes no sense.  *NAME points into the message. */
bool resolver_ask_decode(struct cursor *, const char **name, uint16_t *type);

void resolver_answer_encode(struct buf *, const struct dns_answer *);
/* An answer that the caller frees with dns_answer_free(), but whose strings point into the message;
 * or NULL and a bad cursor. */
struct dns_answer *resolver_answer_decode(struct cursor *);

#endif
