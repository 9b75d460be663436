/*
 * Children that end, by themselves or because they are to (role_inside.h): who comes back and when, and the order in which
 * all go.  What must never happen: a row that is told to end while one that needs it still works.
 */
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/role_inside.h"

#define BACKOFF_MOST 60
#define STABLE_MS 60000

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

void
child_tell_stop(struct peer *peer)
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
			child_tell_stop(child_peer(&master.children[i]));
	for (e = master.extras; e != NULL && master.ending == NULL; e = e->next)
		child_tell_stop(peer_find(e->role, e->instance));
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

void
child_on_mercy(evutil_socket_t fd, short what, void *arg)
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
		peer = child_peer(&master.children[i]);
		child_ended(&master.children[i], status);
		if (master.m->left != NULL)
			master.m->left(master.children[i].spec, master.children[i].instance);
	} else if (master.m->reaped != NULL) {
		master.m->reaped(pid, status);
	}
	if (peer != NULL)
		peer_disconnect(peer);
}

void
child_on_sigchld(evutil_socket_t fd, short what, void *arg)
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
