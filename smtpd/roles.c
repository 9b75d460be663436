/*
 * Who runs as whom, sees what, and talks with whom: the rows, and the few lines between a row and its module.
 *
 * Everything that a role may do is in its row and its prepare function.  The master, who is root, does one thing on
 * request: it makes a process that delivers as a user.  The queue asks for it, and could be lying if it was taken over; so
 * the first that this process does is to check the account and the directory against passwd and the configuration (deliverer.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "filters/ledger.h"
#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/resolver.h"
#include "lib/role_master.h"
#include "lib/role_run.h"
#include "lib/table.h"
#include "smtpd/census.h"
#include "smtpd/command.h"
#include "smtpd/control.h"
#include "smtpd/deliverer.h"
#include "smtpd/descriptors.h"
#include "smtpd/health.h"
#include "smtpd/keys.h"
#include "smtpd/listen.h"
#include "smtpd/meters.h"
#include "smtpd/roles.h"
#include "smtpd/session.h"
#include "smtpd/session_life.h"
#include "smtpd/session_tls.h"
#include "vault/vault.h"

#define VAULT_SECONDS 2 /* that a new worker waits for the vault before it accepts */
#define LOCAL_MOST 4096 /* numbers of local processes: an upper bound for the queue's own limit */

static const struct conf *conf;
static int control_fd = -1;

/* --- session --- */

static void
session_ctl(struct ctl *c, unsigned n, const char *const *words)
{
	(void)n;
	listen_pause(strcmp(words[0], "pause") == 0);
	ctl_end(c, 0, NULL);
}

static void
add_count(const char *verb, unsigned long count, void *arg)
{
	char key[32], *p;

	strlcpy(key, verb, sizeof(key));
	for (p = key; *p != '\0'; p++)
		*p |= 0x20;
	if (count > 0)
		ctl_record(arg, FIELDS(F_STR("command", key), F_U64("count", count)));
}

static void
session_stats(struct ctl *c, unsigned n, const char *const *words)
{
	(void)n;
	(void)words;
	ctl_record(c, FIELDS(F_U64("sessions", session_count()), F_BOOL("paused", listen_paused())));
	command_each(add_count, c);
	session_tls_stats(c);
	health_stats(c);
	ctl_end(c, 0, NULL);
}

static void
lists_proven(void)
{
	session_each(door_lists_proven);
}

static struct event *opening;

static void
open_doors(void)
{
	event_del(opening);
	listen_start(conf);
}

static void
on_opening(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	vault_on_offer(NULL);
	open_doors();
}

/* Whoever is let in before the vault has told what it offers would hear that there is no AUTH.  Callers wait in the kernel's
 * queue for that moment; for a vault that does not come they do not wait. */
static void
open_doors_soon(void)
{
	opening = evtimer_new(peer_base(), on_opening, NULL);
	if (conf->vault.accounts == ACCOUNTS_NONE) {
		open_doors();
		return;
	}
	vault_on_offer(open_doors);
	event_add(opening, &(struct timeval){ VAULT_SECONDS, 0 });
}

static void
session_start(const void *unused, unsigned instance)
{
	(void)unused;
	census_join(instance);
	meters_join(instance);
	resolver_client_init();
	ledger_client_init();
	lookup_client_init();
	submit_client_init();
	vault_client_init();
	session_init(conf);
	keys_serve();
	health_start(&conf->gate, instance, lists_proven);
	ctl_register("pause", session_ctl);
	ctl_register("resume", session_ctl);
	ctl_register("stats", session_stats);
	open_doors_soon();
}

/* LOOKS: how often yet; NULL: until all have left. */
static void
session_left(evutil_socket_t fd, short what, void *looks)
{
	(void)fd;
	(void)what;
	if (session_count() == 0 || (looks != NULL && --*(unsigned *)looks == 0))
		role_exit(0);
}

static void
leave_when_empty(unsigned *looks)
{
	event_add(event_new(peer_base(), -1, EV_PERSIST, session_left, looks), &(struct timeval){ 0, 100000 });
}

static void
session_stop(void)
{
	static unsigned looks = 50; /* five seconds for last words */

	listen_close();
	session_end_all("this server is shutting down; please try again later");
	leave_when_empty(&looks);
}

/* Whoever is in stays as long as he likes. */
static void
session_retire(void)
{
	listen_close();
	leave_when_empty(NULL);
}

/* --- the others: from the row to the module --- */

static void
resolver_prepare(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	resolver_role_prepare(&conf->dns);
}

static void
resolver_start(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	resolver_role_start(&conf->dns);
}

/* FOLDER of the spool, which is the root directory if we may change it. */
static void
allow_folder(const char *folder)
{
	char *path = geteuid() == 0 ? xstrdup("/") : xasprintf("%s/%s", conf->spool, folder);

	sandbox_allow_write(path);
	free(path);
}

static void
ledger_prepare(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	allow_folder("ledger");
}

static void
ledger_start(const void *unused, unsigned instance)
{
	static struct ledger_conf c;

	(void)unused;
	(void)instance;
	c.dir = role_path(conf->spool, "ledger");
	ledger_role_start(&c);
}

static void
lookup_prepare(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	lookup_role_prepare(&conf->lookup);
	sandbox_allow_read("/");
}

static void
lookup_start(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	lookup_role_start(&conf->lookup);
}

static void
queue_prepare(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	allow_folder("queue");
}

static void
queue_start(const void *unused, unsigned instance)
{
	struct queue_conf c = conf->queue;
	char *dir = role_path(conf->spool, "queue");

	(void)unused;
	(void)instance;
	c.dir = dir;
	lookup_client_init();
	ledger_client_init();
	queue_role_start(&c);
	free(dir);
}

/* By these addresses it knows ourselves in an MX list. */
static void
relay_prepare(const void *unused, unsigned instance)
{
	struct ip *own = xcalloc(conf->listeners_n, sizeof(*own));
	unsigned i, n = 0;

	(void)unused;
	(void)instance;
	for (i = 0; i < conf->listeners_n; i++)
		if (conf->listeners[i].port == 25)
			own[n++] = conf->listeners[i].ip;
	relay_role_prepare(&conf->relay, own, n);
	free(own);
}

static void
relay_start(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	resolver_client_init();
	ledger_client_init();
	relay_role_start(&conf->relay);
}

static void
vault_prepare(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	vault_role_prepare(&conf->vault);
}

static void
vault_start(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	vault_role_start(&conf->vault);
}

static void
control_prepare(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	control_role_prepare();
}

static void
control_start(const void *unused, unsigned instance)
{
	(void)unused;
	(void)instance;
	submit_client_init();
	control_role_start(control_fd, conf);
}

/* What the process that is being forked is for. */
static struct wanted wanted;
static struct local_conf local_conf;

/*
 * First of all, and still with all rights: may there be such a process?  Not the master, who has others to serve, asks who the
 * account is: a directory server that is slow keeps one delivery waiting.  The queue sees a refused process come and go.
 */
static void
deliverer_prepare(const void *unused, unsigned instance)
{
	const char *home;

	(void)unused;
	(void)instance;
	if (!deliverer_explained(&conf->lookup, &wanted)) {
		log_error("role.refused", F_STR("what", "the queue asked for a delivery process that the configuration "
		    "does not explain"), F_U64("uid", wanted.uid), F_STR("account", wanted.account), F_STR("root", wanted.root));
		role_exit(0);
	}
	local_conf = conf->local;
	local_conf.method = wanted.method;
	local_conf.account = wanted.account;
	home = deliverer_home(&wanted);
	local_conf.home = home != NULL ? xstrdup(home) : NULL;
	local_conf.lookup = &conf->lookup;
}

/* The .forward lies in the home. */
static void
local_prepare(const void *root, unsigned instance)
{
	deliverer_prepare(root, instance);
	sandbox_allow_write(root);
	if (local_conf.home != NULL && local_conf.home[0] == '/' && local_conf.home[1] != '\0')
		sandbox_allow_read(local_conf.home);
}

static void
pipe_prepare(const void *root, unsigned instance)
{
	deliverer_prepare(root, instance);
	sandbox_allow_read("/");
	sandbox_allow_write("/");
	descriptors_restore(); /* for the programs */
}

static void
local_start(const void *root, unsigned instance)
{
	(void)root;
	(void)instance;
	local_role_start(&local_conf);
}

const struct role_spec role_table[] = {
	{ .role = ROLE_RESOLVER, .user = USER_SMTPD, .chroot = ROLE_EMPTY, .may = MAY_CONNECT,
	    .prepare = resolver_prepare, .start = resolver_start },
	{ .role = ROLE_LEDGER, .user = USER_SMTPD, .chroot = "ledger", .may = MAY_READ | MAY_WRITE | MAY_THREAD,
	    .many = ROLE_ALONE, .prepare = ledger_prepare, .start = ledger_start, .stop = ledger_role_stop },
	{ .role = ROLE_LOOKUP, .user = USER_SMTPD, .chroot = ROLE_NO_CHROOT, .may = MAY_READ | MAY_UNIX,
	    .prepare = lookup_prepare, .start = lookup_start },
	{ .role = ROLE_RELAY, .user = USER_SMTPD, .chroot = ROLE_EMPTY, .may = MAY_CONNECT, .many = ROLE_PER_CORE,
	    .peers = ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_LEDGER), .prepare = relay_prepare, .start = relay_start,
	    .retire = relay_role_retire },
	{ .role = ROLE_QUEUE, .user = USER_SMTPQ, .chroot = "queue", .may = MAY_READ | MAY_WRITE | MAY_THREAD,
	    .many = ROLE_ALONE, .peers = ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_LEDGER) | ROLE_BIT(ROLE_RELAY),
	    .prepare = queue_prepare, .start = queue_start, .stop = queue_role_stop },
	{ .role = ROLE_VAULT, .user = USER_SMTPD, .chroot = ROLE_NO_CHROOT,
	    .may = MAY_READ | MAY_UNIX | MAY_THREAD | MAY_GROUPS, .peers = ROLE_BIT(ROLE_LEDGER),
	    .prepare = vault_prepare, .start = vault_start },
	{ .role = ROLE_SESSION, .user = USER_SMTPD, .chroot = ROLE_EMPTY, .may = MAY_ACCEPT, .many = ROLE_PER_CORE,
	    .peers = ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_LEDGER) | ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_QUEUE) |
	        ROLE_BIT(ROLE_VAULT),
	    .start = session_start, .stop = session_stop, .retire = session_retire },
	{ .role = ROLE_CONTROL, .user = USER_SMTPD, .chroot = ROLE_NO_CHROOT, .may = MAY_ACCEPT | MAY_READ,
	    .peers = ROLE_BIT(ROLE_SESSION) | ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_LEDGER) |
	        ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_QUEUE) | ROLE_BIT(ROLE_RELAY) | ROLE_BIT(ROLE_VAULT),
	    .prepare = control_prepare, .start = control_start, .stop = control_role_stop,
	    .retire = control_role_retire },
};
const unsigned role_table_n = sizeof(role_table) / sizeof(role_table[0]);

/*
 * A delivery process may do what its method needs and nothing else; the queue says the method, and the configuration must
 * have a domain that explains it.  LMTP is spoken here and not by the relay role, which sees an empty root directory and no
 * unix socket.  Its process has no files (MAY_READ with no path allowed: the folder of the socket is only named).  A program
 * does whatever its account may: the limit is the account, and that no process gets more rights than it was started with.
 */
#define LOCAL_ROLE .role = ROLE_LOCAL, .user = USER_SMTPD, .chroot = ROLE_NO_CHROOT, .start = local_start
const struct role_spec role_local_table[] = {
	[MAILBOX_MAILDIR] = { LOCAL_ROLE, .may = MAY_READ | MAY_WRITE, .prepare = local_prepare },
	[MAILBOX_MBOX] = { LOCAL_ROLE, .may = MAY_READ | MAY_WRITE, .prepare = local_prepare },
	[MAILBOX_LMTP] = { LOCAL_ROLE, .may = MAY_READ | MAY_CONNECT | MAY_UNIX, .prepare = deliverer_prepare },
	[MAILBOX_PIPE] = { LOCAL_ROLE, .may = MAY_READ | MAY_WRITE | MAY_EXEC, .prepare = pipe_prepare },
	[MAILBOX_ALIAS] = { LOCAL_ROLE, .may = MAY_READ | MAY_WRITE | MAY_EXEC, .prepare = pipe_prepare },
	[MAILBOX_FORWARD] = { LOCAL_ROLE, .may = MAY_READ | MAY_WRITE | MAY_EXEC, .prepare = pipe_prepare },
};
_Static_assert(sizeof(role_local_table) / sizeof(role_local_table[0]) == MAILBOX_METHODS, "a row for each method");

/* --- the master --- */

/* For the process that is about to be forked, which forgets the message with all channels of the master. */
static void
remember(const struct wanted *w)
{
	static char *account, *root;

	free(account);
	free(root);
	account = xstrdup(w->account);
	root = xstrdup(w->root);
	wanted = *w;
	wanted.account = account;
	wanted.root = root;
}

static bool
on_delivery(struct peer *peer, struct message *m)
{
	uint32_t instance = cursor_u32(&m->body), uid = cursor_u32(&m->body), gid = cursor_u32(&m->body);
	unsigned method = cursor_u8(&m->body);
	struct wanted w = { .uid = uid, .gid = gid, .method = (enum mailbox_method)method };

	w.account = cursor_str(&m->body);
	w.root = cursor_str(&m->body);
	if (peer->role != ROLE_QUEUE || m->type != DELIVERY_START || !cursor_done(&m->body) || instance >= LOCAL_MOST ||
	    method >= MAILBOX_METHODS)
		return false;
	remember(&w);
	role_spawn(&role_local_table[method], instance, uid, gid, *w.account != '\0' ? w.account : NULL, ROLE_QUEUE, w.root);
	return true;
}

static const struct subject_ops delivery_ops = { .message = on_delivery };

static void
add_role(const struct role_spec *spec, unsigned instance, pid_t pid, unsigned starts, void *arg)
{
	ctl_record(arg, FIELDS(F_STR("process", role_name(spec->role)), F_U64("number", instance), F_I64("pid", pid),
	    F_U64("starts", starts)));
}

static void
master_stats(struct ctl *c, unsigned n, const char *const *words)
{
	(void)n;
	(void)words;
	role_each(add_role, c);
	ctl_end(c, 0, NULL);
}

void
roles_serve(const struct conf *c)
{
	conf = c;
	keys_watch();
	peer_register(SUBJECT_DELIVERY, &delivery_ops);
	ctl_register("stats", master_stats);
}

int
roles_prepare(const struct conf *c, char **why)
{
	char *path = xasprintf("%s/control", c->spool);
	int r;

	conf = c;
	tzset(); /* for the gate's `time`: a confined role reads no time zone */
	census_init(ROLE_LINKS_MAX);
	meters_init(&c->gate, role_cores());
	r = listen_bind(c, why);
	if (r == 0) {
		control_fd = control_listen(path, why);
		r = control_fd < 0 ? -1 : 0;
	}
	free(path);
	return r;
}

int
roles_renew(const struct conf *c, char **why)
{
	struct peer *queue = peer_find(ROLE_QUEUE, 0);

	if (relay_check(&c->relay, why) < 0 || listen_rebind(c, why) < 0)
		return -1;
	meters_init(&c->gate, role_cores());
	conf = c;
	if (queue != NULL)
		queue_send_conf(queue->channel, &c->queue);
	return 0;
}

void
roles_forked(const struct role_spec *spec)
{
	ctl_forget();
	if (spec->role != ROLE_VAULT)
		conf_forget_secrets((struct conf *)(uintptr_t)conf);
	if (spec->role != ROLE_SESSION) {
		listen_close();
		keys_forget();
	}
	if (spec->role != ROLE_CONTROL && control_fd >= 0)
		close(control_fd);
}

void
roles_left(const struct role_spec *spec, unsigned instance)
{
	if (spec->role == ROLE_SESSION)
		census_clear(instance);
}
