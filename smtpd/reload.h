/*
 * A new configuration in a running server: the master reads it, and when all of it is right, makes new processes that
 * serve it.  Listening sockets stay open, those who are connected stay with the processes that they talk to, and whatever
 * cannot be doubled (queue, ledger) goes on.
 */
#ifndef SMTPD_RELOAD_H
#define SMTPD_RELOAD_H

struct conf;
struct role_master;

/* In the master.  CONF is the present configuration, which reload_init takes over; MASTER's is changed with it.  FORCED: what the
 * command line has said of the log, whatever configurations say. */
void reload_init(struct role_master *, struct conf *, const struct log_conf *forced);
/* 0; or -1 with *WHY (caller frees), one line for each thing that is wrong: the old configuration stays.  *WARNINGS (caller
 * frees) are lines too, or "". */
int reload(char **why, char **warnings);

#endif
