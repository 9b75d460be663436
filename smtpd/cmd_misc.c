/*
 * The commands that need no file each: RSET, NOOP, VRFY, QUIT (RFC 5321 4.1.1.5 to 4.1.1.10).
 */
#include "conf/conf.h"
#include "smtpd/command.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

void
cmd_rset(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	if (s->tx != NULL) {
		transaction_free(s->tx);
		s->tx = NULL;
		session_state(s, STATE_READY);
	}
	session_reply(s, 250, "2.0.0", "ok");
}

void
cmd_noop(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 250, "2.0.0", "ok");
}

/* RFC 5321 3.5.3, 7.3: neither confirms nor denies, whoever asks. */
void
cmd_vrfy(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 252, "2.5.0", "cannot tell; send a message and see");
}

void
cmd_quit(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 221, "2.0.0", "%s good-bye", session_conf()->host);
	s->brief = true;
	session_finish(s, "quit");
}
