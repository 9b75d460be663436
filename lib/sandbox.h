/*
 * What a process may still do once it is confined: a seccomp filter made of named groups of system
 * calls, and Landlock rules for paths.  Applied always, also without root.  A call that is not
 * allowed fails with EPERM; running a program or tracing another process ends the caller.
 */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

#include <stdint.h>

enum sandbox_may {
	MAY_ACCEPT = 1 << 0,  /* accept connections on listeners it was given */
	MAY_CONNECT = 1 << 1, /* make internet sockets, TCP or UDP */
	MAY_UNIX = 1 << 2,    /* connect to unix sockets (LMTP, name services) */
	MAY_READ = 1 << 3,    /* open files: below the paths allowed, no others */
	MAY_WRITE = 1 << 4,   /* create, write, rename, remove files: below the paths allowed for writing */
	MAY_THREAD = 1 << 5,  /* threads of its own */
	MAY_GROUPS = 1 << 7,  /* keep the other groups of its account, and open what they may */
	MAY_EXEC = 1 << 6     /* fork and run programs, which may then make any call but those of an intruder */
};

/* Before sandbox_apply: everything below PATH (as seen after chroot) may be read, or read and
 * written.  A path that is not there is left out. */
void sandbox_allow_read(const char *path);
void sandbox_allow_write(const char *path);

/* 0, or -1 with errno and a log line; the caller then ends the process: a role never runs
 * unconfined.  A kernel without Landlock is a warning, not an error.  MAY: enum sandbox_may, or'ed;
 * 0: compute, and talk on descriptors it has. */
int sandbox_apply(uint32_t may);

#endif
