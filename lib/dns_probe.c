/*
 * One round of direct questions to the DNS servers.  lib/dns_out.c starts a round when it has reason to
 * doubt, and takes the verdict as it is.  What can fail is the network only, and that is the
 * answer.  A socket is connected, so that a closed port is known at once (ECONNREFUSED), and
 * strangers cannot answer.
 */
#include <sys/socket.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/dns_probe.h"
#include "lib/dns_wire.h"
#include "lib/mem.h"

#define RESPONSE_MAX 4096

/* Not one question three times: some servers drop a kind of question, none drops all of these. */
static const struct {
	const char *name;
	uint16_t type;
} tries[] = { { "", DNS_NS }, { "arpa", DNS_NS }, { "localhost", DNS_A } };
#define TRIES_N (sizeof(tries) / sizeof(tries[0]))

struct target {
	struct dns_probe *probe;
	struct event *readable;
	int fd; /* -1: no socket, or refused */
	uint16_t id;
};

struct dns_probe {
	struct event *timer;
	struct timeval interval;
	void (*done)(bool, void *);
	void *arg;
	unsigned tried;
	unsigned targets_n;
	struct target targets[];
};

static void
target_close(struct target *t)
{
	if (t->readable != NULL)
		event_free(t->readable);
	if (t->fd != -1)
		close(t->fd);
	t->readable = NULL;
	t->fd = -1;
}

/* DONE may free the probe: nothing may touch it afterwards. */
static void
finish(struct dns_probe *probe, bool alive)
{
	unsigned i;

	event_del(probe->timer);
	for (i = 0; i < probe->targets_n; i++)
		target_close(&probe->targets[i]);
	probe->done(alive, probe->arg);
}

static bool
all_refused(const struct dns_probe *probe)
{
	unsigned i;

	for (i = 0; i < probe->targets_n; i++)
		if (probe->targets[i].fd != -1)
			return false;
	return true;
}

static void
target_readable(int fd, short what, void *arg)
{
	struct target *t = arg;
	struct dns_probe *probe = t->probe;
	uint8_t packet[RESPONSE_MAX];
	ssize_t n = recv(fd, packet, sizeof(packet), 0);

	(void)what;
	if (n >= 0 && dns_wire_is_response(packet, (size_t)n, t->id)) {
		finish(probe, true);
	} else if (n == -1 && errno != EAGAIN && errno != EINTR) {
		target_close(t);
		if (all_refused(probe))
			finish(probe, false);
	}
}

static void
target_open(struct dns_probe *probe, struct target *t, const struct dns_server *server,
    struct event_base *base)
{
	struct sockaddr_storage ss;
	socklen_t len = ip_to_sockaddr(&server->ip, server->port, &ss);

	t->probe = probe;
	t->id = (uint16_t)arc4random();
	t->fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd != -1 && connect(t->fd, (struct sockaddr *)&ss, len) == -1)
		target_close(t);
	if (t->fd == -1)
		return;
	t->readable = event_new(base, t->fd, EV_READ | EV_PERSIST, target_readable, t);
	event_add(t->readable, NULL);
}

/* Also the first try comes from the timer: so DONE is never called from inside dns_probe_start. */
static void
next_try(int fd, short what, void *arg)
{
	struct dns_probe *probe = arg;
	uint8_t packet[DNS_QUESTION_MAX];
	unsigned i;

	(void)fd;
	(void)what;
	if (probe->tried == TRIES_N || all_refused(probe)) {
		finish(probe, false);
		return;
	}
	for (i = 0; i < probe->targets_n; i++) {
		struct target *t = &probe->targets[i];
		size_t len = dns_wire_question(
		    packet, t->id, tries[probe->tried].name, tries[probe->tried].type);

		/* what fails here is told by the next read, or by silence */
		if (t->fd != -1 && send(t->fd, packet, len, MSG_NOSIGNAL) == -1 && errno != EAGAIN)
			target_close(t);
	}
	probe->tried++;
	event_add(probe->timer, &probe->interval);
}

struct dns_probe *
dns_probe_start(struct event_base *base, const struct dns_server *servers, unsigned servers_n,
    unsigned interval_ms, void (*done)(bool, void *), void *arg)
{
	struct dns_probe *probe = xcalloc(1, sizeof(*probe) + servers_n * sizeof(struct target));
	const struct timeval at_once = { 0 };
	unsigned i;

	probe->interval =
	    (struct timeval){ .tv_sec = interval_ms / 1000, .tv_usec = interval_ms % 1000 * 1000 };
	probe->done = done;
	probe->arg = arg;
	probe->targets_n = servers_n;
	for (i = 0; i < servers_n; i++)
		target_open(probe, &probe->targets[i], &servers[i], base);
	probe->timer = evtimer_new(base, next_try, probe);
	event_add(probe->timer, &at_once);
	return probe;
}

void
dns_probe_free(struct dns_probe *probe)
{
	unsigned i;

	if (probe == NULL)
		return;
	for (i = 0; i < probe->targets_n; i++)
		target_close(&probe->targets[i]);
	event_free(probe->timer);
	free(probe);
}
