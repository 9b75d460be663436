/*
 * For tests of what ends a process or changes it for good: runs a function in a child and brings
 * home how it ended and what it wrote on standard error.
 */
#ifndef REGRESS_UNIT_CHILD_H
#define REGRESS_UNIT_CHILD_H

#include <stddef.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_STDERR_MAX 65536

/* FN(ARG) is the child's exit code; returns its status as waitpid(2) has it.  ERR is
 * CHILD_STDERR_MAX octets, NUL included. */
static inline int
child_run(int (*fn)(void *), void *arg, char *err)
{
	int fds[2], status = -1;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds) == -1 || (pid = fork()) == -1)
		abort();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		/* Not exit(): the test program's own handlers are none of the child's. */
		_exit(fn(arg));
	}
	close(fds[1]);
	while (used < CHILD_STDERR_MAX - 1 &&
	       (n = read(fds[0], err + used, CHILD_STDERR_MAX - 1 - used)) > 0)
		used += (size_t)n;
	err[used] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

#endif
