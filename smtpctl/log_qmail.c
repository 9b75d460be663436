/*
 * qmail with tcpserver, as multilog or syslog keeps it, and what usually stands beside it: rblsmtpd,
 * spamdyke, and the line that many builds of qmail-smtpd write (log_line.h).
 *
 *	tcpserver: ok PID LOCAL:IP:PORT NAME:IP:IDENT:PORT
 *	tcpserver: end PID status 0
 *	rblsmtpd: IP pid PID: 451 text
 *	mail recv: pid PID from <S> qp QP
 *	info msg M: bytes 1234 from <S> qp QP uid U
 *	starting delivery N: msg M to local R
 *	end msg M
 *	spamdyke[PID]: DENIED_RDNS_MISSING from: S to: R origin_ip: IP origin_rdns: NAME auth: (unknown) ...
 *
 * A connection is known by the process that served it, a message by its file; qmail itself does not
 * tell which belong together.  The process that queued the message (QP) is a child of the one that
 * served the connection, and that is how logbook.c finds it.  Names are what the reverse zone says, and nobody has verified them.
 */
#include <string.h>

#include "smtpctl/log_line.h"

/* "NAME:IP:IDENT:PORT"; of an IPv6 address the colons are its own. */
static bool
read_remote(struct slice s, struct log_line *out)
{
	const char *colon = s.len > 0 ? memchr(s.s, ':', s.len) : NULL, *end;
	struct slice ip;
	unsigned cut;

	if (colon == NULL)
		return false;
	out->name = (struct slice){ s.s, (size_t)(colon - s.s) };
	ip = slice_from(s, colon + 1);
	/* without port and ident */
	for (cut = 0; cut < 2; cut++) {
		end = memrchr(ip.s, ':', ip.len);
		if (end == NULL)
			return false;
		ip.len = (size_t)(end - ip.s);
	}
	if (!slice_ip(ip, &out->client))
		return false;
	if (out->name.len == 0 || slice_is(out->name, "unknown"))
		out->name_is = LOG_NAME_NONE;
	else
		out->name_is = LOG_NAME_UNVERIFIED;
	return true;
}

static struct slice
word(struct slice *rest)
{
	struct slice w;
	const char *space;

	while (rest->len > 0 && *rest->s == ' ')
		*rest = slice_from(*rest, rest->s + 1);
	space = rest->len > 0 ? memchr(rest->s, ' ', rest->len) : NULL;
	w = (struct slice){ rest->s, space != NULL ? (size_t)(space - rest->s) : rest->len };
	*rest = slice_from(*rest, w.s + w.len);
	return w;
}

/* "ok PID LOCAL:IP:PORT NAME:IP:IDENT:PORT"; the local part may end in a blank of its own. */
static void
read_tcpserver(struct slice s, struct log_line *out)
{
	struct slice verb = word(&s), pid = word(&s);

	out->key = pid;
	out->connection = true;
	if (slice_is(verb, "end")) {
		out->what = LOG_END;
	} else if (slice_is(verb, "ok") || slice_is(verb, "deny")) {
		(void)word(&s);
		if (!read_remote(word(&s), out))
			return;
		out->what = slice_is(verb, "ok") ? LOG_CLIENT : LOG_REFUSED;
		out->code = out->what == LOG_REFUSED ? 554 : 0;
	}
}

static void
read_rblsmtpd(struct slice s, struct log_line *out)
{
	struct slice ip = word(&s), pid;

	if (!slice_ip(ip, &out->client) || !slice_is(word(&s), "pid"))
		return;
	pid = word(&s);
	if (pid.len > 0 && pid.s[pid.len - 1] == ':')
		pid.len--;
	while (s.len > 0 && *s.s == ' ')
		s = slice_from(s, s.s + 1);
	out->key = pid;
	out->connection = true;
	out->code = slice_number(s);
	out->what = out->code >= 400 ? LOG_REFUSED : LOG_NOTHING;
}

/* Fields are "key: value"; a value has no blanks. */
static struct slice
field(struct slice s, const char *key)
{
	struct slice value = slice_between(s, key, " ");

	return slice_is(value, "(unknown)") || slice_is(value, "(none)") ? (struct slice){ NULL, 0 } : value;
}

static void
read_spamdyke(struct slice s, struct log_line *out)
{
	struct slice verdict = word(&s);

	if (!slice_begins(verdict, "DENIED_") && !slice_begins(verdict, "ALLOWED") && !slice_begins(verdict, "TIMEOUT"))
		return;
	if (!slice_ip(field(s, " origin_ip: "), &out->client))
		return;
	out->name = field(s, " origin_rdns: ");
	out->name_is = out->name.s == NULL ? LOG_NAME_NONE : LOG_NAME_UNVERIFIED;
	out->sender = field(s, " from: ");
	out->recipient = field(s, " to: ");
	out->authenticated = field(s, " auth: ").s != NULL;
	out->what = slice_begins(verdict, "ALLOWED") ? LOG_ACCEPTED : LOG_REFUSED;
	if (out->what == LOG_REFUSED)
		out->code = slice_is(verdict, "DENIED_GRAYLISTED") || slice_begins(verdict, "TIMEOUT") ? 421 : 554;
}

/* "pid PID from <S> qp QP" */
static void
read_received(struct slice s, struct log_line *out)
{
	if (!slice_is(word(&s), "pid"))
		return;
	out->what = LOG_QUEUED;
	out->key = word(&s);
	out->process = slice_between(s, " qp ", " ");
}

/* qmail-send: the words that begin its lines. */
static bool
read_send(struct slice s, struct log_line *out)
{
	if (slice_begins(s, "info msg ")) {
		out->what = LOG_SENDER;
		out->key = slice_between(s, "info msg ", ":");
		out->sender = slice_between(s, " from <", ">");
		out->process = slice_between(s, " qp ", " ");
		return true;
	}
	if (slice_begins(s, "starting delivery ")) {
		out->what = LOG_RECIPIENT;
		out->key = slice_between(s, " msg ", " ");
		out->recipient = slice_between(s, " to local ", "\n");
		if (out->recipient.s == NULL)
			out->recipient = slice_between(s, " to remote ", "\n");
		return true;
	}
	if (slice_begins(s, "end msg ")) {
		out->what = LOG_END;
		out->key = slice_from(s, s.s + 8);
		return true;
	}
	if (slice_begins(s, "new msg ") || slice_begins(s, "delivery ") || slice_begins(s, "status: local ") ||
	    slice_begins(s, "bounce msg "))
		return true;
	return false;
}

/* "tcpserver: ...", "spamdyke[123]: ..." */
static bool
read_program(struct slice s, struct log_line *out)
{
	const char *colon = slice_find(s, ": ");
	struct slice program, rest;
	const char *bracket;

	if (colon == NULL)
		return false;
	program = (struct slice){ s.s, (size_t)(colon - s.s) };
	bracket = memchr(program.s, '[', program.len);
	if (bracket != NULL)
		program.len = (size_t)(bracket - program.s);
	rest = slice_from(s, colon + 2);
	if (slice_is(program, "tcpserver"))
		read_tcpserver(rest, out);
	else if (slice_is(program, "rblsmtpd"))
		read_rblsmtpd(rest, out);
	else if (slice_is(program, "spamdyke"))
		read_spamdyke(rest, out);
	else if (slice_is(program, "mail recv"))
		read_received(rest, out);
	else
		return false;
	return true;
}

bool
log_read_qmail(struct log_clock *clock, const char *line, size_t len, struct log_line *out)
{
	struct syslog_line l;
	struct slice s;

	memset(out, 0, sizeof(*out));
	if (len > 0 && (*line == '@' || (*line >= '0' && *line <= '9'))) {
		out->time = log_time_any(clock, &line, &len);
		s = (struct slice){ line, len };
	} else if (log_syslog(clock, line, len, &l)) {
		out->time = l.time;
		s = (struct slice){ l.rest, l.rest_len };
		/* syslog's program is ours, or "qmail" and the program follows */
		if (slice_is(l.program, "spamdyke")) {
			read_spamdyke(s, out);
			return true;
		}
		if (slice_is(l.program, "tcpserver")) {
			read_tcpserver(s, out);
			return true;
		}
		if (!slice_begins(l.program, "qmail") && !slice_is(l.program, "smtpd") && !slice_is(l.program, "splogger"))
			return false;
		/* splogger repeats the time in front */
		if (s.len > 18 && s.s[0] >= '0' && s.s[0] <= '9' && memchr(s.s, '.', 12) != NULL) {
			const char *space = memchr(s.s, ' ', s.len);

			s = space != NULL ? slice_from(s, space + 1) : s;
		}
	} else {
		return false;
	}
	return out->time >= 0 && (read_send(s, out) || read_program(s, out));
}
