/*
 * Callers who are sent away, as many as one core makes: N sessions, AT_ONCE of them open at any time, each from an address of
 * its own in 127/8.
 *
 *   callers PORT N AT_ONCE polite    waits for each answer: EHLO, MAIL, RCPT, QUIT
 *   callers PORT N AT_ONCE early     says EHLO before the greeting, reads on until something else than a greeting comes
 *
 * Prints the seconds that it took, and how often RCPT (early: EHLO) was answered by which code; "0" is a connection
 * that ended without one.  regress/bench/reject.py counts on it.  Nothing but 127.0.0.1 is called, and a caller to whom
 * nothing happens for a minute gives up.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, CODES = 1000 };

struct caller {
	int fd;
	unsigned step;      /* of script[] */
	int code;           /* what it will be counted as */
	size_t len;         /* of the line that has begun */
	char line[1024];
};

static const char *const script[] = { "EHLO client.example\r\n", NULL, "RCPT TO:<alice@example.org>\r\n", "QUIT\r\n" };
enum { STEPS = sizeof(script) / sizeof(script[0]), MAIL = 1, RCPT = 2 };

static struct sockaddr_in server;
static unsigned long callers, begun, ended;
static unsigned long answers[CODES];
static bool early;
static int epfd;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* 62,500 addresses a network of 127.x/16, so that neighbours in time are neighbours in no /24. */
static struct sockaddr_in
source(unsigned long i)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl((uint32_t)(127u << 24 | (1 + i / 62500) << 16 | (i % 250 + 1) << 8 | (i / 250 % 250 + 1)));
	return sin;
}

static void
call(struct caller *c)
{
	struct sockaddr_in from = source(begun);
	int yes = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	c->step = c->len = 0;
	c->code = 0;
	if (c->fd == -1)
		err(1, "socket");
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) == -1)
		err(1, "bind %s", inet_ntoa(from.sin_addr));
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) == -1 && errno != EINPROGRESS)
		err(1, "connect");
	begun++;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd,
	        &(struct epoll_event){ .events = early ? EPOLLOUT : EPOLLIN, .data.ptr = c }) == -1)
		err(1, "epoll_ctl");
}

/* False once the connection is gone. */
static bool
say(struct caller *c)
{
	char mail[64];
	const char *words = script[c->step];

	if (c->step == MAIL) {
		/* no two triplets alike */
		snprintf(mail, sizeof(mail), "MAIL FROM:<s%lx@sender.example>\r\n", (unsigned long)(begun * 2654435761u));
		words = mail;
	}
	c->step++;
	return send(c->fd, words, strlen(words), MSG_NOSIGNAL) == (ssize_t)strlen(words);
}

/* A whole line came.  False when there is no more to say or to hear. */
static bool
hear(struct caller *c)
{
	bool last = c->len < 4 || c->line[3] != '-';

	if (early) {
		c->code = atoi(c->line);
		return c->code == 220;
	}
	if (!last)
		return true;
	if (c->step == RCPT + 1)
		c->code = atoi(c->line);
	return c->step < STEPS && say(c);
}

static bool
read_on(struct caller *c)
{
	char buf[4096];
	ssize_t n = recv(c->fd, buf, sizeof(buf), 0);

	if (n == -1 && errno == EAGAIN)
		return true;
	for (ssize_t i = 0; i < n; i++) {
		if (c->len < sizeof(c->line) - 1)
			c->line[c->len++] = buf[i];
		if (buf[i] != '\n')
			continue;
		c->line[c->len] = '\0';
		if (!hear(c))
			return false;
		c->len = 0;
	}
	return n > 0;
}

/* Early callers speak as soon as they are connected. */
static bool
speak_first(struct caller *c)
{
	return say(c) && epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = c }) == 0;
}

static void
end(struct caller *c)
{
	answers[c->code >= 0 && c->code < CODES ? c->code : 0]++;
	close(c->fd);
	ended++;
	if (begun < callers)
		call(c);
}

int
main(int argc, char **argv)
{
	struct rlimit limit;
	struct epoll_event events[256];
	double start = now();

	if (argc != 5)
		errx(2, "usage: callers PORT N AT_ONCE polite|early");
	server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	callers = strtoul(argv[2], NULL, 10);
	early = strcmp(argv[4], "early") == 0;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	epfd = epoll_create1(0);
	for (unsigned long i = strtoul(argv[3], NULL, 10); i > 0 && begun < callers; i--)
		call(calloc(1, sizeof(struct caller)));
	while (ended < callers) {
		int n = epoll_wait(epfd, events, sizeof(events) / sizeof(events[0]), PATIENCE_MS);

		if (n == 0)
			errx(1, "%lu of %lu callers wait for an answer since a minute", callers - ended, callers);
		for (int i = 0; i < n; i++) {
			struct caller *c = events[i].data.ptr;

			if (!(events[i].events & EPOLLOUT ? speak_first(c) : read_on(c)))
				end(c);
		}
	}
	printf("%.3f", now() - start);
	for (int code = 0; code < CODES; code++)
		if (answers[code] > 0)
			printf(" %d:%lu", code, answers[code]);
	printf("\n");
	return 0;
}
