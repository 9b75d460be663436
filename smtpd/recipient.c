/*
 * Reading recipients and asking about them (recipient.h).
 *
 * One question for each RCPT would be two changes of process for each; who pipelines a thousand
 * (RFC 2920) waits for all of them.  So the first of a group asks for those behind it too, and each is
 * judged in its turn when it comes: what was asked ahead says nothing but what the address book knows.
 * When the commands that come are not those that were looked at, what was asked is forgotten.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "conf/conf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "smtpd/recipient.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define AHEAD_MAX 100

struct asked {
	struct recipients_ahead *of;
	char *address;
	struct lookup_request *request; /* NULL: answered */
	enum recipient_verdict verdict;
	char *why;
};

struct recipients_ahead {
	struct session *session;
	struct asked asked[AHEAD_MAX];
	unsigned n, at;
	bool waiting; /* the session is, for the one at AT */
	void (*done)(enum recipient_verdict, const char *, void *);
	struct event turn; /* all answers that came together are here */
};

/* Our own address in a domain's place is for those who cannot name us: DNS does not know us, or fails (RFC 1123 5.2.17). */
static bool
is_ours(const struct session *s, const char *domain)
{
	struct ip ip;

	return *domain == '\0' || (ip_parse_literal(domain, strlen(domain), &ip) && session_reached(s, &ip));
}

/* <postmaster> without a domain is ours, too (RFC 5321 4.5.1). */
static char *
normal_form(const struct session *s, const struct mailaddr *a)
{
	struct mailaddr here = { .local = a->local, .domain = session_conf()->host };

	return mailaddr_format(is_ours(s, a->domain) ? &here : a);
}

size_t
recipient_read(
    const struct session *s, const char *arg, size_t len, char **address, const char **why)
{
	unsigned flags = MAILADDR_POSTMASTER | (s->tx->env->utf8 ? MAILADDR_UTF8 : 0);
	struct mailaddr to;
	size_t skip = 3, used;

	*why = "TO:<address> expected";
	if (len < 3 || strncasecmp(arg, "TO:", 3) != 0)
		return 0;
	while (skip < len && arg[skip] == ' ')
		skip++;
	used = mailaddr_parse_path(arg + skip, len - skip, flags, &to, why);
	if (used == 0)
		return 0;
	*address = normal_form(s, &to);
	mailaddr_free(&to);
	return skip + used;
}

/* --- asking ahead --- */

void
recipients_ahead_free(struct recipients_ahead *ahead)
{
	unsigned i;

	if (ahead == NULL)
		return;
	for (i = 0; i < ahead->n; i++) {
		lookup_cancel(ahead->asked[i].request);
		free(ahead->asked[i].address);
		free(ahead->asked[i].why);
	}
	event_del(&ahead->turn);
	free(ahead);
}

static void
forget(struct session *s)
{
	recipients_ahead_free(s->tx->ahead);
	s->tx->ahead = NULL;
}

/* The answer to the one that the session is at; the transaction may be over after it. */
static void
answer(struct recipients_ahead *ahead)
{
	void (*done)(enum recipient_verdict, const char *, void *) = ahead->done;
	struct session *s = ahead->session;
	struct asked *asked = &ahead->asked[ahead->at++];
	enum recipient_verdict verdict = asked->verdict;
	char *why = asked->why;

	asked->why = NULL;
	ahead->waiting = false;
	if (ahead->at == ahead->n)
		forget(s);
	done(verdict, why, s);
	free(why);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	answer(arg);
}

static void
on_verdict(enum recipient_verdict verdict, const char *why, void *arg)
{
	struct asked *asked = arg;
	struct recipients_ahead *ahead = asked->of;

	asked->request = NULL;
	asked->verdict = verdict;
	asked->why = why != NULL ? xstrdup(why) : NULL;
	if (ahead->waiting && asked == &ahead->asked[ahead->at])
		event_active(&ahead->turn, 0, 0);
}

/* ADDRESS is the set's from here on. */
static void
ask(struct recipients_ahead *ahead, char *address)
{
	struct asked *asked = &ahead->asked[ahead->n++];

	*asked = (struct asked){ .of = ahead, .address = address };
	asked->request = lookup_recipient(address, on_verdict, asked);
}

/* The next of the LEN octets at P, when it is the command for another recipient: octets used. */
static size_t
next_recipient(const struct session *s, const char *p, size_t len, char **address)
{
	const char *end = memmem(p, len, "\r\n", 2), *why;

	if (end == NULL || end - p < 5 || strncasecmp(p, "RCPT ", 5) != 0 ||
	    recipient_read(s, p + 5, (size_t)(end - p) - 5, address, &why) == 0)
		return 0;
	return (size_t)(end - p) + 2;
}

/* NULL: there is nobody else to ask about. */
static struct recipients_ahead *
ask_ahead(struct session *s, const char *p, size_t len)
{
	uint64_t most = session_conf()->limits[LIMIT_RECIPIENTS] - s->tx->env->recipients_n;
	struct recipients_ahead *ahead;
	char *address;
	size_t used = next_recipient(s, p, len, &address);

	if (used == 0)
		return NULL;
	ahead = xcalloc(1, sizeof(*ahead));
	ahead->session = s;
	event_assign(&ahead->turn, peer_base(), -1, 0, on_turn, ahead);
	ask(ahead, xstrdup(s->tx->recipient));
	while (used > 0) {
		if (ahead->n == AHEAD_MAX || ahead->n >= most) {
			free(address);
			break;
		}
		ask(ahead, address);
		p += used;
		len -= used;
		used = next_recipient(s, p, len, &address);
	}
	return ahead;
}

void
recipient_lookup(struct session *s, const char *behind,
    void (*done)(enum recipient_verdict, const char *why, void *session))
{
	struct transaction *tx = s->tx;
	const char *next = behind;

	if (tx->ahead != NULL && strcmp(tx->ahead->asked[tx->ahead->at].address, tx->recipient) != 0)
		forget(s);
	while (s->rest > 0 && *next != '\n') /* white space may stand before the end of the line */
		next++;
	if (tx->ahead == NULL && s->rest > 0 && (s->relay_client || s->login != NULL))
		tx->ahead = ask_ahead(s, next + 1, s->rest);
	if (tx->ahead == NULL) {
		tx->lookup = lookup_recipient(tx->recipient, done, s);
		return;
	}
	tx->ahead->done = done;
	tx->ahead->waiting = true;
	if (tx->ahead->asked[tx->ahead->at].request == NULL)
		answer(tx->ahead);
}
