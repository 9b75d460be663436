/*
 * The inside of the master, shared by its four files: who is there and how they are connected (role_links.c), forking and
 * starting (role_master.c), ending (role_end.c), a new configuration (role_renew.c).  Nobody else includes this.
 */
#ifndef LIB_ROLE_INSIDE_H
#define LIB_ROLE_INSIDE_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/role_master.h"
#include "lib/role_run.h"

#define ROLE_AGAIN_SECONDS 1 /* after a failed fork, or a channel that was closed */

struct child {
	const struct role_spec *spec;
	unsigned instance;
	pid_t pid; /* 0: not running */
	unsigned starts;
	unsigned backoff; /* seconds before the next start */
	uint64_t started_ms;
	struct event restart;
	bool retired; /* a successor has its work; the place is free when it has ended */
	bool lost[ROLE_LINKS_MAX]; /* by index: the children that it has no channel to any more */
	struct event relink;
};

struct extra { /* role_spawn's processes */
	struct extra *next;
	pid_t pid;
	enum role role;
	unsigned instance;
};

struct master {
	const struct role_master *m;
	struct child *children; /* the places of those that retired and ended are taken again */
	unsigned n;
	struct extra *extras;
	struct event *sigchld;
	struct event *mercy; /* kills what does not end */
	bool stopping;
	const struct role_spec *ending; /* the row that is told to end; NULL: the extras */
	uid_t uid[2];
	gid_t gid[2];
	bool root;
	int spare; /* what role_refuse hands out when no descriptor is left */
};
extern struct master master;

/* --- role_links.c --- */
/* It retired and ended: its place may be taken. */
bool child_has_left(const struct child *);
/* NULL: there is none. */
struct child *child_find(enum role, unsigned instance);
/* NULL: it is not running. */
struct peer *child_peer(const struct child *);
/* The table says so. */
bool children_connected(const struct child *, const struct child *);
/* A socketpair; false, and logged, when there is none. */
bool link_pair(int fds[2]);
/* One end of a channel whose other end is closed, or -1. */
int link_closed(void);
/* Tells a living child that it is connected with ROLE/INSTANCE over FD, which goes. */
void link_tell(struct peer *to, enum role, unsigned instance, bool retired, int fd);
/* Socketpairs between CHILD, which is about to be forked, and all living peers. */
void link_newborn(const struct child *, struct role_process *);
/* A timer's callback: new channels for those that the child, ARG, has lost. */
void link_anew(evutil_socket_t, short, void *arg);
extern const struct subject_ops link_ops;

/* --- role_master.c --- */
void child_start(struct child *);
/* A place for one more: there must be one. */
struct child *child_add(const struct role_spec *, unsigned instance);
unsigned child_instances(const struct role_spec *);

/* --- role_end.c --- */
void child_tell_stop(struct peer *);
/* Callbacks: a child ended; those that are ending have had their time. */
void child_on_sigchld(evutil_socket_t, short, void *);
void child_on_mercy(evutil_socket_t, short, void *);

#endif
