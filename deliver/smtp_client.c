/*
 * The SMTP client (smtp_client.h): one table of steps, one queue of replies that are awaited.
 *
 * Every command that is sent puts its step into the queue; every reply takes the first one out and
 * is handled by that step's row of the table.  With PIPELINING a whole transaction up to DATA is
 * sent at once, without it one command for each reply; nothing else differs.  A message whose
 * recipients the server takes only in part (452) goes out in as many transactions as it needs, over
 * this connection.
 *
 * Everything that can go wrong with a connection ends in one function, which says what that means
 * for recipients without a result: a temporary failure, unless the server itself said "never".  If
 * the connection is lost when all of the data is out, the server may have taken the message: that
 * is said, and no other server is tried at once. What must never happen: a recipient that is
 * reported as delivered without a 2xx reply to the data of his own transaction; a CR or LF of an
 * address or a content that the server takes for the end of a line.
 *
 * Replies are handled in the loop's turn in which they arrive; memory goes at the end of the turn.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "deliver/smtp_inside.h"
#include "lib/log.h"
#include "lib/mem.h"

#define OUTPUT_LOW (64 * 1024)

struct step_row {
	const char *name; /* what a time-out or a loss is said to have waited for */
	unsigned seconds; /* RFC 5321 4.5.3.2; 0: the configuration's */
	void (*reply)(struct smtp_client *, const struct smtp_reply *, unsigned recipient);
};
static const struct step_row steps[STEP_COUNT];

/* --- the end --- */

void
smtp_end(
    struct smtp_client *c, enum delivery_status status, bool try_elsewhere, const char *fmt, ...)
{
	va_list ap;

	if (c->over)
		return;
	c->over = true;
	va_start(ap, fmt);
	c->end_text = xvasprintf(fmt, ap);
	va_end(ap);
	c->end = (struct smtp_client_end){
		.status = status, .try_elsewhere = try_elsewhere, .text = c->end_text
	};
	if (c->bev != NULL)
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	event_del(&c->timer);
	event_active(&c->turn, 0, 0);
}

/* In the words of a reply, for a server that turns the session away. */
void
smtp_end_by_reply(struct smtp_client *c, const struct smtp_reply *reply, bool try_elsewhere)
{
	char *text = smtp_reply_text(reply);
	bool never = reply->code >= 500;

	smtp_end(c, never ? DELIVERY_PERM : DELIVERY_TEMP_HOST, try_elsewhere, "%s", text);
	free(text);
}

static enum step
present_step(const struct smtp_client *c)
{
	if (c->streaming)
		return STEP_CONTENT;
	return c->awaited_n > 0 ? c->awaited[0].step : STEP_IDLE;
}

bool
smtp_client_is_committed(const struct smtp_client *c)
{
	/* what is still in our buffer has no final dot that anybody saw */
	return c->committed && evbuffer_get_length(bufferevent_get_output(c->bev)) == 0;
}

bool
smtp_client_tells_sender(const struct smtp_client *c, const struct smtp_client_message *m)
{
	/* RFC 2852 4.1.4: who wants a trace, or a time that is no longer kept, is told by us that it was relayed */
	if ((m->by & BY_TRACE) || ((m->by & BY_NOTIFY) && !(c->offers & OFFER_DELIVERBY)))
		return false;
	return (c->offers & OFFER_DSN) != 0;
}

bool
smtp_client_is_used_up(const struct smtp_client *c)
{
	return c->limits.mails > 0 && c->mails >= c->limits.mails;
}

/* WHAT is "the server closed the connection" and the like. */
static void
end_by_loss(struct smtp_client *c, const char *what)
{
	if (smtp_client_is_committed(c))
		smtp_end(c, DELIVERY_TEMP, false,
		    "451 4.4.2 %s after the whole message was sent; the server may have it, "
		    "so it may arrive twice",
		    what);
	else
		smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.4.2 %s while waiting for %s", what,
		    steps[present_step(c)].name);
}

static void
release(struct smtp_client *c)
{
	event_del(&c->timer);
	event_del(&c->turn);
	if (c->secure)
		tls_goodbye(c->ssl);
	if (c->bev != NULL)
		bufferevent_free(c->bev);
	smtp_login_free(c);
	smtp_form_free(&c->form);
	smtp_reply_free(&c->reply);
	free(c->awaited);
	free(c->steps);
	free(c->end_text);
	free(c->refusal);
	free(c->mechanisms);
	free(c);
}

void
smtp_client_free(struct smtp_client *c)
{
	c->ops = NULL;
	smtp_end(c, DELIVERY_TEMP, false, "closed");
}

/* --- timers, and what is awaited --- */

void
smtp_arm(struct smtp_client *c)
{
	enum step step = present_step(c);
	unsigned seconds = steps[step].seconds;

	if (step == STEP_CONNECT)
		seconds = c->conf->connect_timeout;
	else if (step == STEP_IDLE)
		seconds = c->conf->idle_timeout;
	event_add(&c->timer, &(struct timeval){ (time_t)seconds, 0 });
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct smtp_client *c = arg;

	(void)fd;
	(void)what;
	if (present_step(c) == STEP_CONNECT)
		smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.4.1 cannot connect: no answer");
	else if (present_step(c) == STEP_HANDSHAKE)
		smtp_tls_failed(c, "time-out");
	else if (present_step(c) == STEP_IDLE && c->ops != NULL) {
		const struct smtp_client_ops *ops = c->ops;

		/* its owner forgets it now, and it takes leave in its own time */
		c->end = (struct smtp_client_end){ .status = DELIVERY_TEMP, .text = "" };
		c->ops = NULL;
		ops->ended(c, &c->end, c->arg);
		smtp_client_quit(c);
	} else
		end_by_loss(c, "time-out");
}

void
smtp_await(struct smtp_client *c, enum step step, unsigned recipient)
{
	if (c->awaited_n == c->awaited_cap) {
		c->awaited_cap = c->awaited_cap == 0 ? 8 : c->awaited_cap * 2;
		c->awaited = xreallocarray(c->awaited, c->awaited_cap, sizeof(*c->awaited));
	}
	c->awaited[c->awaited_n++] = (struct awaited){ step, recipient };
	if (c->awaited_n == 1)
		smtp_arm(c);
}

static struct awaited
take_awaited(struct smtp_client *c)
{
	struct awaited first = c->awaited[0];

	c->awaited_n--;
	memmove(c->awaited, c->awaited + 1, c->awaited_n * sizeof(*c->awaited));
	return first;
}

void
smtp_command(struct smtp_client *c, enum step step, unsigned recipient, const char *fmt, ...)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	va_list ap;

	va_start(ap, fmt);
	evbuffer_add_vprintf(out, fmt, ap);
	va_end(ap);
	evbuffer_add(out, "\r\n", 2);
	smtp_await(c, step, recipient);
}

/* --- the steps --- */

static void
on_quit(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)reply;
	(void)recipient;
	smtp_end(c, DELIVERY_TEMP, false, "closed");
}

static const struct step_row steps[STEP_COUNT] = {
	[STEP_CONNECT] = { "the connection", 0, NULL },
	[STEP_BANNER] = { "the greeting", 300, smtp_on_banner },
	[STEP_EHLO] = { "the reply to EHLO", 300, smtp_on_ehlo },
	[STEP_HELO] = { "the reply to HELO", 300, smtp_on_helo },
	[STEP_STARTTLS] = { "the reply to STARTTLS", 120, smtp_on_starttls },
	[STEP_HANDSHAKE] = { "the TLS handshake", 60, NULL },
	[STEP_AUTH] = { "the reply to AUTH", 180, smtp_on_auth },
	[STEP_MAIL] = { "the reply to MAIL", 300, smtp_on_mail },
	[STEP_RCPT] = { "the reply to RCPT", 300, smtp_on_rcpt },
	[STEP_DATA] = { "the reply to DATA", 120, smtp_on_data },
	[STEP_CONTENT] = { "room to send the message", 180, NULL },
	[STEP_DOT] = { "the reply to the message", 600, smtp_on_dot },
	[STEP_RSET] = { "the reply to RSET", 300, smtp_on_rset },
	[STEP_IDLE] = { "the next message", 0, NULL },
	[STEP_QUIT] = { "the reply to QUIT", 10, on_quit },
};

/* --- the connection --- */

static void
handle(struct smtp_client *c, const struct smtp_reply *reply)
{
	struct awaited first;

	if (reply->code == 421) {
		/* RFC 5321 3.8: at any time; what was not accepted before did not happen */
		smtp_end_by_reply(c, reply, true);
		return;
	}
	c->answered = true;
	if (c->awaited_n == 0) {
		smtp_end(
		    c, DELIVERY_TEMP_HOST, true, "451 4.5.0 the server answered what nobody asked");
		return;
	}
	first = take_awaited(c);
	steps[first.step].reply(c, reply, first.recipient);
	if (c->over)
		return;
	if (c->awaited_n == 0)
		smtp_advance(c);
	if (!c->over)
		smtp_arm(c);
}

static void
on_readable(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct smtp_client *c = arg;
	enum smtp_reply_status status;
	struct evbuffer_iovec piece;
	size_t used;

	/* what STARTTLS replaced has nothing more to say */
	while (!c->over && bev == c->bev && evbuffer_peek(in, -1, NULL, &piece, 1) > 0) {
		status = smtp_reply_feed(&c->reply, piece.iov_base, piece.iov_len, &used);
		evbuffer_drain(in, used);
		if (status == SMTP_REPLY_BAD)
			smtp_end(c, DELIVERY_TEMP_HOST, true,
			    "451 4.5.0 the server does not speak SMTP");
		else if (status == SMTP_REPLY_DONE) {
			handle(c, &c->reply);
			smtp_reply_clear(&c->reply);
		}
	}
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct smtp_client *c = arg;

	(void)bev;
	if (!c->over && c->streaming)
		smtp_send_content(c);
}

/* Over a connection that is there. */
static void
begin(struct smtp_client *c)
{
	if (c->security.implicit && c->security.tls.need != TLS_NONE) {
		smtp_tls_begin(c);
		return;
	}
	smtp_await(c, STEP_BANNER, 0);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void
on_connected(struct smtp_client *c)
{
	const int on = 1;

	setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)take_awaited(c);
	begin(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct smtp_client *c = arg;
	int error = EVUTIL_SOCKET_ERROR();
	char *why;

	if (c->over || bev != c->bev)
		return;
	if (what & BEV_EVENT_CONNECTED && c->ssl != NULL) {
		(void)take_awaited(c);
		smtp_tls_done(c);
	} else if (what & BEV_EVENT_CONNECTED) {
		on_connected(c);
	} else if (present_step(c) == STEP_HANDSHAKE) {
		why = tls_client_why(c->ssl, bufferevent_get_openssl_error(bev));
		smtp_tls_failed(c, why);
		free(why);
	} else if (present_step(c) == STEP_CONNECT)
		smtp_end(
		    c, DELIVERY_TEMP_HOST, true, "451 4.4.1 cannot connect: %s", strerror(error));
	else
		end_by_loss(c, what & BEV_EVENT_ERROR && c->ssl == NULL
				   ? strerror(error)
				   : "the server closed the connection");
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct smtp_client *c = arg;
	char *refusal = c->refusal;

	(void)fd;
	(void)what;
	if (c->over) {
		c->end.answered = c->message != NULL && c->answered;
		if (c->ops != NULL)
			c->ops->ended(c, &c->end, c->arg);
		release(c);
	} else if (refusal != NULL) {
		c->refusal = NULL;
		smtp_report_all(c, TO_SEND, refusal[0] == '4' ? DELIVERY_TEMP : DELIVERY_PERM, refusal);
		free(refusal);
		smtp_begin_transaction(c);
	} else if (c->finished) {
		c->finished = false;
		c->ops->ready(c, c->arg);
	}
}

struct smtp_client *
smtp_client_new(struct event_base *base, const struct smtp_client_conf *conf,
    const struct smtp_client_ops *ops, void *arg)
{
	struct smtp_client *c = xcalloc(1, sizeof(*c));

	c->base = base;
	c->conf = conf;
	c->ops = ops;
	c->arg = arg;
	evtimer_assign(&c->timer, base, on_timer, c);
	event_assign(&c->turn, base, -1, 0, on_turn, c);
	return c;
}

void
smtp_attach(struct smtp_client *c, struct bufferevent *bev)
{
	if (bev == NULL)
		fatal("smtp client: no memory for a connection");
	c->bev = bev;
	bufferevent_setcb(c->bev, on_readable, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_LOW, 0);
}

static void
attach(struct smtp_client *c, int fd)
{
	smtp_attach(c,
	    bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS));
}

void
smtp_client_secure(struct smtp_client *c, const struct smtp_client_security *security)
{
	c->security = *security;
}

void
smtp_client_call_from(struct smtp_client *c, const struct ip *source, const char *helo)
{
	c->source = source != NULL && source->family != 0 ? source : NULL;
	c->helo = helo;
}

/* A socket at the source address, or -1: it may not be this host's any more. */
static int
bound_socket(const struct ip *source)
{
	struct sockaddr_storage ss;
	socklen_t len = ip_to_sockaddr(source, 0, &ss);
	int fd = socket(source->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

void
smtp_client_connect(struct smtp_client *c, const struct ip *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = ip_to_sockaddr(ip, port, &ss);
	int fd = c->source != NULL ? bound_socket(c->source) : -1;
	int error = errno;

	attach(c, fd);
	smtp_await(c, STEP_CONNECT, 0);
	if (fd < 0 && c->source != NULL) {
		smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.3.5 cannot call from %s: %s",
		    ip_text(c->source).s, strerror(error));
		return;
	}
	if (bufferevent_socket_connect(c->bev, (struct sockaddr *)&ss, (int)len) < 0)
		smtp_end(
		    c, DELIVERY_TEMP_HOST, true, "451 4.4.1 cannot connect: %s", strerror(errno));
}

void
smtp_client_use(struct smtp_client *c, int fd)
{
	evutil_make_socket_nonblocking(fd);
	attach(c, fd);
	begin(c);
}

void
smtp_client_quit(struct smtp_client *c)
{
	c->ops = NULL;
	if (c->over)
		return;
	if (c->message != NULL || c->awaited_n > 0) {
		smtp_end(c, DELIVERY_TEMP, false, "closed");
		return;
	}
	c->finished = false;
	smtp_command(c, STEP_QUIT, 0, "QUIT");
}
