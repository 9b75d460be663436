/*
 * RCPT TO (RFC 5321 4.1.1.3): is there such a mailbox, may this client send to it, and what does the gate say?
 *
 * In this order, so that nobody is greylisted for an address that does not exist, and nobody but ours relays: an address
 * whose domain is not ours is refused unless the client is one of `relay { from }` or authenticated.  Whom the gate refuses for
 * any address learns nothing about this one, and nobody looks it up.  There is one
 * parser and one normal form, so no spelling of an address means something else further on; "%" and "!" are letters.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "smtpd/command.h"
#include "smtpd/mail_params.h"
#include "smtpd/recipient.h"
#include "smtpd/session.h"
#include "smtpd/submission.h"
#include "smtpd/transaction.h"

static bool
may_relay(const struct session *s)
{
	return s->relay_client || s->login != NULL;
}

static void
finished(struct session *s)
{
	if (s->tx == NULL) /* a good-bye that could be said at once has ended the session */
		return;
	free(s->tx->recipient);
	free(s->tx->unknown);
	s->tx->recipient = s->tx->unknown = NULL;
	session_resume(s);
}

static void
refuse(struct session *s, int code, const char *status, const char *text)
{
	log_info("rcpt.refused", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("helo", s->helo), F_STR("from", s->tx->env->sender), F_STR("to", s->tx->recipient),
	    F_U64("code", (unsigned)code), F_STR("why", text));
	s->tx->refused++;
	session_reply(s, code, status, "<%s>: %s", s->tx->recipient, text);
	if (code >= 500)
		session_error(s);
}

static void
on_judged(struct session *s, const struct door_answer *a)
{
	if (a->code != 0) {
		s->tx->refused++;
		session_reply(s, a->code, a->status, "<%s>: %s", s->tx->recipient, a->text);
		if (a->close)
			session_finish(s, "gate");
	} else {
		submission_count(s);
		envelope_add_recipient(s->tx->env, s->tx->recipient, s->tx->original, s->tx->notify);
		session_state(s, STATE_RCPT);
		session_reply(s, 250, "2.1.5", "recipient ok");
	}
	finished(s);
}

static void
on_unknown_judged(struct session *s, const struct door_answer *a)
{
	if (a->close) {
		s->tx->refused++;
		session_reply(s, a->code, a->status, "<%s>: %s", s->tx->recipient, a->text);
		session_finish(s, "gate");
	} else {
		refuse(s, 550, "5.1.1", s->tx->unknown);
	}
	finished(s);
}

/* What is wrong with an alias or a home is for us to know: strangers hear that it is not their fault. */
static void
put_off(struct session *s, const char *why)
{
	if (why == NULL || *why == '\0')
		why = "the lookup role gives no answer";
	log_warning("session.lookup", F_STR("session", id_text(s->id).s), F_STR("to", s->tx->recipient),
	    F_STR("why", why));
	refuse(s, 451, "4.3.0", may_relay(s) ? why : "cannot tell now; please try again later");
}

static void
on_lookup(enum recipient_verdict verdict, const char *why, void *arg)
{
	struct session *s = arg;

	s->tx->lookup = NULL;
	if (verdict == RECIPIENT_OURS || (verdict == RECIPIENT_FOREIGN && may_relay(s))) {
		door_pass(s, PHASE_RCPT, on_judged);
		return;
	}
	if (verdict == RECIPIENT_UNKNOWN) {
		s->tx->unknown = xstrdup(why != NULL && *why != '\0' ? why : "no such user here");
		door_pass_unknown(s, on_unknown_judged);
		return;
	}
	if (verdict == RECIPIENT_FOREIGN) {
		refuse(s, 550, "5.7.1", "we do not relay to this domain for you");
	} else {
		put_off(s, why);
	}
	finished(s);
}

/* RFC 6531 3.5: refused with a status of its own, when they were not announced. */
static bool
foreign_letters(const struct session *s, const char *arg, size_t len)
{
	size_t i;

	for (i = 0; i < len && !s->tx->env->utf8; i++)
		if ((unsigned char)arg[i] > 127)
			return true;
	return false;
}

/* Those above the limit are to be sent again (RFC 5321 4.5.3.1.10), which is no mistake of the client's.  But nobody names
 * them without end: as many refused ones as there may be accepted ones are enough, for whatever reason. */
static bool
too_many(struct session *s)
{
	uint64_t most = session_conf()->limits[LIMIT_RECIPIENTS];

	if (s->tx->env->recipients_n < most && s->tx->refused < most)
		return false;
	session_reply(s, 452, "4.5.3", "too many recipients for one message; send it again to the others");
	if (s->tx->refused++ >= most)
		session_error(s);
	return true;
}

void
cmd_rcpt(struct session *s, const char *arg, size_t len)
{
	char *address;
	const char *why;
	size_t used;

	if (too_many(s) || submission_spent(s))
		return;
	used = recipient_read(s, arg, len, &address, &why);
	if (used == 0) {
		if (foreign_letters(s, arg, len))
			session_reply(s, 553, "5.6.7", "an address that is not ASCII needs SMTPUTF8 in MAIL");
		else
			session_reply(s, 501, "5.1.3", "%s", why);
		session_error(s);
		return;
	}
	if (!rcpt_params_take(s, arg + used, len - used) || submission_unqualified(s, address, false)) {
		free(address);
		session_error(s);
		return;
	}
	s->tx->recipient = address;
	session_wait(s);
	if (door_refuses(s, s->tx->recipient))
		door_pass(s, PHASE_RCPT, on_judged);
	else
		recipient_lookup(s, arg + len, on_lookup);
}
