/*
 * Roles: one binary, one table of processes, one function that makes a process of a row.  The table
 * itself is smtpd/roles.c; this is what any row of it is, and what a process that was made of one
 * may call.  The master's side is role_master.h.
 */
#ifndef LIB_ROLE_H
#define LIB_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/peer.h"
#include "lib/sandbox.h"

enum role_user { USER_SMTPD, USER_SMTPQ };

enum role_many {
	ROLE_ONE,
	ROLE_PER_CORE,
	ROLE_ALONE /* one, and it holds what two may not: a new configuration finds it where it is */
};

struct role_spec {
	enum role role;
	enum role_user user;  /* when started as root; else everybody is who started it */
	const char *chroot;   /* below the spool, when started as root: ROLE_EMPTY, another folder, or ROLE_NO_CHROOT */
	uint32_t may;         /* enum sandbox_may */
	enum role_many many;
	uint32_t peers;       /* ROLE_BIT()s of the roles it is connected with; a pair is named by either */
	/* Before privileges and the file system go: open what must be open, sandbox_allow_*().  May be NULL. */
	void (*prepare)(const void *conf, unsigned instance);
	/* Confined, with the loop of peer_base(): register subjects, start events, return. */
	void (*start)(const void *conf, unsigned instance);
	/* Asked to end, once: finish what must be, then role_exit(0).  NULL: exits at once. */
	void (*stop)(void);
	/* Another with a new configuration has taken its place, once: take nothing new, and role_exit(0) when all is
	 * done that was begun.  NULL: ends as by STOP after ROLE_GRACE seconds, when its answers were given long ago. */
	void (*retire)(void);
};
#define ROLE_GRACE 30

#define ROLE_BIT(r) (1u << (r))
#define ROLE_EMPTY "empty" /* an empty folder that nobody may write to */
#define ROLE_NO_CHROOT NULL

/* The name of a role, for logs and process titles. */
const char *role_name(enum role);
/* How many processes a row makes that is ROLE_PER_CORE. */
unsigned role_cores(void);
/* FOLDER of the spool as this role sees it: "/" when it is chrooted there, "SPOOL/FOLDER" when not.
 * The caller frees. */
char *role_path(const char *spool, const char *folder);
/* Ends this process; never returns. */
void role_exit(int status) __attribute__((noreturn));

/* The child's first half, for tests of the confinement: gives up ids and files as SPEC says and
 * applies the sandbox.  Never leaves a process with root's ids.  0; or -1, logged, and then the
 * caller must end. */
int role_confine(const struct role_spec *, const char *chroot_path, uid_t uid, gid_t gid, const char *account);

#endif
