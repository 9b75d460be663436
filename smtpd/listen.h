/*
 * Listening sockets: bound by the master, who may use low ports; accepted from by the session workers.
 */
#ifndef SMTPD_LISTEN_H
#define SMTPD_LISTEN_H

#include <stdbool.h>

struct conf;

/* In the master.  0; or -1 with *WHY (caller frees): which address and port, and what is wrong. */
int listen_bind(const struct conf *, char **why);
/* Before an execv that is to go on with these sockets: they stay open, and their numbers are in the environment, where
 * listen_bind finds them. */
#define LISTEN_INHERITED "GENKAN_LISTENERS"
void listen_hand_on(void);
/* The same for a new configuration: what is bound already is kept, without a moment in which a caller is refused; what
 * is not in it any more is closed.  -1: nothing has changed. */
int listen_rebind(const struct conf *, char **why);
/* The workers forked since the last listen_rebind are there: those before them accept nobody from now on, whether they have
 * heard of it or not. */
void listen_supersede(void);
/* In a child that may not hold them, or is to accept no more. */
void listen_close(void);
/* In a session worker: begins to accept. */
void listen_start(const struct conf *);
/* smtpctl pause and resume, in all workers, also those to come: callers wait in the kernel's queue meanwhile. */
void listen_pause(bool paused);
bool listen_paused(void);

#endif
