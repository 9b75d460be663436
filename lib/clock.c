/*
 * The two clocks: wall-clock time for what is remembered, monotonic time for timeouts.
 *
 * clock_init() runs once in each program, before roles are forked and sandboxes closed: the mapping
 * is inherited, so that one write to the file moves the time of every role at once.  A test clock
 * that cannot be mapped is said on standard error and does without; it must never keep a mail
 * server from starting.  Root never has a test clock: whoever can set the environment of a privileged
 * program must not be able to expire its greylist or its queue.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fatal.h"

/* Little endian; written by the test at any time. */
static const uint64_t *offset, *set;

static void
complain(const char *path, const char *why)
{
	dprintf(STDERR_FILENO, "GENKAN_CLOCK=%s: %s; the system's time is used\n", path, why);
}

static const uint64_t *
map_offset(const char *path, size_t *len, const char **why)
{
	struct stat st;
	void *p;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &st) == -1) {
		*why = strerror(errno);
		if (fd != -1)
			close(fd);
		return NULL;
	}
	p = MAP_FAILED;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(*offset)) {
		*why = "it must be a file of at least 8 octets";
	} else {
		*len = (size_t)st.st_size;
		p = mmap(NULL, 2 * sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			*why = strerror(errno);
	}
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void
clock_init(void)
{
	const char *path, *why = NULL;
	size_t len = 0;

	path = secure_getenv("GENKAN_CLOCK");
	if (path == NULL || offset != NULL)
		return;
	if (getuid() == 0 || geteuid() == 0) {
		complain(path, "root has no test clock");
		return;
	}
	offset = map_offset(path, &len, &why);
	if (offset == NULL)
		complain(path, why);
	else if (len >= 2 * sizeof(*offset))
		set = offset + 1;
}

/* SECONDS and what the test says, unless no clock can say it. */
static int64_t
shifted(int64_t seconds, const uint64_t *by)
{
	int64_t sum;

	if (by == NULL ||
	    __builtin_add_overflow(seconds, (int64_t)le64toh(__atomic_load_n(by, __ATOMIC_RELAXED)), &sum))
		return seconds;
	return sum;
}

int64_t
clock_now(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) == -1)
		fatal("clock_gettime: %m");
	return shifted(shifted(ts.tv_sec, offset), set);
}

/* It counts while the machine sleeps. */
int64_t
clock_steady(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) == -1)
		fatal("clock_gettime: %m");
	return shifted(ts.tv_sec, offset);
}

bool
clock_is_test(void)
{
	return offset != NULL;
}

uint64_t
clock_ms(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		fatal("clock_gettime: %m");
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
