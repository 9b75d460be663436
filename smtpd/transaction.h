/*
 * A mail transaction: from MAIL to the end of its text or whatever ends it before.  One object, replaced whole or not at
 * all.
 */
#ifndef SMTPD_TRANSACTION_H
#define SMTPD_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/lookup.h"
#include "lib/content.h"
#include "lib/crlf.h"
#include "queue/submit.h"
#include "smtpd/data.h"
#include "smtpd/intake.h"

struct evbuffer;
struct fixup;
struct recipients_ahead;
struct session;

struct transaction {
	struct envelope *env;      /* sender, accepted recipients, parameters */
	uint64_t declared;         /* SIZE=, or 0 */
	char *recipient;           /* the RCPT that is being judged, or NULL */
	char *unknown;             /* why there is no such recipient, or NULL */
	uint8_t notify;            /* of that RCPT: enum notify, */
	char *original;            /* and ORCPT, or NULL */
	struct lookup_request *lookup;
	struct recipients_ahead *ahead; /* recipients that are asked about already, or NULL */
	unsigned refused;          /* recipients */
	struct data_reader reader; /* DATA's, */
	struct content content;    /* or BDAT's */
	struct intake_found found; /* in the whole text */
	struct submission *submission;
	struct evbuffer *text;     /* read and not yet handed to the submission */
	bool normalize;            /* its lines are made lines: `normalize from`, and submission */
	struct crlf crlf;          /* then, how far that is */
	struct fixup *fixup;       /* what our own users send is made fit by it; else NULL */
	size_t author;             /* of those that it names, the next to be checked */
	void (*checked)(struct session *, enum recipient_verdict); /* whoever waits for submission.c's answer */
};

struct transaction *transaction_new(struct session *, const char *sender);
/* The session is closing: nobody waits for what the address book was asked.  NULL: there is no transaction. */
void transaction_ask_no_more(struct transaction *);
/* Cancels what is under way. */
void transaction_free(struct transaction *);
/* The header fields that go on top of the text (RFC 5321 4.4). */
void transaction_trace(struct session *, struct evbuffer *);

#endif
