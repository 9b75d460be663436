/*
 * Where relay lanes lead, and what may go there.
 */
#ifndef QUEUE_SITE_H
#define QUEUE_SITE_H

#include "queue/lane.h"

/* Hands on what the lane's and the site's windows let go. */
void site_pump_lane(struct lane *);
/* The same for all that wait for this site, each in its turn. */
void site_pump(struct site *);
/* A deliverer of relayed mail has room again, or is there. */
void site_unblock(struct lanes *);
/* One reference is given up. */
void site_release(struct site *);
/* The lane is about to be forgotten, and with it its place in any list here. */
void site_forget_lane(struct lane *);
/* TASK's destination, or the site with all that leads there, failed as a whole or asked to be left
 * alone.  Returns the time before which it will not be tried, or 0. */
int64_t site_failed(struct task *, const struct delivery_result *);
/* TASK has ended: its destination answered, or nothing was learnt.  The site is returned, whose
 * reference is the caller's now; NULL for local tasks. */
struct site *site_ended(struct task *, bool answered);
/* The answer that CARRIER gave.  False: it was not asked. */
bool site_answered(struct lanes *, struct carrier *, const struct delivery_site *);

#endif
