/*
 * A library that stands between the real smtpd and the kernel (LD_PRELOAD), for the crash tests.
 *
 *   SEAM_FAULTS=FILE  a table in shared memory: which process's calls fail with which error.  Tests
 *                     write it while the server runs.
 *   SEAM_RECORD=FILE  shared memory that every change of files is appended to, with its data, and
 *                     every flush, in the order in which the calls returned: what a disk saw.
 *
 * Both are mapped before main(), because roles are forked from the master, without exec, and are
 * then confined: they may open nothing.  Only system calls are used here that the wrapped call
 * makes itself, and fstat(2) and lseek(2), which every role may.
 *
 * The order of the record is the order that counts: a call is noted when it has returned, a flush
 * also when it begins.  Whatever a flush covers was noted before its beginning; a process that has
 * heard from another that something is done finds it noted.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- shared with seam.py --- */

enum call { CALL_WRITE = 1, CALL_SYNC = 2, CALL_OPEN = 4, CALL_ALLOC = 8 };

#define FAULTS_MAX 64

struct fault {
	_Atomic int32_t pid;  /* 0: none; -1: every process but the master */
	uint32_t calls;       /* enum call, or'ed */
	int32_t error;
	_Atomic int32_t skip; /* calls that still succeed */
	_Atomic int32_t hits;
	int32_t master;
};

enum op { OP_CREATE = 1, OP_WRITE, OP_TRUNCATE, OP_RENAME, OP_UNLINK, OP_MKDIR, OP_SYNC_BEGIN, OP_SYNC_END,
	OP_SYNCFS_BEGIN, OP_SYNCFS_END, OP_WRITTEN_OUT };

struct event {
	uint32_t magic, size; /* of all, a multiple of 8 */
	uint32_t op, pid;
	uint64_t file;        /* inode */
	uint64_t dir, to_dir; /* inodes of directories */
	uint64_t offset;
	uint32_t len, name_len, to_len, pad;
	/* data, name, to */
};
#define EVENT_MAGIC 0x4d414553u

static struct fault *faults;
static struct record {
	_Atomic uint64_t used;
	char bytes[];
} *record;
static uint64_t record_room;

static void *
map(const char *variable, size_t *size)
{
	const char *path = getenv(variable);
	struct stat st;
	void *p;
	int fd;

	if (path == NULL || (fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC)) == -1)
		return NULL;
	p = fstat(fd, &st) == 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
				: MAP_FAILED;
	*size = (size_t)st.st_size;
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

__attribute__((constructor)) static void
start(void)
{
	size_t size = 0;

	faults = map("SEAM_FAULTS", &size);
	record = map("SEAM_RECORD", &size);
	record_room = size - sizeof(*record);
}

/* --- faults --- */

/* True: this call of ours is to fail; errno says how. */
static bool
fails(enum call call)
{
	struct fault *f;
	int pid;

	if (faults == NULL)
		return false;
	pid = getpid();
	for (f = faults; f < faults + FAULTS_MAX; f++) {
		if (f->pid == 0 || (f->calls & call) == 0 ||
		    (f->pid != pid && !(f->pid == -1 && pid != f->master)))
			continue;
		if (atomic_fetch_sub(&f->skip, 1) > 0)
			continue;
		atomic_fetch_add(&f->hits, 1);
		errno = f->error;
		return true;
	}
	return false;
}

static bool
is_file(int fd, struct stat *st)
{
	return fstat(fd, st) == 0 && S_ISREG(st->st_mode);
}

/* A write to a socket or pipe is none to a disk. */
static bool
write_fails(int fd)
{
	struct stat st;

	return faults != NULL && is_file(fd, &st) && fails(CALL_WRITE);
}

/* --- the record --- */

static char *
put(char *to, const void *from, size_t len)
{
	if (len > 0)
		memcpy(to, from, len);
	return to + len;
}

static void
note(struct event e, const struct iovec *data, int n, const char *name, const char *to)
{
	uint64_t at, size;
	char *p;
	size_t left = e.len, part;

	if (record == NULL)
		return;
	e.pid = (uint32_t)getpid();
	e.name_len = name != NULL ? (uint32_t)strlen(name) : 0;
	e.to_len = to != NULL ? (uint32_t)strlen(to) : 0;
	size = (sizeof(e) + e.len + e.name_len + e.to_len + 7) / 8 * 8;
	at = atomic_fetch_add(&record->used, size);
	if (at + size > record_room)
		abort(); /* a record that is not complete proves nothing */
	e.size = (uint32_t)size;
	p = put(record->bytes + at, &e, sizeof(e));
	for (; n > 0 && left > 0; data++, n--, left -= part) {
		part = data->iov_len < left ? data->iov_len : left;
		p = put(p, data->iov_base, part);
	}
	p = put(p, name, e.name_len);
	put(p, to, e.to_len);
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)(record->bytes + at) = EVENT_MAGIC;
}

/* The directory's inode; *NAME becomes the last part. */
static uint64_t
directory(int dir, const char **name)
{
	const char *slash = strrchr(*name, '/');
	char path[4096];
	struct stat st;
	int r;

	if (slash == NULL) {
		r = dir == AT_FDCWD ? fstatat(AT_FDCWD, ".", &st, 0) : fstat(dir, &st);
	} else {
		size_t len = (size_t)(slash - *name);

		memcpy(path, *name, len);
		strcpy(path + len, "/");
		r = fstatat(dir, path, &st, 0);
		*name = slash + 1;
	}
	return r == 0 ? st.st_ino : 0;
}

static void
note_created(int fd, int dir, const char *name, int flags)
{
	struct event e = { .op = OP_CREATE, .offset = (flags & O_TRUNC) != 0 };
	struct stat st;

	if (record == NULL || fd == -1 || (flags & (O_CREAT | O_TRUNC)) == 0 || !is_file(fd, &st))
		return;
	e.file = st.st_ino;
	e.dir = directory(dir, &name);
	note(e, NULL, 0, name, NULL);
}

static ssize_t
note_written(ssize_t n, int fd, const struct iovec *data, int pieces, off_t offset)
{
	struct event e = { .op = OP_WRITE, .len = (uint32_t)n };
	struct stat st;
	int error = errno;

	if (record != NULL && n > 0 && is_file(fd, &st)) {
		if (offset < 0)
			offset = lseek(fd, 0, SEEK_CUR) - n;
		e.file = st.st_ino;
		e.offset = (uint64_t)offset;
		note(e, data, pieces, NULL, NULL);
	}
	errno = error;
	return n;
}

static void
note_file(enum op op, int fd, uint64_t offset)
{
	struct event e = { .op = op, .offset = offset };
	struct stat st;
	int error = errno;

	if (record == NULL || fstat(fd, &st) == -1)
		return;
	e.file = st.st_ino;
	note(e, NULL, 0, NULL, NULL);
	errno = error;
}

/* --- files --- */

static int
open_it(int dir, const char *name, int flags, mode_t mode)
{
	int fd;

	if (fails(CALL_OPEN))
		return -1;
	fd = (int)syscall(SYS_openat, dir, name, flags, mode);
	note_created(fd, dir, name, flags);
	return fd;
}

static mode_t
mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;
}

#define OPEN(name)                                                          \
	int name(const char *path, int flags, ...);                         \
	int name(const char *path, int flags, ...)                          \
	{                                                                   \
		va_list ap;                                                 \
		int fd;                                                     \
                                                                            \
		va_start(ap, flags);                                        \
		fd = open_it(AT_FDCWD, path, flags, mode_of(flags, ap));    \
		va_end(ap);                                                 \
		return fd;                                                  \
	}
#define OPENAT(name)                                                        \
	int name(int dir, const char *path, int flags, ...);                \
	int name(int dir, const char *path, int flags, ...)                 \
	{                                                                   \
		va_list ap;                                                 \
		int fd;                                                     \
                                                                            \
		va_start(ap, flags);                                        \
		fd = open_it(dir, path, flags, mode_of(flags, ap));         \
		va_end(ap);                                                 \
		return fd;                                                  \
	}
OPEN(open)
OPEN(open64)
OPEN(__open_2)
OPEN(__open64_2)
OPENAT(openat)
OPENAT(openat64)
OPENAT(__openat_2)
OPENAT(__openat64_2)

ssize_t
write(int fd, const void *data, size_t len)
{
	struct iovec piece = { (void *)(uintptr_t)data, len };

	if (write_fails(fd))
		return -1;
	return note_written(syscall(SYS_write, fd, data, len), fd, &piece, 1, -1);
}

ssize_t
writev(int fd, const struct iovec *data, int n)
{
	if (write_fails(fd))
		return -1;
	return note_written(syscall(SYS_writev, fd, data, n), fd, data, n, -1);
}

#define PWRITE(name)                                                                       \
	ssize_t name(int fd, const void *data, size_t len, off_t offset);                  \
	ssize_t name(int fd, const void *data, size_t len, off_t offset)                   \
	{                                                                                  \
		struct iovec piece = { (void *)(uintptr_t)data, len };                     \
                                                                                           \
		if (write_fails(fd))                                                       \
			return -1;                                                         \
		return note_written(                                                       \
		    syscall(SYS_pwrite64, fd, data, len, offset), fd, &piece, 1, offset);  \
	}
PWRITE(pwrite)
PWRITE(pwrite64)

#define PWRITEV(name)                                                                      \
	ssize_t name(int fd, const struct iovec *data, int n, off_t offset);               \
	ssize_t name(int fd, const struct iovec *data, int n, off_t offset)                \
	{                                                                                  \
		if (write_fails(fd))                                                       \
			return -1;                                                         \
		return note_written(                                                       \
		    syscall(SYS_pwritev, fd, data, n, offset, 0), fd, data, n, offset);    \
	}
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define TRUNCATE(name)                                                      \
	int name(int fd, off_t len);                                        \
	int name(int fd, off_t len)                                         \
	{                                                                   \
		int r = write_fails(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, len); \
                                                                            \
		if (r == 0)                                                 \
			note_file(OP_TRUNCATE, fd, (uint64_t)len);          \
		return r;                                                   \
	}
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

/* --- flushes --- */

static int
flush(int fd, long call, enum op begin, enum op end)
{
	int r;

	if (fails(CALL_SYNC))
		return -1;
	note_file(begin, fd, 0);
	r = (int)syscall(call, fd);
	if (r == 0)
		note_file(end, fd, 0);
	return r;
}

int
fsync(int fd)
{
	return flush(fd, SYS_fsync, OP_SYNC_BEGIN, OP_SYNC_END);
}

int
fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync, OP_SYNC_BEGIN, OP_SYNC_END);
}

int
syncfs(int fd)
{
	return flush(fd, SYS_syncfs, OP_SYNCFS_BEGIN, OP_SYNCFS_END);
}

int
sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
	int r;

	if (fails(CALL_SYNC))
		return -1;
	r = (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
	if (r == 0 && (flags & SYNC_FILE_RANGE_WAIT_AFTER) != 0 && offset == 0 && len == 0)
		note_file(OP_WRITTEN_OUT, fd, 0);
	return r;
}

/* --- names --- */

static int
noted_names(int r, enum op op, int dir, const char *name, int to_dir, const char *to)
{
	struct event e = { .op = op };
	struct stat st;
	int error = errno;

	if (r == 0 && record != NULL) {
		if (op == OP_MKDIR && fstatat(dir, name, &st, 0) == 0)
			e.file = st.st_ino;
		e.dir = directory(dir, &name);
		if (to != NULL)
			e.to_dir = directory(to_dir, &to);
		note(e, NULL, 0, name, to);
	}
	errno = error;
	return r;
}

int
renameat(int dir, const char *name, int to_dir, const char *to)
{
	if (fails(CALL_WRITE))
		return -1;
	return noted_names((int)syscall(SYS_renameat, dir, name, to_dir, to), OP_RENAME, dir, name, to_dir, to);
}

int
rename(const char *name, const char *to)
{
	return renameat(AT_FDCWD, name, AT_FDCWD, to);
}

int
unlinkat(int dir, const char *name, int flags)
{
	return noted_names((int)syscall(SYS_unlinkat, dir, name, flags), OP_UNLINK, dir, name, 0, NULL);
}

int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int
mkdirat(int dir, const char *name, mode_t mode)
{
	if (fails(CALL_WRITE))
		return -1;
	return noted_names((int)syscall(SYS_mkdirat, dir, name, mode), OP_MKDIR, dir, name, 0, NULL);
}

int
mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

/* --- descriptors --- */

int
socket(int domain, int type, int protocol)
{
	return fails(CALL_OPEN) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int
accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	return fails(CALL_OPEN) ? -1 : (int)syscall(SYS_accept4, fd, sa, len, flags);
}

int
accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	return accept4(fd, sa, len, 0);
}

int
socketpair(int domain, int type, int protocol, int pair[2])
{
	return fails(CALL_OPEN) ? -1 : (int)syscall(SYS_socketpair, domain, type, protocol, pair);
}

/* --- memory --- */

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

void *
malloc(size_t size)
{
	return fails(CALL_ALLOC) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails(CALL_ALLOC) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
	return fails(CALL_ALLOC) ? NULL : __libc_realloc(p, size);
}
