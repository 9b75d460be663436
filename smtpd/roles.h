/*
 * The table of processes (design: one binary, one table of roles).
 */
#ifndef SMTPD_ROLES_H
#define SMTPD_ROLES_H

#include "lib/role.h"

struct conf;

/* The account of all roles but the queue, and of LMTP's client; looked up when started as root. */
#define RUN_USER "_smtpd"

/* In the order of starting; ROLE_LOCAL's rows are apart: its processes are made when mail is due. */
extern const struct role_spec role_table[];
extern const unsigned role_table_n;
extern const struct role_spec role_local_table[]; /* by enum mailbox_method */

/* In the master, before the roles start: what they inherit (listening sockets, shared counters). 0, or -1 with *WHY (caller
 * frees). */
int roles_prepare(const struct conf *, char **why);
/* For a new configuration, before role_master_renew; the old one may go when that has come back.  -1: nothing has changed. */
int roles_renew(const struct conf *, char **why);
/* Serves the children's requests to the master: local delivery processes, statistics. */
void roles_serve(const struct conf *);
/* In each child: closes what it may not hold. */
void roles_forked(const struct role_spec *);
/* In the master: a process of a row has ended. */
void roles_left(const struct role_spec *, unsigned instance);

#endif
