/*
 * Our own users' mail (submission.h): called by MAIL, RCPT and the intake; the address book is asked who owns an address.
 *
 * Clients of `relay from` are believed as before: they have no account.  Whoever has logged in sends as himself, or as what the
 * operator's table says.  What must never happen: that an answer which did not come (the lookup role is down) is
 * taken for a no.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "deliver/book.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/rewrite.h"
#include "smtpd/command.h"
#include "smtpd/fixup.h"
#include "smtpd/meters.h"
#include "smtpd/session.h"
#include "smtpd/session_tls.h"
#include "smtpd/submission.h"
#include "smtpd/transaction.h"

/* --- who --- */

bool
submission_stranger(struct session *s)
{
	if (!s->listener->submission || s->relay_client || s->login != NULL)
		return false;
	session_reply(s, 530, "5.7.0", "log in first%s", session_tls_offered(s) ? ", after STARTTLS" : "");
	session_error(s);
	return true;
}

/* A dot there must be: what else it could mean, only the writer's resolver would know.  Mail for localhost stays here, but
 * who writes as localhost gets no answer; unless he is rewritten. */
static bool
is_qualified(const struct session *s, const char *address, bool sender)
{
	const char *at = strrchr(address, '@');

	if (!s->listener->submission || at == NULL || at[1] == '[' || strchr(at, '.') != NULL)
		return true;
	return sender ? conf_is_ours(session_conf(), at + 1) : book_is_ours(&session_conf()->lookup, address);
}

bool
submission_unqualified(struct session *s, const char *address, bool sender)
{
	const struct table *rewrite = sender ? session_conf()->rewrite : NULL;
	char *new = rewrite != NULL ? rewrite_address(rewrite, address) : NULL;
	bool ok = is_qualified(s, new != NULL ? new : address, sender);

	free(new);
	if (!ok)
		session_reply(s, 554, sender ? "5.1.8" : "5.1.2", "<%s>: the domain is not fully qualified", address);
	return !ok;
}

/* --- as whom --- */

static bool
is_bound(const struct session *s)
{
	return s->listener->submission && s->login != NULL;
}

static void
refuse(struct session *s, enum recipient_verdict verdict, const char *where, const char *address)
{
	bool later = verdict == RECIPIENT_TEMP;

	log_info("sender.refused", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("account", s->login), F_STR("what", where), F_STR("from", address), F_BOOL("temporary", later));
	if (later)
		session_reply(s, 451, "4.3.0", "it cannot be told now whether you may send as <%s>; please try again later",
		    address);
	else
		session_reply(s, 550, "5.7.1", "%s <%s>: the account \"%s\" may not send as this address", where, address,
		    s->login);
}

static void
answer(struct session *s, enum recipient_verdict verdict)
{
	submission_checked done = s->tx->checked;

	s->tx->checked = NULL;
	done(s, verdict);
}

static void
on_sender(enum recipient_verdict verdict, const char *why, void *arg)
{
	struct session *s = arg;

	(void)why;
	s->tx->lookup = NULL;
	if (verdict != RECIPIENT_OURS)
		refuse(s, verdict, "MAIL FROM", s->tx->env->sender);
	answer(s, verdict);
}

/* The null reverse-path is anybody's: receipts have it (RFC 8098 3). */
void
submission_check_sender(struct session *s, submission_checked done)
{
	if (!is_bound(s) || *s->tx->env->sender == '\0') {
		done(s, RECIPIENT_OURS);
		return;
	}
	s->tx->checked = done;
	s->tx->lookup = lookup_sender(s->login, s->tx->env->sender, on_sender, s);
}

static void next_author(struct session *);

static void
on_author(enum recipient_verdict verdict, const char *why, void *arg)
{
	struct session *s = arg;
	const char *const *authors;

	(void)why;
	s->tx->lookup = NULL;
	if (verdict == RECIPIENT_OURS) {
		s->tx->author++;
		next_author(s);
		return;
	}
	fixup_authors(s->tx->fixup, &authors);
	refuse(s, verdict, "From or Sender", authors[s->tx->author]);
	answer(s, verdict);
}

/* One after the other: nearly always there is one, and it is the sender, who was asked about. */
static void
next_author(struct session *s)
{
	struct transaction *tx = s->tx;
	const char *const *authors;
	size_t n = fixup_authors(tx->fixup, &authors);

	while (tx->author < n && strcmp(authors[tx->author], tx->env->sender) == 0)
		tx->author++;
	if (tx->author == n)
		answer(s, RECIPIENT_OURS);
	else
		tx->lookup = lookup_sender(s->login, authors[tx->author], on_author, s);
}

void
submission_check_authors(struct session *s, submission_checked done)
{
	if (!is_bound(s) || s->tx->fixup == NULL) {
		done(s, RECIPIENT_OURS);
		return;
	}
	s->tx->checked = done;
	next_author(s);
}

/* --- how much --- */

bool
submission_spent(struct session *s)
{
	uint64_t most = session_conf()->limits[LIMIT_ACCOUNT_RECIPIENTS];

	if (!is_bound(s) || most == UINT64_MAX || meters_account(s->login) < most)
		return false;
	if (s->tx->refused++ == 0) /* once is enough */
		log_notice("account.limit", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
		    F_STR("account", s->login), F_U64("recipients", most));
	session_reply(s, 450, "4.7.1", "%" PRIu64 " recipients within an hour are enough for one account; please go on later",
	    most);
	return true;
}

void
submission_count(struct session *s)
{
	if (is_bound(s))
		meters_count_account(s->login);
}

/* --- the text --- */

void
submission_read(struct session *s)
{
	const struct table *rewrite = session_conf()->rewrite;
	struct envelope *env = s->tx->env;
	char *sender;

	if (!s->listener->submission)
		return;
	sender = rewrite != NULL ? rewrite_address(rewrite, env->sender) : NULL;
	if (sender != NULL)
		envelope_set(&env->sender, sender);
	free(sender);
	s->tx->fixup = fixup_new(&(struct fixup_options){ .host = session_conf()->host, .sender = env->sender,
	    .id = env->id, .now = clock_now(), .rewrite = rewrite, .binary = env->body == BODY_BINARYMIME });
}
