/*
 * Deliverers and what they hold: every relay role and every local delivery process that is connected
 * has a carrier, which lists the tasks it was given and has not finished.
 */
#ifndef QUEUE_CARRIER_H
#define QUEUE_CARRIER_H

#include "queue/lane.h"

struct carrier {
	struct peer *peer; /* NULL: it is going */
	enum lane_kind kind;
	struct lane *lane; /* local: whose process it is */
	struct task_list tasks;
	uint32_t tasks_n;
	uint32_t asked_n; /* relay: lanes that it was asked about, and has not answered */
	uint64_t octets;
	bool has_suspect;           /* its only task was there when a deliverer died */
	const struct lane *drained_for; /* such a task waits here until the carrier is empty */
};

struct carrier *carrier_new(struct peer *, enum lane_kind);
bool carrier_takes(struct carrier *, const struct task *);
bool carrier_is_idle(const struct carrier *);
/* Takes the task out of its lane and hands it over.  False: its content could not be read, and it
 * is gone. */
bool carrier_hand(struct carrier *, struct task *);
/* The carrier does not hold it any more. */
void carrier_let_go(struct task *);
/* The task of that id, if this carrier holds it; or NULL. */
struct task *carrier_find(const struct carrier *, struct lanes *, uint64_t id);
/* Asks where the lane leads.  False: it has been asked enough for now. */
bool carrier_ask(struct carrier *, struct lane *);
/* Calls back what deliverers hold of WORK and have not begun; they say what they did not do by
 * DELIVERY_DONE. */
void carrier_cancel(struct work *);

#endif
