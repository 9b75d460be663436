/*
 * What a process may still do once it is confined: a seccomp filter of named groups of system calls, and Landlock rules
 * for paths.  Applied always, also without root.  A call that is not allowed fails with EPERM; execve, ptrace and the
 * like end the process.
 */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_may {
	MAY_ACCEPT = 1 << 0,    /* accept connections on listeners it was given */
	MAY_CONNECT = 1 << 1,   /* make internet sockets, TCP or UDP */
	MAY_READ = 1 << 2,      /* open files, below READ and WRITE only */
	MAY_WRITE = 1 << 3,     /* create, write, rename, remove files, below WRITE only */
	MAY_THREAD = 1 << 4,
	MAY_FORK = 1 << 5,      /* the master: also ids, kill, chroot */
	MAY_EXEC = 1 << 6,      /* delivery to programs */
	MAY_UNIX = 1 << 7       /* connect to unix sockets (LMTP, NSS, syslog) */
};

struct sandbox {
	uint32_t may;             /* enum sandbox_may, or'ed; 0: compute, and talk on descriptors it has */
	const char *const *read;  /* NULL-terminated paths, as seen after chroot; NULL: none */
	const char *const *write;
};

/* 0, or -1 with errno and a log line; the caller then ends the process: a role never runs unconfined.  A kernel
 * without Landlock is a warning, once, not an error. */
int sandbox_apply(const struct sandbox *);

#endif
