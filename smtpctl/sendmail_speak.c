/*
 * The dialogue of sendmail -bs (RFC 5321, as far as a local program needs it).
 *
 * One table of verbs.  What comes by DATA is handed in as sendmail does it (handin.h), so it has the
 * caller's account for its origin, passes no gate, and is completed (lib/compose.h).  A "250" behind
 * the data means that the server has stored the message; an input that ends before its dot is no
 * message.  Nobody but the caller is hurt by what he says here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/compose.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "smtpctl/handin.h"
#include "smtpctl/sendmail_speak.h"

struct dialogue {
	struct handin_server server;
	char *sender; /* of the transaction; NULL: there is none */
	struct handin_words words;
	char *line;   /* as read last */
	size_t room;
	bool over;
};

static void __attribute__((format(printf, 1, 2)))
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	fputs("\r\n", stdout);
	/* the other end waits for it */
	fflush(stdout);
}

/* The next line without its end; its octets, or -1. */
static ssize_t
hear(struct dialogue *d)
{
	ssize_t len = getline(&d->line, &d->room, stdin);

	while (len > 0 && (d->line[len - 1] == '\n' || d->line[len - 1] == '\r'))
		d->line[--len] = '\0';
	return len;
}

static void
forget(struct dialogue *d)
{
	free(d->sender);
	d->sender = NULL;
	handin_words_free(&d->words);
}

/* --- paths --- */

/* Parameters that say what is so anyway. */
static bool
parameters_ok(const char *s)
{
	static const char *const known[] = { "SIZE=", "BODY=7BIT", "BODY=8BITMIME" };
	size_t i, len;

	for (s += strspn(s, " "); *s != '\0'; s += strspn(s, " ")) {
		len = strcspn(s, " ");
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (strncasecmp(s, known[i], strlen(known[i])) == 0)
				break;
		if (i == sizeof(known) / sizeof(known[0]))
			return false;
		s += len;
	}
	return true;
}

/* "FROM:<address> ...", completed; NULL: it is none, and that was said.  The caller frees. */
static char *
read_path(const struct dialogue *d, const char *arg, const char *key, bool sender)
{
	const char *why = "it does not stand in angle brackets", *open, *close;
	char *text, *address = NULL;

	if (strncasecmp(arg, key, strlen(key)) != 0) {
		say("501 5.5.4 %s is missing", key);
		return NULL;
	}
	open = arg + strlen(key);
	open += strspn(open, " ");
	close = *open == '<' ? strrchr(open, '>') : NULL;
	if (close != NULL && !parameters_ok(close + 1)) {
		say("555 5.5.4 no such parameter");
		return NULL;
	}
	if (close != NULL) {
		text = xstrndup(open + 1, (size_t)(close - open) - 1);
		address = handin_address(d->server.host, text, sender, &why);
		free(text);
	}
	if (address == NULL)
		say("%s no address: %s", sender ? "553 5.1.7" : "553 5.1.3", why);
	return address;
}

/* --- verbs --- */

static void
on_helo(struct dialogue *d, const char *arg)
{
	(void)arg;
	forget(d);
	say("250 %s", d->server.host);
}

static void
on_ehlo(struct dialogue *d, const char *arg)
{
	(void)arg;
	forget(d);
	printf("250-%s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n", d->server.host);
	say("250 SIZE %llu", (unsigned long long)d->server.size);
}

static void
on_mail(struct dialogue *d, const char *arg)
{
	char *sender;

	if (d->sender != NULL) {
		say("503 5.5.1 there is a sender already");
		return;
	}
	sender = read_path(d, arg, "FROM:", true);
	if (sender == NULL)
		return;
	d->sender = sender;
	handin_add(&d->words, xstrdup("submit"));
	handin_add(&d->words, xasprintf("from=%s", sender));
	say("250 2.1.0 sender ok");
}

static void
on_rcpt(struct dialogue *d, const char *arg)
{
	char *recipient;

	if (d->sender == NULL) {
		say("503 5.5.1 MAIL comes first");
		return;
	}
	recipient = read_path(d, arg, "TO:", false);
	if (recipient == NULL)
		return;
	handin_add_recipient(&d->words, recipient);
	free(recipient);
	say("250 2.1.5 recipient ok");
}

/* Up to the dot, without those that were doubled; false: the input ended before. */
static bool
read_text(struct dialogue *d, struct buf *text)
{
	ssize_t len;

	while ((len = getline(&d->line, &d->room, stdin)) > 0) {
		if (strcmp(d->line, ".\r\n") == 0 || strcmp(d->line, ".\n") == 0)
			return true;
		/* what is too much is read all the same: the answer comes behind it */
		if (text->len <= d->server.size)
			buf_add(text, d->line + (d->line[0] == '.'), (size_t)(len - (d->line[0] == '.')));
	}
	return false;
}

static void
hand_in(struct dialogue *d, const struct buf *text)
{
	struct compose_options o = { .dot_is_text = true, .host = d->server.host, .sender = d->sender,
		.id = id_new(), .now = clock_now() };
	struct composed message = { .recipients = NULL };
	char *queued = NULL, *why = compose(&o, buf_str(text), text->len, &message);

	if (why != NULL)
		say("554 5.6.0 %s", why);
	else if (handin_submit(&d->words, &message, &queued, &why) == 0)
		say("250 2.0.0 queued as %s", queued != NULL ? queued : "?");
	else
		say("%s%s", why[0] == '4' || why[0] == '5' ? "" : "451 4.3.0 ", why);
	free(queued);
	free(why);
	composed_free(&message);
}

static void
on_data(struct dialogue *d, const char *arg)
{
	struct buf text = { 0 };

	(void)arg;
	if (d->words.recipients == 0) {
		say("503 5.5.1 there are no recipients");
		return;
	}
	say("354 go on, and end with a dot");
	if (!read_text(d, &text))
		d->over = true;
	else if (text.len > d->server.size)
		say("552 5.3.4 the message is larger than this server takes");
	else
		hand_in(d, &text);
	buf_free(&text);
	forget(d);
}

static void
on_rset(struct dialogue *d, const char *arg)
{
	(void)arg;
	forget(d);
	say("250 2.0.0 forgotten");
}

static void
on_noop(struct dialogue *d, const char *arg)
{
	(void)d;
	(void)arg;
	say("250 2.0.0 ok");
}

static void
on_vrfy(struct dialogue *d, const char *arg)
{
	(void)d;
	(void)arg;
	say("252 2.0.0 send it, and see");
}

static void
on_quit(struct dialogue *d, const char *arg)
{
	(void)arg;
	say("221 2.0.0 %s closes", d->server.host);
	d->over = true;
}

static const struct verb {
	const char *name;
	void (*run)(struct dialogue *, const char *arg);
} verbs[] = {
	{ "HELO", on_helo },
	{ "EHLO", on_ehlo },
	{ "MAIL", on_mail },
	{ "RCPT", on_rcpt },
	{ "DATA", on_data },
	{ "RSET", on_rset },
	{ "NOOP", on_noop },
	{ "VRFY", on_vrfy },
	{ "QUIT", on_quit },
};

static void
obey(struct dialogue *d)
{
	char *line = xstrdup(d->line);
	size_t i, len = strcspn(line, " ");

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strlen(verbs[i].name) == len && strncasecmp(line, verbs[i].name, len) == 0)
			break;
	if (i < sizeof(verbs) / sizeof(verbs[0]))
		verbs[i].run(d, line + len + strspn(line + len, " "));
	else
		say("500 5.5.2 no such command");
	free(line);
}

int
sendmail_speak(void)
{
	struct dialogue d = { .sender = NULL };
	char *why;
	int code = EX_OK;

	if (handin_ask(&d.server, &why)) {
		say("220 %s", d.server.host);
		while (!d.over && hear(&d) >= 0)
			obey(&d);
	} else {
		say("421 4.3.0 %s", why);
		free(why);
		code = EX_TEMPFAIL;
	}
	forget(&d);
	free(d.line);
	handin_server_free(&d.server);
	return ferror(stdout) ? EX_IOERR : code;
}
