/*
 * The SMTP client's TLS (RFC 3207, RFC 8314 3.3).
 *
 * After EHLO the client asks smtp_tls_wanted, which sends STARTTLS, lets the session go on in the
 * clear where that is allowed, or ends it.  When the handshake is done everything that the server
 * said before is forgotten and it is greeted anew.  What came in behind the reply to STARTTLS was
 * put there by somebody who cannot speak the TLS that follows, so the connection ends.
 *
 * A handshake that fails leaves a connection of which nothing is known: it ends, and where TLS need
 * not be, the owner may ask the same server again, by a new one, in the clear.  What must never
 * happen: that a session goes on in the clear although its target wants more than TLS_MAY.
 */
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "deliver/smtp_inside.h"
#include "lib/fatal.h"

static bool
may_be_clear(const struct smtp_client *c)
{
	return c->security.tls.need <= TLS_MAY && !c->security.implicit;
}

/* Texts name who wants TLS, so that an operator knows where to look. */
static void
end_for_lack(struct smtp_client *c, const char *why)
{
	bool for_good = c->security.for_good;

	smtp_end(c, for_good ? DELIVERY_PERM : DELIVERY_TEMP_DOMAIN, true,
	    "%s TLS is needed (%s), and cannot be had: %s", for_good ? "550 5.7.10" : "451 4.7.5",
	    c->security.policy, why);
}

void
smtp_tls_failed(struct smtp_client *c, const char *why)
{
	if (!may_be_clear(c)) {
		end_for_lack(c, why);
		return;
	}
	smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.7.5 no TLS: %s", why);
	c->end.no_tls = true;
}

void
smtp_tls_begin(struct smtp_client *c)
{
	struct bufferevent *clear = c->bev;
	evutil_socket_t fd = bufferevent_getfd(clear);
	bufferevent_data_cb readable, written;
	bufferevent_event_cb event;
	size_t low;
	void *arg;
	char *why;

	c->ssl = tls_client_new(&c->security.tls, &why);
	if (c->ssl == NULL) {
		smtp_tls_failed(c, why);
		free(why);
		return;
	}
	bufferevent_disable(clear, EV_READ | EV_WRITE);
	bufferevent_getcb(clear, &readable, &written, &event, &arg);
	bufferevent_getwatermark(clear, EV_WRITE, &low, NULL);
	bufferevent_setfd(clear, -1);
	bufferevent_free(clear);
	c->bev = bufferevent_openssl_socket_new(c->base, fd, c->ssl, BUFFEREVENT_SSL_CONNECTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (c->bev == NULL)
		fatal("smtp client: no memory for TLS");
	bufferevent_setcb(c->bev, readable, written, event, arg);
	bufferevent_setwatermark(c->bev, EV_WRITE, low, 0);
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	smtp_await(c, STEP_HANDSHAKE, 0);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

void
smtp_tls_done(struct smtp_client *c)
{
	c->secure = true;
	c->tls = tls_name(c->ssl);
}

bool
smtp_tls_wanted(struct smtp_client *c)
{
	if (c->secure || c->in_clear || c->security.tls.need == TLS_NONE)
		return false;
	if (c->offers & OFFER_STARTTLS) {
		smtp_command(c, STEP_STARTTLS, 0, "STARTTLS");
		return true;
	}
	if (may_be_clear(c))
		return false;
	end_for_lack(c, "the server does not offer STARTTLS");
	return true;
}

void
smtp_on_starttls(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	char *text;

	(void)recipient;
	if (reply->code >= 300 && may_be_clear(c)) {
		c->in_clear = true;
	} else if (reply->code >= 300) {
		text = smtp_reply_text(reply);
		end_for_lack(c, text);
		free(text);
	} else if (evbuffer_get_length(bufferevent_get_input(c->bev)) > 0) {
		smtp_end(c, DELIVERY_TEMP_HOST, true,
		    "451 4.7.0 text in the clear came behind the reply to STARTTLS: somebody is "
		    "between us and the server");
	} else {
		smtp_tls_begin(c);
	}
}

const char *
smtp_client_tls(const struct smtp_client *c)
{
	return c->secure ? c->tls.s : "";
}

bool
smtp_client_is_verified(const struct smtp_client *c)
{
	return c->secure && tls_client_verified(c->ssl);
}

bool
smtp_client_takes_requiretls(const struct smtp_client *c)
{
	return c->secure && c->offers & OFFER_REQUIRETLS;
}
