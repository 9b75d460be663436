/*
 * The table of extensions (extension.h).  A row without a condition is offered to everybody, always; a parameter is made
 * anew for every EHLO.
 */
#include <inttypes.h>
#include <time.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "smtpd/command.h"
#include "smtpd/extension.h"
#include "smtpd/session.h"
#include "smtpd/session_tls.h"
#include "smtpd/xclient.h"
#include "vault/mechanism.h"

#define LIMITS_MOST 999999 /* RFC 9422 4.1: six digits */
#define HOLD_MOST 999999999 /* RFC 4865 3 */

/* --- conditions --- */

static bool
to_submitters(const struct session *s)
{
	return s->listener->submission;
}

/* A reverse-path for each recipient is asked for only by those who may send to anybody. */
static bool
to_our_own(const struct session *s)
{
	return s->relay_client || s->login != NULL;
}

/* RFC 8689 2: in the clear it is not offered. */
static bool
over_tls(const struct session *s)
{
	return s->tls != NULL;
}

static bool
with_limits(const struct session *s)
{
	(void)s;
	return session_conf()->limits[LIMIT_MESSAGES] <= LIMITS_MOST ||
	    session_conf()->limits[LIMIT_RECIPIENTS] <= LIMITS_MOST;
}

/* --- parameters --- */

static void
say_size(const struct session *s, struct buf *out)
{
	(void)s;
	if (session_conf()->limits[LIMIT_SIZE] != UINT64_MAX)
		buf_addf(out, " %" PRIu64, session_conf()->limits[LIMIT_SIZE]);
}

static void
say_limits(const struct session *s, struct buf *out)
{
	const uint64_t *limits = session_conf()->limits;

	(void)s;
	if (limits[LIMIT_MESSAGES] <= LIMITS_MOST)
		buf_addf(out, " MAILMAX=%" PRIu64, limits[LIMIT_MESSAGES]);
	if (limits[LIMIT_RECIPIENTS] <= LIMITS_MOST)
		buf_addf(out, " RCPTMAX=%" PRIu64, limits[LIMIT_RECIPIENTS]);
}

unsigned
extension_hold_most(void)
{
	uint64_t lifetime = session_conf()->limits[LIMIT_LIFETIME];

	return lifetime < HOLD_MOST ? (unsigned)lifetime : HOLD_MOST;
}

static void
say_hold(const struct session *s, struct buf *out)
{
	time_t until = (time_t)clock_now() + extension_hold_most();
	char text[32];
	struct tm tm;

	(void)s;
	gmtime_r(&until, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_addf(out, " %u %s", extension_hold_most(), text);
}

static void
say_auth(const struct session *s, struct buf *out)
{
	buf_addc(out, ' ');
	mechanism_list(out, auth_offered(s));
}

static void
say_xclient(const struct session *s, struct buf *out)
{
	(void)s;
	buf_adds(out, " " XCLIENT_ATTRIBUTES);
}

/* --- the table --- */

static const struct {
	const char *keyword;
	bool (*offered)(const struct session *);
	void (*say)(const struct session *, struct buf *);
} extensions[EXT_COUNT] = {
	[EXT_PIPELINING] = { "PIPELINING", NULL, NULL },
	[EXT_SIZE] = { "SIZE", NULL, say_size },
	[EXT_8BITMIME] = { "8BITMIME", NULL, NULL },
	[EXT_CHUNKING] = { "CHUNKING", NULL, NULL },
	[EXT_BINARYMIME] = { "BINARYMIME", NULL, NULL },
	[EXT_SMTPUTF8] = { "SMTPUTF8", NULL, NULL },
	[EXT_DSN] = { "DSN", NULL, NULL },
	[EXT_DELIVERBY] = { "DELIVERBY", to_submitters, NULL },
	[EXT_FUTURERELEASE] = { "FUTURERELEASE", to_submitters, say_hold },
	[EXT_LIMITS] = { "LIMITS", with_limits, say_limits },
	[EXT_ETRN] = { "ETRN", etrn_served, NULL },
	[EXT_STARTTLS] = { "STARTTLS", session_tls_offered, NULL },
	[EXT_REQUIRETLS] = { "REQUIRETLS", over_tls, NULL },
	[EXT_AUTH] = { "AUTH", auth_served, say_auth },
	[EXT_XCLIENT] = { "XCLIENT", xclient_allowed, say_xclient },
	[EXT_XVERP] = { "XVERP", to_our_own, NULL },
	[EXT_ENHANCEDSTATUSCODES] = { "ENHANCEDSTATUSCODES", NULL, NULL },
};

bool
extension_offered(const struct session *s, enum extension e)
{
	return extensions[e].offered == NULL || extensions[e].offered(s);
}

/* AUTH is not named when there is no mechanism for this client in this state; its parameter of MAIL may come all the same. */
static bool
is_said(const struct session *s, unsigned e)
{
	return extension_offered(s, e) && (e != EXT_AUTH || auth_offered(s) != 0);
}

void
extensions_say(struct session *s)
{
	unsigned i, last = EXT_COUNT;

	while (!is_said(s, last - 1))
		last--;
	buf_addf(&s->out, "250-%s\r\n", session_conf()->host);
	for (i = 0; i < last; i++) {
		if (!is_said(s, i))
			continue;
		buf_addf(&s->out, "250%c%s", i + 1 == last ? ' ' : '-', extensions[i].keyword);
		if (extensions[i].say != NULL)
			extensions[i].say(s, &s->out);
		buf_adds(&s->out, "\r\n");
	}
}
