/*
 * Who the master's children are, and the channels between them (role_inside.h).
 *
 * Pairs of children are connected by the master making a socketpair and sending one end to each; whoever is started later
 * gets its ends while it is forked, whoever lives already gets a message.  So a restarted role is connected anew with all
 * its peers, and they with it, by the same few lines; and so is one that threw a peer out.
 */
#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/role_inside.h"

struct master master = { .spare = -1 };

bool
child_has_left(const struct child *c)
{
	return c->retired && c->pid == 0;
}

struct child *
child_find(enum role role, unsigned instance)
{
	unsigned i;

	for (i = 0; i < master.n; i++)
		if (master.children[i].spec->role == role && master.children[i].instance == instance &&
		    !child_has_left(&master.children[i]))
			return &master.children[i];
	return NULL;
}

struct peer *
child_peer(const struct child *c)
{
	return peer_find(c->spec->role, c->instance);
}

/* --- channels between children --- */

bool
children_connected(const struct child *a, const struct child *b)
{
	return (a->spec->peers & ROLE_BIT(b->spec->role)) || (b->spec->peers & ROLE_BIT(a->spec->role));
}

bool
link_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0)
		return true;
	log_error("role.socketpair", F_STR("error", strerror(errno)));
	return false;
}

/* Tells a living child that it is children_connected with ROLE/INSTANCE over FD, which goes. */
void
link_tell(struct peer *to, enum role role, unsigned instance, bool retired, int fd)
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

void
link_newborn(const struct child *child, struct role_process *p)
{
	int pair[2];
	unsigned i;

	for (i = 0; i < master.n && p->links_n < ROLE_LINKS_MAX; i++) {
		const struct child *c = &master.children[i];

		if (c == child || c->pid == 0 || !children_connected(c, child) || !link_pair(pair))
			continue;
		link_tell(child_peer(c), child->spec->role, child->instance, child->retired, pair[0]);
		p->links[p->links_n++] = (struct role_link){ c->spec->role, c->instance, c->retired, pair[1] };
	}
}

void
link_anew(evutil_socket_t fd, short what, void *arg)
{
	struct child *a = arg;
	unsigned i;
	int pair[2];

	(void)fd;
	(void)what;
	for (i = 0; i < master.n && a->pid != 0 && !master.stopping; i++) {
		struct child *b = &master.children[i];

		if (!a->lost[i] || b->pid == 0 || !link_pair(pair))
			continue;
		link_tell(child_peer(a), b->spec->role, b->instance, b->retired, pair[0]);
		link_tell(child_peer(b), a->spec->role, a->instance, a->retired, pair[1]);
	}
	memset(a->lost, 0, sizeof(a->lost));
}

int
link_closed(void)
{
	int pair[2];

	if (!link_pair(pair))
		return -1;
	close(pair[1]);
	return pair[0];
}

/* A child threw a peer out.  Both live, as far as we know, and need each other. */
static bool
on_message(struct peer *peer, struct message *m)
{
	uint32_t role = cursor_u32(&m->body), instance = cursor_u32(&m->body);
	struct child *a = child_find(peer->role, peer->instance), *b = child_find(role, instance);

	if (m->type != ROLE_LOST || !cursor_done(&m->body))
		return false;
	if (a == NULL || b == NULL || !children_connected(a, b))
		return true; /* a delivery process: its end is the queue's business */
	a->lost[b - master.children] = true;
	if (!event_pending(&a->relink, EV_TIMEOUT, NULL))
		event_add(&a->relink, &(struct timeval){ ROLE_AGAIN_SECONDS, 0 });
	return true;
}

const struct subject_ops link_ops = { .message = on_message };
