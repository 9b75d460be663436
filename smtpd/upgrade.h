/*
 * Another binary in the place of this one: `smtpctl upgrade`, or SIGUSR2.  The new binary first checks the configuration;
 * then the roles end in order, and the master becomes the new binary, with the same process id and the same listening
 * sockets.  Callers meanwhile wait in the kernel's queue; none is refused.
 */
#ifndef SMTPD_UPGRADE_H
#define SMTPD_UPGRADE_H

#include <stdbool.h>

struct role_master;

/* First in main: remembers how we were called. */
void upgrade_remember(int argc, char **argv);
/* True when we are the new binary: in the background already, if that is where the old one was. */
bool upgrade_is_one(void);
/* In the master: serves the requests; MASTER's `ended` is changed when all is ready. */
void upgrade_init(struct role_master *, const char *conf_path);
/* Called with the status of a child that is no role. */
void upgrade_reaped(int pid, int status);

#endif
