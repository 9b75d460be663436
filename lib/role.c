/*
 * The master's side and the child's side of a role (role.h).
 *
 * The master keeps one channel to each child.  Pairs of children are connected by the master making a socketpair and
 * sending one end to each; whoever is started later gets its ends while it is forked, whoever lives already gets a
 * message.  So a restarted role is connected anew with all its peers, and they with it, by the same few lines.
 *
 * The master itself reads nothing from the network and nothing from its children but SUBJECT_ROLE and the subjects that
 * smtpd/ registers for it (the request for a local delivery process).
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role.h"

enum role_type {
	ROLE_CONNECT = MESSAGE_TYPE(SUBJECT_ROLE, 1), /* master to child: u32 role, u32 instance; a descriptor */
	ROLE_STOP                                     /* master to child */
};

#define CORES_MOST 16
#define BACKOFF_MOST 60
#define STABLE_MS 60000
#define STOP_SECONDS 20

struct child {
	const struct role_spec *spec;
	unsigned instance;
	pid_t pid; /* 0: not running */
	unsigned starts;
	unsigned backoff;    /* seconds before the next start */
	uint64_t started_ms;
	struct event restart;
};

struct extra { /* role_spawn's processes */
	struct extra *next;
	pid_t pid;
	unsigned instance;
	enum role role;
};

static struct {
	const struct role_master *m;
	struct child *children;
	unsigned n;
	struct extra *extras;
	struct event *sigchld;
	struct event *mercy; /* kills what does not end */
	bool stopping;
	uid_t uid[2];
	gid_t gid[2];
	bool root;
} master;

static bool chrooted;
static const struct role_spec *self;

static const char *const names[ROLE_COUNT] = {
	[ROLE_MASTER] = "master", [ROLE_SESSION] = "session", [ROLE_RESOLVER] = "resolver", [ROLE_LEDGER] = "ledger",
	[ROLE_LOOKUP] = "lookup", [ROLE_QUEUE] = "queue", [ROLE_RELAY] = "relay", [ROLE_LOCAL] = "local",
	[ROLE_CONTROL] = "control",
};

const char *
role_name(enum role role)
{
	return role < ROLE_COUNT ? names[role] : "nobody";
}

char *
role_path(const char *spool, const char *folder)
{
	return chrooted ? xstrdup("/") : xasprintf("%s/%s", spool, folder);
}

void
role_exit(int status)
{
	_exit(status);
}

/* --- the child's half --- */

static bool
child_message(struct peer *peer, struct message *m)
{
	uint32_t role, instance;
	int fd;

	if (peer->role != ROLE_MASTER)
		return false;
	if (m->type == ROLE_STOP) {
		if (self->stop == NULL)
			role_exit(0);
		self->stop();
		return true;
	}
	role = cursor_u32(&m->body);
	instance = cursor_u32(&m->body);
	fd = message_take_fd(m);
	if (m->type != ROLE_CONNECT || m->body.bad || role >= ROLE_COUNT || fd < 0)
		return false;
	peer_connect(role, instance, fd);
	return true;
}

/* Without a master nobody restarts what dies; end too. */
static void
child_peer_down(struct peer *peer)
{
	if (peer->role != ROLE_MASTER)
		return;
	if (self->stop == NULL)
		role_exit(0);
	self->stop();
}

static const struct subject_ops child_ops = { .message = child_message, .down = child_peer_down };

static void
on_sigterm(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (self->stop == NULL)
		role_exit(0);
	self->stop();
}

int
role_confine(const struct role_spec *spec, const char *chroot_path, uid_t uid, gid_t gid, const char *account)
{
	if (geteuid() == 0) {
		if (chroot_path != NULL && (chroot(chroot_path) < 0 || chdir("/") < 0)) {
			log_error("role.chroot", F_STR("path", chroot_path), F_STR("error", strerror(errno)));
			return -1;
		}
		chrooted = chroot_path != NULL;
		if ((account != NULL ? initgroups(account, gid) : setgroups(1, &gid)) < 0 ||
		    setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
			log_error("role.ids", F_U64("uid", uid), F_STR("error", strerror(errno)));
			return -1;
		}
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return sandbox_apply(spec->may);
}

static void
child_signals(struct event_base *base)
{
	struct event *term = evsignal_new(base, SIGTERM, on_sigterm, NULL);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	event_add(term, NULL);
}

/* Becomes the role; never returns. */
static void
child_main(const struct role_spec *spec, unsigned instance, uid_t uid, gid_t gid, const char *account,
    const void *conf, int master_fd, int (*peer_fds)[3], unsigned peers_n)
{
	char *path = NULL;
	struct event_base *base;
	unsigned i;

	self = spec;
	setproctitle("%s", role_name(spec->role));
	log_rename(role_name(spec->role));
	base = event_base_new();
	peer_set_base(base);
	child_signals(base);
	if (spec->prepare != NULL)
		spec->prepare(conf, instance);
	if (master.root && spec->chroot != NULL)
		path = xasprintf("%s/%s", master.m->spool, spec->chroot);
	if (role_confine(spec, path, uid, gid, account) < 0)
		role_exit(1);
	peer_register(SUBJECT_ROLE, &child_ops);
	peer_connect(ROLE_MASTER, 0, master_fd);
	for (i = 0; i < peers_n; i++)
		peer_connect((enum role)peer_fds[i][0], (unsigned)peer_fds[i][1], peer_fds[i][2]);
	spec->start(conf, instance);
	event_base_dispatch(base);
	role_exit(0);
}

/* --- the master's half --- */

static bool
master_message(struct peer *peer, struct message *m)
{
	(void)peer;
	(void)m;
	return false; /* children have nothing to say in this subject */
}

static const struct subject_ops master_ops = { .message = master_message };

static bool
connected(const struct role_spec *a, const struct role_spec *b)
{
	return (a->peers & ROLE_BIT(b->role)) || (b->peers & ROLE_BIT(a->role));
}

static bool
make_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0;
}

/* Tells a living child that it is connected with ROLE/INSTANCE over FD, which goes. */
static void
tell_connect(struct peer *to, enum role role, unsigned instance, int fd)
{
	struct buf *b;

	if (to == NULL) {
		close(fd);
		return;
	}
	b = channel_begin(to->channel, ROLE_CONNECT, 0);
	buf_add_u32(b, role);
	buf_add_u32(b, instance);
	channel_end(to->channel, fd);
}

/* Socketpairs between CHILD and all living peers: its own ends go to FDS, the others by message. */
static unsigned
connect_peers(const struct child *child, int (*fds)[3], unsigned cap)
{
	unsigned i, n = 0;
	int pair[2];

	for (i = 0; i < master.n && n < cap; i++) {
		const struct child *c = &master.children[i];

		if (c == child || c->pid == 0 || !connected(c->spec, child->spec) || !make_pair(pair))
			continue;
		tell_connect(peer_find(c->spec->role, c->instance), child->spec->role, child->instance, pair[0]);
		fds[n][0] = (int)c->spec->role;
		fds[n][1] = (int)c->instance;
		fds[n++][2] = pair[1];
	}
	return n;
}

/* Forks.  In the child everything that is the master's is closed, then it becomes SPEC. */
static pid_t
fork_role(const struct role_spec *spec, unsigned instance, uid_t uid, gid_t gid, const char *account, const void *conf,
    int (*peer_fds)[3], unsigned peers_n)
{
	int pair[2];
	unsigned i;
	pid_t pid;

	if (!make_pair(pair))
		return -1;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		peer_forget_inherited();
		if (master.m->forked != NULL)
			master.m->forked(spec);
		child_main(spec, instance, uid, gid, account, conf, pair[1], peer_fds, peers_n);
	}
	close(pair[1]);
	for (i = 0; i < peers_n; i++)
		close(peer_fds[i][2]);
	if (pid < 0)
		close(pair[0]);
	else
		peer_connect(spec->role, instance, pair[0]);
	return pid;
}

static void
start_child(struct child *c)
{
	int fds[64][3];
	unsigned n = connect_peers(c, fds, sizeof(fds) / sizeof(fds[0]));
	pid_t pid = fork_role(c->spec, c->instance, master.uid[c->spec->user], master.gid[c->spec->user], NULL,
	    master.m->conf, fds, n);

	if (pid < 0) {
		log_error("role.fork", F_STR("role", role_name(c->spec->role)), F_STR("error", strerror(errno)));
		pid = 0;
		event_add(&c->restart, &(struct timeval){ 1, 0 });
	}
	c->pid = pid;
	c->starts++;
	c->started_ms = clock_ms();
	log_debug("role.started", F_STR("role", role_name(c->spec->role)), F_U64("instance", c->instance),
	    F_I64("pid", pid));
}

static void
on_restart(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	if (!master.stopping)
		start_child(arg);
}

static void
stop_next(void)
{
	unsigned i;
	struct peer *peer;

	for (i = master.n; i-- > 0;) {
		if (master.children[i].pid == 0)
			continue;
		peer = peer_find(master.children[i].spec->role, master.children[i].instance);
		if (peer != NULL)
			channel_send(peer->channel, ROLE_STOP, 0);
		/* all instances of one row end together */
		if (i == 0 || master.children[i - 1].spec != master.children[i].spec)
			break;
	}
	event_add(master.mercy, &(struct timeval){ STOP_SECONDS, 0 });
	for (i = 0; i < master.n; i++)
		if (master.children[i].pid != 0)
			return;
	event_del(master.mercy);
	if (master.m->ended != NULL)
		master.m->ended();
}

static void
on_mercy(evutil_socket_t fd, short what, void *arg)
{
	unsigned i;

	(void)fd;
	(void)what;
	(void)arg;
	for (i = 0; i < master.n; i++)
		if (master.children[i].pid != 0)
			kill(master.children[i].pid, SIGKILL);
}

static void
describe_end(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "signal %d", WTERMSIG(status));
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

static void
child_ended(struct child *c, int status)
{
	char how[32];
	struct peer *peer = peer_find(c->spec->role, c->instance);

	c->pid = 0;
	if (peer != NULL)
		peer_disconnect(peer);
	if (master.stopping) {
		/* when the last instance of its row is gone, the next row */
		unsigned i;

		for (i = 0; i < master.n; i++)
			if (master.children[i].spec == c->spec && master.children[i].pid != 0)
				return;
		stop_next();
		return;
	}
	describe_end(status, how, sizeof(how));
	if (clock_ms() - c->started_ms >= STABLE_MS)
		c->backoff = 0;
	log_error("role.died", F_STR("role", role_name(c->spec->role)), F_U64("instance", c->instance),
	    F_STR("how", how), F_U64("restart_in", c->backoff));
	event_add(&c->restart, &(struct timeval){ c->backoff, 0 });
	c->backoff = c->backoff == 0 ? 1 : c->backoff * 2 > BACKOFF_MOST ? BACKOFF_MOST : c->backoff * 2;
}

static bool
extra_ended(pid_t pid, int status)
{
	struct extra **at, *e;
	struct peer *peer;
	char how[32];

	for (at = &master.extras; (e = *at) != NULL; at = &e->next) {
		if (e->pid != pid)
			continue;
		*at = e->next;
		if (status != 0) {
			describe_end(status, how, sizeof(how));
			log_error("role.died", F_STR("role", role_name(e->role)), F_U64("instance", e->instance),
			    F_STR("how", how));
		}
		peer = peer_find(e->role, e->instance);
		if (peer != NULL)
			peer_disconnect(peer);
		free(e);
		return true;
	}
	return false;
}

static void
on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	unsigned i;
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (extra_ended(pid, status))
			continue;
		for (i = 0; i < master.n; i++)
			if (master.children[i].pid == pid)
				child_ended(&master.children[i], status);
	}
}

static int
find_user(const char *name, enum role_user which, char **why)
{
	struct passwd *pw = getpwnam(name);

	if (pw == NULL) {
		*why = xasprintf("there is no account \"%s\"; make one: useradd --system --no-create-home "
		    "--shell /usr/sbin/nologin %s", name, name);
		return -1;
	}
	master.uid[which] = pw->pw_uid;
	master.gid[which] = pw->pw_gid;
	return 0;
}

/* A folder of the spool, owned by whoever works in it. */
static int
make_folder(const char *folder, mode_t mode, uid_t uid, gid_t gid, char **why)
{
	char *path = xasprintf("%s%s%s", master.m->spool, *folder ? "/" : "", folder);
	int r = mkdir(path, mode);

	if (r < 0 && errno == EEXIST)
		r = 0;
	if (r == 0 && master.root)
		r = lchown(path, uid, gid) < 0 ? -1 : chmod(path, mode);
	if (r < 0)
		*why = xasprintf("%s: %s", path, strerror(errno));
	free(path);
	return r;
}

static int
make_folders(char **why)
{
	unsigned i;

	if (make_folder("", 0755, 0, 0, why) < 0)
		return -1;
	for (i = 0; i < master.m->table_n; i++) {
		const struct role_spec *s = &master.m->table[i];

		if (s->chroot == NULL)
			continue;
		if (strcmp(s->chroot, ROLE_EMPTY) == 0 ? make_folder(s->chroot, 0755, 0, 0, why) < 0
		                                       : make_folder(s->chroot, 0700, master.uid[s->user],
		                                             master.gid[s->user], why) < 0)
			return -1;
	}
	return 0;
}

unsigned
role_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > CORES_MOST ? CORES_MOST : (unsigned)cores;
}

static unsigned
instances(const struct role_spec *s)
{
	return s->per_core ? role_cores() : 1;
}

static void
add_children(void)
{
	unsigned i, k;

	for (i = 0; i < master.m->table_n; i++)
		for (k = 0; k < instances(&master.m->table[i]); k++)
			master.n++;
	master.children = xcalloc(master.n, sizeof(struct child));
	master.n = 0;
	for (i = 0; i < master.m->table_n; i++)
		for (k = 0; k < instances(&master.m->table[i]); k++) {
			struct child *c = &master.children[master.n++];

			c->spec = &master.m->table[i];
			c->instance = k;
			evtimer_assign(&c->restart, peer_base(), on_restart, c);
		}
}

int
role_master_start(const struct role_master *m, char **why)
{
	unsigned i;

	master.m = m;
	master.root = geteuid() == 0;
	master.uid[USER_SMTPD] = master.uid[USER_SMTPQ] = getuid();
	master.gid[USER_SMTPD] = master.gid[USER_SMTPQ] = getgid();
	if (master.root && (find_user(m->run_user, USER_SMTPD, why) < 0 || find_user(m->queue_user, USER_SMTPQ, why) < 0))
		return -1;
	if (make_folders(why) < 0)
		return -1;
	peer_register(SUBJECT_ROLE, &master_ops);
	master.sigchld = evsignal_new(peer_base(), SIGCHLD, on_sigchld, NULL);
	event_add(master.sigchld, NULL);
	master.mercy = evtimer_new(peer_base(), on_mercy, NULL);
	add_children();
	for (i = 0; i < master.n; i++)
		start_child(&master.children[i]);
	return 0;
}

void
role_master_stop(void)
{
	unsigned i;

	if (master.stopping)
		return;
	master.stopping = true;
	for (i = 0; i < master.n; i++)
		event_del(&master.children[i].restart);
	stop_next();
}

void
role_spawn(const struct role_spec *spec, unsigned instance, uid_t uid, gid_t gid, const char *account, enum role to,
    const void *conf)
{
	int pair[2], fds[1][3];
	struct extra *e;
	pid_t pid;

	if (!make_pair(pair)) {
		log_error("role.fork", F_STR("role", role_name(spec->role)), F_STR("error", strerror(errno)));
		return;
	}
	tell_connect(peer_find(to, 0), spec->role, instance, pair[0]);
	fds[0][0] = (int)to;
	fds[0][1] = 0;
	fds[0][2] = pair[1];
	pid = fork_role(spec, instance, uid, gid, account, conf, fds, 1);
	if (pid < 0) {
		log_error("role.fork", F_STR("role", role_name(spec->role)), F_STR("error", strerror(errno)));
		return;
	}
	e = xcalloc(1, sizeof(*e));
	*e = (struct extra){ .next = master.extras, .pid = pid, .instance = instance, .role = spec->role };
	master.extras = e;
}

void
role_refuse(enum role role, unsigned instance, enum role to)
{
	int pair[2];

	if (!make_pair(pair))
		return;
	tell_connect(peer_find(to, 0), role, instance, pair[0]);
	close(pair[1]);
}

void
role_each(void (*visit)(const struct role_spec *, unsigned, pid_t, unsigned, void *), void *arg)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		visit(master.children[i].spec, master.children[i].instance, master.children[i].pid,
		    master.children[i].starts, arg);
}
