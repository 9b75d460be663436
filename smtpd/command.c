/*
 * One line of a client: find its row, refuse what the table refuses, hand over the rest (command.h).
 */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "smtpd/command.h"
#include "smtpd/session.h"
#include "smtpd/session_tls.h"

#define HELLO STATE_BIT(STATE_HELLO)
#define READY STATE_BIT(STATE_READY)
#define MAIL STATE_BIT(STATE_MAIL)
#define RCPT STATE_BIT(STATE_RCPT)
#define BDAT STATE_BIT(STATE_BDAT)
#define REFUSED STATE_BIT(STATE_REFUSED)
#define GREETED (HELLO | READY | MAIL | RCPT | BDAT)
#define ANY (GREETED | REFUSED)

/* Known, and of no use to anybody here. */
static bool
never(const struct session *s)
{
	(void)s;
	return false;
}

/* A browser, or a program that was talked into asking us: behind the header is text that somebody else wrote, and it may
 * come from an address that may relay. */
static void
not_smtp(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	session_reply(s, 421, "4.7.0", "%s speaks SMTP, not HTTP; good-bye", session_conf()->host);
	session_finish(s, "HTTP");
}

/* Names the rows of the table that are of use here. */
static void help(struct session *, const char *, size_t);

static const struct command commands[] = {
	{ "HELO", cmd_helo, GREETED, NULL, COMMAND_LAST | COMMAND_ARGUMENT | COMMAND_JUNK, NULL },
	{ "EHLO", cmd_ehlo, GREETED, NULL, COMMAND_LAST | COMMAND_ARGUMENT | COMMAND_JUNK, NULL },
	{ "MAIL", cmd_mail, READY, "HELO or EHLO first, and one MAIL a transaction", COMMAND_ARGUMENT, NULL },
	{ "RCPT", cmd_rcpt, MAIL | RCPT, "MAIL first", COMMAND_ARGUMENT, NULL },
	{ "DATA", cmd_data, MAIL | RCPT, "MAIL and RCPT first, and no BDAT", COMMAND_LAST | COMMAND_NO_ARGUMENT, NULL },
	{ "BDAT", cmd_bdat, ANY, NULL, 0, NULL }, /* looks at the state itself: the chunk comes whatever is said */
	{ "RSET", cmd_rset, ANY, NULL, COMMAND_JUNK | COMMAND_NO_ARGUMENT, NULL },
	{ "NOOP", cmd_noop, ANY, NULL, COMMAND_JUNK | COMMAND_LAST, NULL },
	{ "VRFY", cmd_vrfy, GREETED, NULL, COMMAND_JUNK | COMMAND_LAST | COMMAND_ARGUMENT, NULL },
	{ "HELP", help, ANY, NULL, COMMAND_JUNK, NULL },
	{ "QUIT", cmd_quit, ANY, NULL, COMMAND_LAST | COMMAND_NO_ARGUMENT, NULL },
	{ "XCLIENT", cmd_xclient, HELLO | READY, "not inside a transaction", COMMAND_LAST | COMMAND_ARGUMENT, NULL },
	{ "EXPN", NULL, ANY, NULL, 0, never },
	{ "STARTTLS", cmd_starttls, READY, "EHLO first, and not inside a transaction", COMMAND_LAST | COMMAND_NO_ARGUMENT,
	    session_tls_served },
	{ "AUTH", cmd_auth, READY, "EHLO first, and not inside a transaction", COMMAND_LAST | COMMAND_ARGUMENT,
	    auth_served },
	{ "ETRN", cmd_etrn, READY, "EHLO first, and not inside a transaction", COMMAND_JUNK | COMMAND_ARGUMENT, etrn_served },
	{ "TURN", NULL, ANY, NULL, 0, never },
	{ "GET", not_smtp, ANY, NULL, 0, NULL },
	{ "POST", not_smtp, ANY, NULL, 0, NULL },
	{ "PUT", not_smtp, ANY, NULL, 0, NULL },
	{ "CONNECT", not_smtp, ANY, NULL, 0, NULL },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static unsigned long counts[COMMANDS];

void
command_each(void (*visit)(const char *, unsigned long, void *), void *arg)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		visit(commands[i].verb, counts[i], arg);
}

static void
help(struct session *s, const char *arg, size_t len)
{
	struct buf names = { 0 };
	const struct command *c;

	(void)arg;
	(void)len;
	for (c = commands; c < commands + COMMANDS; c++)
		if (c->handle != NULL && c->handle != not_smtp && (c->offered == NULL || c->offered(s)) &&
		    (c->handle != cmd_xclient || xclient_allowed(s)))
			buf_addf(&names, "%s ", c->verb);
	session_reply(s, 214, "2.0.0", "%sand for people postmaster@%s", buf_str(&names), session_conf()->host);
	buf_free(&names);
}

static const struct command *
find(const char *line, size_t len)
{
	size_t i, verb = 0;

	while (verb < len && isalpha((unsigned char)line[verb]))
		verb++;
	if (verb < len && line[verb] != ' ')
		return NULL;
	for (i = 0; i < COMMANDS; i++)
		if (strlen(commands[i].verb) == verb && strncasecmp(line, commands[i].verb, verb) == 0) {
			counts[i]++;
			return &commands[i];
		}
	return NULL;
}

/* Commands that bring no mail forward are free, up to a number. */
static bool
too_much_junk(struct session *s, const struct command *c)
{
	if (!(c->flags & COMMAND_JUNK) || ++s->junk <= session_conf()->limits[LIMIT_COMMANDS])
		return false;
	session_reply(s, 421, "4.7.0", "%s too many commands that bring no mail; good-bye", session_conf()->host);
	session_finish(s, "junk");
	return true;
}

/* True when the table refuses: said and counted. */
static bool
refused(struct session *s, const struct command *c, size_t arg_len)
{
	if (s->state == STATE_REFUSED && !(c->states & REFUSED))
		session_reply(s, 503, "5.7.1", "this server refused you in its greeting; QUIT is all that is left");
	else if (c->offered != NULL && !c->offered(s))
		session_reply(s, 502, "5.5.1", "%s is not offered here", c->verb);
	else if (!(c->states & STATE_BIT(s->state)))
		session_reply(s, 503, "5.5.1", "%s", c->order != NULL ? c->order : "not now");
	else if ((c->flags & COMMAND_NO_ARGUMENT) && arg_len > 0)
		session_reply(s, 501, "5.5.4", "%s takes no argument", c->verb);
	else if ((c->flags & COMMAND_ARGUMENT) && arg_len == 0)
		session_reply(s, 501, "5.5.4", "%s needs an argument", c->verb);
	else
		return false;
	session_error(s);
	return true;
}

/* Trailing white space is tolerated (RFC 5321 4.1.1). */
static size_t
trim(const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	return len;
}

void
command_line(struct session *s, const char *line, size_t len)
{
	const struct command *c;
	size_t verb;

	len = trim(line, len);
	c = find(line, len);
	if (c == NULL || (c->handle == cmd_xclient && !xclient_allowed(s))) {
		session_reply(s, 500, "5.5.2", "command not recognized");
		session_error(s);
		return;
	}
	verb = strlen(c->verb);
	while (verb < len && line[verb] == ' ')
		verb++;
	if (refused(s, c, len - verb) || too_much_junk(s, c))
		return;
	/* RFC 2920 3.1: whoever sends on behind these, or without having seen PIPELINING offered, did not wait */
	if (s->rest > 0 && ((c->flags & COMMAND_LAST) || !s->esmtp) && c->handle != cmd_quit)
		s->early_data = true;
	c->handle(s, line + verb, len - verb);
}
