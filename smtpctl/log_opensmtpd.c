/*
 * OpenSMTPD, as it logs since 6.4, in 6.0, and before (log_line.h).
 *
 *	SESSION smtp connected address=IP host=NAME
 *	SESSION smtp envelope evpid=E from=<S> to=<R>
 *	SESSION smtp failed-command command="RCPT TO:<R>" result="550 Invalid recipient: <R>"
 *	SESSION smtp disconnected reason=quit
 *	SESSION smtp event=connected address=IP host=NAME
 *	SESSION smtp event=message address=IP host=NAME msgid=M from=<S> to=<R> size=1 ndest=1 proto=ESMTP
 *	smtp-in: New session SESSION from host NAME [IP]
 *	smtp-in: Accepted message M on session SESSION: from=<S>, to=<R>, size=1, ndest=1, proto=ESMTP
 *	smtp-in: Failed command on session SESSION: "RCPT TO:<R>" => 550 Invalid recipient
 *
 * The name is what the reverse zone says, and nobody has verified it.
 */
#include <string.h>

#include "smtpctl/log_line.h"

static bool
read_client(struct slice s, struct log_line *out)
{
	struct slice address = slice_between(s, " address=", " ");

	if (address.len > 2 && *address.s == '[')
		address = (struct slice){ address.s + 1, address.len - 2 };
	if (!slice_ip(address, &out->client))
		return false;
	out->name = slice_between(s, " host=", " ");
	if (out->name.len == 0 || *out->name.s == '<' || *out->name.s == '[' || slice_is(out->name, "unknown"))
		out->name_is = LOG_NAME_NONE;
	else
		out->name_is = LOG_NAME_UNVERIFIED;
	return true;
}

static void
read_failed(struct slice command, struct slice result, struct log_line *out)
{
	out->code = slice_number(result);
	if (out->code < 400 || (!slice_begins(command, "RCPT TO:") && !slice_begins(command, "MAIL FROM:")))
		return;
	out->what = LOG_REFUSED;
	if (slice_begins(command, "MAIL FROM:"))
		out->sender = slice_between(command, "<", ">");
	else
		out->recipient = slice_between(command, "<", ">");
}

static void
read_envelope(struct slice s, struct log_line *out)
{
	out->what = LOG_RECIPIENT;
	out->sender = slice_between(s, " from=<", ">");
	out->recipient = slice_between(s, " to=<", ">");
	if (out->recipient.s == NULL)
		out->what = LOG_NOTHING;
}

/* Before 6.0.  "New session SESSION from host NAME [IP]"; what does not name its session is of no interest. */
static void
read_old(struct slice s, struct log_line *out)
{
	const char *session = slice_find(s, "ession "), *from = slice_find(s, " from host ");
	struct slice host;

	if (session == NULL || (size_t)(s.s + s.len - session) < 7 + 16)
		return;
	out->key = (struct slice){ session + 7, 16 };
	if (slice_begins(s, "New session ") && from != NULL) {
		host = slice_from(s, from + 11);
		if (!slice_ip(slice_between(host, " [", "]"), &out->client))
			return;
		out->what = LOG_CLIENT;
		out->name = slice_before(&host, ' ');
		out->name_is = *out->name.s == '<' || *out->name.s == '[' ? LOG_NAME_NONE : LOG_NAME_UNVERIFIED;
	} else if (slice_begins(s, "Accepted message ")) {
		read_envelope(s, out);
	} else if (slice_begins(s, "Failed command ")) {
		read_failed(slice_between(s, ": \"", "\" => "), slice_between(s, "\" => ", "\n"), out);
	} else if (slice_begins(s, "Closing session ") || slice_begins(s, "Received disconnect ") ||
	    slice_begins(s, "Disconnecting session ")) {
		out->what = LOG_END;
	}
}

bool
log_read_opensmtpd(struct log_clock *clock, const char *line, size_t len, struct log_line *out)
{
	struct syslog_line l;
	struct slice s, event;
	const char *space;

	memset(out, 0, sizeof(*out));
	if (!log_syslog(clock, line, len, &l) || !slice_is(l.program, "smtpd"))
		return false;
	s = (struct slice){ l.rest, l.rest_len };
	out->time = l.time;
	if (slice_begins(s, "smtp-in: ")) {
		read_old(slice_from(s, s.s + 9), out);
		return true;
	}
	space = s.len > 16 ? memchr(s.s, ' ', s.len) : NULL;
	if (space == NULL || space - s.s != 16)
		return slice_begins(s, "info: OpenSMTPD") || slice_find(s, " mta ") != NULL;
	out->key = (struct slice){ s.s, 16 };
	s = slice_from(s, space);
	if (!slice_begins(s, " smtp "))
		return slice_begins(s, " mta ") || slice_begins(s, " mda ");
	event = slice_begins(s, " smtp event=") ? slice_from(s, s.s + 12) : slice_from(s, s.s + 6);
	if (slice_begins(event, "connected")) {
		if (read_client(s, out))
			out->what = LOG_CLIENT;
	} else if (slice_begins(event, "envelope") || slice_begins(event, "message")) {
		read_envelope(s, out);
	} else if (slice_begins(event, "failed-command")) {
		read_failed(slice_between(s, " command=\"", "\""), slice_between(s, " result=\"", "\""), out);
	} else if (slice_begins(event, "authentication") && slice_find(s, " result=ok") != NULL) {
		out->what = LOG_CLIENT;
		out->authenticated = true;
	} else if (slice_begins(event, "disconnected") || slice_begins(event, "closed")) {
		out->what = LOG_END;
	}
	return true;
}
