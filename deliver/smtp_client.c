/*
 * The SMTP client (smtp_client.h): every reply goes to the row of the step that awaits it.
 *
 * With PIPELINING a whole transaction up to DATA is sent at once, without it one command for each
 * reply; nothing else differs.  A message whose recipients the server takes only in part (452) goes
 * out in as many transactions as it needs, over this connection.
 *
 * If the connection is lost when all of the data is out, the server may have taken the message:
 * that is said, and no other server is tried at once.  What must never happen: a recipient that is
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
#include "lib/fatal.h"
#include "lib/mem.h"

#define OUTPUT_LOW (64 * 1024)

/* --- the end --- */

bool
smtp_client_is_committed(const struct smtp_client *c)
{
	/* a final dot that is still in our buffer was seen by nobody */
	return c->committed && evbuffer_get_length(bufferevent_get_output(c->bev)) <= c->behind;
}

bool
smtp_client_tells_sender(const struct smtp_client *c, const struct smtp_client_message *m)
{
	/* RFC 2852 4.1.4: whoever wants a trace, or a time that is no longer kept, is told by us that it was relayed */
	if ((m->by & BY_TRACE) || ((m->by & BY_NOTIFY) && !(c->offers & OFFER_DELIVERBY)))
		return false;
	return (c->offers & OFFER_DSN) != 0;
}

/* WHAT is "the server closed the connection" and the like. */
static void
end_by_loss(struct smtp_client *c, const char *what)
{
	bool committed = smtp_client_is_committed(c);
	char *doubt = xasprintf(
	    "451 4.4.2 %s after the whole message was sent; the server may have it, so it may arrive twice",
	    what);

	if (committed && !smtp_has_others(c)) {
		smtp_end(c, DELIVERY_TEMP, false, "%s", doubt);
	} else {
		if (committed)
			smtp_report_all(c, ACCEPTED, DELIVERY_TEMP, doubt);
		smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.4.2 %s while waiting for %s", what,
		    smtp_waits_for(c));
	}
	free(doubt);
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

/* --- time --- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct smtp_client *c = arg;

	(void)fd;
	(void)what;
	if (smtp_present_step(c) == STEP_CONNECT)
		smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.4.1 cannot connect: no answer");
	else if (smtp_present_step(c) == STEP_HANDSHAKE)
		smtp_tls_failed(c, "time-out");
	else if (smtp_present_step(c) == STEP_IDLE && c->ops != NULL) {
		const struct smtp_client_ops *ops = c->ops;

		/* its owner forgets it now, and it takes leave in its own time */
		c->end = (struct smtp_client_end){ .status = DELIVERY_TEMP, .text = "" };
		c->ops = NULL;
		ops->ended(c, &c->end, c->arg);
		smtp_client_quit(c);
	} else
		end_by_loss(c, "time-out");
}

/* --- the steps --- */

static void
on_quit(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)reply;
	(void)recipient;
	smtp_end(c, DELIVERY_TEMP, false, "closed");
}

static void (*const replies[STEP_COUNT])(struct smtp_client *, const struct smtp_reply *, unsigned recipient) = {
	[STEP_BANNER] = smtp_on_banner,
	[STEP_EHLO] = smtp_on_ehlo,
	[STEP_HELO] = smtp_on_helo,
	[STEP_STARTTLS] = smtp_on_starttls,
	[STEP_AUTH] = smtp_on_auth,
	[STEP_MAIL] = smtp_on_mail,
	[STEP_RCPT] = smtp_on_rcpt,
	[STEP_DATA] = smtp_on_data,
	[STEP_DOT] = smtp_on_dot,
	[STEP_RSET] = smtp_on_rset,
	[STEP_QUIT] = on_quit,
};

/* --- the connection --- */

/* Nothing is awaited any more: the greeting, or the message, has its next command, or is at its end. */
static void
go_on(struct smtp_client *c)
{
	if (c->message != NULL) {
		smtp_advance(c);
	} else if (!smtp_tls_wanted(c) && !smtp_login_wanted(c)) {
		c->finished = true;
		event_active(&c->turn, 0, 0);
	}
}

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
	first = smtp_take_awaited(c);
	replies[first.step](c, reply, first.recipient);
	if (c->over)
		return;
	if (c->awaited_n == 0)
		go_on(c);
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
		if (status == SMTP_REPLY_BAD && smtp_client_is_committed(c))
			end_by_loss(c, "the server ceased to speak SMTP");
		else if (status == SMTP_REPLY_BAD)
			smtp_end(c, DELIVERY_TEMP_HOST, true,
			    "451 4.5.0 the server does not speak SMTP");
		else if (status == SMTP_REPLY_DONE) {
			handle(c, &c->reply);
			smtp_reply_clear(&c->reply);
		}
	}
	smtp_write_now(c);
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
	(void)smtp_take_awaited(c);
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
		(void)smtp_take_awaited(c);
		smtp_tls_done(c);
		if (c->security.implicit)
			smtp_await(c, STEP_BANNER, 0);
		else
			smtp_say_ehlo(c);
	} else if (what & BEV_EVENT_CONNECTED) {
		on_connected(c);
	} else if (smtp_present_step(c) == STEP_HANDSHAKE) {
		why = tls_client_why(c->ssl, bufferevent_get_openssl_error(bev));
		smtp_tls_failed(c, why);
		free(why);
	} else if (smtp_present_step(c) == STEP_CONNECT)
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
		smtp_write_now(c);
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

static void
attach(struct smtp_client *c, int fd)
{
	c->bev = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (c->bev == NULL)
		fatal("smtp client: no memory for a connection");
	bufferevent_setcb(c->bev, on_readable, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_LOW, 0);
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
	smtp_write_now(c);
}
