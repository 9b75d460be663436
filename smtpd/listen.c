/*
 * Binding and accepting (listen.h).
 *
 * The backlog is as long as the kernel allows, and accept runs until it would block: a short queue costs a burst of
 * clients seconds of retransmission each.  When descriptors run out, accepting stops for a moment instead of spinning; the
 * callers wait in the kernel's queue.
 */
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "smtpd/listen.h"
#include "smtpd/session.h"

#define BACKLOG 4096
#define ACCEPT_AT_ONCE 256 /* then the loop serves those who are in */

static struct {
	int fd;
	struct event *event;
	const struct listener *listener;
} *sockets;
static unsigned sockets_n;
static bool paused;
static struct event *breath;

static int
bind_one(const struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = ip_to_sockaddr(&l->ip, l->port, &ss);
	int on = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* replies go at once; accepted sockets inherit it */
	if (ss.ss_family == AF_INET6) /* 0.0.0.0 and :: are two listeners */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

int
listen_bind(const struct conf *conf, char **why)
{
	unsigned i;

	sockets = xcalloc(conf->listeners_n, sizeof(*sockets));
	for (i = 0; i < conf->listeners_n; i++) {
		const struct listener *l = &conf->listeners[i];

		sockets[i].fd = bind_one(l);
		if (sockets[i].fd < 0 && errno == EAFNOSUPPORT && l->ip.family == AF_INET6) {
			log_warning("listen.no_ipv6", F_STR("address", ip_text(&l->ip).s), F_U64("port", l->port));
			continue;
		}
		if (sockets[i].fd < 0) {
			*why = xasprintf("listen on %s port %u: %s%s", ip_text(&l->ip).s, l->port, strerror(errno),
			    errno == EADDRINUSE ? "; is another mail server running?"
			    : errno == EACCES   ? "; ports below 1024 are root's"
			                        : "");
			return -1;
		}
		sockets[i].listener = l;
		sockets_n = i + 1;
	}
	return 0;
}

void
listen_close(void)
{
	unsigned i;

	for (i = 0; i < sockets_n; i++)
		if (sockets[i].fd >= 0)
			close(sockets[i].fd);
	sockets_n = 0;
}

static void
set_accepting(bool on)
{
	unsigned i;

	for (i = 0; i < sockets_n; i++) {
		if (sockets[i].event == NULL)
			continue;
		if (on)
			event_add(sockets[i].event, NULL);
		else
			event_del(sockets[i].event);
	}
}

static void
on_breath(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (!paused)
		set_accepting(true);
}

/* Out of descriptors or memory: take breath. */
static void
take_breath(int error)
{
	log_warning("listen.breath", F_STR("error", strerror(error)), F_U64("sessions", session_count()));
	set_accepting(false);
	event_add(breath, &(struct timeval){ 0, 200000 });
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len;
	struct ip ip;
	int c, n;

	(void)what;
	for (n = 0; n < ACCEPT_AT_ONCE; n++) {
		len = sizeof(ss);
		c = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (c < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			take_breath(errno);
		if (c < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (c < 0)
			return;
		if (!ip_from_sockaddr((struct sockaddr *)&ss, &ip)) {
			close(c);
			continue;
		}
		session_new(c, &ip,
		    ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
		                                   : ((struct sockaddr_in *)&ss)->sin_port),
		    arg);
	}
}

void
listen_start(const struct conf *conf)
{
	unsigned i;

	(void)conf;
	breath = evtimer_new(peer_base(), on_breath, NULL);
	for (i = 0; i < sockets_n; i++)
		if (sockets[i].fd >= 0)
			sockets[i].event = event_new(peer_base(), sockets[i].fd, EV_READ | EV_PERSIST, on_connection,
			    (void *)(uintptr_t)sockets[i].listener);
	set_accepting(!paused);
}

void
listen_pause(bool on)
{
	paused = on;
	set_accepting(!on);
}

bool
listen_paused(void)
{
	return paused;
}
