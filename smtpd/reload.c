/*
 * Changing the configuration of a running server (reload.h), and what the master watches for that has changed outside of
 * it: the system's name servers and its log.
 *
 * Called in the master: by SIGHUP, by `smtpctl reload`, by a timer.  A file that does not parse, an address that cannot be
 * bound, a spool that has moved: each leaves everything as it was.  What must never happen is a listening socket closed that
 * the new configuration still names, because then a caller would be refused.
 */
#include <sys/stat.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_master.h"
#include "smtpd/keys.h"
#include "smtpd/listen.h"
#include "smtpd/reload.h"
#include "smtpd/roles.h"

#define WATCH_SECONDS 5
#define HANGUP_MS 1000 /* from one SIGHUP that is served to the next */
#define RESOLV_CONF "/etc/resolv.conf"

static struct {
	struct role_master *master;
	struct conf *conf;
	struct log_conf forced;
	struct timespec resolv_conf; /* when it was last changed */
	struct event hangup;         /* a SIGHUP waits to be served */
	uint64_t hung_up_ms;         /* the last one was */
} here;

/* What only a start can change, or NULL. */
static char *
cannot_change(const struct conf *new)
{
	if (strcmp(new->spool, here.conf->spool) != 0)
		return xasprintf("%s: the spool is %s now and would be %s: end the server, move the folder, and start it again",
		    new->path, here.conf->spool, new->spool);
	return NULL;
}

/* The roles that are forked from now on serve NEW, and with its KEYS, which are taken over. */
static int
put_in_force(struct conf *new, struct keys *keys, char **why)
{
	struct conf *old = here.conf;

	*why = cannot_change(new);
	if (*why != NULL || roles_renew(new, why) < 0) {
		keys_free(keys);
		return -1;
	}
	keys = keys_use(keys);
	here.conf = new;
	here.master->conf = new;
	here.master->spool = new->spool;
	log_init(&new->log, role_name(ROLE_MASTER));
	if (role_master_renew(UINT32_MAX, why) == 0) {
		/* the queue, the ledger and those that retire go on in it */
		role_master_log(&new->log);
		listen_supersede();
		keys_free(keys);
		conf_free(old);
		return 0;
	}
	/* what was bound for NEW is bound for OLD: this cannot fail, but for an address that went meanwhile */
	here.conf = old;
	here.master->conf = old;
	here.master->spool = old->spool;
	log_init(&old->log, role_name(ROLE_MASTER));
	keys_free(keys_use(keys));
	(void)roles_renew(old, &(char *){ NULL });
	return -1;
}

int
reload(char **why, char **warnings)
{
	struct buf errors = { 0 }, warned = { 0 };
	struct conf *new = conf_load(here.conf->path, &errors, &warned);
	struct keys *keys = new != NULL ? keys_read(new, &errors, &warned) : NULL;
	int r = -1;

	if (new != NULL) {
		new->log.to_stderr |= here.forced.to_stderr;
		new->log.verbose |= here.forced.verbose;
	}
	*why = keys == NULL ? buf_take(&errors) : NULL;
	*warnings = buf_take(&warned);
	buf_free(&errors);
	if (keys != NULL)
		r = put_in_force(new, keys, why);
	if (r == 0) {
		log_notice("reload.done", F_STR("configuration", here.conf->path));
		return 0;
	}
	log_error("reload.refused", F_STR("why", *why), F_STR("effect", "the configuration before it stays in force"));
	conf_free(new);
	return -1;
}

static void
serve_hangup(evutil_socket_t fd, short what, void *arg)
{
	char *why, *warnings;

	(void)fd;
	(void)what;
	(void)arg;
	here.hung_up_ms = clock_ms();
	(void)reload(&why, &warnings);
	free(why);
	free(warnings);
}

/* A thousand signals are a thousand calls in one turn of the loop, in which nobody else would be heard: they are one wish, served
 * after the last of them. */
static void
on_hangup(evutil_socket_t sig, short what, void *arg)
{
	uint64_t now = clock_ms(), at = here.hung_up_ms + HANGUP_MS, ms = here.hung_up_ms != 0 && at > now ? at - now : 0;

	(void)sig;
	(void)what;
	(void)arg;
	if (!event_pending(&here.hangup, EV_TIMEOUT, NULL))
		event_add(&here.hangup, &(struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) });
}

static void
on_request(struct ctl *c, unsigned n, const char *const *words)
{
	char *why, *warnings;

	(void)n;
	(void)words;
	if (reload(&why, &warnings) == 0) {
		ctl_text(c, warnings, strlen(warnings));
		ctl_end(c, 0, "");
	} else {
		ctl_end(c, 1, why);
	}
	free(why);
	free(warnings);
}

/* --- what changes around us --- */

static struct timespec
changed_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim : (struct timespec){ 0, 0 };
}

/* A resolver that serves other servers; the cache of the old one goes with it. */
static void
watch_resolv_conf(void)
{
	struct timespec now = changed_at(RESOLV_CONF);
	char *why = NULL;

	if (here.conf->dns.servers_n > 0 ||
	    (now.tv_sec == here.resolv_conf.tv_sec && now.tv_nsec == here.resolv_conf.tv_nsec))
		return;
	if (role_master_renew(ROLE_BIT(ROLE_RESOLVER), &why) < 0) {
		free(why); /* told when it was a reload; tried again soon */
		return;
	}
	here.resolv_conf = now;
	log_notice("reload.resolver", F_STR("why", RESOLV_CONF " has changed"));
}

/* Confined roles cannot look for it themselves. */
static void
watch_log(void)
{
	if (log_is_renewed())
		role_master_log(&here.conf->log);
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	watch_resolv_conf();
	watch_log();
}

void
reload_init(struct role_master *master, struct conf *conf, const struct log_conf *forced)
{
	static struct event hangup, look;

	here.master = master;
	here.conf = conf;
	here.forced = *forced;
	here.resolv_conf = changed_at(RESOLV_CONF);
	evtimer_assign(&here.hangup, peer_base(), serve_hangup, NULL);
	evsignal_assign(&hangup, peer_base(), SIGHUP, on_hangup, NULL);
	event_add(&hangup, NULL);
	event_assign(&look, peer_base(), -1, EV_PERSIST, on_watch, NULL);
	event_add(&look, &(struct timeval){ WATCH_SECONDS, 0 });
	ctl_register("reload", on_request);
}
