/*
 * The delivery processes of local lanes.
 */
#ifndef QUEUE_PROCESS_H
#define QUEUE_PROCESS_H

#include "queue/lane.h"

/* Gives the lane's process what it can take, or sees to it that there is one. */
void process_pump(struct lane *);
/* The process that was asked for came: returns its lane (NULL: nobody waits for it any more); or
 * went. */
struct lane *process_up(struct lanes *, struct peer *, struct carrier *);
void process_down(struct lanes *, unsigned instance, struct lane *);

#endif
