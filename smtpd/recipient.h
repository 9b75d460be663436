/*
 * A recipient as RCPT names him: the path that is read, and the question to the address book.  Of
 * clients that may relay, who send to thousands, those named in the commands behind are asked about
 * in the same breath.
 */
#ifndef SMTPD_RECIPIENT_H
#define SMTPD_RECIPIENT_H

#include <stddef.h>

#include "deliver/lookup.h"

struct recipients_ahead;
struct session;

/* "TO:<a@b>" at the start of ARG: octets used, and *ADDRESS normalised (caller frees); or 0, and *WHY. */
size_t recipient_read(
    const struct session *, const char *arg, size_t len, char **address, const char **why);
/* As lookup_recipient for the transaction's RECIPIENT.  BEHIND is where the command ends, of which the session's REST octets
 * follow.  DONE comes from the loop, or at once when the answer is there. */
void recipient_lookup(struct session *, const char *behind,
    void (*done)(enum recipient_verdict, const char *why, void *session));
/* Of a transaction that ends; NULL is allowed. */
void recipients_ahead_free(struct recipients_ahead *);

#endif
