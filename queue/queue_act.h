/*
 * What smtpctl's verbs do to one message (queue_ctl.c has the table of them).
 */
#ifndef QUEUE_QUEUE_ACT_H
#define QUEUE_QUEUE_ACT_H

#include <stdint.h>

#include "queue/select.h"

struct queue;

/* What an operator said. */
struct order {
	const struct selector *selector;
	int64_t now;
	int64_t due;       /* `flush at=`; NOW if he did not say */
	const char *route; /* `reroute ... to`: a destination, or NULL for where addresses lead */
};

/* Each may end the message. */
void act_flush(struct queue *, struct envelope *, const struct order *);
void act_hold(struct queue *, struct envelope *, const struct order *);
void act_release(struct queue *, struct envelope *, const struct order *);
/* These: the recipients that meet the conditions on recipients, not all. */
void act_remove(struct queue *, struct envelope *, const struct order *);
void act_bounce(struct queue *, struct envelope *, const struct order *);
void act_reroute(struct queue *, struct envelope *, const struct order *);

#endif
