/*
 * The system calls by which the store reads and changes the disk, as one table: tests put another
 * in its place, to make calls fail, to count them, or to record what was written and flushed
 * when.  Names and results are the calls' own (-1 and errno).
 */
#ifndef QUEUE_DISK_H
#define QUEUE_DISK_H

#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <stddef.h>
#include <stdint.h>

struct disk {
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
	ssize_t (*pread)(int fd, void *, size_t, off_t);
	ssize_t (*pwritev)(int fd, const struct iovec *, int n, off_t);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd); /* of a directory: its names */
	int (*renameat)(int from_dir, const char *from, int to_dir, const char *to);
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*fstatvfs)(int fd, struct statvfs *);
};

extern const struct disk disk_system;
/* What is used.  Changed by tests only, and only while no store is open. */
extern const struct disk *disk;

/* 0, or an errno; all of the N pieces (which are changed) go to OFFSET. */
int disk_write(int fd, struct iovec *, int n, off_t offset);
/* What could be read of LEN octets, less only at the end of the file; or -1 with errno. */
ssize_t disk_read(int fd, void *, size_t len, off_t offset);
/* 0, or an errno: the names in the directory are durable. */
int disk_sync_names(int dir);

#endif
