/*
 * Tasks on their way: what waits for one destination or one owner of mailboxes (lane.c), the
 * servers that the former lead to (site.c), the delivery processes of the latter (process.c), and
 * what was handed to a deliverer (carrier.c). The inside of the queue role, below dispatch.c.
 */
#ifndef QUEUE_LANE_H
#define QUEUE_LANE_H

#include <sys/queue.h>
#include <sys/tree.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "lib/peer.h"
#include "queue/schedule.h"

struct carrier;
struct delivery_result;
struct delivery_site;
struct route_answer;
struct evbuffer;
struct event;
struct queue;
struct work;

/* Recipients of one task (RFC 5321 4.5.3.1.8: a server takes at least 100 in a transaction). */
#define TASK_MAX 100

struct part {
	uint32_t index; /* of the recipient */
	uint8_t method; /* local: enum mailbox_method */
	bool reported;
	bool forward;   /* local: .forward first */
	char *path;     /* local */
	char *sender;   /* who sends on what we forward; NULL: the envelope says */
};

/* Some recipients of one message that go the same way: what becomes a job of a deliverer. */
struct task {
	TAILQ_ENTRY(task) entry;   /* in its lane's WAITING, or in its carrier's TASKS */
	TAILQ_ENTRY(task) of_work;
	RB_ENTRY(task) by_id;      /* with a carrier */
	uint64_t id;               /* of the job; 0: never handed over */
	struct work *work;
	struct lane *lane;
	struct carrier *carrier;   /* NULL: waits in its lane */
	struct site *site;         /* relay, handed over: where it went */
	uint64_t ticket;           /* relay: of the lane's window */
	uint64_t site_ticket;      /* relay: of the site's */
	bool judged;               /* relay: the windows know how it went */
	bool cancelled;            /* called back: what has no result was not tried */
	uint8_t deaths;            /* deliverers that died with it */
	uint32_t left;             /* parts not reported */
	uint32_t parts_n;
	struct part parts[];
};
TAILQ_HEAD(task_list, task);
RB_HEAD(task_tree, task);

enum lane_kind { LANE_RELAY, LANE_LOCAL };

enum lane_wait {
	WAITS_NOT,
	WAITS_TURN,     /* in TURN of its site */
	WAITS_DELIVERER /* in BLOCKED: none has room for it */
};

enum process_state {
	PROCESS_NONE,
	PROCESS_WANTED, /* waits until another lane's process ends */
	PROCESS_ASKED,  /* the master is starting it */
	PROCESS_UP
};

struct lane {
	RB_ENTRY(lane) node;
	TAILQ_ENTRY(lane) entry; /* relay: by WAITS; local: in WANTED, ASKED or IDLE */
	struct lanes *lanes;
	enum lane_kind kind;
	char *name;              /* relay: the destination; local: the root */
	uint32_t refs;           /* recipients that lead here; the lane outlives them all */
	struct task_list waiting;
	uint32_t waiting_n;      /* recipients */
	uint64_t used_ms;        /* when a recipient last left it, clock_ms() */
	/* relay */
	uint64_t hash;
	struct window window;
	enum lane_wait waits;
	struct site *site;       /* where it leads; NULL: not known yet */
	TAILQ_ENTRY(lane) of_site;
	uint64_t site_until;     /* is asked anew then, clock_ms() */
	struct carrier *asked;   /* and has not answered */
	bool paused;             /* by the operator: its name is in PAUSED */
	char *host, *text;       /* dead: who said so, and what */
	/* local */
	uid_t uid;
	gid_t gid;
	uint8_t method;          /* enum mailbox_method: what its process may do */
	char *account;
	enum process_state process;
	bool idle;               /* UP, and in the list IDLE */
	unsigned instance;
	unsigned handed;         /* tasks that this process was given */
	uint64_t process_ms;     /* when it was asked for, or became idle, clock_ms() */
	struct carrier *carrier;
};
TAILQ_HEAD(lane_list, lane);
RB_HEAD(lane_tree, lane);

/* The servers of one or many destinations: for them all of these are one sender, and for us they are
 * there, busy or dead as one. */
struct site {
	RB_ENTRY(site) node;
	struct lanes *all;
	char *name;              /* as the relay role has it (way.h), or the only destination's */
	uint64_t hash;
	struct window window;
	char *host, *text;       /* dead: who said so, and what */
	uint32_t refs;           /* lanes, and tasks on their way there */
	struct lane_list lanes;  /* by OF_SITE */
	struct lane_list turn;   /* of these, who has something: in turn, a task each */
};
RB_HEAD(site_tree, site);

struct lanes {
	struct queue *queue;
	struct lane_tree tree;
	struct site_tree sites;
	struct task_tree out;       /* tasks with carriers */
	uint32_t out_n;
	uint64_t last_id;
	struct evbuffer *content;   /* scratch */
	char **paused;              /* destinations that the operator has paused */
	size_t paused_n;
	struct lane_list blocked;   /* relay lanes that wait for room with a deliverer */
	struct lane_list wanted;    /* local lanes that wait for a process */
	struct lane_list asked, idle; /* local lanes, the longest so first */
	unsigned processes;         /* asked or up */
	uint8_t *instances;         /* process.c: which numbers are taken */
	unsigned instances_n;
	struct event *process_tick;
};

/* --- lane.c --- */
struct lanes *lanes_new(struct queue *);
/* The lane for a recipient, which counts as one of its REFS until its task is freed, or
 * lane_release. */
struct lane *lane_relay(struct queue *, const char *destination);
struct lane *lane_local(struct queue *, const struct route_answer *);
void lane_release(struct lane *);
/* Or NULL; no reference. */
struct lane *lane_find_relay(struct lanes *, const char *destination);
/* N recipients, whose REFS the task takes over; the caller fills in the parts. */
struct task *task_new(struct work *, struct lane *, uint32_t n);
/* The recipients are no longer its own (or no longer busy). */
void task_free(struct task *);
/* Takes the task over: it waits, or is handed on, or its recipients are put off at once. */
void lane_put(struct task *);
/* Back to the head of its lane: a deliverer died with it. */
void lane_put_back(struct task *);
void lane_take_out(struct task *);
/* Hands on what can be handed on now. */
void lane_pump(struct lane *);
void lanes_pump_all(struct lanes *);
/* True while nothing of it is to be tried, and nobody is finding out. */
bool lane_is_shut(const struct lane *, int64_t now);
/* All that waits goes back to the schedule: it, or where it leads, is shut. */
void lane_empty(struct lane *);
/* Neither the operator nor the end of the role keeps it back. */
bool lane_may_go(const struct lane *);
uint64_t lane_hash(const char *name);
/* Takes back all tasks of WORK that wait: their recipients are postponed as they stand. */
void lanes_withdraw(struct work *);
/* One destination is paused or goes on: nothing new is handed out for it meanwhile.  False: that is
 * how it is already. */
bool lanes_pause(struct lanes *, const char *destination, bool paused);
/* Dead destinations are tried again now. */
void lanes_wake(struct lanes *);
/* The one of that name, if it is dead. */
void lanes_wake_one(struct lanes *, const char *destination);
/* CARRIER is gone, and will not say where they lead. */
void lanes_unanswered(struct lanes *, const struct carrier *);
/* There may be other rules now: lanes ask anew when they have something. */
void lanes_ask_anew(struct lanes *);
/* Forgets lanes that nobody used for long. */
void lanes_sweep(struct lanes *);

/* --- site.c: where relay lanes lead --- */
/* Hands on what the lane's and the site's windows let go. */
void site_pump_lane(struct lane *);
/* The same for all that wait for this site, each in its turn. */
void site_pump(struct site *);
/* One reference is given up. */
void site_release(struct site *);
/* The lane is forgotten, and with it its place in any list here. */
void site_forget_lane(struct lane *);
/* A deliverer of relayed mail has room again, or is there. */
void lanes_unblock(struct lanes *);
/* TASK's destination, or the site with all that leads there, failed as a whole or asked to be left
 * alone.  Returns the time before which it will not be tried, or 0. */
int64_t site_failed(struct task *, const struct delivery_result *);
/* TASK has ended: its destination answered, or nothing was learnt.  The site is returned, whose
 * reference is the caller's now; NULL for local tasks. */
struct site *site_ended(struct task *, bool answered);
/* The answer that CARRIER gave.  False: it was not asked. */
bool site_answered(struct lanes *, struct carrier *, const struct delivery_site *);
/* Dead ones are tried now. */
void site_wake(struct site *);

/* --- process.c: the delivery processes of local lanes --- */
void process_init(struct lanes *);
void process_pump(struct lane *);
/* The process that was asked for came: returns its lane (NULL: nobody waits for it any more); or
 * went. */
struct lane *process_up(struct lanes *, struct peer *, struct carrier *);
void process_down(struct lanes *, unsigned instance, struct lane *);

/* --- carrier.c --- */
bool carrier_takes(struct carrier *, const struct task *);
bool carrier_is_idle(const struct carrier *);
/* Takes the task out of its lane and hands it over.  False: its content could not be read, and it
 * is gone. */
bool carrier_hand(struct carrier *, struct task *);
/* Asks where the lane leads.  False: it has been asked enough for now. */
bool carrier_ask(struct carrier *, struct lane *);
/* Calls back what deliverers hold of WORK and have not begun; they say what they did not do by
 * DELIVERY_DONE. */
void carrier_cancel(struct work *);
bool carrier_message(struct lanes *, struct peer *, struct message *);
void carrier_up(struct lanes *, struct peer *);
void carrier_down(struct lanes *, struct peer *);

#endif
