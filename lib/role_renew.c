/*
 * New processes for rows that serve another configuration, beside those that retire (role_master.h).
 *
 * Successors are born before anybody hears that his partner retires, so that work always has somewhere to go.  Whoever retires
 * keeps his number and his channels until he ends; a place is taken again when its owner has left.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_inside.h"

static unsigned
places_left(void)
{
	unsigned i, n = ROLE_LINKS_MAX - master.n;

	for (i = 0; i < master.n; i++)
		n += child_has_left(&master.children[i]);
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
		n += is_renewed(&master.m->table[i], roles) ? child_instances(&master.m->table[i]) : 0;
	return n;
}

/* The lowest numbers that nobody of the row has; they begin at a multiple of how many there are. */
static unsigned
free_numbers(const struct role_spec *spec)
{
	unsigned first, k, n = child_instances(spec);

	for (first = 0;; first += n) {
		for (k = 0; k < n && child_find(spec->role, first + k) == NULL; k++)
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
		peer = &master.children[i] != c && children_connected(c, &master.children[i]) ? child_peer(&master.children[i]) : NULL;
		if (peer == NULL)
			continue;
		b = channel_begin(peer->channel, ROLE_RETIRED, 0);
		buf_add_u32(b, c->spec->role);
		buf_add_u32(b, c->instance);
		channel_end(peer->channel, -1);
	}
	peer = child_peer(c);
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
			child_tell_stop(child_peer(&master.children[i]));
}

static void
succeed(const struct role_spec *spec)
{
	unsigned k, first = free_numbers(spec);

	for (k = 0; k < child_instances(spec); k++)
		child_start(child_add(spec, first + k));
}

int
role_master_renew(uint32_t roles, char **why)
{
	bool old[ROLE_LINKS_MAX] = { false };
	unsigned i;

	if (master.stopping) { /* a process born now would be nobody's to end */
		*why = xstrdup("the server is ending");
		return -1;
	}
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
role_master_log(const struct log_conf *conf)
{
	struct peer *peer;
	struct buf *b;
	unsigned i;

	for (i = 0; i < master.n; i++) {
		peer = child_peer(&master.children[i]);
		if (peer == NULL)
			continue;
		b = channel_begin(peer->channel, ROLE_LOG, 0);
		buf_add_u8(b, conf->to_stderr);
		buf_add_u8(b, conf->json);
		buf_add_u8(b, conf->verbose);
		channel_end(peer->channel, conf->to_stderr ? -1 : fcntl(log_way(), F_DUPFD_CLOEXEC, 0));
	}
}

void
role_each(void (*visit)(const struct role_spec *, unsigned, pid_t, unsigned, void *), void *arg)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		if (!child_has_left(&master.children[i]))
			visit(master.children[i].spec, master.children[i].instance, master.children[i].pid,
			    master.children[i].starts, arg);
}
