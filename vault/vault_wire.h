/*
 * What the vault and the sessions tell each other.  The id of a message is the session's number for its dialogue.
 * Passwords travel here: buffers are overwritten when they were read (lib/channel.h).
 */
#ifndef VAULT_VAULT_WIRE_H
#define VAULT_VAULT_WIRE_H

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/peer.h"
#include "vault/vault.h"

enum vault_message {
	VAULT_OFFER = MESSAGE_TYPE(SUBJECT_VAULT, 1), /* to a session: u32 MECHANISM_BIT()s */
	VAULT_BEGIN,   /* struct vault_begin */
	VAULT_RESPOND, /* blob */
	VAULT_CANCEL,
	VAULT_ANSWER   /* u8 enum vault_result, blob, string name */
};

struct vault_begin {
	enum mechanism mechanism;
	struct mechanism_caller caller; /* strings point into the message */
	uint64_t session;
	const void *initial; /* NULL: none */
	size_t len;
};

void vault_begin_encode(struct buf *, const struct vault_begin *);
/* False: it is none. */
bool vault_begin_decode(struct cursor *, struct vault_begin *);
void vault_answer_encode(struct buf *, const struct vault_answer *);
bool vault_answer_decode(struct cursor *, struct vault_answer *);

#endif
