/*
 * What the master (role_master.c) and the process it has just forked (role.c) have between them:
 * everything that a process needs to become a role, and the messages of SUBJECT_ROLE.
 */
#ifndef LIB_ROLE_RUN_H
#define LIB_ROLE_RUN_H

#include "lib/role.h"

enum role_message {
	ROLE_CONNECT = MESSAGE_TYPE(SUBJECT_ROLE, 1), /* to a child: u32 role, u32 instance, u8 retired; a descriptor */
	ROLE_STOP,                                    /* to a child */
	ROLE_RETIRE,                                  /* to a child: you */
	ROLE_LOG,                                     /* to a child: log so, and to this descriptor */
	ROLE_RETIRED,                                 /* to a child: u32 role, u32 instance */
	ROLE_LOST                                     /* from a child: u32 role, u32 instance: make us a new channel */
};

/* All roles on CORES_MOST cores, three times over, and some: those that retire live on for a while. */
#define ROLE_LINKS_MAX 128

struct role_link { /* the end of a socketpair whose other end a peer has */
	enum role role;
	unsigned instance;
	bool retired;
	int fd;
};

struct role_process {
	const struct role_spec *spec;
	unsigned instance;
	uid_t uid; /* and GID: when root */
	gid_t gid;
	const char *account; /* whose groups it has besides; NULL: nobody's */
	const void *conf;    /* for prepare and start */
	char *chroot;        /* the whole path, or NULL */
	int master;          /* the end of the channel to the master */
	struct role_link links[ROLE_LINKS_MAX];
	unsigned links_n;
};

/* In the forked process, which holds nothing of the master's any more and has all signals blocked:
 * becomes the role.  Never returns. */
void role_run(const struct role_process *) __attribute__((noreturn));

#endif
