/*
 * Sendmail 8 (log_line.h).
 *
 *	ID: from=<S>, size=1, class=0, nrcpts=1, msgid=<M>, proto=ESMTP, daemon=MTA, relay=NAME [IP]
 *	ID: to=<R>,<R2>, delay=00:00:01, ... mailer=local, ... stat=Sent
 *	ID: ruleset=check_rcpt, arg1=<R>, relay=NAME [IP] (may be forged), reject=550 5.7.1 <R>... text
 *	ID: Milter: to=<R>, reject=451 4.7.1 Greylisting in action, please come back in 00:05:00
 *	ID: <R>... User unknown
 *	ID: rejecting commands from NAME [IP] due to pre-greeting traffic after 0 seconds
 *
 * A name without "(may be forged)" leads back.  Refusals do not name the sender: the line with from=
 * comes when the session ends.
 */
#include <string.h>

#include "smtpctl/log_line.h"

/* "mail.example.org [192.0.2.1] (may be forged)", "[192.0.2.1]", "root@localhost" */
static bool
read_relay(struct slice s, struct log_line *out)
{
	const char *open = s.s != NULL ? memchr(s.s, '[', s.len) : NULL, *close;
	struct slice rest;

	if (open == NULL)
		return false;
	close = memchr(open, ']', (size_t)(s.s + s.len - open));
	if (close == NULL || !slice_ip((struct slice){ open + 1, (size_t)(close - open - 1) }, &out->client))
		return false;
	out->name = (struct slice){ s.s, (size_t)(open - s.s) };
	while (out->name.len > 0 && out->name.s[out->name.len - 1] == ' ')
		out->name.len--;
	rest = slice_from(s, close + 1);
	if (out->name.len == 0)
		out->name_is = LOG_NAME_NONE;
	else if (slice_begins(rest, " (may be forged)"))
		out->name_is = LOG_NAME_FORGED;
	else
		out->name_is = LOG_NAME_VERIFIED;
	return true;
}

static void
read_from(struct slice s, struct log_line *out)
{
	struct slice sender = slice_between(s, "from=", ", "), relay = slice_between(s, ", relay=", ", ");

	out->what = LOG_SENDER;
	out->sender = slice_bare(sender);
	(void)read_relay(relay, out);
	/* RFC 3848: ESMTPA, ESMTPSA */
	out->authenticated = slice_find(s, ", auth=") != NULL ||
	    slice_ends(slice_between(s, ", proto=", ","), "A");
}

static void
read_ruleset(struct slice s, struct log_line *out)
{
	struct slice ruleset = slice_between(s, "ruleset=", ","), argument = slice_between(s, " arg1=", ",");
	struct slice reject = slice_between(s, " reject=", "\n");

	if (reject.s == NULL)
		return;
	(void)read_relay(slice_between(s, " relay=", ", "), out);
	out->code = slice_number(reject);
	out->what = LOG_REFUSED;
	if (slice_is(ruleset, "check_rcpt"))
		out->recipient = slice_bare(argument);
	else if (slice_is(ruleset, "check_mail"))
		out->sender = slice_bare(argument);
	if (out->code < 400)
		out->what = LOG_NOTHING;
}

static void
read_milter(struct slice s, struct log_line *out)
{
	struct slice reject = slice_between(s, " reject=", "\n");

	out->code = slice_number(reject);
	if (out->code < 400)
		return;
	out->what = LOG_REFUSED;
	out->recipient = slice_bare(slice_between(s, " to=", ", "));
	out->sender = slice_bare(slice_between(s, " from=", ", "));
}

/* "<R>... User unknown" */
static void
read_unknown(struct slice s, struct log_line *out)
{
	static const char *const texts[] = { "User unknown", "No such user", "Relaying denied" };
	const char *dots = slice_find(s, ">... ");
	size_t i;

	for (i = 0; dots != NULL && i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!slice_begins(slice_from(s, dots + 5), texts[i]))
			continue;
		out->what = LOG_REFUSED;
		out->code = 550;
		out->recipient = (struct slice){ s.s + 1, (size_t)(dots - s.s - 1) };
		return;
	}
}

static void
read_message(struct slice s, struct log_line *out)
{
	const char *from;

	if (slice_begins(s, "from=")) {
		read_from(s, out);
	} else if (slice_begins(s, "to=")) {
		out->what = LOG_RECIPIENT;
		out->further = slice_between(s, "to=", ", ");
		out->recipient = slice_bare(slice_before(&out->further, ','));
	} else if (slice_begins(s, "ruleset=")) {
		read_ruleset(s, out);
	} else if (slice_begins(s, "Milter: ") && slice_find(s, " reject=") != NULL) {
		read_milter(s, out);
	} else if (slice_begins(s, "<")) {
		read_unknown(s, out);
	} else if (slice_begins(s, "rejecting commands from ") &&
	    (from = slice_find(s, " from ")) != NULL && slice_find(s, " pre-greeting traffic") != NULL) {
		if (read_relay(slice_from(s, from + 6), out))
			out->what = LOG_EARLY;
		out->code = 554;
	}
}

/* "s1P819mk027713": digits and letters, as many as a queue id has. */
static bool
is_id(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!((s.s[i] >= '0' && s.s[i] <= '9') || ((s.s[i] | 0x20) >= 'a' && (s.s[i] | 0x20) <= 'z')))
			return false;
	return s.len >= 12 && s.len <= 20;
}

bool
log_read_sendmail(struct log_clock *clock, const char *line, size_t len, struct log_line *out)
{
	struct syslog_line l;
	struct slice whole, rest;
	const char *colon;

	memset(out, 0, sizeof(*out));
	if (!log_syslog(clock, line, len, &l) ||
	    (!slice_is(l.program, "sendmail") && !slice_begins(l.program, "sm-") && !slice_is(l.program, "sendmail-in")))
		return false;
	out->time = l.time;
	whole = (struct slice){ l.rest, l.rest_len };
	colon = slice_find(whole, ": ");
	rest = whole;
	if (colon != NULL && is_id((struct slice){ whole.s, (size_t)(colon - whole.s) })) {
		out->key = (struct slice){ whole.s, (size_t)(colon - whole.s) };
		rest = slice_from(whole, colon + 2);
	}
	read_message(rest, out);
	return true;
}
