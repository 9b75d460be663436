/*
 * The beginning and the end of connections (session_life.h): all that hangs on a session is ended here.
 */
#include <stddef.h>

#include "conf/conf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "smtpd/arrival.h"
#include "smtpd/census.h"
#include "smtpd/command.h"
#include "smtpd/session_io.h"
#include "smtpd/session_life.h"
#include "smtpd/session_proxy.h"
#include "smtpd/session_tls.h"
#include "smtpd/transaction.h"

/* Its last words are in OUT. */
static void
on_finished(struct session *s)
{
	door_close(s);
	auth_forget(s);
	transaction_ask_no_more(s->tx); /* an answer could only lead back into the dialogue */
	if (s->handshaking) /* nothing that we could say would be understood */
		session_tls_end(s);
	if (!s->running)
		session_flush(s);
}

static void
on_dropped(struct session *s)
{
	door_close(s);
	auth_forget(s);
	transaction_free(s->tx);
	s->tx = NULL;
	cmd_bdat_forget(s);
	session_io_end(s);
	session_tls_end(s);
	if (s->counted)
		census_leave(&s->ip);
}

void
session_init(const struct conf *conf)
{
	static const struct session_ops ops = {
		.go_on = session_go_on,
		.await = session_io_await,
		.finished = on_finished,
		.dropped = on_dropped,
	};

	session_use(conf, &ops);
	session_tls_init(session_secured);
}

void
session_new(int fd, const struct ip *ip, uint16_t port, const struct listener *listener)
{
	struct session *s = session_add(fd, ip, port, listener);

	session_io_begin(s);
	log_debug("session.opened", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(ip).s));
	if (!session_proxy_begin(s))
		session_admit(s);
}

void
session_end_all(const char *why)
{
	struct session *s, *next;

	for (s = session_next(NULL); s != NULL; s = next) {
		next = session_next(s);
		if (s->state == STATE_CLOSING)
			continue;
		s->leaving = why;
		if (!session_in_text(s))
			session_turn_out(s, s->leaving, "shutdown");
	}
}
