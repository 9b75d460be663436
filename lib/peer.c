/*
 * The peers of this process: who is connected now, and which module handles what they say
 * (peer.h).  One registry a process; the loop is its only caller.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/peer.h"

static struct {
	struct event_base *base;
	const struct subject_ops *subjects[SUBJECT_COUNT];
	struct peer **peers[ROLE_COUNT]; /* by instance, NULL where none is connected */
	unsigned slots[ROLE_COUNT];
	uint64_t generation;
} here;

struct event_base *
peer_base(void)
{
	return here.base;
}

void
peer_set_base(struct event_base *base)
{
	here.base = base;
}

void
peer_register(enum subject subject, const struct subject_ops *ops)
{
	unsigned r, i;

	if (here.subjects[subject] == ops)
		return;
	if (here.subjects[subject] != NULL)
		fatal("peer: subject %d is registered twice", subject);
	here.subjects[subject] = ops;
	for (r = 0; r < ROLE_COUNT && ops->up != NULL; r++)
		for (i = 0; i < here.slots[r]; i++)
			if (here.peers[r][i] != NULL)
				ops->up(here.peers[r][i]);
}

struct peer *
peer_find(enum role role, unsigned instance)
{
	return instance < here.slots[role] ? here.peers[role][instance] : NULL;
}

unsigned
peer_count(enum role role)
{
	unsigned i, n = 0;

	for (i = 0; i < here.slots[role]; i++)
		n += here.peers[role][i] != NULL;
	return n;
}

struct peer *
peer_for(enum role role, uint64_t key)
{
	unsigned i, n = here.slots[role];

	/* the slot that the key names; while that one is down, the next */
	for (i = 0; i < n; i++) {
		struct peer *peer = here.peers[role][(key + i) % n];

		if (peer != NULL && !peer->retired)
			return peer;
	}
	return NULL;
}

void
peer_retire(enum role role, unsigned instance)
{
	struct peer *peer = peer_find(role, instance);

	if (peer != NULL)
		peer->retired = true;
}

void
peer_each(enum role role, void (*visit)(struct peer *, void *), void *arg)
{
	unsigned i;

	for (i = 0; i < here.slots[role]; i++)
		if (here.peers[role][i] != NULL)
			visit(here.peers[role][i], arg);
}

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct peer *peer = arg;
	unsigned subject = m->type >> 8;

	(void)ch;
	if (subject >= SUBJECT_COUNT || here.subjects[subject] == NULL || here.subjects[subject]->message == NULL)
		return false;
	return here.subjects[subject]->message(peer, m);
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	peer_disconnect(arg);
}

static const struct channel_ops peer_channel_ops = { on_message, on_closed };

static void
grow_slots(enum role role, unsigned instance)
{
	unsigned n = here.slots[role];

	if (instance < n)
		return;
	here.peers[role] = xreallocarray(here.peers[role], instance + 1, sizeof(struct peer *));
	memset(here.peers[role] + n, 0, (instance + 1 - n) * sizeof(struct peer *));
	here.slots[role] = instance + 1;
}

struct peer *
peer_connect(enum role role, unsigned instance, int fd)
{
	struct peer *peer = xcalloc(1, sizeof(*peer));
	unsigned i;

	grow_slots(role, instance);
	if (here.peers[role][instance] != NULL)
		peer_disconnect(here.peers[role][instance]);
	peer->role = role;
	peer->instance = instance;
	peer->generation = ++here.generation;
	peer->channel = channel_new(here.base, fd, &peer_channel_ops, peer);
	here.peers[role][instance] = peer;
	for (i = 0; i < SUBJECT_COUNT && peer_find(role, instance) == peer; i++)
		if (here.subjects[i] != NULL && here.subjects[i]->up != NULL)
			here.subjects[i]->up(peer);
	return peer;
}

static void
free_peer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	free(arg);
}

void
peer_disconnect(struct peer *peer)
{
	const struct timeval now = { 0, 0 };
	unsigned i;

	if (peer_find(peer->role, peer->instance) != peer)
		return; /* on its way out already */
	here.peers[peer->role][peer->instance] = NULL;
	for (i = 0; i < SUBJECT_COUNT; i++)
		if (here.subjects[i] != NULL && here.subjects[i]->down != NULL)
			here.subjects[i]->down(peer);
	channel_free(peer->channel);
	event_base_once(here.base, -1, EV_TIMEOUT, free_peer, peer, &now);
}

void
peer_forget_inherited(void)
{
	unsigned r, i;

	/* event_reinit first: freeing the loop must not take the master's descriptors out of the epoll set it shares */
	if (here.base != NULL && event_reinit(here.base) == 0)
		event_base_free(here.base);
	channels_forget_inherited();
	for (r = 0; r < ROLE_COUNT; r++) {
		for (i = 0; i < here.slots[r]; i++)
			free(here.peers[r][i]);
		free(here.peers[r]);
	}
	memset(&here, 0, sizeof(here));
}
