/*
 * Roles: one binary, one table of processes, one function that makes a process of a row.  The table itself is
 * smtpd/roles.c; this file knows how to fork, confine, connect and restart any row of it.
 */
#ifndef LIB_ROLE_H
#define LIB_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/peer.h"
#include "lib/sandbox.h"

enum role_user { USER_SMTPD, USER_SMTPQ };

struct role_spec {
	enum role role;
	enum role_user user;  /* when started as root; else everybody is who started it */
	const char *chroot;   /* below the spool, when started as root: ROLE_EMPTY, another folder, or ROLE_NO_CHROOT */
	uint32_t may;         /* enum sandbox_may */
	bool per_core;        /* as many as there are cores, else one */
	uint32_t peers;       /* ROLE_BIT()s of the roles it is connected with; a pair is named by either */
	/* Before privileges and the file system go: open what must be open, sandbox_allow_*().  May be NULL. */
	void (*prepare)(const void *conf, unsigned instance);
	/* Confined, with the loop of peer_base(): register subjects, start events, return. */
	void (*start)(const void *conf, unsigned instance);
	/* Asked to end: finish what must be, then role_exit(0).  NULL: exits at once. */
	void (*stop)(void);
};

#define ROLE_BIT(r) (1u << (r))
#define ROLE_EMPTY "empty" /* an empty folder that nobody may write to */
#define ROLE_NO_CHROOT NULL

/* The name of a role, for logs and process titles. */
const char *role_name(enum role);
/* How many processes a row makes that is `per_core`. */
unsigned role_cores(void);
/* FOLDER of the spool as this role sees it: "/" when it is chrooted there, "SPOOL/FOLDER" when not.  The caller frees. */
char *role_path(const char *spool, const char *folder);

struct role_master {
	const struct role_spec *table; /* in the order of starting; ended in the opposite one */
	unsigned table_n;
	const void *conf;       /* handed to prepare and start */
	const char *spool;      /* the chroots are folders of it */
	const char *run_user;   /* USER_SMTPD, looked up only when started as root */
	const char *queue_user; /* USER_SMTPQ */
	void (*forked)(const struct role_spec *); /* in each child first: closes what only the master or some roles may hold */
	void (*ended)(void);    /* all children are gone after role_master_stop */
};

/* Forks every row, connects the peers, restarts what dies: at once, then after 1, 2, 4 ... 60 s while it dies within a
 * minute of its start.  0; or -1 with *WHY (caller frees) when nothing was started. Runs on peer_base(). */
int role_master_start(const struct role_master *, char **why);
/* Ends the children, last row first, each when the one before is gone (after 20 s without mercy). */
void role_master_stop(void);
/* A process that is no row of the table but like one: confined as SPEC says, with these ids (when root), connected with
 * instance 0 of role TO as SPEC->role number INSTANCE; CONF goes to its prepare and start.  It is not restarted.  When the
 * fork fails TO sees the peer come and go. */
void role_spawn(const struct role_spec *, unsigned instance, uid_t, gid_t, const char *account, enum role to,
    const void *conf);
/* Instead of role_spawn: TO sees the peer come and go at once. */
void role_refuse(enum role, unsigned instance, enum role to);
/* Ends this process; never returns. */
void role_exit(int status) __attribute__((noreturn));
/* For `smtpctl stats` and tests: PID is 0 while it waits to be restarted; STARTS counts. */
void role_each(void (*visit)(const struct role_spec *, unsigned instance, pid_t, unsigned starts, void *), void *arg);

/* The child's half, for tests of the confinement: gives up ids and files as SPEC says and applies the sandbox.  0 or -1. */
int role_confine(const struct role_spec *, const char *chroot_path, uid_t, gid_t, const char *account);

#endif
