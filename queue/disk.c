/*
 * The store's system calls: the table of the real ones, and the loops that a call which may do
 * half of its work needs. Used by the loop's thread for small reads and by the journal's threads
 * for everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "queue/disk.h"

static int
system_openat(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags, mode);
}

const struct disk disk_system = {
	.openat = system_openat,
	.pread = pread,
	.pwritev = pwritev,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.renameat = renameat,
	.unlinkat = unlinkat,
	.fstatvfs = fstatvfs,
};

const struct disk *disk = &disk_system;

/* Steps over N octets that are written; returns how many pieces are used up. */
static int
advance(struct iovec *iov, int pieces, size_t n)
{
	int i;

	for (i = 0; i < pieces && n >= iov[i].iov_len; i++)
		n -= iov[i].iov_len;
	if (i < pieces) {
		iov[i].iov_base = (char *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
	}
	return i;
}

int
disk_write(int fd, struct iovec *iov, int n, off_t offset)
{
	ssize_t done;
	int used;

	while (n > 0) {
		done = disk->pwritev(fd, iov, n, offset);
		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return errno;
		if (done == 0)
			return ENOSPC;
		offset += done;
		used = advance(iov, n, (size_t)done);
		iov += used;
		n -= used;
	}
	return 0;
}

ssize_t
disk_read(int fd, void *data, size_t len, off_t offset)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = disk->pread(fd, (char *)data + have, len - have, offset + (off_t)have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int
disk_sync_names(int dir)
{
	/* EINVAL: a file system whose directories need no flush */
	return disk->fsync(dir) == -1 && errno != EINVAL ? errno : 0;
}
