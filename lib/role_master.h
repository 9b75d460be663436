/*
 * The master: makes a process of every row of the table, connects those that the table names,
 * starts anew what dies, and ends all in order.  One a program; runs on peer_base().
 */
#ifndef LIB_ROLE_MASTER_H
#define LIB_ROLE_MASTER_H

#include "lib/role.h"

struct log_conf;
struct role_master {
	const struct role_spec *table; /* in the order of starting; ended in the opposite one */
	unsigned table_n;
	const void *conf;       /* handed to prepare and start */
	const char *spool;      /* the chroots are folders of it */
	const char *run_user;   /* USER_SMTPD, looked up only when started as root */
	const char *queue_user; /* USER_SMTPQ */
	unsigned patience;      /* seconds that a row has to end before it is killed; 0: ROLE_PATIENCE */
	/* In each child, first: closes what only the master or some roles may hold.  Channels and
	 * the loop are closed already. */
	void (*forked)(const struct role_spec *);
	void (*left)(const struct role_spec *, unsigned instance); /* one of a row has ended, however; may be NULL */
	void (*reaped)(pid_t, int status); /* a child that is no role has ended; may be NULL */
	void (*ended)(void);    /* all children are gone after role_master_stop */
};
#define ROLE_PATIENCE 20

/* Forks every row, connects the peers, restarts what dies: at once, then after 1, 2, 4 ... 60 s
 * while it dies within a minute of its start.  A channel between two living roles that one of them
 * closed because of what came over it is made anew after a second.  0; or -1 with *WHY (caller
 * frees) when nothing was started. */
int role_master_start(const struct role_master *, char **why);
/* The configuration that role_master_start was given is another one now: every row of ROLES
 * (ROLE_BIT()s; those that are ROLE_ALONE are left as they are) gets new processes, with numbers of
 * their own, and the old ones retire.  Nobody is left without a partner meanwhile.  0; or -1 with
 * *WHY (caller frees) and nothing changed: all are ending, or too many that retired earlier still
 * live. */
int role_master_renew(uint32_t roles, char **why);
/* All children log so from now on, over a copy of log_way() when that is the system's log. */
void role_master_log(const struct log_conf *);
/* Ends the children, last row first, each when the one before is gone (after PATIENCE without
 * mercy), role_spawn's last. */
void role_master_stop(void);
/* A process that is no row of the table but like one: confined as SPEC says, with these ids (when
 * root), connected with instance 0 of role TO as SPEC->role number INSTANCE; WORD goes to its
 * prepare and start, in place of a configuration.  ACCOUNT and WORD may lie in the message that
 * asked.  It is not restarted.  When the fork fails TO sees the peer come and go. */
void role_spawn(const struct role_spec *, unsigned instance, uid_t, gid_t, const char *account, enum role to,
    const char *word);
/* Instead of role_spawn: TO sees the peer come and go at once. */
void role_refuse(enum role, unsigned instance, enum role to);
/* For `smtpctl stats` and tests: PID is 0 while it waits to be restarted; STARTS counts. */
void role_each(void (*visit)(const struct role_spec *, unsigned instance, pid_t, unsigned starts, void *), void *arg);

#endif
