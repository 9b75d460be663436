/*
 * What every part of a dialogue does with its session (session.h).
 *
 * What drives sessions (session_io.c) and ends what is under way for one (session_life.c) is above those parts, and hears of
 * it by struct session_ops.  A session is freed at the end of the loop's turn, from one list, because callbacks further up the
 * stack may still hold it.  What must never happen: a change of state that the table does not know, or a session that is used
 * after its end.
 */
#include <sys/socket.h>

#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

#define CROWD 50 /* sessions, whose memory is worth looking for */

static const struct conf *conf;
static const struct session_ops *ops;
static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);
static TAILQ_HEAD(, session) ended = TAILQ_HEAD_INITIALIZER(ended);
static unsigned sessions_n, most_n; /* now; since memory was given back last */
static struct event *reaper;

const struct conf *
session_conf(void)
{
	return conf;
}

/* --- states --- */

static const struct {
	const char *name;
	unsigned next; /* STATE_BIT()s */
} states[] = {
	[STATE_PROXY] = { "proxy", STATE_BIT(STATE_DOOR) | STATE_BIT(STATE_CLOSING) },
	[STATE_DOOR] = { "door", STATE_BIT(STATE_HELLO) | STATE_BIT(STATE_REFUSED) | STATE_BIT(STATE_CLOSING) },
	[STATE_HELLO] = { "hello", STATE_BIT(STATE_READY) | STATE_BIT(STATE_DOOR) | STATE_BIT(STATE_CLOSING) },
	[STATE_READY] = { "ready", STATE_BIT(STATE_HELLO) | STATE_BIT(STATE_READY) | STATE_BIT(STATE_MAIL) | STATE_BIT(STATE_DOOR) |
	        STATE_BIT(STATE_CLOSING) },
	[STATE_MAIL] = { "mail", STATE_BIT(STATE_READY) | STATE_BIT(STATE_RCPT) | STATE_BIT(STATE_CLOSING) },
	[STATE_RCPT] = { "rcpt", STATE_BIT(STATE_READY) | STATE_BIT(STATE_RCPT) | STATE_BIT(STATE_DATA) |
	        STATE_BIT(STATE_BDAT) | STATE_BIT(STATE_CLOSING) },
	[STATE_DATA] = { "data", STATE_BIT(STATE_READY) | STATE_BIT(STATE_CLOSING) },
	[STATE_BDAT] = { "bdat", STATE_BIT(STATE_READY) | STATE_BIT(STATE_CLOSING) },
	[STATE_REFUSED] = { "refused", STATE_BIT(STATE_CLOSING) },
	[STATE_CLOSING] = { "closing", 0 },
};

const char *
session_state_name(unsigned state)
{
	return states[state].name;
}

void
session_state(struct session *s, enum session_state next)
{
	if (!(states[s->state].next & STATE_BIT(next)))
		fatal("session: from %s to %s", states[s->state].name, states[next].name);
	s->state = (uint8_t)next;
}

/* --- all of them --- */

/* What a crowd needed is scattered over the heap when it has gone, and stays ours until somebody looks for whole pages. */
static void
give_back(void)
{
	if (most_n < CROWD || sessions_n > most_n / 4)
		return;
	malloc_trim(0);
	most_n = sessions_n;
}

static void
reap(evutil_socket_t fd, short what, void *arg)
{
	struct session *s;

	(void)fd;
	(void)what;
	(void)arg;
	while ((s = TAILQ_FIRST(&ended)) != NULL) {
		TAILQ_REMOVE(&ended, s, entry);
		free(s);
	}
	give_back();
}

void
session_use(const struct conf *c, const struct session_ops *o)
{
	conf = c;
	ops = o;
	reaper = event_new(peer_base(), -1, 0, reap, NULL);
}

struct session *
session_add(int fd, const struct ip *ip, uint16_t port, const struct listener *listener)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->fd = fd;
	s->id = id_new();
	s->ip = s->peer = *ip;
	s->port = port;
	s->listener = listener;
	s->idle = (uint32_t)conf->limits[LIMIT_IDLE];
	s->door.since_ms = clock_ms();
	TAILQ_INSERT_TAIL(&sessions, s, entry);
	if (++sessions_n > most_n)
		most_n = sessions_n;
	return s;
}

unsigned
session_count(void)
{
	return sessions_n;
}

void
session_each(void (*visit)(struct session *))
{
	struct session *s;

	TAILQ_FOREACH(s, &sessions, entry)
		visit(s);
}

struct session *
session_next(const struct session *s)
{
	return s == NULL ? TAILQ_FIRST(&sessions) : TAILQ_NEXT(s, entry);
}

/* --- words --- */

void
session_reply(struct session *s, int code, const char *status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_formatv(&s->out, code, status, fmt, ap);
	va_end(ap);
}

void
session_raw(struct session *s, const char *line)
{
	buf_addf(&s->out, "%s\r\n", line);
}

bool
session_error(struct session *s)
{
	if (s->errors < UINT16_MAX)
		s->errors++;
	if (s->errors <= conf->limits[LIMIT_ERRORS])
		return true;
	session_reply(s, 421, "4.7.0", "%s too many errors; good-bye", conf->host);
	session_finish(s, "errors");
	return false;
}

/* --- waiting --- */

void
session_arm(struct session *s)
{
	uint64_t now = clock_ms(), ms = s->deadline_ms > now ? s->deadline_ms - now : 0;

	if (s->fd >= 0 && s->deadline_ms != 0)
		event_add(&s->timer, &(struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) });
}

void
session_set_timer(struct session *s, uint64_t ms)
{
	s->deadline_ms = clock_ms() + ms;
	session_arm(s);
}

void
session_wait(struct session *s)
{
	s->busy = true;
}

void
session_resume(struct session *s)
{
	if (!s->busy || s->fd < 0)
		return;
	s->busy = false;
	if (s->running) /* answered before the command had returned: its caller goes on */
		return;
	ops->go_on(s);
}

void
session_greet(struct session *s, int code, const char *status, const char *text)
{
	s->busy = false;
	if (code == 0) {
		session_reply(s, 220, NULL, "%s ESMTP Genkan", conf->host);
		session_state(s, STATE_HELLO);
	} else {
		session_reply(s, code, NULL, "%s %s%s%s", conf->host, status != NULL ? status : "", status ? " " : "",
		    text);
		session_state(s, STATE_REFUSED);
	}
	if (!s->running)
		ops->go_on(s);
}

bool
session_awaits_tls(const struct session *s)
{
	return s->handshaking || s->upgrading || (s->listener->implicit_tls && s->tls == NULL);
}

void
session_await(struct session *s, int want)
{
	ops->await(s, want);
}

/* --- the end --- */

/* Everything but the struct goes at once. */
void
session_drop(struct session *s, const char *why)
{
	struct id_text id = id_text(s->id);
	struct ip_text ip = ip_text(&s->ip);

	if (s->fd < 0)
		return;
	log_info("session.closed", F_STR("session", id.s), F_STR("client", ip.s), F_STR("helo", s->helo), F_STR("why", why),
	    F_STR("state", states[s->state].name), F_U64("accepted", s->accepted), F_U64("errors", s->errors),
	    F_U64("ms", clock_ms() - s->door.since_ms));
	ops->dropped(s);
	close(s->fd);
	s->fd = -1;
	s->state = STATE_CLOSING;
	buf_free(&s->in);
	buf_free(&s->out);
	free(s->helo);
	free(s->login);
	s->helo = s->login = NULL;
	TAILQ_REMOVE(&sessions, s, entry);
	TAILQ_INSERT_TAIL(&ended, s, entry);
	sessions_n--;
	event_active(reaper, 0, 0);
}

void
session_finish(struct session *s, const char *why)
{
	if (s->state == STATE_CLOSING)
		return;
	session_state(s, STATE_CLOSING);
	s->busy = false;
	s->why = why;
	ops->finished(s);
}

void
session_turn_out(struct session *s, const char *text, const char *why)
{
	if (!session_awaits_tls(s))
		reply_format(&s->out, 421, "4.3.2", "%s %s", conf->host, text);
	session_finish(s, why);
}

/* --- who it is --- */

bool
session_reached(const struct session *s, const struct ip *ip)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ip here;

	return getsockname(s->fd, (struct sockaddr *)&ss, &len) == 0 && ip_from_sockaddr((struct sockaddr *)&ss, &here) &&
	    ip_equal(ip, &here);
}

char *
session_client_text(const struct session *s)
{
	return xasprintf("%s[%s]", s->door.facts.name != NULL ? s->door.facts.name : "unknown", ip_text(&s->ip).s);
}
