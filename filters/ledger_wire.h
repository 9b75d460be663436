/*
 * The ledger's messages, both directions: one encoder and one decoder each, used by the role
 * (ledger.c) and by whoever asks it (ledger_client.c).  A message's id is the request's; what is only
 * told has id 0.
 */
#ifndef FILTERS_LEDGER_WIRE_H
#define FILTERS_LEDGER_WIRE_H

#include <stdbool.h>

#include "filters/ledger.h"
#include "lib/peer.h"

struct buf;
struct cursor;

enum ledger_type {
	LEDGER_ASK_CALLER = MESSAGE_TYPE(SUBJECT_LEDGER, 1), /* ip, optional name */
	LEDGER_CALLER,					     /* struct ledger_caller */
	LEDGER_ASK_GREY,				     /* struct grey_question */
	LEDGER_GREY,					     /* struct grey_answer */
	LEDGER_ASK_CORRESPONDENT,			     /* string theirs, string ours */
	LEDGER_CORRESPONDENT,				     /* u8 known */
	LEDGER_TELL_PASSED,				     /* ip, u16 rule, u16 line, u32 seconds */
	LEDGER_TELL_TRAP,				     /* ip, u32 seconds */
	LEDGER_TELL_EVENT,				     /* struct gate_event */
	LEDGER_TELL_LEFT,				     /* ip */
	LEDGER_TELL_STAYED,				     /* ip */
	LEDGER_TELL_WROTE,				     /* string ours, string theirs */
	LEDGER_TELL_HUNG_UP,				     /* struct grey_question */
	LEDGER_ASK_LOGIN,				     /* u8 enum login_step, ip, text account */
	LEDGER_LOGIN,					     /* struct login_answer */
	LEDGER_ASK_POLICY,				     /* string domain */
	LEDGER_POLICY,					     /* u8 found, struct ledger_policy */
	LEDGER_TELL_POLICY,				     /* string domain, struct ledger_policy */
	LEDGER_HURRY,					     /* to a session: send what you hold back */
	LEDGER_ALL_TOLD					     /* that was all */
};

/* No text of a message or of a stored event is longer; what is gets cut. */
#define LEDGER_TEXT_MAX 1000

void ledger_encode_ip(struct buf *, const struct ip *);
void ledger_decode_ip(struct cursor *, struct ip *);
/* A string that may be NULL, which is not the same as "". */
void ledger_encode_text(struct buf *, const char *);
const char *ledger_decode_text(struct cursor *);

/* The decoders make the cursor bad for what does not decode or is out of range; strings point into
 * the message. */
void ledger_encode_caller(struct buf *, const struct ledger_caller *);
void ledger_decode_caller(struct cursor *, struct ledger_caller *);
void ledger_encode_question(struct buf *, const struct grey_question *);
void ledger_decode_question(struct cursor *, struct grey_question *);
void ledger_encode_answer(struct buf *, const struct grey_answer *);
void ledger_decode_answer(struct cursor *, struct grey_answer *);
void ledger_encode_login(struct buf *, const struct login_answer *);
void ledger_decode_login(struct cursor *, struct login_answer *);
void ledger_encode_policy(struct buf *, const struct ledger_policy *);
void ledger_decode_policy(struct cursor *, struct ledger_policy *);
void ledger_encode_event(struct buf *, const struct gate_event *);
void ledger_decode_event(struct cursor *, struct gate_event *);

#endif
