/*
 * Becoming another binary (upgrade.h).
 *
 * The path is that of the file we were started from: a package that was installed meanwhile has put the new one there.
 * What passes from one to the other is the listening sockets, by number, in the environment (listen.h).  A new binary that
 * does not run, or does not like the configuration, is found out while the old one still serves, and nothing happens.
 * What must never happen is a master that has ended its roles and cannot go on: if execv fails all the same, it says so
 * and ends, and whoever watches over it starts it again.
 */
#include <sys/wait.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_master.h"
#include "smtpd/descriptors.h"
#include "smtpd/listen.h"
#include "smtpd/upgrade.h"

static struct {
	char path[PATH_MAX];
	char **argv;
	const char *conf_path;
	struct role_master *master;
	pid_t trial; /* the new binary, reading the configuration; 0: none */
	struct ctl *asked; /* by whom, or NULL: by a signal */
} here;

void
upgrade_remember(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", here.path, sizeof(here.path) - 1);
	int i;

	if (n < 0)
		here.path[0] = '\0';
	here.argv = xcalloc((size_t)argc + 1, sizeof(*here.argv));
	for (i = 0; i < argc; i++)
		here.argv[i] = xstrdup(argv[i]);
}

bool
upgrade_is_one(void)
{
	return getenv(LISTEN_INHERITED) != NULL;
}

/* All roles have ended. */
static void
become(void)
{
	listen_hand_on();
	descriptors_restore(); /* so that it too knows what it was given */
	log_notice("upgrade.now", F_STR("binary", here.path));
	execv(here.path, here.argv);
	log_error("upgrade.failed", F_STR("binary", here.path), F_STR("error", strerror(errno)));
	exit(1);
}

static void
answer(int status, const char *why)
{
	if (here.asked != NULL)
		ctl_end(here.asked, status, why);
	here.asked = NULL;
}

void
upgrade_reaped(int pid, int status)
{
	if (pid != here.trial || here.trial == 0)
		return;
	here.trial = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		log_error("upgrade.refused", F_STR("binary", here.path),
		    F_STR("why", "it does not run, or does not accept the configuration: see \"smtpd -n\""));
		answer(1, "the new binary does not run, or does not accept the configuration: see \"smtpd -n\"");
		return;
	}
	answer(0, "");
	here.master->ended = become;
	role_master_stop();
}

/* 0, or -1 with errno. */
static int
try_binary(void)
{
	sigset_t none;
	pid_t pid = fork();

	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl(here.path, here.path, "-n", "-f", here.conf_path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return -1;
	here.trial = pid;
	return 0;
}

/* NULL, or why not. */
static const char *
begin(void)
{
	if (here.path[0] == '\0')
		return "the file that this server was started from is not known; restart it";
	if (here.trial != 0)
		return "an upgrade is under way";
	return try_binary() < 0 ? strerror(errno) : NULL;
}

static void
on_request(struct ctl *c, unsigned n, const char *const *words)
{
	const char *why = begin();

	(void)n;
	(void)words;
	if (why != NULL)
		ctl_end(c, 1, why);
	else
		here.asked = c;
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	const char *why = begin();

	(void)sig;
	(void)what;
	(void)arg;
	if (why != NULL)
		log_error("upgrade.refused", F_STR("why", why));
}

void
upgrade_init(struct role_master *master, const char *conf_path)
{
	static struct event asked;

	here.master = master;
	here.conf_path = xstrdup(conf_path);
	ctl_register("upgrade", on_request);
	evsignal_assign(&asked, peer_base(), SIGUSR2, on_signal, NULL);
	event_add(&asked, NULL);
}
