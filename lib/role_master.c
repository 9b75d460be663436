/*
 * The master's side of the roles (role_master.h): fork and start.  Ending is role_end.c's, channels between children
 * role_links.c's, a new configuration role_renew.c's.
 *
 * The master keeps one channel to each child.  It reads nothing from the network, and nothing from its children but
 * SUBJECT_ROLE and the subjects that smtpd/ registers for it (the request for a local delivery process).  What
 * must never happen: that a child holds a descriptor which is another's, because then nobody would
 * notice when that other is gone, and what is confined could speak in its name.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_inside.h"

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

	if (!link_pair(pair))
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
		log_debug("role.started", F_STR("role", role_name(p->spec->role)), F_U64("instance", p->instance),
		    F_I64("pid", pid));
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

void
child_start(struct child *c)
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
		event_add(&c->restart, &(struct timeval){ ROLE_AGAIN_SECONDS, 0 });
		return;
	}
	c->pid = pid;
	c->starts++;
	c->started_ms = clock_ms();
}

static void
on_restart(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	child_start(arg);
}

void
role_spawn(const struct role_spec *spec, unsigned instance, uid_t uid, gid_t gid, const char *account, enum role to,
    const char *word)
{
	/* the child forgets its master's channels, and with them the message that these may lie in */
	char *own_account = account != NULL ? xstrdup(account) : NULL, *own_word = xstrdup(word);
	struct role_process p = { .spec = spec, .instance = instance, .uid = uid, .gid = gid, .account = own_account,
		.conf = own_word };
	struct extra *e;
	int pair[2];
	pid_t pid = -1;

	if (link_pair(pair)) {
		link_tell(peer_find(to, 0), spec->role, instance, false, pair[0]);
		p.links[p.links_n++] = (struct role_link){ to, 0, false, pair[1] };
		pid = fork_process(&p);
		close_links(&p);
	} else
		role_refuse(spec->role, instance, to);
	free(own_account);
	free(own_word);
	if (pid < 0)
		return;
	e = xcalloc(1, sizeof(*e));
	*e = (struct extra){ .next = master.extras, .pid = pid, .instance = instance, .role = spec->role };
	master.extras = e;
}

void
role_refuse(enum role role, unsigned instance, enum role to)
{
	int fd = link_closed();

	if (fd < 0) {
		fd = master.spare;
		master.spare = -1;
	}
	if (fd >= 0)
		link_tell(peer_find(to, 0), role, instance, false, fd);
	if (master.spare < 0)
		master.spare = link_closed();
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

struct child *
child_add(const struct role_spec *spec, unsigned instance)
{
	struct child *c = master.children;

	while (c < master.children + master.n && !child_has_left(c))
		c++;
	if (c == master.children + master.n)
		master.n++;
	memset(c, 0, sizeof(*c));
	c->spec = spec;
	c->instance = instance;
	evtimer_assign(&c->restart, peer_base(), on_restart, c);
	evtimer_assign(&c->relink, peer_base(), link_anew, c);
	return c;
}

unsigned
child_instances(const struct role_spec *spec)
{
	return spec->many == ROLE_PER_CORE ? role_cores() : 1;
}

static void
add_children(void)
{
	unsigned i, k;

	master.children = xcalloc(ROLE_LINKS_MAX, sizeof(struct child));
	for (i = 0; i < master.m->table_n; i++) {
		if (master.n + child_instances(&master.m->table[i]) > ROLE_LINKS_MAX)
			fatal("role: the table makes more than %d processes", ROLE_LINKS_MAX);
		for (k = 0; k < child_instances(&master.m->table[i]); k++)
			child_add(&master.m->table[i], k);
	}
}

int
role_master_start(const struct role_master *m, char **why)
{
	unsigned i;

	master.m = m;
	if (find_users(m, why) < 0 || make_folders(why) < 0)
		return -1;
	peer_register(SUBJECT_ROLE, &link_ops);
	master.sigchld = evsignal_new(peer_base(), SIGCHLD, child_on_sigchld, NULL);
	event_add(master.sigchld, NULL);
	master.mercy = evtimer_new(peer_base(), child_on_mercy, NULL);
	master.spare = link_closed();
	add_children();
	for (i = 0; i < master.n; i++)
		child_start(&master.children[i]);
	return 0;
}
