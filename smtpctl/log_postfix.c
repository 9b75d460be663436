/*
 * Postfix: smtpd, postscreen, qmgr, and the agents that deliver (log_line.h).
 *
 *	smtpd: connect from NAME[IP]
 *	smtpd: NOQUEUE: reject: RCPT from NAME[IP]: 450 4.7.1 ...; from=<S> to=<R> proto=ESMTP helo=<H>
 *	smtpd: ID: client=NAME[IP], sasl_method=PLAIN, sasl_username=U
 *	qmgr: ID: from=<S>, size=1, nrcpt=1 (queue active)
 *	local: ID: to=<R>, orig_to=<O>, relay=local, ... status=sent (...)
 *	qmgr: ID: removed
 *	postscreen: PREGREET 11 after 0.1 from [IP]:PORT: ...
 *	postscreen: NOQUEUE: reject: RCPT from [IP]:PORT: 550 5.7.1 ...; from=<S>, to=<R>, proto=ESMTP, helo=<H>
 *
 * Names are verified; "unknown" is both no name and one that does not lead back.
 */
#include <string.h>

#include "smtpctl/log_line.h"

/* "mail.example.org[192.0.2.1]" or "[192.0.2.1]:25", to the end or a comma, colon or blank behind the bracket. */
static bool
read_client(struct slice s, struct log_line *out)
{
	const char *open = s.len > 0 ? memchr(s.s, '[', s.len) : NULL, *close;

	if (open == NULL)
		return false;
	close = memchr(open, ']', (size_t)(s.s + s.len - open));
	if (close == NULL || !slice_ip((struct slice){ open + 1, (size_t)(close - open - 1) }, &out->client))
		return false;
	out->name = (struct slice){ s.s, (size_t)(open - s.s) };
	if (out->name.len == 0)
		out->name_is = LOG_NAME_UNTOLD; /* postscreen asks for none */
	else if (slice_is(out->name, "unknown"))
		out->name_is = LOG_NAME_NONE;
	else
		out->name_is = LOG_NAME_VERIFIED;
	return true;
}

/* "; from=<S> to=<R> proto=ESMTP helo=<H>", with or without commas. */
static void
read_envelope(struct slice s, struct log_line *out)
{
	out->sender = slice_between(s, " from=<", ">");
	out->recipient = slice_between(s, " to=<", ">");
	out->helo = slice_between(s, " helo=<", ">");
}

/* "RCPT from NAME[IP]: 450 ..." */
static void
read_reject(struct slice s, struct log_line *out)
{
	const char *from = slice_find(s, " from "), *reply;
	struct slice client;

	if (from == NULL)
		return;
	client = slice_from(s, from + 6);
	if (!read_client(client, out))
		return;
	reply = slice_find(client, "]");
	reply = reply != NULL ? slice_find(slice_from(client, reply), ": ") : NULL;
	if (reply == NULL)
		return;
	out->code = slice_number(slice_from(client, reply + 2));
	if (out->code < 400)
		return;
	read_envelope(slice_from(client, reply), out);
	out->what = LOG_REFUSED;
}

static void
read_smtpd(struct slice key, struct slice s, struct log_line *out)
{
	if (slice_begins(s, "reject: ") || slice_begins(s, "milter-reject: ")) {
		read_reject(s, out);
	} else if (slice_begins(s, "client=") && read_client(slice_from(s, s.s + 7), out)) {
		out->what = LOG_CLIENT;
		out->key = key;
		out->authenticated = slice_find(s, " sasl_username=") != NULL;
	}
}

static void
read_postscreen(struct slice key, struct slice s, struct slice whole, struct log_line *out)
{
	const char *from;

	if (slice_begins(s, "reject: ")) {
		read_reject(s, out);
	} else if (slice_begins(whole, "PREGREET ")) {
		from = slice_find(whole, " from ");
		if (from != NULL && read_client(slice_from(whole, from + 6), out))
			out->what = LOG_EARLY;
	}
	(void)key;
}

/* "ID: from=<S>, size=...", "ID: removed" */
static void
read_qmgr(struct slice key, struct slice s, struct log_line *out)
{
	out->key = key;
	if (slice_begins(s, "from=<")) {
		out->what = LOG_SENDER;
		out->sender = slice_between(s, "from=<", ">");
	} else if (slice_is(s, "removed")) {
		out->what = LOG_END;
	}
}

/* Whom it was accepted for is whom it was first addressed to. */
static void
read_delivery(struct slice key, struct slice s, struct log_line *out)
{
	struct slice original;

	if (!slice_begins(s, "to=<"))
		return;
	out->what = LOG_RECIPIENT;
	out->key = key;
	out->recipient = slice_between(s, "to=<", ">");
	original = slice_between(s, " orig_to=<", ">");
	if (original.len > 0 && memchr(original.s, '@', original.len) != NULL)
		out->recipient = original;
}

bool
log_read_postfix(struct log_clock *clock, const char *line, size_t len, struct log_line *out)
{
	struct syslog_line l;
	struct slice whole, key, rest, program;
	const char *colon, *slash;

	memset(out, 0, sizeof(*out));
	if (!log_syslog(clock, line, len, &l) || !slice_begins(l.program, "postfix") ||
	    slice_ends(l.program, "/postgrey"))
		return false;
	out->time = l.time;
	slash = memrchr(l.program.s, '/', l.program.len);
	if (slash == NULL)
		return true;
	program = slice_from(l.program, slash + 1);
	whole = (struct slice){ l.rest, l.rest_len };
	colon = slice_find(whole, ": ");
	key = (struct slice){ whole.s, colon != NULL ? (size_t)(colon - whole.s) : 0 };
	rest = colon != NULL ? slice_from(whole, colon + 2) : (struct slice){ whole.s + whole.len, 0 };
	if (slice_is(program, "smtpd"))
		read_smtpd(key, rest, out);
	else if (slice_is(program, "postscreen"))
		read_postscreen(key, rest, whole, out);
	else if (slice_is(program, "qmgr"))
		read_qmgr(key, rest, out);
	else
		read_delivery(key, rest, out);
	return true;
}
