/*
 * What becomes of recipients.  Every function here takes a busy recipient and sees to it that it is
 * busy no more: at once, or when the notice that its sender must get is safe.  After each of them
 * the work, and the message, may be gone.
 */
#ifndef QUEUE_OUTCOME_H
#define QUEUE_OUTCOME_H

#include <stdint.h>

#include "deliver/delivery.h"

struct queue;
struct work;

/* Somebody tried.  HOST may be NULL or "" (ourselves), TEXT is a reply, DETAIL for the log or NULL.
 * NOT_BEFORE: earliest time of the next attempt, when there is one; else 0. */
void outcome_report(
    struct work *, uint32_t index, const struct delivery_result *, int64_t not_before);
/* The same in our own words. */
void outcome_local(struct work *, uint32_t index, enum delivery_status, const char *text);
/* Given up by the operator. */
void outcome_returned(struct work *, uint32_t index);
/* Not tried, because its destination is known to be dead until UNTIL; HOST and TEXT said so last
 * (or NULL). */
void outcome_unreachable(
    struct work *, uint32_t index, const char *host, const char *text, int64_t until);
/* Not tried any more, because its time is over. */
void outcome_expired(struct work *, uint32_t index);
/* Not tried, for reasons of ours: it waits until DUE as if nothing had happened. */
void outcome_postponed(struct work *, uint32_t index, int64_t due);
/* Stands for other recipients now; the caller recorded that. */
void outcome_expanded(struct work *, uint32_t index);
/* Is done with, but for the notice that its sender is owed. */
void outcome_owed(struct work *, uint32_t index);

/* Tells the sender what is to be told now. */
void outcome_tell(struct work *);
/* Of all messages whose time has come. */
void outcome_tell_due(struct queue *, int64_t now);

#endif
