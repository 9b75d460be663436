/*
 * Listening at and connecting to unix sockets (unix_socket.h).
 *
 * The master makes the control socket with it, smtpctl connects to it.  The folder is opened first
 * and the socket named relative to it by /proc/self/fd, so the length of the path does not matter.
 * It fails with a reason for the operator; what must never happen is that the socket of a server
 * that runs is taken away from it.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/unix_socket.h"

#define BACKLOG 1024

struct place {
	int folder;
	struct sockaddr_un address;
};

static void
place_close(const struct place *p)
{
	int saved = errno;

	close(p->folder);
	errno = saved;
}

static int
place_open(const char *path, struct place *p)
{
	char *copy = xstrdup(path), *name;
	int n;

	p->folder = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (p->folder < 0)
		return -1;
	copy = xstrdup(path);
	name = basename(copy);
	memset(&p->address, 0, sizeof(p->address));
	p->address.sun_family = AF_UNIX;
	n = snprintf(p->address.sun_path, sizeof(p->address.sun_path), "/proc/self/fd/%d/%s",
	    p->folder, name);
	free(copy);
	if (n < (int)sizeof(p->address.sun_path))
		return 0;
	errno = ENAMETOOLONG;
	place_close(p);
	return -1;
}

static int
connect_place(const struct place *p, int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), saved;

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&p->address, sizeof(p->address)) < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int
connect_path(const char *path, int flags)
{
	struct place p;
	int fd;

	if (place_open(path, &p) < 0)
		return -1;
	fd = connect_place(&p, flags);
	place_close(&p);
	return fd;
}

int
unix_socket_connect(const char *path)
{
	return connect_path(path, 0);
}

int
unix_socket_connect_now(const char *path)
{
	return connect_path(path, SOCK_NONBLOCK);
}

/* True when somebody listens there; a socket that nobody answers at is removed. */
static bool
is_taken(const struct place *p)
{
	int fd = connect_place(p, 0);
	struct stat st;

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (errno == ECONNREFUSED && lstat(p->address.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(p->address.sun_path);
	return false;
}

static int
listen_place(const struct place *p, mode_t mode)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&p->address, sizeof(p->address)) == 0 &&
	    chmod(p->address.sun_path, mode) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

int
unix_socket_listen(const char *path, mode_t mode, char **why)
{
	struct place p;
	int fd = -1;

	if (place_open(path, &p) < 0) {
		*why = xasprintf("%s: %s", path, strerror(errno));
		return -1;
	}
	if (is_taken(&p))
		*why = xasprintf("%s: somebody answers there already; end the server that runs, or "
		    "give this one another spool", path);
	else if ((fd = listen_place(&p, mode)) < 0)
		*why = xasprintf("%s: %s", path, strerror(errno));
	place_close(&p);
	return fd;
}
