/*
 * The inside of the queue role: what its files share.  Nobody else includes this.
 *
 *   queue.c      the role: start, clock, stop
 *   accept.c     submissions in, one durable answer each
 *   work.c       messages that something is being done about
 *   dispatch.c   who is due, where it leads, grouped into tasks
 *   lane.c       tasks waiting for one destination or one owner of mailboxes
 *   site.c       the servers that destinations share
 *   process.c    the delivery processes of the latter
 *   carrier.c    tasks handed to a deliverer, and its word back
 *   outcome.c    what becomes of a recipient; notices to senders
 *   queue_ctl.c  smtpctl's requests
 *   pause.c      what the operator has paused
 *
 * A message exists in the store from its acceptance to its end.  While something is done about some
 * of its recipients it also has a struct work, which marks these recipients as busy: a recipient is
 * either busy, or waits in the schedule, or is held, or is finished, and never two of these.  Only
 * outcome.c ends the busy state.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stdint.h>

#include "queue/envelope.h"
#include "queue/schedule.h"
#include "queue/store.h"
#include "queue/submit.h"

struct event;
struct lanes;
struct task;

/* Recipients that are busy at once; what is due beyond that stays in the schedule, where it costs
 * 16 octets. */
#define BUSY_MAX 20000
/* In place of a recipient in the schedule: nobody waits, the message only has to be finished. */
#define MESSAGE_FINISHED UINT32_MAX

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

struct queue_counters { /* since start */
	uint64_t accepted, refused, delivered, deferred, failed, expired, notices, double_bounces;
};

struct queue {
	const struct queue_conf *conf;
	struct retry_policy retry;
	struct store *store;
	struct schedule schedule;
	struct work_tree works;
	struct work_list untold; /* by TELL_AT */
	uint32_t busy;           /* recipients */
	bool starved;            /* recipients are due and BUSY_MAX was reached */
	bool paused[2];          /* by enum lane_kind; by the operator: nothing new is handed out */
	bool stopping;
	struct event *tick;
	int64_t tick_at;         /* clock_now() that TICK is set for */
	struct lanes *lanes;
	struct queue_counters counters;
};

/* --- queue.c --- */
/* Looks at the schedule not later than at DUE. */
void queue_wake(struct queue *, int64_t due);
/* The last outstanding task ended; if the role is stopping it can go now. */
void queue_quiet(struct queue *);

/* --- work.c --- */
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
void work_add_verdict(struct work *, const struct verdict *);

/* --- dispatch.c --- */
/* All waiting recipients that are due: of a message just accepted, recovered or released. */
void dispatch_message(struct queue *, struct envelope *);
/* What the schedule has for NOW.  True: there is more, and room for it; call again soon. */
bool dispatch_due(struct queue *, int64_t now);
/* False while there is no room, no address book, or the operator or the end of the role keep
 * everything where it is. */
bool dispatch_may_begin(const struct queue *);
/* A busy recipient stands for others, by the address book or by who would deliver to it: they are
 * recipients from here on, in one durable record with its end. */
void dispatch_expand(struct work *, uint32_t index, const char *const *targets, unsigned n,
    const char *owner);
/* A recipient waits until its DUE. */
void dispatch_later(struct queue *, struct envelope *, uint32_t index);
/* Makes the schedule anew from the store when most of its entries are out of date. */
void dispatch_tidy(struct queue *);

/* --- queue_ctl.c --- */
void queue_ctl_init(struct queue *);

#endif
