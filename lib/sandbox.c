/*
 * Confinement: seccomp by libseccomp, file system by Landlock (called directly: glibc has no
 * wrappers).
 *
 * The filter is a list of what is allowed.  What is not on it fails with EPERM instead of killing
 * the process: a library that tries something new after an upgrade then degrades where it can, and
 * a log line tells; the calls that only an intruder would make (execve, ptrace, ...) do kill.
 */
#include <linux/landlock.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <seccomp.h>

#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sandbox.h"

#define PATHS_MAX 16

/* Landlock access rights by number: Debian 12's header ends at version 2, the kernel may know more. */
#define FS_EXECUTE (1ULL << 0)
#define FS_READ ((1ULL << 2) | (1ULL << 3))
#define FS_ALL_V1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_FILE (FS_EXECUTE | (1ULL << 1) | (1ULL << 2) | FS_TRUNCATE)

/* What watches a program makes system calls, in every role, that no role may make.  `make sanitize` and `make valgrind`
 * build with SANDBOX_OPEN; test_sandbox fails where it was not meant. */
#ifdef SANDBOX_OPEN
static const bool closed = false;
#else
static const bool closed = true;
#endif

static struct {
	char *path;
	bool write;
} paths[PATHS_MAX];
static unsigned paths_n;

static void
allow(const char *path, bool write)
{
	if (paths_n == PATHS_MAX)
		fatal("sandbox: more than %d paths", PATHS_MAX);
	paths[paths_n].path = xstrdup(path);
	paths[paths_n++].write = write;
}

void
sandbox_allow_read(const char *path)
{
	allow(path, false);
}

void
sandbox_allow_write(const char *path)
{
	allow(path, true);
}

/* --- files --- */

static uint64_t
handled_rights(long version)
{
	uint64_t rights = FS_ALL_V1;

	if (version >= 2)
		rights |= FS_REFER;
	if (version >= 3)
		rights |= FS_TRUNCATE;
	return rights;
}

static int
add_path(int ruleset, const char *path, uint64_t rights)
{
	int r, fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };

	if (fd < 0)
		return 0; /* nothing is there, nothing is allowed */
	r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	if (r < 0 && errno == EINVAL) { /* a file takes fewer rights than a directory */
		rule.allowed_access = rights & FS_FILE;
		r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	close(fd);
	return r;
}

static int
apply_landlock(uint32_t may)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { .handled_access_fs = handled_rights(version) };
	uint64_t read = FS_READ | ((may & MAY_EXEC) ? FS_EXECUTE : 0);
	unsigned i;
	int ruleset, r = 0;

	if (version < 1) {
		log_warning("sandbox.no_landlock", F_STR("what", "this kernel has no Landlock; seccomp and chroot remain"));
		return 0;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (ruleset < 0)
		return -1;
	for (i = 0; i < paths_n && r == 0; i++)
		r = add_path(ruleset, paths[i].path,
		    paths[i].write ? attr.handled_access_fs & ~FS_EXECUTE : read);
	if (r == 0)
		r = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
	return r;
}

/* --- system calls --- */

#define S(name) SCMP_SYS(name)
#define END (-1000000)

/*
 * By name, in groups.  Landlock does not look at chmod(2), truncate(2) and the like by path, so
 * files are changed by descriptor only, which had to be opened first.
 */
static const int calls_base[] = { /* compute, and talk on descriptors that are there */
	S(read), S(write), S(readv), S(writev), S(pread64), S(preadv), S(recvmsg), S(sendmsg), S(recvfrom), S(sendto),
	S(sendmmsg), S(recvmmsg), S(close), S(dup), S(lseek), S(fstat), S(newfstatat), S(shutdown), S(getsockopt),
	S(setsockopt), S(getsockname), S(getpeername), S(epoll_create1), S(epoll_ctl), S(epoll_wait), S(epoll_pwait),
	S(epoll_pwait2), S(poll), S(ppoll), S(eventfd2), S(pipe2), S(timerfd_create), S(timerfd_settime),
	S(clock_gettime), S(clock_getres), S(clock_nanosleep), S(nanosleep), S(gettimeofday), S(time), S(times),
	S(brk), S(munmap), S(mremap), S(madvise), S(futex), S(getrandom), S(rt_sigaction), S(rt_sigprocmask),
	S(rt_sigreturn), S(sigaltstack), S(restart_syscall), S(exit), S(exit_group), S(getpid), S(gettid), S(getuid),
	S(geteuid), S(getgid), S(getegid), S(getrlimit), S(getrusage), S(sysinfo), S(uname), S(sched_yield),
	S(sched_getaffinity), S(rseq), S(set_robust_list), END };
static const int calls_accept[] = { S(accept), S(accept4), END };
static const int calls_connect[] = { S(connect), END };
static const int calls_bind[] = { S(bind), END }; /* a source address or port; nobody may listen */
static const int calls_read[] = { S(stat), S(lstat), S(statx), S(access), S(faccessat), S(faccessat2), S(readlink),
	S(readlinkat), S(getdents64), S(getcwd), S(chdir), S(fstatfs), S(statfs), S(flock), END };
static const int calls_write[] = { S(mkdir), S(mkdirat), S(rename), S(renameat), S(renameat2), S(unlink), S(unlinkat),
	S(rmdir), S(link), S(linkat), S(ftruncate), S(fallocate), S(fsync), S(fdatasync), S(syncfs),
	S(sync_file_range), S(pwrite64), S(pwritev), S(pwritev2), S(fchmod), S(umask), S(fadvise64), END };
static const int calls_thread[] = { S(set_tid_address), S(sched_setscheduler), S(sched_getparam),
	S(sched_getscheduler), END };
/* only an intruder would */
static const int calls_fatal[] = { S(execve), S(execveat), S(ptrace), S(process_vm_readv), S(process_vm_writev),
	S(kexec_load), S(init_module), S(finit_module), S(bpf), S(mount), S(umount2), S(pivot_root), S(setns), S(unshare),
	END };

static const struct {
	uint32_t may;
	const int *calls;
} groups[] = {
	{ 0, calls_base },
	{ MAY_ACCEPT, calls_accept },
	{ MAY_CONNECT | MAY_UNIX, calls_connect },
	{ MAY_CONNECT, calls_bind },
	{ MAY_READ | MAY_WRITE, calls_read },
	{ MAY_WRITE, calls_write },
	{ MAY_THREAD, calls_thread },
};

static int
add_calls(scmp_filter_ctx ctx, uint32_t action, const int *calls)
{
	int r = 0;

	for (; *calls != END && r >= 0; calls++) {
		r = seccomp_rule_add(ctx, action, *calls, 0);
		if (r == -EDOM || r == -EEXIST) /* unknown on this architecture */
			r = 0;
	}
	return r;
}

/* The call is allowed where (argument & MASK) is VALUE. */
static int
allow_masked(scmp_filter_ctx ctx, int call, unsigned arg, uint64_t mask, uint64_t value)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
}

static int
allow_value(scmp_filter_ctx ctx, int call, unsigned arg, uint64_t value)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(arg, SCMP_CMP_EQ, value));
}

/* Calls that are many in one: of fcntl(2) not those that send signals, of ioctl(2) not those that type at a terminal. */
static int
add_commands(scmp_filter_ctx ctx)
{
	static const int fcntls[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK,
		F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW };
	static const unsigned ioctls[] = { FIONREAD, FIONBIO, TCGETS };
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(fcntls) / sizeof(fcntls[0]); i++)
		r |= allow_value(ctx, S(fcntl), 1, (uint64_t)fcntls[i]);
	for (i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		r |= allow_value(ctx, S(ioctl), 1, ioctls[i]);
	return r;
}

static int
add_sockets(scmp_filter_ctx ctx, uint32_t may)
{
	int r = 0;

	if (may & MAY_CONNECT) {
		r |= allow_value(ctx, S(socket), 0, AF_INET);
		r |= allow_value(ctx, S(socket), 0, AF_INET6);
	}
	if (may & MAY_UNIX)
		r |= allow_value(ctx, S(socket), 0, AF_UNIX);
	return r;
}

static int
add_opens(scmp_filter_ctx ctx, uint32_t may)
{
	const uint64_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;

	if (may & MAY_WRITE)
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, S(open), 0) |
		    seccomp_rule_add(ctx, SCMP_ACT_ALLOW, S(openat), 0);
	if (may & MAY_READ)
		return allow_masked(ctx, S(open), 1, writing, 0) | allow_masked(ctx, S(openat), 2, writing, 0);
	return 0;
}

/* Calls that are right or wrong by their arguments. */
static int
add_conditional(scmp_filter_ctx ctx, uint32_t may)
{
	int r = add_commands(ctx) | add_sockets(ctx, may) | add_opens(ctx, may);

	/* memory is never both data and program */
	r |= allow_masked(ctx, S(mmap), 2, PROT_EXEC, 0);
	r |= allow_masked(ctx, S(mprotect), 2, PROT_EXEC, 0);
	/* abort(3), and no signal to anybody else */
	r |= allow_value(ctx, S(tgkill), 0, (uint64_t)getpid());
	/* limits may be read, not set */
	r |= allow_value(ctx, S(prlimit64), 2, 0);
	if (may & MAY_THREAD) /* glibc then takes clone, whose flags can be looked at */
		r |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), S(clone3), 0);
	if (may & MAY_THREAD)
		r |= allow_value(ctx, S(prctl), 0, PR_SET_NAME);
	if (may & MAY_THREAD)
		r |= allow_masked(ctx, S(clone), 0, CLONE_THREAD, CLONE_THREAD);
	return r;
}

/* For who runs programs, and for these programs, which inherit it: everything but what no program
 * that takes mail needs.  More cannot be known of them; they have their account's rights, and by
 * PR_SET_NO_NEW_PRIVS never more. */
static int
apply_for_programs(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	const int *call;
	int r = 0;

	if (ctx == NULL)
		return -1;
	for (call = calls_fatal; *call != END && r >= 0; call++) {
		if (*call == S(execve) || *call == S(execveat))
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), *call, 0);
		if (r == -EDOM || r == -EEXIST)
			r = 0;
	}
	if (r >= 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r >= 0)
		return 0;
	errno = -r;
	return -1;
}

static int
apply_seccomp(uint32_t may)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	size_t i;
	int r = 0;

	if (ctx == NULL)
		return -1;
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]) && r >= 0; i++)
		if (groups[i].may == 0 || (groups[i].may & may))
			r = add_calls(ctx, SCMP_ACT_ALLOW, groups[i].calls);
	if (r >= 0)
		r = add_calls(ctx, SCMP_ACT_KILL_PROCESS, calls_fatal);
	if (r >= 0)
		r = add_conditional(ctx, may) == 0 ? seccomp_load(ctx) : -EINVAL;
	seccomp_release(ctx);
	if (r < 0) {
		errno = -r;
		return -1;
	}
	return 0;
}

int
sandbox_apply(uint32_t may)
{
	int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	if (!closed)
		log_warning("sandbox.open", F_STR("what", "this program was built to be watched; it is not for mail"));
	if (r == 0 && closed)
		r = apply_landlock(may);
	if (r == 0 && closed)
		r = (may & MAY_EXEC) ? apply_for_programs() : apply_seccomp(may);
	if (r < 0)
		log_error("sandbox.failed", F_STR("error", strerror(errno)));
	while (paths_n > 0)
		free(paths[--paths_n].path);
	return r;
}
