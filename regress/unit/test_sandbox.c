/*
 * What each role can and cannot do once it is confined: every row of the real table tries
 * everything that an intruder in it would try, started as root and started as an ordinary user.
 * What came of it must be, letter for letter, what the table below says; a row that is not in it
 * fails too.
 *
 * 	y  it worked      -  it was refused      K  the kernel ended the process
 *
 * This program is built without sanitizers: their runtime makes system calls of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <net/if.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "smtpd/roles.h"

static char base[64]; /* the world of one case: base/spool, base/home, base/outside */
static struct conf *conf;
static uid_t user_id;
static gid_t user_group;
static bool as_root; /* the case: started as root, or as USER_ID */
static pid_t parent;
static int listener = -1, tcp = -1, local_socket = -1; /* what a role might have been born with */

/* As the role sees it: the folder that is its own, or an empty one that is not. */
static char *inside;

/* --- attempts: true when it worked --- */

static char *
outside(const char *name)
{
	return xasprintf("%s/outside/%s", base, name);
}

static char *
within(const char *name)
{
	return xasprintf("%s/%s", inside, name);
}

static bool
opens(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600) >= 0;
}

static bool
read_inside(void)
{
	return opens(within("file"), O_RDONLY);
}

static bool
create_inside(void)
{
	return opens(within("new"), O_WRONLY | O_CREAT | O_EXCL);
}

static bool
remove_inside(void)
{
	return unlink(within("file")) == 0;
}

static bool
read_outside(void)
{
	return opens(outside("file"), O_RDONLY);
}

static bool
write_outside(void)
{
	return opens(outside("file"), O_WRONLY) || opens(outside("file"), O_RDWR | O_APPEND);
}

static bool
truncate_outside(void)
{
	return opens(outside("file"), O_RDONLY | O_TRUNC) || truncate(outside("file"), 1) == 0;
}

static bool
create_outside(void)
{
	return opens(outside("new"), O_WRONLY | O_CREAT) || mkdir(outside("dir"), 0700) == 0 ||
	    symlink("file", outside("symlink")) == 0 || mknod(outside("fifo"), S_IFIFO | 0600, 0) == 0;
}

static bool
remove_outside(void)
{
	return unlink(outside("file")) == 0 || unlinkat(AT_FDCWD, outside("file"), 0) == 0;
}

static bool
rename_outside(void)
{
	return rename(outside("file"), outside("renamed")) == 0 || rename(within("file"), outside("taken")) == 0 ||
	    rename(outside("file"), within("brought")) == 0;
}

static bool
link_outside(void)
{
	return link(outside("file"), within("linked")) == 0 || link(within("file"), outside("linked")) == 0;
}

static bool
change_outside(void)
{
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

	return chmod(outside("file"), 0777) == 0 || fchmodat(AT_FDCWD, outside("file"), 0777, 0) == 0 ||
	    utimensat(AT_FDCWD, outside("file"), now, 0) == 0 || chown(outside("file"), user_id, user_group) == 0;
}

static bool
read_passwd(void)
{
	return opens("/etc/passwd", O_RDONLY);
}

static bool
write_passwd(void)
{
	return opens("/etc/passwd", O_WRONLY);
}

static bool
read_parent_memory(void)
{
	char *path = xasprintf("/proc/%d/mem", (int)parent);

	return opens(path, O_RDONLY) || opens(path, O_RDWR);
}

static bool
write_own_memory(void)
{
	return opens("/proc/self/mem", O_RDWR);
}

static bool
leave_chroot(void)
{
	return chroot("/") == 0 || chroot("..") == 0;
}

static bool
makes_socket(int family, int type)
{
	return socket(family, type, 0) >= 0;
}

static bool
socket_inet(void)
{
	return makes_socket(AF_INET, SOCK_STREAM) && makes_socket(AF_INET6, SOCK_STREAM) &&
	    makes_socket(AF_INET, SOCK_DGRAM);
}

static bool
socket_unix(void)
{
	return makes_socket(AF_UNIX, SOCK_STREAM) || makes_socket(AF_UNIX, SOCK_DGRAM);
}

static bool
socket_other(void)
{
	return makes_socket(AF_NETLINK, SOCK_RAW) || makes_socket(AF_PACKET, SOCK_RAW) ||
	    makes_socket(AF_INET, SOCK_RAW);
}

static bool
connect_inet(void)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	return getsockname(listener, (struct sockaddr *)&sin, &len) == 0 &&
	    connect(tcp, (struct sockaddr *)&sin, len) == 0;
}

static bool
connect_unix(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", base);
	return connect(local_socket, (struct sockaddr *)&sun, sizeof(sun)) == 0;
}

static bool
bind_inet(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return bind(tcp, (struct sockaddr *)&sin, sizeof(sin)) == 0;
}

static bool
listens(void)
{
	return listen(tcp, 5) == 0;
}

static bool
accepts(void)
{
	return accept(listener, NULL, NULL) >= 0 || errno == EAGAIN; /* nobody is there, but it was looked */
}

static bool
runs_program(void)
{
	char *argv[] = { NULL };

	execve("/bin/true", argv, argv);
	return false;
}

static bool
runs_program_by_descriptor(void)
{
	char *argv[] = { NULL };

	syscall(SYS_execveat, 0, "", argv, argv, AT_EMPTY_PATH);
	return false;
}

static bool
forks(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0 || syscall(SYS_vfork) >= 0;
}

static void *
thread(void *arg)
{
	return arg;
}

static bool
makes_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0;
}

static bool
traces(void)
{
	return ptrace(PTRACE_ATTACH, parent, NULL, NULL) == 0;
}

static bool
reads_other_memory(void)
{
	char octet;
	struct iovec mine = { &octet, 1 }, its = { &octet, 1 };

	return process_vm_readv(parent, &mine, 1, &its, 1, 0) == 1;
}

/* Signal 0 asks whether one may. */
static bool
signals_parent(void)
{
	return kill(parent, 0) == 0 || syscall(SYS_tgkill, parent, parent, 0) == 0 ||
	    syscall(SYS_tkill, parent, 0) == 0 || sigqueue(parent, 0, (union sigval){ 0 }) == 0;
}

static bool
signals_by_descriptor(void)
{
	return fcntl(listener, F_SETOWN, parent) == 0 || ioctl(listener, FIOSETOWN, &parent) == 0;
}

static bool
mounts(void)
{
	return mount("none", "/", "tmpfs", 0, NULL) == 0;
}

static bool
unshares(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool
maps_program(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool
makes_data_program(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED && (mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ||
	    syscall(SYS_pkey_mprotect, p, 4096, PROT_EXEC, -1) == 0);
}

static bool
becomes_root(void)
{
	return syscall(SYS_setuid, 0) == 0 || syscall(SYS_setresuid, 0, 0, 0) == 0 || geteuid() == 0;
}

static bool
joins_group(void)
{
	gid_t root = 0;

	return syscall(SYS_setgid, 0) == 0 || syscall(SYS_setgroups, 1, &root) == 0 || getegid() == 0;
}

static bool
sets_limits(void)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_CORE, &rl) == 0 && setrlimit(RLIMIT_CORE, &rl) == 0;
}

static bool
is_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1;
}

static bool
asks_interfaces(void)
{
	struct ifconf ifc = { 0 };

	return ioctl(tcp, SIOCGIFCONF, &ifc) == 0;
}

/* Large parts of the kernel that no role needs. */
static bool
other_calls(void)
{
	static const long calls[] = { SYS_io_uring_setup, SYS_userfaultfd, SYS_perf_event_open, SYS_keyctl, SYS_add_key,
		SYS_memfd_create, SYS_inotify_init1, SYS_signalfd4, SYS_socketpair, SYS_shmget, SYS_msgget, SYS_syslog,
		SYS_personality, SYS_sethostname, SYS_reboot, SYS_swapon, SYS_settimeofday, SYS_quotactl, SYS_acct,
		SYS_pidfd_open, SYS_openat2, SYS_open_tree, SYS_name_to_handle_at, SYS_setxattr, SYS_mknod, SYS_ioperm,
		SYS_iopl, SYS_modify_ldt };
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (syscall(calls[i], 0, 0, 0, 0, 0) >= 0 || errno != EPERM)
			return true;
	return false;
}

/* --- what must come of them --- */

static const enum role columns[] = { ROLE_RESOLVER, ROLE_LEDGER, ROLE_LOOKUP, ROLE_RELAY, ROLE_QUEUE, ROLE_SESSION,
	ROLE_VAULT, ROLE_CONTROL, ROLE_LOCAL };
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/*
 *                                              resolver                     resolver
 *                                              |ledger                      |ledger
 *                                              ||lookup                     ||lookup
 *                                              |||relay                     |||relay
 *                                              ||||queue                    ||||queue
 *                                              |||||session                 |||||session
 *                                              ||||||vault                  ||||||vault
 *                                              |||||||control               |||||||control
 *                                              ||||||||local                ||||||||local
 */
static const struct attempt {
	const char *what;
	bool (*works)(void);
	const char *as_root;
	const char *as_user;
} attempts[] = {
	{ "read a file of its own", read_inside,           "-yy-y---y",          "-yy-y---y" },
	{ "create one", create_inside,                     "-y--y---y",          "-y--y---y" },
	{ "remove one", remove_inside,                     "-y--y---y",          "-y--y---y" },
	{ "read another's", read_outside,                  "--y------",          "--y------" },
	{ "write to it", write_outside,                    "---------",          "---------" },
	{ "truncate it", truncate_outside,                 "---------",          "---------" },
	{ "create one elsewhere", create_outside,          "---------",          "---------" },
	{ "remove another's", remove_outside,              "---------",          "---------" },
	{ "rename from or to there", rename_outside,       "---------",          "---------" },
	{ "link from or to there", link_outside,           "---------",          "---------" },
	{ "change its mode, times, owner", change_outside, "---------",          "---------" },
	{ "read /etc/passwd", read_passwd,                 "--y----y-",          "--y----y-" },
	{ "write /etc/passwd", write_passwd,               "---------",          "---------" },
	{ "read the master's memory", read_parent_memory,  "---------",          "---------" },
	{ "write its own by /proc", write_own_memory,      "---------",          "---------" },
	{ "leave the chroot", leave_chroot,                "---------",          "---------" },
	{ "make an internet socket", socket_inet,          "y--y-----",          "y--y-----" },
	{ "make a unix socket", socket_unix,               "--y---y--",          "--y---y--" },
	{ "make another kind", socket_other,               "---------",          "---------" },
	{ "connect by internet", connect_inet,             "y-yy--y--",          "y-yy--y--" },
	{ "connect by unix", connect_unix,                 "--y---y--",          "y-yy--y--" },
	{ "bind", bind_inet,                               "y--y-----",          "y--y-----" },
	{ "listen", listens,                               "---------",          "---------" },
	{ "accept", accepts,                               "-----y-y-",          "-----y-y-" },
	{ "run a program", runs_program,                   "KKKKKKKKK",          "KKKKKKKKK" },
	{ "run one by descriptor", runs_program_by_descriptor, "KKKKKKKKK",      "KKKKKKKKK" },
	{ "fork", forks,                                   "---------",          "---------" },
	{ "make a thread", makes_thread,                   "-y--y-y--",          "-y--y-y--" },
	{ "trace the master", traces,                      "KKKKKKKKK",          "KKKKKKKKK" },
	{ "read memory of others", reads_other_memory,     "KKKKKKKKK",          "KKKKKKKKK" },
	{ "signal the master", signals_parent,             "---------",          "---------" },
	{ "signal by a descriptor", signals_by_descriptor, "---------",          "---------" },
	{ "mount", mounts,                                 "KKKKKKKKK",          "KKKKKKKKK" },
	{ "make a namespace", unshares,                    "KKKKKKKKK",          "KKKKKKKKK" },
	{ "map memory to execute", maps_program,           "---------",          "---------" },
	{ "make data executable", makes_data_program,      "---------",          "---------" },
	{ "become root", becomes_root,                     "---------",          "---------" },
	{ "join root's group", joins_group,                "---------",          "---------" },
	{ "set limits", sets_limits,                       "---------",          "---------" },
	{ "leave a core", is_dumpable,                     "---------",          "---------" },
	{ "ask a device", asks_interfaces,                 "---------",          "---------" },
	{ "call what no role needs", other_calls,          "---------",          "---------" },
};
#define ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

/* --- the world --- */

static void
make_folder(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	char *path = xasprintf("%s/%s", base, name);

	assert_true(mkdir(path, mode) == 0 || errno == EEXIST);
	assert_int_equal(chmod(path, mode), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, uid, gid), 0);
	free(path);
}

/* Readable and writable by all: only the confinement may be what refuses it. */
static void
make_file(const char *name, uid_t uid, gid_t gid)
{
	char *path = xasprintf("%s/%s", base, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "content", 7), 7);
	assert_int_equal(fchmod(fd, 0666), 0);
	if (geteuid() == 0)
		assert_int_equal(fchown(fd, uid, gid), 0);
	close(fd);
	free(path);
}

static void
remove_world(void)
{
	char *command = xasprintf("rm -rf '%s'", base);

	assert_int_equal(system(command), 0);
	free(command);
}

static void
find_account(const char *name, const char *otherwise, uid_t *uid, gid_t *gid)
{
	struct passwd *pw = getpwnam(name);

	if (pw == NULL)
		pw = getpwnam(otherwise);
	assert_non_null(pw);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
}

/* Whose ids the role has, in this case. */
static void
ids_of(const struct role_spec *spec, uid_t *uid, gid_t *gid)
{
	*uid = user_id;
	*gid = user_group;
	if (as_root && spec->user == USER_SMTPQ)
		find_account("_smtpq", "daemon", uid, gid);
	else if (as_root)
		find_account("_smtpd", "nobody", uid, gid);
}

/* The folder that belongs to it, below BASE. */
static const char *
folder_of(const struct role_spec *spec)
{
	switch (spec->role) {
	case ROLE_LOCAL:
		return "home";
	case ROLE_LEDGER:
		return "spool/ledger";
	case ROLE_QUEUE:
		return "spool/queue";
	default:
		return "spool/empty";
	}
}

static void
make_world(const struct role_spec *spec)
{
	const char *folder = folder_of(spec);
	char file[64];
	uid_t uid;
	gid_t gid;

	ids_of(spec, &uid, &gid);
	snprintf(file, sizeof(file), "%s/file", folder);
	make_folder("spool", 0755, uid, gid);
	make_folder("outside", 0777, uid, gid);
	make_folder(folder, 0755, uid, gid);
	make_file("outside/file", uid, gid);
	make_file(file, uid, gid);
}

static void
clean_world(const struct role_spec *spec)
{
	static const char *const names[] = { "file", "new", "renamed", "taken", "brought", "linked", "symlink",
		"fifo" };
	const char *const folders[] = { "outside", folder_of(spec) };
	size_t i, k;
	char path[160];

	for (i = 0; i < 2; i++)
		for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			snprintf(path, sizeof(path), "%s/%s/%s", base, folders[i], names[k]);
			unlink(path);
		}
	snprintf(path, sizeof(path), "%s/outside/dir", base);
	rmdir(path);
}

static void
open_sockets(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* stays open for this program's life */

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listener, 512), 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", base);
	assert_int_equal(bind(server, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(chmod(sun.sun_path, 0777), 0);
	assert_int_equal(listen(server, 512), 0);
}

static void
read_conf(void)
{
	struct buf text = { 0 }, errors = { 0 }, warnings = { 0 };

	buf_addf(&text, "host \"mx.example.org\"\nspool \"%s/spool\"\nresolver 127.0.0.1 port 5300\n"
	    "listen on 127.0.0.1 port 2525\n", base);
	conf = conf_parse("test", buf_str(&text), text.len, &errors, &warnings);
	if (conf == NULL)
		fail_msg("%s", buf_str(&errors));
	buf_free(&text);
	buf_free(&errors);
	buf_free(&warnings);
}

/* --- a role that tries --- */

enum { WORKED, REFUSED, TROUBLE };

/* In a child.  Everything as the master and role_run() do it, but that the role's own code does not run. */
static int
confine_and_try(const struct role_spec *spec, const struct attempt *attempt)
{
	char *home = xasprintf("%s/home", base), *chroot_path = NULL;
	uid_t uid;
	gid_t gid;

	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	local_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ids_of(spec, &uid, &gid);
	if (!as_root && geteuid() == 0 &&
	    (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
		return TROUBLE;
	roles_serve(conf);
	if (spec->role == ROLE_LOCAL) /* what is left to do once the configuration has explained the process (smtpd/deliverer.c) */
		sandbox_allow_write(home);
	else if (spec->prepare != NULL)
		spec->prepare(conf, 0);
	if (as_root && spec->chroot != NULL)
		chroot_path = xasprintf("%s/spool/%s", base, spec->chroot);
	inside = chroot_path != NULL ? xstrdup("") : xasprintf("%s/%s", base, folder_of(spec));
	if (role_confine(spec, chroot_path, uid, gid, NULL) < 0)
		return TROUBLE;
	return attempt->works() ? WORKED : REFUSED;
}

static char
letter(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? 'K' : '?';
	return WEXITSTATUS(status) == WORKED ? 'y' : WEXITSTATUS(status) == REFUSED ? '-' : '!';
}

static char
try_as(const struct role_spec *spec, const struct attempt *attempt)
{
	struct rlimit no_core = { 0, 0 };
	int status = -1;
	pid_t pid;

	make_world(spec);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		_exit(confine_and_try(spec, attempt));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	clean_world(spec);
	return letter(status);
}

static const struct role_spec *
row_of(enum role role)
{
	unsigned i;

	for (i = 0; i < role_table_n; i++)
		if (role_table[i].role == role)
			return &role_table[i];
	return role == ROLE_LOCAL ? &role_local_table[MAILBOX_MAILDIR] : NULL;
}

static unsigned
try_all(void)
{
	char got[COLUMNS + 1] = "";
	unsigned wrong = 0;
	size_t i, k;

	parent = getpid();
	read_conf();
	open_sockets();
	for (i = 0; i < ATTEMPTS; i++) {
		const char *want = as_root ? attempts[i].as_root : attempts[i].as_user;
		bool right;

		for (k = 0; k < COLUMNS; k++)
			got[k] = try_as(row_of(columns[k]), &attempts[i]);
		right = strcmp(got, want) == 0;
		wrong += !right;
		print_message("%-32s %s%s%s\n", attempts[i].what, got, right ? "" : ", not ", right ? "" : want);
	}
	conf_free(conf);
	close(listener);
	return wrong;
}

static void
run_case(bool root)
{
	unsigned wrong;

	as_root = root;
	if (geteuid() == 0) {
		find_account("nobody", "nobody", &user_id, &user_group);
	} else {
		user_id = geteuid();
		user_group = getegid();
	}
	strlcpy(base, "/tmp/test_sandbox.XXXXXX", sizeof(base));
	assert_non_null(mkdtemp(base));
	assert_int_equal(chmod(base, 0755), 0);
	print_message("started as %s:\n", root ? "root" : "an ordinary user");
	wrong = try_all();
	remove_world();
	assert_int_equal(wrong, 0);
}

static void
test_as_root(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: not root\n");
		skip();
	}
	run_case(true);
}

static void
test_as_user(void **state)
{
	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
		print_message("skipped: without root only Landlock keeps files apart; this kernel has none\n");
		skip();
	}
	run_case(false);
}

/* A new role stands in the table above before it stands in the program. */
static void
test_every_row(void **state)
{
	unsigned i;
	size_t k;

	(void)state;
	assert_int_equal(role_table_n + 1, COLUMNS);
	for (i = 0; i < role_table_n; i++) {
		for (k = 0; k < COLUMNS && columns[k] != role_table[i].role; k++)
			;
		assert_true(k < COLUMNS);
	}
	for (i = 0; i < ATTEMPTS; i++) {
		assert_int_equal(strlen(attempts[i].as_root), COLUMNS);
		assert_int_equal(strlen(attempts[i].as_user), COLUMNS);
	}
}

int
main(void)
{
	static const struct log_conf log = { .to_stderr = true };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_as_root),
		cmocka_unit_test(test_as_user),
	};

	umask(022);
	log_init(&log, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
