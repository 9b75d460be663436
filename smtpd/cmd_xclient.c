/*
 * XCLIENT (Postfix's XCLIENT_README): a listed peer, a proxy or a test, says whose connection this
 * really is.  All that follows is judged for that client, from the door on, pause included; the
 * reply is a new banner.
 */
#include <stdlib.h>

#include "conf/conf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/table.h"
#include "smtpd/arrival.h"
#include "smtpd/command.h"
#include "smtpd/session.h"
#include "smtpd/xclient.h"

bool
xclient_allowed(const struct session *s)
{
	const struct table *from = s->listener->xclient_from;

	return from != NULL && table_match_client(from, &s->peer, NULL);
}

static void
become(struct session *s, struct xclient *x)
{
	struct ip ip = x->ip.family != 0 ? x->ip : s->ip;

	log_info("session.xclient", F_STR("session", id_text(s->id).s), F_STR("peer", ip_text(&s->peer).s),
	    F_STR("client", ip_text(&ip).s), F_STR("name", x->name), F_STR("login", x->login));
	if (x->port != 0)
		s->port = x->port;
	if (x->login_told) { /* else it is as an earlier XCLIENT said */
		free(s->login);
		s->login = x->login;
		x->login = NULL;
	}
	session_restart(s, &ip, x->rdns, x->name);
	if (s->rest > 0) /* he did not wait for the banner */
		door_early(s);
}

void
cmd_xclient(struct session *s, const char *arg, size_t len)
{
	struct xclient x;

	if (!xclient_parse(arg, len, &x)) {
		session_reply(s, 501, "5.5.4", "attributes are " XCLIENT_ATTRIBUTES ", values xtext");
		session_error(s);
		return;
	}
	become(s, &x);
	xclient_free(&x);
}
