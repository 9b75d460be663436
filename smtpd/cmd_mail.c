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
#include "smtpd/params.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static bool
is(const char *word, const char *s, size_t len)
{
	return strlen(word) == len && strncasecmp(word, s, len) == 0;
}

/* RFC 1870: SIZE=digits, at most 20. */
static const char *
take_size(struct transaction *tx, const struct param *p)
{
	char digits[21];

	if (p->value == NULL || p->value_len > 20 || strspn(p->value, "0123456789") < p->value_len)
		return "SIZE needs a number";
	memcpy(digits, p->value, p->value_len);
	digits[p->value_len] = '\0';
	tx->declared = strtoull(digits, NULL, 10);
	return NULL;
}

/* RFC 6152, RFC 3030 */
static const char *
take_body(struct transaction *tx, const struct param *p)
{
	if (p->value != NULL && is("7BIT", p->value, p->value_len))
		tx->env->body = BODY_7BIT;
	else if (p->value != NULL && is("8BITMIME", p->value, p->value_len))
		tx->env->body = BODY_8BITMIME;
	else if (p->value != NULL && is("BINARYMIME", p->value, p->value_len))
		tx->env->body = BODY_BINARYMIME;
	else
		return "BODY is 7BIT, 8BITMIME or BINARYMIME";
	return NULL;
}

static const struct {
	const char *keyword;
	const char *(*take)(struct transaction *, const struct param *);
} parameters[] = { { "SIZE", take_size }, { "BODY", take_body } };
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

/* False when one is refused: said. */
static bool
take_parameters(struct session *s, const char *text, size_t len)
{
	struct param params[PARAMS_MAX];
	int n = params_parse(text, len, params), i;
	unsigned seen = 0;
	const char *why = NULL;
	size_t k;

	if (n < 0 || (n > 0 && !s->esmtp)) {
		session_reply(s, n < 0 ? 501 : 555, "5.5.4", n < 0 ? "parameters are KEYWORD=VALUE with a space before each"
		                                                   : "parameters need EHLO");
		return false;
	}
	for (i = 0; i < n && why == NULL; i++) {
		for (k = 0; k < PARAMETERS; k++)
			if (is(parameters[k].keyword, params[i].keyword, params[i].keyword_len))
				break;
		if (k == PARAMETERS) {
			session_reply(s, 555, "5.5.4", "%.*s is not offered here", (int)params[i].keyword_len,
			    params[i].keyword);
			return false;
		}
		why = seen & (1u << k) ? "a parameter is given twice" : parameters[k].take(s->tx, &params[i]);
		seen |= 1u << k;
	}
	if (why != NULL)
		session_reply(s, 501, "5.5.4", "%s", why);
	return why == NULL;
}

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

void
cmd_mail(struct session *s, const char *arg, size_t len)
{
	struct mailaddr sender;
	const char *why = "FROM:<address> expected";
	size_t skip = 5, used = 0;
	char *text;

	if (crowded(s))
		return;
	if (len >= 5 && strncasecmp(arg, "FROM:", 5) == 0) {
		while (skip < len && arg[skip] == ' ')
			skip++;
		used = mailaddr_parse_path(arg + skip, len - skip, MAILADDR_NULL, &sender, &why);
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
	if (!take_parameters(s, arg + skip + used, len - skip - used)) {
		drop(s);
		session_error(s);
		return;
	}
	if (!room(s)) {
		drop(s);
		return;
	}
	session_wait(s);
	door_pass(s, PHASE_MAIL, on_judged);
}
