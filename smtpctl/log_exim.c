/*
 * Exim's main log (log_line.h).
 *
 *	2026-07-24 10:00:00 ID <= S H=NAME (HELO) [IP]:PORT P=esmtps S=1234 id=M for R R2
 *	2026-07-24 10:00:01 ID => R <O> R=local T=maildir
 *	2026-07-24 10:00:01 ID Completed
 *	2026-07-24 10:00:00 H=(HELO) [IP]:PORT F=<S> rejected RCPT <R>: text
 *	2026-07-24 10:00:00 H=NAME (HELO) [IP] F=<S> temporarily rejected RCPT <R>: greylisted
 *	2026-07-24 10:00:00 H=[IP] rejected connection in "connect" ACL: text
 *	2026-07-24 10:00:00 SMTP protocol synchronization error (input sent without waiting for greeting): ...
 *
 * A name outside the parentheses is verified; inside them it is what the client says of itself.
 */
#include <ctype.h>
#include <string.h>

#include "smtpctl/log_line.h"

/* "H=mail.example.org (helo.example.org) [192.0.2.1]:3456 ..." */
static bool
read_host(struct slice s, struct log_line *out)
{
	struct slice host = slice_between(s, "H=", " P="), helo;
	const char *open, *close, *start;

	if (host.s == NULL)
		return false;
	/* the address is the last thing in brackets before a port or a blank; HELO may be one as well */
	for (open = memchr(host.s, '[', host.len); open != NULL;
	    open = memchr(open + 1, '[', (size_t)(host.s + host.len - open - 1))) {
		close = memchr(open, ']', (size_t)(host.s + host.len - open));
		if (close == NULL)
			return false;
		if ((open == host.s || open[-1] != '(') &&
		    slice_ip((struct slice){ open + 1, (size_t)(close - open - 1) }, &out->client))
			break;
	}
	if (open == NULL)
		return false;
	host.len = (size_t)(open - host.s);
	helo = slice_between(host, "(", ")");
	out->helo = helo;
	start = host.s;
	out->name = (struct slice){ start, 0 };
	while (out->name.len < host.len && start[out->name.len] != ' ' && start[out->name.len] != '(')
		out->name.len++;
	out->name_is = out->name.len > 0 ? LOG_NAME_VERIFIED : LOG_NAME_NONE;
	if (helo.s == NULL && out->name.len > 0)
		out->helo = out->name;
	return true;
}

/* "<S>" or "S", up to a blank or the colon behind it. */
static struct slice
read_address(struct slice s)
{
	struct slice address = s;

	if (s.len > 0 && *s.s == '<')
		return slice_between(s, "<", ">");
	for (address.len = 0; address.len < s.len && s.s[address.len] != ' ' && s.s[address.len] != ':'; address.len++)
		;
	return address;
}

/* What comes after RCPT is refused to a message, whose recipients were accepted. */
static void
read_rejection(struct slice s, struct log_line *out)
{
	static const char *const before[] = { "MAIL ", "EHLO ", "HELO ", "connection " };
	const char *rejected = slice_find(s, " rejected "), *from = slice_find(s, " F=");
	struct slice what = rejected != NULL ? slice_from(s, rejected + 10) : (struct slice){ NULL, 0 };
	bool early = false;
	size_t i;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		early = early || slice_begins(what, before[i]);
	if ((!early && !slice_begins(what, "RCPT ")) || !read_host(s, out))
		return;
	out->what = LOG_REFUSED;
	out->code = slice_ends((struct slice){ s.s, (size_t)(rejected - s.s) }, " temporarily") ? 451 : 550;
	if (!early)
		out->recipient = read_address(slice_from(what, what.s + 5));
	if (from != NULL)
		out->sender = read_address(slice_from(s, from + 3));
}

/* "S H=..."; a bounce of our own has "<>", and what was handed in here has no H=. */
static void
read_arrival(struct slice s, struct log_line *out)
{
	struct slice sender = s;

	for (sender.len = 0; sender.len < s.len && s.s[sender.len] != ' '; sender.len++)
		;
	out->what = LOG_SENDER;
	out->sender = slice_bare(sender);
	(void)read_host(s, out);
	out->authenticated = slice_find(s, " A=") != NULL;
}

/* "bob <bob@example.org> R=...", "bob@example.org R=..." */
static void
read_delivery(struct slice s, struct log_line *out)
{
	struct slice first = read_address(s), rest = slice_from(s, first.s + first.len), original;

	original = slice_begins(rest, " <") ? slice_between(rest, "<", ">") : (struct slice){ NULL, 0 };
	out->what = LOG_RECIPIENT;
	out->recipient = original.len > 0 ? original : first;
}

/* "1abcDE-0000xy-Ab", or 23 octets since 4.97. */
static bool
is_id(const char *s, size_t len)
{
	return len == 16 ? s[6] == '-' && s[13] == '-' : len == 23 && s[6] == '-' && s[18] == '-';
}

bool
log_read_exim(struct log_clock *clock, const char *line, size_t len, struct log_line *out)
{
	struct slice rest, word;
	const char *space;

	memset(out, 0, sizeof(*out));
	out->time = log_time_iso(clock, &line, &len);
	if (out->time < 0 || len == 0)
		return false;
	rest = (struct slice){ line, len };
	if (*rest.s == '[' && (space = slice_find(rest, "] ")) != NULL)
		rest = slice_from(rest, space + 2);
	if (slice_begins(rest, "H=") || slice_find(rest, " rejected RCPT ") != NULL) {
		read_rejection(rest, out);
		return true;
	}
	if (slice_begins(rest, "SMTP protocol synchronization error (input sent without waiting for greeting)")) {
		if (read_host(rest, out))
			out->what = LOG_EARLY;
		out->code = 554;
		return true;
	}
	space = memchr(rest.s, ' ', rest.len);
	word = (struct slice){ rest.s, space != NULL ? (size_t)(space - rest.s) : rest.len };
	if (!is_id(word.s, word.len))
		return slice_begins(rest, "SMTP ") || slice_begins(rest, "no host name found") ||
		    slice_begins(rest, "exim ") || slice_find(rest, " authenticator failed ") != NULL;
	out->key = word;
	rest = space != NULL ? slice_from(rest, space + 1) : (struct slice){ rest.s, 0 };
	if (slice_begins(rest, "<= "))
		read_arrival(slice_from(rest, rest.s + 3), out);
	else if (slice_begins(rest, "=> ") || slice_begins(rest, "-> ") || slice_begins(rest, ">> "))
		read_delivery(slice_from(rest, rest.s + 3), out);
	else if (slice_begins(rest, "== ") || slice_begins(rest, "** "))
		read_delivery(slice_from(rest, rest.s + 3), out);
	else if (slice_is(rest, "Completed"))
		out->what = LOG_END;
	return true;
}
