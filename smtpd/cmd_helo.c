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

/* The name as it is meant, for the caller to free, or NULL.  A dot at its end, and an IPv6 address without the tag that
 * RFC 5321 4.1.3 wants, are wrong and common too, and honest servers would lose their mail by a 501. */
static char *
read_name(const char *name, size_t len)
{
	char *tagged;

	if (len > 1 && name[len - 1] == '.')
		len--;
	if (name_ok(name, len))
		return xstrndup(name, len);
	if (len < 2 || name[0] != '[' || memchr(name, ':', len) == NULL)
		return NULL;
	tagged = xasprintf("[IPv6:%.*s", (int)len - 1, name + 1);
	if (name_ok(tagged, strlen(tagged)))
		return tagged;
	free(tagged);
	return NULL;
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
hello(struct session *s, const char *arg, size_t len, bool esmtp)
{
	char *name = read_name(arg, len);

	if (name == NULL) {
		session_reply(s, 501, "5.5.4", "that is neither a domain nor an address literal");
		session_error(s);
		return;
	}
	transaction_free(s->tx);
	s->tx = NULL;
	free(s->helo);
	s->helo = name;
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
