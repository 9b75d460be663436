/*
 * The child's side of a role (role.h): what the process does that the master has just forked.
 *
 * It opens what must be open, gives up ids, files and system calls, connects the peers it was born
 * with, and runs its loop.  Later peers come by message from the master, whenever one of them was
 * started anew.  A role that loses its master ends; one that threw out a peer asks the master for a
 * new channel, since nobody else can make one.  What must never happen: that the role's own code
 * runs before the confinement is complete.
 */
#include <sys/prctl.h>

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_run.h"

#define CORES_MOST 16

static bool chrooted;
static const struct role_spec *self;

static const char *const names[ROLE_COUNT] = {
	[ROLE_MASTER] = "master", [ROLE_SESSION] = "session", [ROLE_RESOLVER] = "resolver", [ROLE_LEDGER] = "ledger",
	[ROLE_LOOKUP] = "lookup", [ROLE_QUEUE] = "queue", [ROLE_RELAY] = "relay", [ROLE_LOCAL] = "local",
	[ROLE_CONTROL] = "control", [ROLE_VAULT] = "vault",
};

const char *
role_name(enum role role)
{
	return role < ROLE_COUNT ? names[role] : "nobody";
}

unsigned
role_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > CORES_MOST ? CORES_MOST : (unsigned)cores;
}

char *
role_path(const char *spool, const char *folder)
{
	return chrooted ? xstrdup("/") : xasprintf("%s/%s", spool, folder);
}

void
role_exit(int status)
{
	if (status == 0)
		channels_send_last();
	_exit(status);
}

/* --- the master's word --- */

/* By message, by signal, or because the master is gone; once. */
static void
stop(void)
{
	static bool stopping;

	if (self->stop == NULL)
		role_exit(0);
	if (!stopping)
		self->stop();
	stopping = true;
}

static bool
connect_to(struct message *m)
{
	uint32_t role = cursor_u32(&m->body), instance = cursor_u32(&m->body);
	bool retired = cursor_u8(&m->body) != 0;

	if (!cursor_done(&m->body) || role >= ROLE_COUNT || m->fd < 0)
		return false;
	peer_connect(role, instance, message_take_fd(m))->retired = retired;
	return true;
}

static bool
peer_retired(struct message *m)
{
	uint32_t role = cursor_u32(&m->body), instance = cursor_u32(&m->body);

	if (!cursor_done(&m->body) || role >= ROLE_COUNT)
		return false;
	peer_retire(role, instance);
	return true;
}

static bool
take_log(struct message *m)
{
	struct log_conf conf = { .to_stderr = cursor_u8(&m->body) != 0 };

	conf.json = cursor_u8(&m->body) != 0;
	conf.verbose = cursor_u8(&m->body) != 0;
	if (!cursor_done(&m->body))
		return false;
	log_take(&conf, message_take_fd(m));
	return true;
}

static void
on_grace(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	stop();
}

static void
retire(void)
{
	const struct timeval grace = { ROLE_GRACE, 0 };

	setproctitle("%s (retired)", role_name(self->role));
	if (self->retire != NULL)
		self->retire();
	else
		event_base_once(peer_base(), -1, EV_TIMEOUT, on_grace, NULL, &grace);
}

static bool
on_message(struct peer *peer, struct message *m)
{
	if (peer->role != ROLE_MASTER)
		return false;
	switch (m->type) {
	case ROLE_CONNECT:
		return connect_to(m);
	case ROLE_STOP:
		stop();
		return true;
	case ROLE_RETIRE:
		retire();
		return true;
	case ROLE_LOG:
		return take_log(m);
	case ROLE_RETIRED:
		return peer_retired(m);
	default:
		return false;
	}
}

static void
on_peer_down(struct peer *peer)
{
	struct peer *master = peer_find(ROLE_MASTER, 0);
	struct buf *b;

	if (peer->role == ROLE_MASTER) {
		stop();
		return;
	}
	if (!channel_is_faulty(peer->channel) || master == NULL)
		return;
	b = channel_begin(master->channel, ROLE_LOST, 0);
	buf_add_u32(b, peer->role);
	buf_add_u32(b, peer->instance);
	channel_end(master->channel, -1);
}

static const struct subject_ops ops = { .message = on_message, .down = on_peer_down };

static void
on_sigterm(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	stop();
}

/* --- becoming a role --- */

static int
give_up_ids(uid_t uid, gid_t gid, const char *account)
{
	int r = -1;

	errno = EPERM;
	if (uid != 0)
		r = account != NULL ? initgroups(account, gid) : setgroups(1, &gid);
	if (r == 0)
		r = setresgid(gid, gid, gid);
	if (r == 0)
		r = setresuid(uid, uid, uid);
	if (r < 0)
		log_error("role.ids", F_U64("uid", uid), F_U64("gid", gid), F_STR("error", strerror(errno)));
	return r;
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
		if (give_up_ids(uid, gid, account) < 0)
			return -1;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return sandbox_apply(spec->may);
}

/* What came while they were blocked comes now. */
static void
take_signals(struct event_base *base)
{
	sigset_t none;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* from a terminal it is meant for the master, who ends us in order */
	signal(SIGHUP, SIG_IGN);
	event_add(evsignal_new(base, SIGTERM, on_sigterm, NULL), NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void
role_run(const struct role_process *p)
{
	struct event_base *base;
	unsigned i;

	self = p->spec;
	setproctitle("%s", role_name(p->spec->role));
	log_rename(role_name(p->spec->role));
	base = event_base_new();
	if (base == NULL)
		role_exit(1);
	peer_set_base(base);
	take_signals(base);
	if (p->spec->prepare != NULL)
		p->spec->prepare(p->conf, p->instance);
	if (role_confine(p->spec, p->chroot, p->uid, p->gid, p->account) < 0)
		role_exit(1);
	peer_register(SUBJECT_ROLE, &ops);
	peer_connect(ROLE_MASTER, 0, p->master);
	for (i = 0; i < p->links_n; i++)
		peer_connect(p->links[i].role, p->links[i].instance, p->links[i].fd)->retired = p->links[i].retired;
	p->spec->start(p->conf, p->instance);
	event_base_dispatch(base);
	role_exit(0);
}
