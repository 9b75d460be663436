/*
 * From "due" to "on its way": who is due, where it leads, grouped into tasks.
 */
#ifndef QUEUE_DISPATCH_H
#define QUEUE_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

struct envelope;
struct queue;
struct work;

/* All waiting recipients that are due: of a message just accepted, recovered or released. */
void dispatch_message(struct queue *, struct envelope *);
/* What the schedule has for NOW, or a part of it; the rest is due still. */
void dispatch_due(struct queue *, int64_t now);
/* False while there is no room, no address book, or the operator or the end of the role keep
 * everything where it is. */
bool dispatch_may_begin(const struct queue *);
/* A busy recipient stands for others, by the address book or by whoever would deliver to it: they are
 * recipients from here on, in one durable record with its end.  OWNER: who sends to them, or NULL
 * when the sender stays. */
void dispatch_expand(struct work *, uint32_t index, const char *const *targets, unsigned n,
    const char *owner);
/* Makes the schedule anew from the store when most of its entries are out of date. */
void dispatch_tidy(struct queue *);

#endif
