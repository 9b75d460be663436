/*
 * Listening sockets: bound by the master, who may use low ports; accepted from by the session workers.
 */
#ifndef SMTPD_LISTEN_H
#define SMTPD_LISTEN_H

#include <stdbool.h>

struct conf;

/* In the master.  0; or -1 with *WHY (caller frees): which address and port, and what is wrong. */
int listen_bind(const struct conf *, char **why);
/* In a child that may not hold them. */
void listen_close(void);
/* In a session worker: begins to accept. */
void listen_start(const struct conf *);
/* smtpctl pause and resume: callers wait in the kernel's queue meanwhile. */
void listen_pause(bool paused);
bool listen_paused(void);

#endif
