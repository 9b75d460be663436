/*
 * The life of a connection: its states, its beginning and its end (session.h).  What goes over the wire, and when, is
 * session_io.c's.
 *
 * A session is freed at the end of the loop's turn, from one list, because callbacks further up the stack may still hold it.
 * What must never happen: a change of state that the table does not know, or a session that is used after its end.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/table.h"
#include "smtpd/census.h"
#include "smtpd/command.h"
#include "smtpd/patience.h"
#include "smtpd/reply.h"
#include "smtpd/session_inside.h"
#include "smtpd/session_proxy.h"
#include "smtpd/session_tls.h"
#include "smtpd/transaction.h"


static const struct conf *conf;
static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);
static TAILQ_HEAD(, session) ended = TAILQ_HEAD_INITIALIZER(ended);
static unsigned sessions_n;
static struct event *reaper;

const struct conf *
session_conf(void)
{
	return conf;
}

unsigned
session_count(void)
{
	return sessions_n;
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

/* --- beginning and end --- */

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
}

void
session_init(const struct conf *c)
{
	conf = c;
	reaper = event_new(peer_base(), -1, 0, reap, NULL);
}

/* Everything but the struct goes at once. */
void
session_drop(struct session *s, const char *why)
{
	struct id_text id = id_text(s->id);
	struct ip_text ip = ip_text(&s->ip);

	if (s->fd < 0)
		return;
	log_info("session.closed", F_STR("session", id.s), F_STR("client", ip.s), F_STR("helo", s->helo), F_STR("why", why), F_STR("state", states[s->state].name),
	    F_U64("accepted", s->accepted), F_U64("errors", s->errors),
	    F_U64("ms", clock_ms() - s->door.since_ms));
	door_close(s);
	auth_forget(s);
	transaction_free(s->tx);
	s->tx = NULL;
	cmd_bdat_forget(s);
	session_io_end(s);
	session_tls_end(s);
	if (s->counted)
		census_leave(&s->ip);
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
	door_close(s);
	auth_forget(s);
	transaction_ask_no_more(s->tx); /* an answer could only lead back into the dialogue */
	if (s->handshaking) /* nothing that we could say would be understood */
		session_tls_end(s);
	if (!s->running)
		session_flush(s);
}

/* A limit on connections is said in the banner's place (RFC 5321 3.1, 3.8). */
static bool
refuse_crowd(struct session *s)
{
	struct census_count n = census_enter(&s->ip);
	const char *limit = NULL;

	s->counted = true;
	if (n.all > conf->limits[LIMIT_CONNECTIONS] && !patience_make_room(s, n.all))
		limit = "too many connections; please try again later";
	else if (n.address > conf->limits[LIMIT_CONNECTIONS_PER_ADDRESS])
		limit = "too many connections from your address; please close some first";
	else if (n.network > conf->limits[LIMIT_CONNECTIONS_PER_NETWORK])
		limit = "too many connections from your network; please close some first";
	if (limit == NULL)
		return false;
	log_notice("session.crowd", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("limit", limit), F_U64("all", n.all), F_U64("address", n.address), F_U64("network", n.network));
	if (session_tls_awaited(s)) { /* it would take a handshake to tell him */
		session_drop(s, "crowd");
		return true;
	}
	reply_format(&s->out, 421, "4.7.0", "%s %s", conf->host, limit);
	session_finish(s, "crowd");
	return true;
}

static void
at_the_door(struct session *s)
{
	s->relay_client = conf->relay_from != NULL && table_match_client(conf->relay_from, &s->ip, NULL);
	door_open(s);
}

void
session_admit(struct session *s)
{
	session_state(s, STATE_DOOR);
	if (refuse_crowd(s))
		return;
	if (s->listener->implicit_tls)
		session_tls_begin(s);
	else
		at_the_door(s);
}

void
session_new(int fd, const struct ip *ip, uint16_t port, const struct listener *listener)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->fd = fd;
	s->id = id_new();
	s->ip = s->peer = *ip;
	s->port = port;
	s->listener = listener;
	s->idle = (uint32_t)conf->limits[LIMIT_IDLE];
	TAILQ_INSERT_TAIL(&sessions, s, entry);
	sessions_n++;
	s->door.since_ms = clock_ms();
	session_io_begin(s);
	log_debug("session.opened", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(ip).s));
	if (!session_proxy_begin(s))
		session_admit(s);
}

void
session_secured(struct session *s)
{
	session_set_reading(s, true);
	if (s->state == STATE_DOOR) {
		at_the_door(s);
		return;
	}
	free(s->helo); /* RFC 3207 4.2: what was said in the clear may have been another's words, AUTH among them */
	free(s->login);
	s->helo = s->login = NULL;
	s->esmtp = false;
	session_state(s, STATE_HELLO);
	session_resume(s);
}

void
session_restart(struct session *s, const struct ip *ip, int rdns, const char *name)
{
	door_close(s);
	transaction_free(s->tx);
	s->tx = NULL;
	free(s->helo);
	s->helo = NULL;
	if (s->counted) /* it is the client's connection now, and no more the proxy's */
		census_leave(&s->ip);
	s->ip = *ip;
	s->esmtp = s->early_data = false;
	session_state(s, STATE_DOOR);
	if (rdns >= 0)
		door_set_name(s, (enum rdns_status)rdns, name);
	if (!refuse_crowd(s))
		at_the_door(s);
}

void
session_each(void (*visit)(struct session *))
{
	struct session *s;

	TAILQ_FOREACH(s, &sessions, entry)
		visit(s);
}

void
session_turn_out(struct session *s, const char *text, const char *why)
{
	if (!session_tls_awaited(s))
		reply_format(&s->out, 421, "4.3.2", "%s %s", conf->host, text);
	session_finish(s, why);
}

struct session *
session_next(const struct session *s)
{
	return s == NULL ? TAILQ_FIRST(&sessions) : TAILQ_NEXT(s, entry);
}

void
session_end_all(const char *why)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->state == STATE_CLOSING)
			continue;
		s->leaving = why;
		if (!session_in_text(s))
			session_turn_out(s, s->leaving, "shutdown");
	}
}

/* --- what commands use --- */

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
