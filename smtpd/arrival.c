/*
 * A client arrives: is counted, turned away when there are too many, and led to TLS or to the door (arrival.h).
 *
 * He arrives with his connection, behind a proxy's header, by XCLIENT in another's place, and, at his words, once more under
 * TLS.
 */
#include <stdlib.h>

#include "conf/conf.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/table.h"
#include "lib/tls_server.h"
#include "smtpd/arrival.h"
#include "smtpd/census.h"
#include "smtpd/patience.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/session_tls.h"
#include "smtpd/transaction.h"

static const struct {
	enum limit limit;
	const char *text;
} crowds[] = {
	{ LIMIT_CONNECTIONS_PER_ADDRESS, "too many connections from your address; please close some first" },
	{ LIMIT_CONNECTIONS_PER_NETWORK, "too many connections from your network; please close some first" },
	{ LIMIT_CONNECTIONS, "too many connections; please try again later" },
};
#define CROWDS (sizeof(crowds) / sizeof(crowds[0]))

/* The crowd of which he is one too many; CROWDS: none.  Nobody has to go for one whose own are too many. */
static size_t
find_crowd(const struct session *s, const struct census_count *n)
{
	const uint64_t counts[CROWDS] = { n->address, n->network, n->all };
	size_t i;

	for (i = 0; i < CROWDS; i++)
		if (counts[i] > session_conf()->limits[crowds[i].limit] &&
		    (crowds[i].limit != LIMIT_CONNECTIONS || !patience_make_room(s, n->all)))
			break;
	return i;
}

static void
log_crowd(const struct session *s, size_t crowd, const struct census_count *n)
{
	static struct log_pace pace[CROWDS];
	uint64_t held;

	if (log_may_tell(&pace[crowd], &held))
		log_notice("session.crowd", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
		    F_STR("limit", crowds[crowd].text), F_U64("all", n->all), F_U64("address", n->address),
		    F_U64("network", n->network), F_U64("others", held));
}

/*
 * A limit on connections is said in the banner's place (RFC 5321 3.1, 3.8).  Whoever is refused is not counted, and not waited for
 * when that is said: one who rings all the time would else be a crowd by those who were refused, and his neighbours, or the whole
 * house, would pay for it.
 */
static bool
refuse_crowd(struct session *s)
{
	struct census_count n = census_enter(&s->ip);
	size_t crowd = find_crowd(s, &n);

	s->counted = crowd == CROWDS;
	if (s->counted)
		return false;
	census_leave(&s->ip);
	log_crowd(s, crowd, &n);
	if (session_awaits_tls(s)) { /* it would take a handshake to tell him */
		session_drop(s, "crowd");
		return true;
	}
	reply_format(&s->out, 421, "4.7.0", "%s %s", session_conf()->host, crowds[crowd].text);
	s->brief = true;
	session_finish(s, "crowd");
	return true;
}

static void
at_the_door(struct session *s)
{
	s->relay_client = session_conf()->relay_from != NULL && table_match_client(session_conf()->relay_from, &s->ip, NULL);
	door_open(s);
}

void
session_admit(struct session *s)
{
	session_state(s, STATE_DOOR);
	if (refuse_crowd(s))
		return;
	if (s->listener->implicit_tls)
		session_tls_begin(s);
	else
		at_the_door(s);
}

void
session_secured(struct session *s)
{
	session_await(s, TLS_WANT_READ);
	if (s->state == STATE_DOOR) {
		at_the_door(s);
		return;
	}
	free(s->helo); /* RFC 3207 4.2: what was said in the clear may have been another's words, AUTH among them */
	free(s->login);
	s->helo = s->login = NULL;
	s->esmtp = false;
	session_state(s, STATE_HELLO);
	session_resume(s);
}

void
session_restart(struct session *s, const struct ip *ip, int rdns, const char *name)
{
	door_close(s);
	transaction_free(s->tx);
	s->tx = NULL;
	free(s->helo);
	s->helo = NULL;
	if (s->counted) /* it is the client's connection now, and no more the proxy's */
		census_leave(&s->ip);
	s->ip = *ip;
	s->esmtp = s->early_data = false;
	session_state(s, STATE_DOOR);
	if (rdns >= 0)
		door_set_name(s, (enum rdns_status)rdns, name);
	if (!refuse_crowd(s))
		at_the_door(s);
}
