/*
 * Reading the header of a proxy (session_proxy.h).
 *
 * Octets are looked at first (MSG_PEEK) and only those of the header are taken, so what the client sent behind it, a
 * ClientHello or words before the banner, is read by whoever reads the client.  Afterwards the session is the client's in every
 * respect: limits, gate, TLS, log, and whether its XCLIENT is believed.  A listed peer that sends no header is not served at
 * all, for everybody behind a proxy that forgot its header would be trusted as the proxy.
 */
#include <sys/socket.h>

#include <errno.h>

#include "conf/conf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/table.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"
#include "smtpd/session_proxy.h"

#define PATIENCE_MS 10000 /* for all of the header: proxies send it at once */

bool
session_proxy_begin(struct session *s)
{
	const struct table *from = s->listener->proxy_from;

	if (from == NULL || !table_match_client(from, &s->ip, NULL))
		return false;
	session_set_timer(s, PATIENCE_MS);
	return true;
}

static void
refuse(struct session *s, const char *why)
{
	log_warning("session.proxy", F_STR("session", id_text(s->id).s), F_STR("peer", ip_text(&s->ip).s), F_STR("what", why));
	session_drop(s, "no PROXY header");
}

static void
become(struct session *s, const struct proxy *p)
{
	log_debug("session.proxied", F_STR("session", id_text(s->id).s), F_STR("peer", ip_text(&s->ip).s),
	    F_STR("client", p->client.family != 0 ? ip_text(&p->client).s : NULL));
	if (p->client.family != 0) {
		s->ip = s->peer = p->client;
		s->port = p->port;
	}
	buf_free(&s->in);
}

bool
session_proxy_read(struct session *s)
{
	char octets[PROXY_HEADER_MAX];
	size_t before = s->in.len, used;
	enum proxy_status status;
	struct proxy proxy;
	ssize_t n = recv(s->fd, octets, sizeof(octets) - before, MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		session_drop(s, "left before the PROXY header");
		return false;
	}
	buf_add(&s->in, octets, (size_t)n);
	status = proxy_parse(s->in.data, s->in.len, &proxy, &used);
	if (status == PROXY_BAD || (status == PROXY_MORE && s->in.len == PROXY_HEADER_MAX)) {
		refuse(s, "what it sends is no PROXY header; is it a proxy?");
		return false;
	}
	/* they are there: no more and no less was just seen */
	(void)recv(s->fd, octets, status == PROXY_DONE ? used - before : (size_t)n, 0);
	if (status != PROXY_DONE)
		return false;
	become(s, &proxy);
	return true;
}

void
session_proxy_timeout(struct session *s)
{
	refuse(s, "it sends no PROXY header; is it a proxy?");
}
