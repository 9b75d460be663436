/*
 * Binding and accepting (listen.h).
 *
 * The backlog is as long as the kernel allows, and accept runs until it would block: a short queue costs a burst of
 * clients seconds of retransmission each.  When descriptors run out, accepting stops for a moment instead of spinning; the
 * callers wait in the kernel's queue.
 *
 * The kernel wakes all workers for one caller.  Whoever comes too late steps back for a moment and leaves the door to who was
 * quicker; when that one is busy, callers wait no longer than the moment.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "smtpd/listen.h"
#include "smtpd/session.h"
#include "smtpd/session_life.h"

#define BACKLOG 4096
#define ACCEPT_AT_ONCE 256 /* then the loop serves those who are in */
#define BREATH_MS 200
#define STEP_BACK_MS 10

struct socket {
	int fd;
	struct event *event;
	struct ip ip;
	uint16_t port;
	const struct listener *listener;
};

static struct socket *sockets;
static unsigned sockets_n;
static unsigned generation; /* of this worker; in the master, of those to come */
static struct event *breath;

/* with all workers, also those to come */
static struct {
	atomic_bool paused;
	atomic_uint first; /* generation that accepts */
} *shared;

static uint16_t
ip_port(const struct sockaddr *sa)
{
	return ntohs(sa->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)sa)->sin6_port
	                                       : ((const struct sockaddr_in *)(const void *)sa)->sin_port);
}

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

/* The socket that is bound to what L says, or -1. */
static int
find_bound(const struct listener *l)
{
	unsigned i;

	for (i = 0; i < sockets_n; i++)
		if (sockets[i].port == l->port && ip_equal(&sockets[i].ip, &l->ip))
			return sockets[i].fd;
	return -1;
}

static char *
cannot_bind(const struct listener *l, int error)
{
	return xasprintf("listen on %s port %u: %s%s", ip_text(&l->ip).s, l->port, strerror(error),
	    error == EADDRINUSE ? "; is another mail server running?"
	    : error == EACCES   ? "; ports below 1024 are root's"
	                        : "");
}

static bool
is_among(int fd, const struct socket *list, unsigned n)
{
	while (n-- > 0)
		if (list[n].fd == fd)
			return true;
	return false;
}

/* Closes those of LIST that are not among OTHERS, and forgets it. */
static void
close_but(struct socket *list, unsigned n, const struct socket *others, unsigned others_n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (list[i].fd >= 0 && !is_among(list[i].fd, others, others_n))
			close(list[i].fd);
	free(list);
}

/* A list for CONF, of sockets that are bound and of new ones; NULL with *WHY. */
static struct socket *
bind_all(const struct conf *conf, char **why)
{
	struct socket *list = xcalloc(conf->listeners_n, sizeof(*list));
	unsigned i;

	for (i = 0; i < conf->listeners_n; i++) {
		const struct listener *l = &conf->listeners[i];

		list[i] = (struct socket){ .fd = find_bound(l), .ip = l->ip, .port = l->port, .listener = l };
		if (list[i].fd < 0)
			list[i].fd = bind_one(l);
		if (list[i].fd < 0 && errno == EAFNOSUPPORT && l->ip.family == AF_INET6) {
			log_warning("listen.no_ipv6", F_STR("address", ip_text(&l->ip).s), F_U64("port", l->port));
			continue;
		}
		if (list[i].fd < 0) {
			*why = cannot_bind(l, errno);
			close_but(list, i, sockets, sockets_n);
			return NULL;
		}
	}
	return list;
}

int
listen_rebind(const struct conf *conf, char **why)
{
	struct socket *list = bind_all(conf, why);

	if (list == NULL)
		return -1;
	close_but(sockets, sockets_n, list, conf->listeners_n);
	sockets = list;
	sockets_n = conf->listeners_n;
	generation++;
	return 0;
}

void
listen_supersede(void)
{
	shared->first = generation;
}

void
listen_hand_on(void)
{
	struct buf names = { 0 };
	unsigned i;

	for (i = 0; i < sockets_n; i++) {
		if (sockets[i].fd < 0)
			continue;
		fcntl(sockets[i].fd, F_SETFD, 0);
		buf_addf(&names, "%s%d", names.len > 0 ? "," : "", sockets[i].fd);
	}
	setenv(LISTEN_INHERITED, buf_str(&names), 1);
	buf_free(&names);
}

/* A descriptor that somebody says is a listening socket of ours. */
static void
adopt(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), size = sizeof(int);
	struct socket s = { .fd = fd };
	int listening = 0;

	if (fd < 3 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || !ip_from_sockaddr((struct sockaddr *)&ss, &s.ip))
		return;
	s.port = ip_port((struct sockaddr *)&ss);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	sockets = xreallocarray(sockets, sockets_n + 1, sizeof(*sockets));
	sockets[sockets_n++] = s;
}

/* What the binary before us handed on. */
static void
adopt_all(void)
{
	char *names = getenv(LISTEN_INHERITED), *copy, *rest, *name;

	if (names == NULL)
		return;
	copy = rest = xstrdup(names);
	while ((name = strsep(&rest, ",")) != NULL)
		adopt(*name >= '0' && *name <= '9' ? atoi(name) : -1);
	free(copy);
	unsetenv(LISTEN_INHERITED);
}

int
listen_bind(const struct conf *conf, char **why)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fatal("listen: no shared memory");
	adopt_all();
	return listen_rebind(conf, why);
}

void
listen_close(void)
{
	unsigned i;

	for (i = 0; i < sockets_n; i++) {
		if (sockets[i].event != NULL)
			event_free(sockets[i].event);
		if (sockets[i].fd >= 0)
			close(sockets[i].fd);
	}
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
	if (!shared->paused)
		set_accepting(true);
}

static void
rest(unsigned ms)
{
	set_accepting(false);
	event_add(breath, &(struct timeval){ 0, ms * 1000 });
}

/* Out of descriptors or memory: take breath. */
static void
take_breath(int error)
{
	static struct log_pace pace;
	uint64_t held;

	if (log_may_tell(&pace, &held))
		log_warning("listen.breath", F_STR("error", strerror(error)), F_U64("sessions", session_count()),
		    F_U64("others", held));
	rest(BREATH_MS);
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len;
	struct ip ip;
	int c, n;

	(void)what;
	if (generation < shared->first) {
		listen_close(); /* it will hear that it retires; who rings now is for its successor */
		return;
	}
	for (n = 0; n < ACCEPT_AT_ONCE; n++) {
		len = sizeof(ss);
		c = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (c < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			take_breath(errno);
		if (c < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (c < 0 && n == 0 && errno == EAGAIN)
			rest(STEP_BACK_MS);
		if (c < 0)
			return;
		if (!ip_from_sockaddr((struct sockaddr *)&ss, &ip)) {
			close(c);
			continue;
		}
		session_new(c, &ip, ip_port((struct sockaddr *)&ss), arg);
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
	set_accepting(!shared->paused);
}

void
listen_pause(bool on)
{
	shared->paused = on;
	set_accepting(!on);
}

bool
listen_paused(void)
{
	return shared->paused;
}
