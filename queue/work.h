/*
 * Messages that something is being done about.
 *
 * A message exists in the store from its acceptance to its end.  While something is done about some
 * of its recipients it also has a struct work, which marks these recipients as busy: a recipient is
 * either busy, or waits in the schedule, or is held, or is finished, and never two of these.  Only
 * outcome.c ends the busy state.
 */
#ifndef QUEUE_WORK_H
#define QUEUE_WORK_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stdint.h>

struct envelope;
struct lane;
struct queue;
struct task;

/* Where one recipient leads, while the others of the same message are still asked about. */
struct routed {
	struct lane *lane;
	uint32_t index;
	uint8_t method; /* local: enum mailbox_method */
	bool forward;   /* local: .forward first */
	char *path;     /* local */
	char *sender;   /* who sends on what we forward; NULL: the envelope says */
};

enum verdict_kind { VERDICT_FAILED, VERDICT_EXPIRED, VERDICT_DELAYED, VERDICT_SUCCEEDED };
/* Something about a recipient that its sender must hear first. */
struct verdict {
	uint32_t index;
	enum verdict_kind kind;
	int64_t due; /* DELAYED */
};

struct work {
	RB_ENTRY(work) node;
	struct queue *queue;
	struct envelope *env;
	uint32_t busy_n;   /* recipients that are busy */
	uint32_t asking;   /* of these: where they lead is not known yet */
	uint32_t telling;  /* of these: a notice about them is being stored */
	uint32_t pins;     /* callers that still need it */
	struct routed *routed;
	uint32_t routed_n, routed_room;
	struct verdict *verdicts;
	uint32_t verdicts_n, verdicts_room;
	int64_t tell_at;   /* with verdicts: not later than this */
	TAILQ_ENTRY(work) untold;
	TAILQ_HEAD(, task) tasks;
	uint64_t few;      /* busy bits of the first 64 recipients */
	uint64_t *many;    /* of the others */
	uint32_t many_n;   /* words in MANY */
};
RB_HEAD(work_tree, work);
TAILQ_HEAD(work_list, work);

struct work *work_find(const struct queue *, const struct envelope *);
bool work_is_busy(const struct work *, uint32_t index);
/* Marks a recipient as busy; the work is made if there is none.  NULL: it is busy already. */
struct work *work_begin(struct queue *, struct envelope *, uint32_t index);
/* Ends that.  Afterwards WORK, and if nobody waits any more the message, may be gone. */
void work_end(struct work *, uint32_t index);
/* Keeps WORK and its message until it is unpinned. */
void work_pin(struct work *);
void work_unpin(struct work *);
void work_add_routed(struct work *, const struct routed *);
/* The first one puts WORK into the queue's UNTOLD. */
void work_add_verdict(struct work *, const struct verdict *);
/* True when there are verdicts, and nothing else of the message is under way. */
bool work_is_decided(const struct work *);

#endif
