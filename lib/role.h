/*
 * Roles: one binary, one table of processes, one function that makes a process of a row.  The table itself is
 * smtpd/roles.c; this file knows how to fork, confine and run any row of it.
 */
#ifndef LIB_ROLE_H
#define LIB_ROLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/peer.h"
#include "lib/sandbox.h"

enum role_user { USER_ROOT, USER_SMTPD, USER_SMTPQ };

struct role_spec {
	enum role role;
	const char *name;
	enum role_user user;   /* when started as root; else everybody is who started it */
	const char *chroot;    /* ROLE_EMPTY, ROLE_NO_CHROOT, or a path below the spool; when started as root */
	struct sandbox sandbox;
	bool per_core;         /* as many as there are cores, else one */
	uint32_t peers;        /* ROLE_BIT()s of the roles it is connected with; a pair is named by either */
	/* Before privileges and the file system go: open what must be open.  May be NULL. */
	void (*prepare)(const void *conf, unsigned instance);
	/* Confined, with the loop of peer_base(): register subjects, start events, return. */
	void (*start)(const void *conf, unsigned instance);
	/* Asked to end (SIGTERM by way of the master): finish what must be; then role_exit(0).  NULL: exits at once. */
	void (*stop)(void);
};

#define ROLE_BIT(r) (1u << (r))
#define ROLE_EMPTY "" /* an empty directory that nobody may write to */
#define ROLE_NO_CHROOT NULL

/* The name of a role, for logs and process titles. */
const char *role_name(enum role);

/*
 * Supervises: forks every row of TABLE, connects the peers, restarts what dies (at once, then after 1, 2, 4 ... 60 s
 * while it dies within a minute of its start), passes on SIGTERM, and returns when all have ended.  RUN_USER and QUEUE_USER are
 * looked up only when started as root.  Runs on BASE; CONF is handed to prepare and start of each role.
 */
struct role_master_conf {
	const struct role_spec *table;
	unsigned table_n;
	const void *conf;
	const char *spool;      /* chroots are below it: "empty", "queue", ... */
	const char *run_user;   /* "_smtpd" */
	const char *queue_user; /* "_smtpq" */
};
int role_master_start(const struct role_master_conf *, char **why);
void role_master_stop(void);
/* Called when all children are gone after role_master_stop. */
void role_master_on_ended(void (*)(void));
/* A process that is no row of the table but like one: forked from the master, confined as SPEC says but with these ids
 * (when root), connected with role TO by a new socketpair as ROLE_LOCAL number INSTANCE.  -1 with errno. */
int role_spawn(const struct role_spec *, unsigned instance, uid_t, gid_t, const char *user, enum role to,
    const void *conf);
/* Ends this process in order: flushes logs, never returns. */
void role_exit(int status) __attribute__((noreturn));
/* For smtpctl and tests: pid of a running child or 0, how often it was started. */
void role_each(void (*visit)(const struct role_spec *, unsigned instance, pid_t, unsigned starts, void *), void *arg);

#endif
