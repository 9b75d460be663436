/*
 * HELO and EHLO (RFC 5321 4.1.1.1): who the client says it is, and what we offer.  Both begin anew: a transaction under
 * way is dropped (4.1.4).  A name that is not the client's own is no reason to refuse (4.1.4); rules may ask for it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "smtpd/command.h"
#include "smtpd/extension.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* A domain or address literal.  Underscores are wrong and common, so they pass. */
static bool
name_ok(const char *name, size_t len)
{
	char *folded = xstrndup(name, len), *p;
	bool ok;

	for (p = folded; *p != '\0'; p++)
		if (*p == '_')
			*p = 'x';
	ok = mailaddr_domain_ok(folded, len, 0);
	free(folded);
	return ok;
}

static void
on_judged(struct session *s, const struct door_answer *a)
{
	if (a->code != 0) {
		session_reply(s, a->code, a->status, "%s", a->text);
		free(s->helo);
		s->helo = NULL;
		if (a->close)
			session_finish(s, "gate");
	} else {
		session_state(s, STATE_READY);
		if (s->esmtp)
			extensions_say(s);
		else
			session_reply(s, 250, NULL, "%s", session_conf()->host);
	}
	session_resume(s);
}

static void
hello(struct session *s, const char *name, size_t len, bool esmtp)
{
	if (!name_ok(name, len)) {
		session_reply(s, 501, "5.5.4", "that is neither a domain nor an address literal");
		session_error(s);
		return;
	}
	transaction_free(s->tx);
	s->tx = NULL;
	free(s->helo);
	s->helo = xstrndup(name, len);
	s->esmtp = esmtp;
	session_wait(s);
	door_pass(s, PHASE_HELO, on_judged);
}

void
cmd_helo(struct session *s, const char *arg, size_t len)
{
	hello(s, arg, len, false);
}

void
cmd_ehlo(struct session *s, const char *arg, size_t len)
{
	hello(s, arg, len, true);
}
