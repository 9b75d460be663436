/*
 * The delivery processes of local lanes: one for each owner of mailboxes that has mail, started by
 * the master with that owner's ids, given tasks as they come, and ended when there was nothing to
 * do for a while.
 *
 * At most conf.local_most live at once.  When all places are taken, the one that has been idle
 * longest ends; when none is idle, a lane waits its turn, and a process that has had its share ends
 * as soon as it is empty, so that two busy users cannot keep a third from his mail.  The number of
 * an instance stands for the ids and the rights that the process has.  It is used again only after that process
 * has come and gone: a mix-up would let one user's process write another's mail.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "deliver/delivery.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/carrier.h"
#include "queue/process.h"
#include "queue/queue.h"

#define IDLE_MS 5000
#define START_MS 10000
/* Tasks that a process is given before it makes room for a lane that waits. */
#define SHARE 256
#define TEXT_NO_PROCESS "451 4.3.0 The delivery process could not be started"

/* Of LANES->INSTANCES. */
enum { FREE, TAKEN, LATE /* asked for, given up, and may still come */ };

static void on_tick(evutil_socket_t, short, void *);

static void
need_tick(struct lanes *lanes)
{
	const struct timeval second = { 1, 0 };

	if (lanes->process_tick == NULL)
		lanes->process_tick = evtimer_new(peer_base(), on_tick, lanes);
	if (!event_pending(lanes->process_tick, EV_TIMEOUT, NULL))
		event_add(lanes->process_tick, &second);
}

static unsigned
take_instance(struct lanes *lanes)
{
	unsigned i;

	for (i = 0; i < lanes->instances_n; i++)
		if (lanes->instances[i] == FREE)
			break;
	if (i == lanes->instances_n)
		lanes->instances = xreallocarray(lanes->instances, ++lanes->instances_n, 1);
	lanes->instances[i] = TAKEN;
	return i;
}

/* --- starting --- */

static void
start(struct lane *lane)
{
	struct lanes *lanes = lane->lanes;
	struct peer *master = peer_find(ROLE_MASTER, 0);
	struct buf *b;

	lane->process = PROCESS_ASKED;
	lane->instance = take_instance(lanes);
	lane->process_ms = clock_ms();
	lane->handed = 0;
	lanes->processes++;
	TAILQ_INSERT_TAIL(&lanes->asked, lane, entry);
	need_tick(lanes);
	if (master == NULL)
		return; /* we are about to be ended */
	b = channel_begin(master->channel, DELIVERY_START, 0);
	buf_add_u32(b, lane->instance);
	buf_add_u32(b, lane->uid);
	buf_add_u32(b, lane->gid);
	buf_add_u8(b, lane->method);
	buf_add_str(b, lane->account);
	buf_add_str(b, lane->name);
	channel_end(master->channel, -1);
}

static void
leave_idle(struct lane *lane)
{
	if (lane->idle)
		TAILQ_REMOVE(&lane->lanes->idle, lane, entry);
	lane->idle = false;
}

/* The process sees its connection end, and ends.  Comes back by way of process_down. */
static void
dismiss(struct lane *lane)
{
	struct peer *peer = peer_find(ROLE_LOCAL, lane->instance);

	leave_idle(lane);
	if (peer != NULL)
		peer_disconnect(peer);
}

static void
want(struct lane *lane)
{
	struct lanes *lanes = lane->lanes;

	if (lanes->processes < lanes->queue->conf->local_most) {
		start(lane);
		return;
	}
	lane->process = PROCESS_WANTED;
	TAILQ_INSERT_TAIL(&lanes->wanted, lane, entry);
	if (!TAILQ_EMPTY(&lanes->idle))
		dismiss(TAILQ_FIRST(&lanes->idle));
}

static void
start_wanted(struct lanes *lanes)
{
	struct lane *lane = TAILQ_FIRST(&lanes->wanted);

	if (lane == NULL || lanes->processes >= lanes->queue->conf->local_most)
		return;
	TAILQ_REMOVE(&lanes->wanted, lane, entry);
	if (TAILQ_EMPTY(&lane->waiting))
		lane->process = PROCESS_NONE; /* its mail was withdrawn */
	else
		start(lane);
}

/* --- using --- */

static void
become_idle(struct lane *lane)
{
	struct lanes *lanes = lane->lanes;

	if (lane->idle)
		return;
	lane->idle = true;
	lane->process_ms = clock_ms();
	TAILQ_INSERT_TAIL(&lanes->idle, lane, entry);
	need_tick(lanes);
}

static void
feed(struct lane *lane)
{
	bool yields = lane->handed >= SHARE && !TAILQ_EMPTY(&lane->lanes->wanted);
	struct task *task;

	leave_idle(lane);
	while (!yields && (task = TAILQ_FIRST(&lane->waiting)) != NULL &&
	       carrier_takes(lane->carrier, task)) {
		lane->handed++;
		carrier_hand(lane->carrier, task);
	}
	if (!carrier_is_idle(lane->carrier))
		return;
	/* one that has just come is not sent away from inside its own announcement */
	if (!TAILQ_EMPTY(&lane->lanes->wanted) && lane->handed > 0)
		dismiss(lane);
	else
		become_idle(lane);
}

void
process_pump(struct lane *lane)
{
	if (!lane_may_go(lane))
		return;
	if (lane->process == PROCESS_UP)
		feed(lane);
	else if (lane->process == PROCESS_NONE && !TAILQ_EMPTY(&lane->waiting))
		want(lane);
}

/* --- coming and going --- */

/* Not from inside the announcement of the very peer. */
static void
dismiss_late(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = peer_find(ROLE_LOCAL, (unsigned)(uintptr_t)arg);

	(void)fd;
	(void)what;
	if (peer != NULL)
		peer_disconnect(peer);
}

struct lane *
process_up(struct lanes *lanes, struct peer *peer, struct carrier *carrier)
{
	const struct timeval now = { 0, 0 };
	struct lane *lane;

	TAILQ_FOREACH(lane, &lanes->asked, entry)
		if (lane->instance == peer->instance)
			break;
	if (lane == NULL) {
		event_base_once(peer_base(), -1, EV_TIMEOUT, dismiss_late,
		    (void *)(uintptr_t)peer->instance, &now);
		return NULL;
	}
	TAILQ_REMOVE(&lanes->asked, lane, entry);
	lane->process = PROCESS_UP;
	lane->carrier = carrier;
	become_idle(lane);
	return lane;
}

void
process_down(struct lanes *lanes, unsigned instance, struct lane *lane)
{
	if (instance < lanes->instances_n)
		lanes->instances[instance] = FREE;
	if (lane == NULL)
		return;
	leave_idle(lane);
	lane->process = PROCESS_NONE;
	lane->carrier = NULL;
	lanes->processes--;
	start_wanted(lanes);
	process_pump(lane);
}

static void
give_up_start(struct lane *lane)
{
	struct lanes *lanes = lane->lanes;
	struct task *task;

	log_error("queue.deliverer", F_STR("state", "missing"), F_STR("account", lane->account),
	    F_STR("root", lane->name), F_U64("waiting", lane->waiting_n));
	TAILQ_REMOVE(&lanes->asked, lane, entry);
	lanes->instances[lane->instance] = LATE;
	lanes->processes--;
	lane->process = PROCESS_NONE;
	while ((task = TAILQ_FIRST(&lane->waiting)) != NULL) {
		task_take_out(task);
		task_defer(task, TEXT_NO_PROCESS);
	}
	start_wanted(lanes);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct lanes *lanes = arg;
	uint64_t now = clock_ms();
	struct lane *lane;

	(void)fd;
	(void)what;
	while ((lane = TAILQ_FIRST(&lanes->asked)) != NULL && now - lane->process_ms > START_MS)
		give_up_start(lane);
	while ((lane = TAILQ_FIRST(&lanes->idle)) != NULL && now - lane->process_ms > IDLE_MS)
		dismiss(lane);
	if (!TAILQ_EMPTY(&lanes->asked) || !TAILQ_EMPTY(&lanes->idle))
		need_tick(lanes);
}
