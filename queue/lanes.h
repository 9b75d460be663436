/*
 * All lanes of the role together: tasks come in, and what may go is handed on.
 */
#ifndef QUEUE_LANES_H
#define QUEUE_LANES_H

#include "queue/lane.h"

/* Takes the task over: it waits, or is handed on, or its recipients are put off at once. */
void lanes_put(struct task *);
/* Hands on what can be handed on now: of one lane, of all. */
void lanes_pump(struct lane *);
void lanes_pump_all(struct lanes *);
/* Dead destinations are tried again now: all, or the one of that name. */
void lanes_wake(struct lanes *);
void lanes_wake_one(struct lanes *, const char *destination);
/* Those that are dead for a reason that begins so. */
void lanes_wake_healed(struct lanes *, const char *reason);
/* CARRIER is gone, and will not say where they lead. */
void lanes_unanswered(struct lanes *, const struct carrier *);
/* There may be other rules now: lanes ask anew when they have something. */
void lanes_ask_anew(struct lanes *);
/* Forgets lanes that nobody used for long. */
void lanes_sweep(struct lanes *);

#endif
