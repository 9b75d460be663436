/*
 * Messages as records for smtpctl.  Nothing here changes anything.
 */
#ifndef QUEUE_QUEUE_SHOW_H
#define QUEUE_QUEUE_SHOW_H

#include "queue/select.h"

struct ctl;
struct queue;
struct summary;

enum message_state message_state(struct queue *, const struct envelope *);
/* One record for the message; of its recipients that wait only those that OF means, unless it is
 * NULL. */
void show_line(
    struct queue *, struct ctl *, const struct envelope *, const struct selector *of);
/* The same, more of it, and one for each recipient. */
void show_message(struct queue *, struct ctl *, const struct envelope *);
/* The role as a whole. */
void show_stats(struct queue *, struct ctl *);

/* Totals, and for the domains with most recipients. */
struct summary *summary_new(void);
void summary_add(struct summary *, struct queue *, const struct envelope *);
/* Which destinations keep mail waiting, and until when. */
void show_destinations(struct queue *, struct ctl *);
/* Sends and frees it. */
void summary_end(struct summary *, struct ctl *);

#endif
