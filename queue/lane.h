/*
 * Tasks on their way, and the lanes in which they wait: one for each destination of relayed mail, one
 * for each owner of local mailboxes.  What lanes, sites (site.h), processes (process.h) and carriers
 * (carrier.h) share is here.
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
	struct lane_list turn;   /* of these, those that have something: in turn, a task each */
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

struct lanes *lanes_new(struct queue *);

/* The lane for a recipient, which counts as one of its REFS until its task is freed, or
 * lane_release. */
struct lane *lane_relay(struct queue *, const char *destination);
struct lane *lane_local(struct queue *, const struct route_answer *);
void lane_release(struct lane *);
/* It has no references, and no site. */
void lane_free(struct lane *);
/* Or NULL; no reference. */
struct lane *lane_find_relay(struct lanes *, const char *destination);
RB_PROTOTYPE(lane_tree, lane, node, lane_compare)
uint64_t lane_hash(const char *name);

/* Neither the operator nor the end of the role keeps it back. */
bool lane_may_go(const struct lane *);
/* True while nothing of it is to be tried, and nobody is finding out. */
bool lane_is_shut(const struct lane *, int64_t now);
/* All that waits goes back to the schedule: it, or where it leads, is shut. */
void lane_empty(struct lane *);
/* If it is dead, it is tried again now. */
void lane_wake(struct lane *);
/* A destination is paused or goes on: nothing new is handed out for it meanwhile.  False: that is
 * how it is already. */
bool lanes_pause(struct lanes *, const char *destination, bool paused);

/* N recipients, whose REFS the task takes over; the caller fills in the parts. */
struct task *task_new(struct work *, struct lane *, uint32_t n);
/* Into its lane.  False: its recipients were put off at once, and it is gone. */
bool task_wait(struct task *);
/* Back to the head of its lane, or put off: a deliverer died with it. */
void task_wait_again(struct task *);
/* It waits there no more. */
void task_take_out(struct task *);
/* These end a task that waits nowhere any more.  Its recipients without a result were not tried, and
 * wait until DUE; or were, and have this one, of ours. */
void task_postpone(struct task *, int64_t due);
void task_defer(struct task *, const char *text);
/* Postpones all tasks of WORK that wait. */
void tasks_withdraw(struct work *);

#endif
