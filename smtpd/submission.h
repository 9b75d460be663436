/*
 * Submission (RFC 6409): who may send as whom on a listener for our own users, and how much.
 */
#ifndef SMTPD_SUBMISSION_H
#define SMTPD_SUBMISSION_H

#include <stdbool.h>

#include "deliver/lookup.h"

struct session;

/* MAIL: true when this client has to say who it is first; said. */
bool submission_stranger(struct session *);
/* MAIL, with SENDER, and RCPT: true when the domain of ADDRESS is no whole one (RFC 6409 4.2); said. */
bool submission_unqualified(struct session *, const char *address, bool sender);
/* Whether the account may send as the reverse-path, or as the authors that the text names.  DONE comes from the loop or at
 * once: RECIPIENT_OURS, it may; else the refusal is said, and the caller ends the transaction and counts the mistake of
 * RECIPIENT_FOREIGN. */
typedef void (*submission_checked)(struct session *, enum recipient_verdict);
void submission_check_sender(struct session *, submission_checked done);
void submission_check_authors(struct session *, submission_checked done);
/* RCPT: true when the account has had its recipients for this hour; said. */
bool submission_spent(struct session *);
void submission_count(struct session *);
/* Begins the reading of a text that is to be made fit (fixup.h); nothing where it is not. */
void submission_read(struct session *);

#endif
