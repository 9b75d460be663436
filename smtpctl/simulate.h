/*
 * The inside of `smtpctl gate simulate`: simulate.c reads the script and leads the callers,
 * simulate_show.c prints what happens to them.
 */
#ifndef SMTPCTL_SIMULATE_H
#define SMTPCTL_SIMULATE_H

#include <stdint.h>

#include "smtpctl/trial.h"

struct output;

/* One attempt, as it begins: its number, and seconds since the script began. */
void simulate_show_caller(struct output *, const struct trial *, unsigned number, int64_t at);
/* One phase: its rules, what was done, and the reply.  The recipient is that of the facts. */
void simulate_show_step(struct output *, struct trial *, const struct trial_step *);
/* How it ended: how many of its recipients were accepted, or why it came to none. */
void simulate_show_end(struct output *, const struct trial *, unsigned number, unsigned accepted,
    unsigned recipients, const struct trial_step *last);

#endif
