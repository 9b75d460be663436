/*
 * STARTTLS (RFC 3207): "220", and from then on TLS.
 *
 * Nothing may follow it in the clear: not what came in the same group of commands, which is refused
 * here (whoever sits between the client and us could have put it there, and it would then seem to have
 * come under TLS: CVE-2011-0411), and not what comes while our 220 is on its way, which OpenSSL finds
 * to be no handshake.
 */
#include "conf/conf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/tls_server.h"
#include "smtpd/command.h"
#include "smtpd/session.h"

void
cmd_starttls(struct session *s, const char *arg, size_t len)
{
	const struct listener *l = s->listener;

	(void)arg;
	(void)len;
	if (s->tls != NULL) {
		session_reply(s, 503, "5.5.1", "TLS is on already");
		session_error(s);
		return;
	}
	if (s->rest > 0) {
		log_notice("session.injection", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
		    F_U64("octets", s->rest), F_STR("what", "commands in the clear behind STARTTLS; refused"));
		session_reply(s, 554, "5.5.0", "nothing may follow STARTTLS before TLS; good-bye");
		session_finish(s, "commands behind STARTTLS");
		return;
	}
	s->tls = tls_server_new(s->fd, l->certificate->name, l->client_ca);
	if (s->tls == NULL) {
		session_reply(s, 454, "4.7.0", "TLS is not to be had just now");
		return;
	}
	s->upgrading = true;
	session_wait(s);
	session_reply(s, 220, "2.0.0", "go ahead");
}
