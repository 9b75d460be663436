/*
 * The master's side of the roles (role_master.h): fork, connect, restart, end.
 *
 * The master keeps one channel to each child.  Pairs of children are connected by the master making
 * a socketpair and sending one end to each; whoever is started later gets its ends while it is
 * forked, whoever lives already gets a message.  So a restarted role is connected anew with all its
 * peers, and they with it, by the same few lines.
 *
 * The master itself reads nothing from the network, and nothing from its children but SUBJECT_ROLE
 * and the subjects that smtpd/ registers for it (the request for a local delivery process).  What
 * must never happen: that a child holds a descriptor which is another's, because then nobody would
 * notice when that other is gone, and what is confined could speak in its name.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
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
#include "lib/role_master.h"
#include "lib/role_run.h"

#define BACKOFF_MOST 60
#define STABLE_MS 60000
#define AGAIN_SECONDS 1 /* after a failed fork, or a channel that was closed */

struct child {
	const struct role_spec *spec;
	unsigned instance;
	pid_t pid; /* 0: not running */
	unsigned starts;
	unsigned backoff; /* seconds before the next start */
	uint64_t started_ms;
	struct event restart;
	bool retired; /* a successor has its work; the place is free when it has ended */
	bool lost[ROLE_LINKS_MAX]; /* by index: the children that it has no channel to any more */
	struct event relink;
};

struct extra { /* role_spawn's processes */
	struct extra *next;
	pid_t pid;
	enum role role;
	unsigned instance;
};

static struct {
	const struct role_master *m;
	struct child *children; /* the places of those that retired and ended are taken again */
	unsigned n;
	struct extra *extras;
	struct event *sigchld;
	struct event *mercy; /* kills what does not end */
	bool stopping;
	const struct role_spec *ending; /* the row that is told to end; NULL: the extras */
	uid_t uid[2];
	gid_t gid[2];
	bool root;
	int spare; /* what role_refuse hands out when no descriptor is left */
} master = { .spare = -1 };

static bool
has_left(const struct child *c)
{
	return c->retired && c->pid == 0;
}

static struct child *
find_child(enum role role, unsigned instance)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		if (master.children[i].spec->role == role && master.children[i].instance == instance &&
		    !has_left(&master.children[i]))
			return &master.children[i];
	return NULL;
}

static struct peer *
peer_of(const struct child *c)
{
	return peer_find(c->spec->role, c->instance);
}

/* --- channels between children --- */

static bool
connected(const struct child *a, const struct child *b)
{
	return (a->spec->peers & ROLE_BIT(b->spec->role)) || (b->spec->peers & ROLE_BIT(a->spec->role));
}

static bool
make_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0)
		return true;
	log_error("role.socketpair", F_STR("error", strerror(errno)));
	return false;
}

/* Tells a living child that it is connected with ROLE/INSTANCE over FD, which goes. */
static void
tell_connect(struct peer *to, enum role role, unsigned instance, bool retired, int fd)
{
	struct buf *b;

	if (to == NULL) {
		close(fd);
		return;
	}
	b = channel_begin(to->channel, ROLE_CONNECT, 0);
	buf_add_u32(b, role);
	buf_add_u32(b, instance);
	buf_add_u8(b, retired);
	channel_end(to->channel, fd);
}

/* Socketpairs between CHILD, which is about to be forked, and all living peers. */
static void
link_newborn(const struct child *child, struct role_process *p)
{
	int pair[2];
	unsigned i;

	for (i = 0; i < master.n && p->links_n < ROLE_LINKS_MAX; i++) {
		const struct child *c = &master.children[i];

		if (c == child || c->pid == 0 || !connected(c, child) || !make_pair(pair))
			continue;
		tell_connect(peer_of(c), child->spec->role, child->instance, child->retired, pair[0]);
		p->links[p->links_n++] = (struct role_link){ c->spec->role, c->instance, c->retired, pair[1] };
	}
}

static void
on_relink(evutil_socket_t fd, short what, void *arg)
{
	struct child *a = arg;
	unsigned i;
	int pair[2];

	(void)fd;
	(void)what;
	for (i = 0; i < master.n && a->pid != 0 && !master.stopping; i++) {
		struct child *b = &master.children[i];

		if (!a->lost[i] || b->pid == 0 || !make_pair(pair))
			continue;
		tell_connect(peer_of(a), b->spec->role, b->instance, b->retired, pair[0]);
		tell_connect(peer_of(b), a->spec->role, a->instance, a->retired, pair[1]);
	}
	memset(a->lost, 0, sizeof(a->lost));
}

/* A child threw a peer out.  Both live, as far as we know, and need each other. */
static bool
on_message(struct peer *peer, struct message *m)
{
	uint32_t role = cursor_u32(&m->body), instance = cursor_u32(&m->body);
	struct child *a = find_child(peer->role, peer->instance), *b = find_child(role, instance);

	if (m->type != ROLE_LOST || !cursor_done(&m->body))
		return false;
	if (a == NULL || b == NULL || !connected(a, b))
		return true; /* a delivery process: its end is the queue's business */
	a->lost[b - master.children] = true;
	if (!event_pending(&a->relink, EV_TIMEOUT, NULL))
		event_add(&a->relink, &(struct timeval){ AGAIN_SECONDS, 0 });
	return true;
}

static const struct subject_ops ops = { .message = on_message };

/* --- processes --- */

static void
close_links(const struct role_process *p)
{
	unsigned i;

	for (i = 0; i < p->links_n; i++)
		close(p->links[i].fd);
}

/* In the child everything that is the master's is closed, then it becomes P->spec.  Signals wait
 * meanwhile: their handler would write to the master's own pipe. */
static pid_t
fork_process(struct role_process *p)
{
	sigset_t all, before;
	int pair[2];
	pid_t pid;

	if (!make_pair(pair))
		return -1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		if (master.spare >= 0)
			close(master.spare);
		p->master = pair[1];
		peer_forget_inherited();
		if (master.m->forked != NULL)
			master.m->forked(p->spec);
		role_run(p);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (pid > 0) {
		peer_connect(p->spec->role, p->instance, pair[0]);
		return pid;
	}
	log_error("role.fork", F_STR("role", role_name(p->spec->role)), F_STR("error", strerror(errno)));
	close(pair[0]);
	return -1;
}

static const char *
account_of(const struct role_spec *spec)
{
	return spec->user == USER_SMTPQ ? master.m->queue_user : master.m->run_user;
}

static void
start_child(struct child *c)
{
	struct role_process p = { .spec = c->spec, .instance = c->instance, .uid = master.uid[c->spec->user],
		.gid = master.gid[c->spec->user], .conf = master.m->conf,
		.account = (c->spec->may & MAY_GROUPS) ? account_of(c->spec) : NULL };
	pid_t pid;

	if (master.root && c->spec->chroot != NULL)
		p.chroot = xasprintf("%s/%s", master.m->spool, c->spec->chroot);
	link_newborn(c, &p);
	pid = fork_process(&p);
	close_links(&p);
	free(p.chroot);
	if (pid < 0) {
		event_add(&c->restart, &(struct timeval){ AGAIN_SECONDS, 0 });
		return;
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
	start_child(arg);
}

void
role_spawn(const struct role_spec *spec, unsigned instance, uid_t uid, gid_t gid, const char *account, enum role to,
    const void *conf)
{
	struct role_process p = { .spec = spec, .instance = instance, .uid = uid, .gid = gid, .account = account,
		.conf = conf };
	struct extra *e;
	int pair[2];
	pid_t pid;

	if (!make_pair(pair)) {
		role_refuse(spec->role, instance, to);
		return;
	}
	tell_connect(peer_find(to, 0), spec->role, instance, false, pair[0]);
	p.links[p.links_n++] = (struct role_link){ to, 0, false, pair[1] };
	pid = fork_process(&p);
	close_links(&p);
	if (pid < 0)
		return;
	e = xcalloc(1, sizeof(*e));
	*e = (struct extra){ .next = master.extras, .pid = pid, .instance = instance, .role = spec->role };
	master.extras = e;
}

/* One end of a channel whose other end is closed, or -1. */
static int
closed_channel(void)
{
	int pair[2];

	if (!make_pair(pair))
		return -1;
	close(pair[1]);
	return pair[0];
}

void
role_refuse(enum role role, unsigned instance, enum role to)
{
	int fd = closed_channel();

	if (fd < 0) {
		fd = master.spare;
		master.spare = -1;
	}
	if (fd >= 0)
		tell_connect(peer_find(to, 0), role, instance, false, fd);
	if (master.spare < 0)
		master.spare = closed_channel();
}

/* --- ending --- */

static bool
row_lives(const struct role_spec *spec)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		if (master.children[i].spec == spec && master.children[i].pid != 0)
			return true;
	return spec == NULL && master.extras != NULL;
}

/* The row that ends next; NULL: none lives.  All its instances end together, those that retired with them. */
static const struct role_spec *
last_living(void)
{
	unsigned i;

	for (i = master.m->table_n; i-- > 0;)
		if (row_lives(&master.m->table[i]))
			return &master.m->table[i];
	return NULL;
}

static void
tell_stop(struct peer *peer)
{
	if (peer != NULL)
		channel_send(peer->channel, ROLE_STOP, 0);
}

static void
end_next(void)
{
	struct extra *e;
	unsigned i;

	master.ending = last_living();
	if (master.ending == NULL && master.extras == NULL) {
		event_del(master.mercy);
		if (master.m->ended != NULL)
			master.m->ended();
		return;
	}
	for (i = 0; i < master.n; i++)
		if (master.children[i].pid != 0 && master.children[i].spec == master.ending)
			tell_stop(peer_of(&master.children[i]));
	for (e = master.extras; e != NULL && master.ending == NULL; e = e->next)
		tell_stop(peer_find(e->role, e->instance));
	event_add(master.mercy, &(struct timeval){ master.m->patience > 0 ? master.m->patience : ROLE_PATIENCE, 0 });
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
	end_next();
}

static void
put_down(enum role role, unsigned instance, pid_t pid)
{
	log_error("role.hangs", F_STR("role", role_name(role)), F_U64("instance", instance), F_I64("pid", pid),
	    F_STR("what", "it did not end in time and is killed"));
	kill(pid, SIGKILL);
}

static void
on_mercy(evutil_socket_t fd, short what, void *arg)
{
	struct extra *e;
	unsigned i;

	(void)fd;
	(void)what;
	(void)arg;
	for (i = 0; i < master.n; i++)
		if (master.children[i].pid != 0 && master.children[i].spec == master.ending)
			put_down(master.ending->role, master.children[i].instance, master.children[i].pid);
	for (e = master.extras; e != NULL && master.ending == NULL; e = e->next)
		put_down(e->role, e->instance, e->pid);
}

static void
log_end(enum role role, unsigned instance, int status, unsigned restart_in)
{
	char how[32];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
	log_error("role.died", F_STR("role", role_name(role)), F_U64("instance", instance), F_STR("how", how),
	    F_U64("restart_in", restart_in));
}

static void
child_ended(struct child *c, int status)
{
	c->pid = 0;
	memset(c->lost, 0, sizeof(c->lost));
	event_del(&c->relink);
	if (master.stopping || (c->retired && status == 0))
		return;
	if (clock_ms() - c->started_ms >= STABLE_MS)
		c->backoff = 0;
	log_end(c->spec->role, c->instance, status, c->backoff);
	if (c->retired)
		return;
	event_add(&c->restart, &(struct timeval){ c->backoff, 0 });
	c->backoff = c->backoff == 0 ? 1 : c->backoff * 2 > BACKOFF_MOST ? BACKOFF_MOST : c->backoff * 2;
}

static void
extra_ended(struct extra **at, int status)
{
	struct extra *e = *at;

	if (status != 0)
		log_end(e->role, e->instance, status, 0);
	*at = e->next;
	free(e);
}

static void
process_ended(pid_t pid, int status)
{
	struct extra **at;
	struct peer *peer = NULL;
	unsigned i;

	for (at = &master.extras; *at != NULL && (*at)->pid != pid; at = &(*at)->next)
		;
	for (i = 0; i < master.n && master.children[i].pid != pid; i++)
		;
	if (*at != NULL) {
		peer = peer_find((*at)->role, (*at)->instance);
		extra_ended(at, status);
	} else if (i < master.n) {
		peer = peer_of(&master.children[i]);
		child_ended(&master.children[i], status);
	} else if (master.m->reaped != NULL) {
		master.m->reaped(pid, status);
	}
	if (peer != NULL)
		peer_disconnect(peer);
}

static void
on_sigchld(evutil_socket_t fd, short what, void *arg)
{
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		process_ended(pid, status);
	if (master.stopping && !row_lives(master.ending))
		end_next();
}

/* --- starting --- */

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

static int
find_users(const struct role_master *m, char **why)
{
	master.root = geteuid() == 0;
	master.uid[USER_SMTPD] = master.uid[USER_SMTPQ] = getuid();
	master.gid[USER_SMTPD] = master.gid[USER_SMTPQ] = getgid();
	if (!master.root)
		return 0;
	return find_user(m->run_user, USER_SMTPD, why) < 0 ? -1 : find_user(m->queue_user, USER_SMTPQ, why);
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
	int r = make_folder("", 0755, 0, 0, why);

	for (i = 0; i < master.m->table_n && r == 0; i++) {
		const struct role_spec *s = &master.m->table[i];

		if (s->chroot == NULL)
			continue;
		if (strcmp(s->chroot, ROLE_EMPTY) == 0)
			r = make_folder(s->chroot, 0755, 0, 0, why);
		else
			r = make_folder(s->chroot, 0700, master.uid[s->user], master.gid[s->user], why);
	}
	return r;
}

/* A place for one more: there are enough (places_left). */
static struct child *
add_child(const struct role_spec *spec, unsigned instance)
{
	struct child *c = master.children;

	while (c < master.children + master.n && !has_left(c))
		c++;
	if (c == master.children + master.n)
		master.n++;
	memset(c, 0, sizeof(*c));
	c->spec = spec;
	c->instance = instance;
	evtimer_assign(&c->restart, peer_base(), on_restart, c);
	evtimer_assign(&c->relink, peer_base(), on_relink, c);
	return c;
}

static unsigned
instances_of(const struct role_spec *spec)
{
	return spec->many == ROLE_PER_CORE ? role_cores() : 1;
}

static void
add_children(void)
{
	unsigned i, k;

	master.children = xcalloc(ROLE_LINKS_MAX, sizeof(struct child));
	for (i = 0; i < master.m->table_n; i++) {
		if (master.n + instances_of(&master.m->table[i]) > ROLE_LINKS_MAX)
			fatal("role: the table makes more than %d processes", ROLE_LINKS_MAX);
		for (k = 0; k < instances_of(&master.m->table[i]); k++)
			add_child(&master.m->table[i], k);
	}
}

int
role_master_start(const struct role_master *m, char **why)
{
	unsigned i;

	master.m = m;
	if (find_users(m, why) < 0 || make_folders(why) < 0)
		return -1;
	peer_register(SUBJECT_ROLE, &ops);
	master.sigchld = evsignal_new(peer_base(), SIGCHLD, on_sigchld, NULL);
	event_add(master.sigchld, NULL);
	master.mercy = evtimer_new(peer_base(), on_mercy, NULL);
	master.spare = closed_channel();
	add_children();
	for (i = 0; i < master.n; i++)
		start_child(&master.children[i]);
	return 0;
}

/* --- a new configuration --- */

static unsigned
places_left(void)
{
	unsigned i, n = ROLE_LINKS_MAX - master.n;

	for (i = 0; i < master.n; i++)
		n += has_left(&master.children[i]);
	return n;
}

static bool
is_renewed(const struct role_spec *spec, uint32_t roles)
{
	return spec->many != ROLE_ALONE && (roles & ROLE_BIT(spec->role)) != 0;
}

static unsigned
places_needed(uint32_t roles)
{
	unsigned i, n = 0;

	for (i = 0; i < master.m->table_n; i++)
		n += is_renewed(&master.m->table[i], roles) ? instances_of(&master.m->table[i]) : 0;
	return n;
}

/* The lowest numbers that nobody of the row has; they begin at a multiple of how many there are. */
static unsigned
free_numbers(const struct role_spec *spec)
{
	unsigned first, k, n = instances_of(spec);

	for (first = 0;; first += n) {
		for (k = 0; k < n && find_child(spec->role, first + k) == NULL; k++)
			;
		if (k == n)
			return first;
	}
}

/* It is told, and so are those who might give it work. */
static void
tell_retired(const struct child *c)
{
	struct buf *b;
	struct peer *peer;
	unsigned i;

	for (i = 0; i < master.n; i++) {
		peer = &master.children[i] != c && connected(c, &master.children[i]) ? peer_of(&master.children[i]) : NULL;
		if (peer == NULL)
			continue;
		b = channel_begin(peer->channel, ROLE_RETIRED, 0);
		buf_add_u32(b, c->spec->role);
		buf_add_u32(b, c->instance);
		channel_end(peer->channel, -1);
	}
	peer = peer_of(c);
	if (peer != NULL)
		channel_send(peer->channel, ROLE_RETIRE, 0);
}

/* Ends those that have not yet ended since they retired. */
static void
hurry(void)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		if (master.children[i].retired && master.children[i].pid != 0)
			tell_stop(peer_of(&master.children[i]));
}

/* Successors are born before anybody hears that his partner retires, so that work always has somewhere to go. */
static void
succeed(const struct role_spec *spec)
{
	unsigned k, first = free_numbers(spec);

	for (k = 0; k < instances_of(spec); k++)
		start_child(add_child(spec, first + k));
}

int
role_master_renew(uint32_t roles, char **why)
{
	bool old[ROLE_LINKS_MAX] = { false };
	unsigned i;

	if (places_left() < places_needed(roles)) {
		hurry();
		*why = xstrdup("processes of the configurations before this one have not ended yet; they are told to end "
		    "now, please try again in some seconds");
		return -1;
	}
	for (i = 0; i < master.n; i++) {
		old[i] = !master.children[i].retired && is_renewed(master.children[i].spec, roles);
		if (!old[i])
			continue;
		master.children[i].retired = true;
		event_del(&master.children[i].restart);
		old[i] = master.children[i].pid != 0; /* else its place is free at once */
	}
	for (i = 0; i < master.m->table_n; i++)
		if (is_renewed(&master.m->table[i], roles))
			succeed(&master.m->table[i]);
	for (i = 0; i < ROLE_LINKS_MAX; i++)
		if (old[i] && master.children[i].pid != 0)
			tell_retired(&master.children[i]);
	return 0;
}

void
role_master_log(int fd)
{
	struct peer *peer;
	unsigned i;
	int copy;

	for (i = 0; i < master.n; i++) {
		peer = peer_of(&master.children[i]);
		copy = peer != NULL ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
		if (copy < 0)
			continue;
		channel_begin(peer->channel, ROLE_LOG, 0);
		channel_end(peer->channel, copy);
	}
}

void
role_each(void (*visit)(const struct role_spec *, unsigned, pid_t, unsigned, void *), void *arg)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		if (!has_left(&master.children[i]))
			visit(master.children[i].spec, master.children[i].instance, master.children[i].pid,
			    master.children[i].starts, arg);
}
