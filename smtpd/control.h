/*
 * The control role: what listens at SPOOL/control for smtpctl and sendmail.  The kernel says who
 * calls (SO_PEERCRED).  The superuser and the account that the server runs as may ask everything;
 * everybody else may hand in mail and ask for the version.
 *
 * In the role table: MAY_ACCEPT | MAY_READ, no chroot if the names of local users are to be in
 * Received fields (without them it is their numbers); peers are the master and every role of
 * control_forward.c's table.
 */
#ifndef SMTPD_CONTROL_H
#define SMTPD_CONTROL_H

struct conf;

/* Before the fork of the roles: a listening descriptor, -1 with *WHY (caller frees). */
int control_listen(const char *path, char **why);
/* Before the sandbox: what control_role_start will read. */
void control_role_prepare(void);
/* Takes over LISTEN_FD; submit_client_init was called. */
void control_role_start(int listen_fd, const struct conf *);
/* Ends when what was said has been sent. */
void control_role_stop(void);
/* Ends when those who are connected have left. */
void control_role_retire(void);

#endif
