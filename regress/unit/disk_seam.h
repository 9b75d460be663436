/*
 * A table of the store's system calls (queue/disk.h) that counts them, makes them fail, holds
 * them back, and writes down what was changed and flushed, in order.  One for each test program;
 * every call takes the lock, so the order written down is the order in which things happened.
 *
 * Flushes are not carried out: what a power cut would leave is worked out from the list.
 */
#ifndef REGRESS_UNIT_DISK_SEAM_H
#define REGRESS_UNIT_DISK_SEAM_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mem.h"
#include "queue/disk.h"

enum seam_op {
	SEAM_OPEN,
	SEAM_READ,
	SEAM_WRITE,
	SEAM_SYNC,
	SEAM_SYNC_NAMES,
	SEAM_RENAME,
	SEAM_UNLINK,
	SEAM_STATVFS,
	SEAM_OPS
};

/* Something that happened.  Files are known by inode number; names are "folder/name" below the
 * spool. */
struct seam_event {
	enum seam_op op; /* SEAM_OPS: a mark of the test's own, ID and TAG are its */
	uint64_t file;   /* OPEN (created), WRITE, SYNC */
	char *name, *to; /* OPEN, UNLINK, RENAME; the folder for SYNC_NAMES */
	uint64_t offset;
	size_t len;
	char *data;
	int tag;
	uint64_t id;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t change;
	unsigned long count[SEAM_OPS];
	/* the next SKIP calls of OP succeed, then TIMES fail with ERROR (-1: writes do half of
	 * their work) */
	struct {
		int error;
		unsigned long skip, times;
	} fault[SEAM_OPS];
	bool hold[SEAM_OPS]; /* calls wait while this is set */
	unsigned long held[SEAM_OPS];
	struct statvfs vfs;
	bool recording;
	struct seam_event *events;
	size_t events_n, events_cap;
} seam = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

/* --- called with the lock held --- */

/* 0, or the error that this call shall have. */
static int
seam_enter(enum seam_op op)
{
	seam.held[op]++;
	pthread_cond_broadcast(&seam.change);
	while (seam.hold[op])
		pthread_cond_wait(&seam.change, &seam.lock);
	seam.held[op]--;
	seam.count[op]++;
	pthread_cond_broadcast(&seam.change);
	if (seam.fault[op].times == 0)
		return 0;
	if (seam.fault[op].skip > 0) {
		seam.fault[op].skip--;
		return 0;
	}
	seam.fault[op].times--;
	return seam.fault[op].error;
}

static struct seam_event *
seam_record(enum seam_op op)
{
	struct seam_event *e;

	if (!seam.recording)
		return NULL;
	if (seam.events_n == seam.events_cap) {
		seam.events_cap = seam.events_cap == 0 ? 1024 : seam.events_cap * 2;
		seam.events = xreallocarray(seam.events, seam.events_cap, sizeof(*seam.events));
	}
	e = &seam.events[seam.events_n++];
	memset(e, 0, sizeof(*e));
	e->op = op;
	return e;
}

static char *
seam_name(int dir, const char *name)
{
	char link[64], path[PATH_MAX], *folder;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	folder = strrchr(path, '/');
	return xasprintf("%s/%s", folder != NULL ? folder + 1 : path, name);
}

static uint64_t
seam_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* --- the calls --- */

static int
seam_openat(int dir, const char *name, int flags, mode_t mode)
{
	struct seam_event *e;
	bool created;
	int error, fd = -1;

	pthread_mutex_lock(&seam.lock);
	if ((error = seam_enter(SEAM_OPEN)) == 0) {
		created = (flags & O_CREAT) != 0 && faccessat(dir, name, F_OK, 0) == -1;
		fd = openat(dir, name, flags, mode);
		error = errno;
		if (fd != -1 && created && (e = seam_record(SEAM_OPEN)) != NULL) {
			e->file = seam_file(fd);
			e->name = seam_name(dir, name);
		}
	}
	pthread_mutex_unlock(&seam.lock);
	errno = error;
	return fd;
}

static ssize_t
seam_pread(int fd, void *data, size_t len, off_t offset)
{
	int error;

	pthread_mutex_lock(&seam.lock);
	error = seam_enter(SEAM_READ);
	pthread_mutex_unlock(&seam.lock);
	if (error == 0)
		return pread(fd, data, len, offset);
	errno = error;
	return -1;
}

static ssize_t
seam_pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct seam_event *e;
	ssize_t done = -1;
	int error, i;
	size_t at = 0, len;

	pthread_mutex_lock(&seam.lock);
	error = seam_enter(SEAM_WRITE);
	if (error == -1 && n > 1)
		n /= 2; /* a short write */
	if (error <= 0) {
		done = pwritev(fd, iov, n, offset);
		error = errno;
	}
	if (done > 0 && (e = seam_record(SEAM_WRITE)) != NULL) {
		e->file = seam_file(fd);
		e->offset = (uint64_t)offset;
		e->len = (size_t)done;
		e->data = xmalloc((size_t)done);
		for (i = 0; i < n && at < (size_t)done; i++, at += len) {
			len =
			    iov[i].iov_len < (size_t)done - at ? iov[i].iov_len : (size_t)done - at;
			memcpy(e->data + at, iov[i].iov_base, len);
		}
	}
	pthread_mutex_unlock(&seam.lock);
	errno = error;
	return done;
}

static int
seam_fdatasync(int fd)
{
	struct seam_event *e;
	int error;

	pthread_mutex_lock(&seam.lock);
	if ((error = seam_enter(SEAM_SYNC)) == 0 && (e = seam_record(SEAM_SYNC)) != NULL)
		e->file = seam_file(fd);
	pthread_mutex_unlock(&seam.lock);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int
seam_fsync(int fd)
{
	struct seam_event *e;
	int error;

	pthread_mutex_lock(&seam.lock);
	if ((error = seam_enter(SEAM_SYNC_NAMES)) == 0 &&
	    (e = seam_record(SEAM_SYNC_NAMES)) != NULL)
		e->name = seam_name(fd, "");
	pthread_mutex_unlock(&seam.lock);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int
seam_renameat(int dir, const char *from, int to_dir, const char *to)
{
	struct seam_event *e;
	int error, r = -1;

	pthread_mutex_lock(&seam.lock);
	if ((error = seam_enter(SEAM_RENAME)) == 0) {
		r = renameat(dir, from, to_dir, to);
		error = errno;
		if (r == 0 && (e = seam_record(SEAM_RENAME)) != NULL) {
			e->name = seam_name(dir, from);
			e->to = seam_name(to_dir, to);
		}
	}
	pthread_mutex_unlock(&seam.lock);
	errno = error;
	return r;
}

static int
seam_unlinkat(int dir, const char *name, int flags)
{
	struct seam_event *e;
	int error, r = -1;

	pthread_mutex_lock(&seam.lock);
	if ((error = seam_enter(SEAM_UNLINK)) == 0) {
		r = unlinkat(dir, name, flags);
		error = errno;
		if (r == 0 && (e = seam_record(SEAM_UNLINK)) != NULL)
			e->name = seam_name(dir, name);
	}
	pthread_mutex_unlock(&seam.lock);
	errno = error;
	return r;
}

static int
seam_fstatvfs(int fd, struct statvfs *out)
{
	int error;

	pthread_mutex_lock(&seam.lock);
	error = seam_enter(SEAM_STATVFS);
	*out = seam.vfs;
	pthread_mutex_unlock(&seam.lock);
	(void)fd;
	errno = error;
	return error == 0 ? 0 : -1;
}

static const struct disk seam_disk = {
	.openat = seam_openat,
	.pread = seam_pread,
	.pwritev = seam_pwritev,
	.fdatasync = seam_fdatasync,
	.fsync = seam_fsync,
	.renameat = seam_renameat,
	.unlinkat = seam_unlinkat,
	.fstatvfs = seam_fstatvfs,
};

/* --- for tests --- */

static inline void
seam_forget_events(void)
{
	size_t i;

	for (i = 0; i < seam.events_n; i++) {
		free(seam.events[i].name);
		free(seam.events[i].to);
		free(seam.events[i].data);
	}
	free(seam.events);
	seam.events = NULL;
	seam.events_n = seam.events_cap = 0;
}

/* No faults, plenty of room, nothing held back, nothing recorded. */
static inline void
seam_reset(void)
{
	pthread_mutex_lock(&seam.lock);
	memset(seam.count, 0, sizeof(seam.count));
	memset(seam.fault, 0, sizeof(seam.fault));
	memset(seam.hold, 0, sizeof(seam.hold));
	seam.vfs = (struct statvfs){
		.f_frsize = 4096, .f_blocks = 1 << 21, .f_bavail = 1 << 20, .f_files = 1 << 20, .f_favail = 1 << 20
	};
	seam.recording = false;
	pthread_mutex_unlock(&seam.lock);
	seam_forget_events();
	disk = &seam_disk;
}

static inline void
seam_fail(enum seam_op op, int error, unsigned long skip, unsigned long times)
{
	pthread_mutex_lock(&seam.lock);
	seam.fault[op].error = error;
	seam.fault[op].skip = skip;
	seam.fault[op].times = times;
	pthread_mutex_unlock(&seam.lock);
}

static inline void
seam_hold(enum seam_op op, bool hold)
{
	pthread_mutex_lock(&seam.lock);
	seam.hold[op] = hold;
	pthread_cond_broadcast(&seam.change);
	pthread_mutex_unlock(&seam.lock);
}

static inline unsigned long
seam_count(enum seam_op op)
{
	unsigned long n;

	pthread_mutex_lock(&seam.lock);
	n = seam.count[op];
	pthread_mutex_unlock(&seam.lock);
	return n;
}

/* Until OP was called N times, or one of them is held back. */
static inline void
seam_await(enum seam_op op, unsigned long n)
{
	pthread_mutex_lock(&seam.lock);
	while (seam.count[op] < n && !(seam.hold[op] && seam.held[op] > 0))
		pthread_cond_wait(&seam.change, &seam.lock);
	pthread_mutex_unlock(&seam.lock);
}

static inline void
seam_mark(int tag, uint64_t id)
{
	struct seam_event *e;

	pthread_mutex_lock(&seam.lock);
	if ((e = seam_record(SEAM_OPS)) != NULL) {
		e->tag = tag;
		e->id = id;
	}
	pthread_mutex_unlock(&seam.lock);
}

#endif
