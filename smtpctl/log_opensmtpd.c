/*
 * OpenSMTPD, as it logs since 6.4, and before (log_line.h).
 *
 *	SESSION smtp connected address=IP host=NAME
 *	SESSION smtp envelope evpid=E from=<S> to=<R>
 *	SESSION smtp failed-command command="RCPT TO:<R>" result="550 Invalid recipient: <R>"
 *	SESSION smtp disconnected reason=quit
 *	SESSION smtp event=connected address=IP host=NAME
 *	SESSION smtp event=message address=IP host=NAME msgid=M from=<S> to=<R> size=1 ndest=1 proto=ESMTP
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
read_failed(struct slice s, struct log_line *out)
{
	struct slice command = slice_between(s, " command=\"", "\""), result = slice_between(s, " result=\"", "\"");

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
	space = s.len > 16 ? memchr(s.s, ' ', s.len) : NULL;
	if (space == NULL || space - s.s != 16)
		return slice_begins(s, "smtp-in: ") || slice_begins(s, "info: OpenSMTPD") || slice_find(s, " mta ") != NULL;
	out->time = l.time;
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
		read_failed(s, out);
	} else if (slice_begins(event, "authentication") && slice_find(s, " result=ok") != NULL) {
		out->what = LOG_CLIENT;
		out->authenticated = true;
	} else if (slice_begins(event, "disconnected") || slice_begins(event, "closed")) {
		out->what = LOG_END;
	}
	return true;
}
