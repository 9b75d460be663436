/*
 * MAIL FROM (RFC 5321 4.1.1.2): begins a transaction.  The null reverse-path is never refused for being null (4.5.5).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "lib/mailaddr.h"
#include "smtpd/command.h"
#include "smtpd/mail_params.h"
#include "smtpd/session.h"
#include "smtpd/submission.h"
#include "smtpd/transaction.h"

/* RFC 1870 6.1: what is too big for us for good, or now. */
static bool
room(struct session *s)
{
	const char *why;

	if (s->tx->declared > session_conf()->limits[LIMIT_SIZE]) {
		session_reply(s, 552, "5.3.4", "larger than the %" PRIu64 " octets that this server takes",
		    session_conf()->limits[LIMIT_SIZE]);
		return false;
	}
	why = submit_refusal(s->tx->declared);
	if (why == NULL)
		return true;
	session_raw(s, why);
	return false;
}

static void
drop(struct session *s)
{
	transaction_free(s->tx);
	s->tx = NULL;
}

static void
on_judged(struct session *s, const struct door_answer *a)
{
	if (a->code != 0) {
		session_reply(s, a->code, a->status, "%s", a->text);
		drop(s);
		if (a->close)
			session_finish(s, "gate");
	} else {
		session_reply(s, 250, "2.1.0", "sender ok");
		session_state(s, STATE_MAIL);
	}
	session_resume(s);
}

/* RFC 6531 3.4: addresses that are not ASCII need the parameter, which stands behind them. */
static bool
ascii_unless_said(struct session *s, const char *path, size_t len)
{
	size_t i;

	for (i = 0; i < len && !s->tx->env->utf8; i++) {
		if ((unsigned char)path[i] > 127) {
			session_reply(s, 553, "5.6.7", "an address that is not ASCII needs SMTPUTF8 behind it");
			return false;
		}
	}
	return true;
}

static bool
crowded(struct session *s)
{
	if (s->messages < session_conf()->limits[LIMIT_MESSAGES])
		return false;
	session_reply(s, 421, "4.7.0", "%s enough messages for one connection; please open another",
	    session_conf()->host);
	session_finish(s, "messages");
	return true;
}

static void
on_sender(struct session *s, enum recipient_verdict verdict)
{
	if (verdict == RECIPIENT_OURS) {
		door_pass(s, PHASE_MAIL, on_judged);
		return;
	}
	drop(s);
	if (verdict == RECIPIENT_FOREIGN)
		session_error(s);
	session_resume(s);
}

void
cmd_mail(struct session *s, const char *arg, size_t len)
{
	struct mailaddr sender;
	const char *why = "FROM:<address> expected";
	size_t skip = 5, used = 0;
	char *text;

	if (crowded(s) || submission_stranger(s))
		return;
	if (len >= 5 && strncasecmp(arg, "FROM:", 5) == 0) {
		while (skip < len && arg[skip] == ' ')
			skip++;
		used = mailaddr_parse_path(
		    arg + skip, len - skip, MAILADDR_NULL | (s->esmtp ? MAILADDR_UTF8 : 0), &sender, &why);
	}
	if (used == 0) {
		session_reply(s, 501, "5.1.7", "%s", why);
		session_error(s);
		return;
	}
	text = mailaddr_format(&sender);
	mailaddr_free(&sender);
	s->tx = transaction_new(s, text);
	s->door.grey_waited = 0;
	free(text);
	if (!mail_params_take(s, arg + skip + used, len - skip - used) || !ascii_unless_said(s, arg + skip, used) ||
	    submission_unqualified(s, s->tx->env->sender, true)) {
		drop(s);
		session_error(s);
		return;
	}
	if (!room(s)) {
		drop(s);
		return;
	}
	session_wait(s);
	submission_check_sender(s, on_sender);
}
