/*
 * Two tables, one row a parameter (mail_params.h).  A parameter belongs to an extension, and whoever is not offered the
 * extension is refused the parameter: 555; a value that is none: 501 (RFC 5321 4.1.1.11).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "smtpd/extension.h"
#include "smtpd/mail_params.h"
#include "smtpd/param_values.h"
#include "smtpd/params.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static bool
is(const char *word, const char *s, size_t len)
{
	return strlen(word) == len && strncasecmp(word, s, len) == 0;
}

/* --- MAIL's: NULL, or what is wrong --- */

static const char *
take_size(struct transaction *tx, const struct param *p)
{
	return p->value != NULL && value_size(p->value, p->value_len, &tx->declared) ? NULL : "SIZE needs a number";
}

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

static const char *
take_utf8(struct transaction *tx, const struct param *p)
{
	tx->env->utf8 = true;
	return p->value == NULL ? NULL : "SMTPUTF8 takes no value";
}

static const char *
take_requiretls(struct transaction *tx, const struct param *p)
{
	tx->env->requiretls = true;
	return p->value == NULL ? NULL : "REQUIRETLS takes no value";
}

static const char *
take_ret(struct transaction *tx, const struct param *p)
{
	if (p->value != NULL && is("FULL", p->value, p->value_len))
		tx->env->ret = 1;
	else if (p->value != NULL && is("HDRS", p->value, p->value_len))
		tx->env->ret = 2;
	else
		return "RET is FULL or HDRS";
	return NULL;
}

static const char *
take_envid(struct transaction *tx, const struct param *p)
{
	tx->env->envid = p->value != NULL ? value_envid(p->value, p->value_len) : NULL;
	return tx->env->envid != NULL ? NULL : "ENVID is xtext of at most 100 characters";
}

static const char *
hold(struct transaction *tx, const char *how, int64_t until, const struct param *p)
{
	int64_t now = clock_now();

	if (tx->env->hold != NULL)
		return "HOLDFOR or HOLDUNTIL, and once";
	if (until <= now || until - now > extension_hold_most())
		return "the time of release is past, or later than EHLO says";
	tx->env->release = until;
	tx->env->hold = xasprintf("%s;%.*s", how, (int)p->value_len, p->value);
	return NULL;
}

static const char *
take_hold_for(struct transaction *tx, const struct param *p)
{
	int64_t seconds;

	if (p->value == NULL || !value_hold_for(p->value, p->value_len, &seconds))
		return "HOLDFOR needs a number of seconds";
	return hold(tx, "for", clock_now() + seconds, p);
}

static const char *
take_hold_until(struct transaction *tx, const struct param *p)
{
	int64_t until;

	if (p->value == NULL || !value_hold_until(p->value, p->value_len, &until))
		return "HOLDUNTIL needs a time in UTC, as 2026-12-24T18:00:00Z";
	return hold(tx, "until", until, p);
}

static const char *
take_by(struct transaction *tx, const struct param *p)
{
	int64_t seconds;

	if (p->value == NULL || !value_by(p->value, p->value_len, &seconds, &tx->env->by))
		return "BY is SECONDS;R or SECONDS;N, with T behind it for a trace";
	tx->env->deliver_by = clock_now() + seconds;
	return NULL;
}

/* Nobody who sends to us is trusted to say who wrote it: as if it had been "<>" (RFC 4954 5). */
static const char *
take_auth(struct transaction *tx, const struct param *p)
{
	(void)tx;
	return p->value != NULL && value_auth(p->value, p->value_len) ? NULL : "AUTH is <> or an address, as xtext";
}

static const char *
take_verp(struct transaction *tx, const struct param *p)
{
	const char *formula = p->value != NULL ? p->value : VERP_DEFAULT;

	if (!verp_formula_ok(formula, p->value != NULL ? p->value_len : strlen(formula)))
		return "XVERP needs two of the characters - = +";
	if (tx->env->sender[0] == '\0')
		return "XVERP needs a sender that is not the null one";
	memcpy(tx->env->verp, formula, VERP_SIZE - 1);
	return NULL;
}

/* --- RCPT's --- */

static const char *
take_notify(struct transaction *tx, const struct param *p)
{
	if (p->value != NULL && value_notify(p->value, p->value_len, &tx->notify))
		return NULL;
	return "NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY";
}

static const char *
take_orcpt(struct transaction *tx, const struct param *p)
{
	if (p->value != NULL)
		tx->original = value_orcpt(p->value, p->value_len, tx->env->utf8);
	return tx->original != NULL ? NULL : "ORCPT is TYPE;ADDRESS, the address xtext, of at most 500 characters";
}

/* --- the tables --- */

struct parameter {
	const char *keyword;
	enum extension extension;
	const char *(*take)(struct transaction *, const struct param *);
};

static const struct parameter of_mail[] = {
	{ "SIZE", EXT_SIZE, take_size },
	{ "BODY", EXT_8BITMIME, take_body },
	{ "SMTPUTF8", EXT_SMTPUTF8, take_utf8 },
	{ "REQUIRETLS", EXT_REQUIRETLS, take_requiretls },
	{ "RET", EXT_DSN, take_ret },
	{ "ENVID", EXT_DSN, take_envid },
	{ "HOLDFOR", EXT_FUTURERELEASE, take_hold_for },
	{ "HOLDUNTIL", EXT_FUTURERELEASE, take_hold_until },
	{ "BY", EXT_DELIVERBY, take_by },
	{ "AUTH", EXT_AUTH, take_auth },
	{ "XVERP", EXT_XVERP, take_verp },
	{ NULL, 0, NULL },
};

static const struct parameter of_rcpt[] = {
	{ "NOTIFY", EXT_DSN, take_notify },
	{ "ORCPT", EXT_DSN, take_orcpt },
	{ NULL, 0, NULL },
};

/* -1: it is not offered. */
static int
find(const struct session *s, const struct parameter *table, const struct param *p)
{
	int i;

	for (i = 0; table[i].keyword != NULL; i++)
		if (is(table[i].keyword, p->keyword, p->keyword_len))
			return extension_offered(s, table[i].extension) ? i : -1;
	return -1;
}

static bool
take(struct session *s, const struct parameter *table, const char *text, size_t len)
{
	struct param params[PARAMS_MAX];
	int n = params_parse(text, len, params), i, row;
	const char *why = NULL;
	unsigned seen = 0;

	if (n < 0 || (n > 0 && !s->esmtp)) {
		session_reply(s, n < 0 ? 501 : 555, "5.5.4",
		    n < 0 ? "parameters are KEYWORD=VALUE with a space before each" : "parameters need EHLO");
		return false;
	}
	for (i = 0; i < n && why == NULL; i++) {
		row = find(s, table, &params[i]);
		if (row < 0) {
			session_reply(s, 555, "5.5.4", "%.*s is not offered here", (int)params[i].keyword_len,
			    params[i].keyword);
			return false;
		}
		why = seen & (1u << row) ? "a parameter is given twice" : table[row].take(s->tx, &params[i]);
		seen |= 1u << row;
	}
	if (why != NULL)
		session_reply(s, 501, "5.5.4", "%s", why);
	return why == NULL;
}

bool
mail_params_take(struct session *s, const char *text, size_t len)
{
	const struct envelope *env = s->tx->env;

	if (!take(s, of_mail, text, len))
		return false;
	if (env->by == 0 || env->release <= env->deliver_by)
		return true;
	session_reply(s, 501, "5.5.4", "BY is over before the message may go"); /* RFC 4865 5.2.2 */
	return false;
}

bool
rcpt_params_take(struct session *s, const char *text, size_t len)
{
	free(s->tx->original);
	s->tx->original = NULL;
	s->tx->notify = NOTIFY_DEFAULT;
	return take(s, of_rcpt, text, len);
}
