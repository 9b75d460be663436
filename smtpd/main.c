/*
 * smtpd: reads the configuration, binds what needs root, makes the roles, and watches over them.
 *
 *	smtpd [-dnv] [-f FILE]
 *
 * As root it drops privileges in every role; as anybody else all roles run as that user, without chroot, still behind
 * the sandbox.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_master.h"
#include "lib/tls.h"
#include "smtpd/descriptors.h"
#include "smtpd/keys.h"
#include "smtpd/reload.h"
#include "smtpd/roles.h"
#include "smtpd/upgrade.h"

#define QUEUE_USER "_smtpq"

extern char **environ;

static struct role_master master = { .table = role_table, .run_user = RUN_USER, .queue_user = QUEUE_USER,
	.forked = roles_forked, .left = roles_left, .reaped = upgrade_reaped };

static void
usage(void)
{
	fprintf(stderr, "usage: smtpd [-dnv] [-f file]\n"
	                "  -d  stay in the foreground, log to standard error\n"
	                "  -n  check the configuration and exit\n"
	                "  -v  log more\n"
	                "  -f  the configuration, instead of " CONF_PATH "\n");
	exit(2);
}

/* What the relay will read can be read. */
static bool
relay_is_ready(const struct conf *conf, struct buf *errors)
{
	char *why;

	if (relay_check(&conf->relay, &why) == 0)
		return true;
	buf_addf(errors, "%s\n", why);
	free(why);
	return false;
}

static struct conf *
load(const char *path)
{
	struct buf errors = { 0 }, warnings = { 0 };
	struct conf *conf = conf_load(path, &errors, &warnings);

	struct keys *keys = conf != NULL ? keys_read(conf, &errors, &warnings) : NULL;

	if (keys == NULL || !relay_is_ready(conf, &errors)) {
		conf_free(conf);
		conf = NULL;
	}
	keys_free(keys_use(keys));
	fputs(buf_str(&warnings), stderr);
	fputs(buf_str(&errors), stderr);
	buf_free(&warnings);
	buf_free(&errors);
	return conf;
}

static void
die(const char *what, char *why)
{
	fprintf(stderr, "smtpd: %s%s%s\n", what, *what != '\0' ? ": " : "", why);
	log_error("master.failed", F_STR("why", why));
	exit(1);
}

static void
into_background(void)
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		die("fork", strerror(errno));
	if (pid > 0)
		_exit(0);
	setsid();
	fd = open("/dev/null", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		if (fd > 2)
			close(fd);
	}
}

static void
make_spool(const char *spool)
{
	if (mkdir(spool, 0755) < 0 && errno != EEXIST)
		die(spool, strerror(errno));
}

static void
all_ended(void)
{
	log_info("master.ended");
	event_base_loopbreak(peer_base());
}

static void
on_end_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what;
	(void)arg;
	log_info("master.ending", F_U64("signal", (uint64_t)sig));
	master.ended = all_ended; /* also when it was to be an upgrade */
	role_master_stop();
}

static void
catch_signals(void)
{
	static const int ends[] = { SIGTERM, SIGINT };
	static struct event events[sizeof(ends) / sizeof(ends[0])];
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		evsignal_assign(&events[i], peer_base(), ends[i], on_end_signal, NULL);
		event_add(&events[i], NULL);
	}
}

/* Runs until a signal ends it. */
static void
run(struct conf *conf, const struct log_conf *forced)
{
	char *why = NULL;

	descriptors_raise();
	make_spool(conf->spool);
	if (roles_prepare(conf, &why) < 0)
		die("", why);
	peer_set_base(event_base_new());
	catch_signals();
	roles_serve(conf);
	reload_init(&master, conf, forced);
	upgrade_init(&master, conf->path);
	master.table_n = role_table_n;
	master.conf = conf;
	master.spool = conf->spool;
	master.ended = all_ended;
	if (role_master_start(&master, &why) < 0)
		die("", why);
	log_info("master.started", F_STR("host", conf->host), F_STR("configuration", conf->path));
	setproctitle("master %s", conf->path);
	event_base_dispatch(peer_base());
}

int
main(int argc, char **argv)
{
	const char *path = CONF_PATH;
	bool foreground = false, check = false;
	struct log_conf forced = { .to_stderr = false };
	struct conf *conf;
	int c;

	tls_wipe_freed();
	upgrade_remember(argc, argv);
	setproctitle_init(argc, argv, environ);
	while ((c = getopt(argc, argv, "dnvf:")) != -1) {
		switch (c) {
		case 'd': foreground = true; break;
		case 'n': check = true; break;
		case 'v': forced.verbose = true; break;
		case 'f': path = optarg; break;
		default: usage();
		}
	}
	if (optind != argc)
		usage();
	conf = load(path);
	if (conf == NULL)
		return 1;
	if (check) {
		fprintf(stderr, "configuration OK\n");
		conf_free(conf);
		return 0;
	}
	umask(022);
	clock_init();
	forced.to_stderr = foreground;
	conf->log.verbose |= forced.verbose;
	conf->log.to_stderr |= forced.to_stderr;
	log_init(&conf->log, role_name(ROLE_MASTER));
	if (!foreground && !upgrade_is_one())
		into_background();
	log_rename(role_name(ROLE_MASTER));
	run(conf, &forced);
	return 0;
}
