/*
 * postgrey, where its lines are all that was kept (log_line.h).
 *
 *	action=greylist, reason=new, client_name=NAME, client_address=IP/32, sender=S, recipient=R
 *	action=greylist, reason=early-retry (120s missing), ...
 *	action=pass, reason=triplet found, delay=301, ...
 *	4Rgkq62Qzkz: action=pass, reason=client AWL, ...	(a further recipient of a message that Postfix has begun)
 *
 * Names are those that Postfix verified.  A null sender is left out of the line.
 */
#include <string.h>

#include "smtpctl/log_line.h"

bool
log_read_postgrey(struct log_clock *clock, const char *line, size_t len, struct log_line *out)
{
	struct syslog_line l;
	const char *action;
	struct slice s;

	memset(out, 0, sizeof(*out));
	if (!log_syslog(clock, line, len, &l) ||
	    (!slice_is(l.program, "postgrey") && !slice_is(l.program, "postfix/postgrey")))
		return false;
	out->time = l.time;
	s = (struct slice){ l.rest, l.rest_len };
	action = slice_find(s, "action=");
	if (action != NULL && action > s.s + 2 && action[-1] == ' ' && action[-2] == ':')
		s = slice_from(s, action);
	if (!slice_begins(s, "action=") || !slice_ip(slice_between(s, " client_address=", ","), &out->client))
		return true;
	out->name = slice_between(s, " client_name=", ",");
	out->name_is = out->name.len == 0 || slice_is(out->name, "unknown") ? LOG_NAME_NONE : LOG_NAME_VERIFIED;
	out->sender = slice_between(s, " sender=", ",");
	if (out->sender.s == NULL)
		out->sender = (struct slice){ "", 0 };
	out->recipient = slice_between(s, " recipient=", ",");
	if (slice_begins(s, "action=greylist")) {
		out->what = LOG_REFUSED;
		out->code = 450;
	} else if (slice_begins(s, "action=pass")) {
		out->what = LOG_ACCEPTED;
	}
	return true;
}
