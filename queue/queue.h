/*
 * The inside of the queue role: what its files share.  Nobody else includes this.
 *
 *   queue.c      the role: start, stop, its peers
 *   accept.c     submissions in, one durable answer each
 *   queue_ctl.c  smtpctl's requests; queue_act.c does what they ask for
 *   pause.c      what the operator has paused
 *   flush.c      what waits for a domain whose server is there again
 *   carriers.c   deliverers come, report, and go
 *   dispatch.c   who is due, where it leads, grouped into tasks
 *   lanes.c      all lanes: tasks come in, and are handed on when they may go
 *   process.c    the delivery processes of local lanes
 *   site.c       the servers that relay lanes share
 *   carrier.c    tasks handed to a deliverer
 *   lane.c       tasks waiting for one destination or one owner of mailboxes
 *   outcome.c    what becomes of a recipient; notices to senders
 *   telling.c    what goes into one notice
 *   calendar.c   a wall clock that was wrong
 *   work.c       messages that something is being done about
 *   wake.c       the timer, and those who wait for it
 *
 * Each calls those below it, and none above.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/envelope.h"
#include "queue/schedule.h"
#include "lib/clock.h"
#include "queue/store.h"
#include "queue/submit.h"
#include "queue/work.h"

struct event;
struct lanes;

/* Recipients that are busy at once; what is due beyond that stays in the schedule, where it costs
 * 16 octets. */
#define BUSY_MAX 20000
/* In place of a recipient in the schedule: nobody waits, the message only has to be finished. */
#define MESSAGE_FINISHED UINT32_MAX

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
	struct event *timer;     /* wake.h */
	int64_t wakes_at;        /* clock_now() that it is set for */
	int64_t (*look)(struct queue *, int64_t now);
	struct lanes *lanes;
	struct queue_counters counters;
	/* calendar.h */
	struct clock_watch clock;
	int64_t latest;          /* that anything in the store was touched, when it was opened */
	int64_t sure_at;         /* clock_steady() from which the clock is believed */
};

#endif
