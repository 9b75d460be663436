/*
 * The mail submission program: what cron, PHP and a hundred scripts call as sendmail, mailq and
 * newaliases.
 *
 * It reads the whole message first, then asks the running server for its name, completes the
 * message (lib/compose.h) and hands it in over the control socket (handin.h); it has no privileges
 * and needs none.  It exits with codes of sysexits.h, and with EX_TEMPFAIL whenever the same call may succeed
 * later.  What must never happen: exit 0 for a message that the queue has not got.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/compose.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"
#include "lib/verp.h"
#include "smtpctl/client.h"
#include "smtpctl/handin.h"
#include "smtpctl/newaliases.h"
#include "smtpctl/output.h"
#include "smtpctl/sendmail_speak.h"
#include "smtpctl/smtpctl.h"

/* Options of every sendmail there was; most mean nothing here and are taken all the same. */
#define OPTIONS "+A:B:C:F:GIL:N:O:R:UV:X:b:cd:e:f:h:imno:p:q::r:stvx"

#define NONE_NAMED "no recipients; name them, or use -t to take them from the message"
#define NONE_IN_HEADER "the message names no recipients in To, Cc or Bcc"

enum mode { MODE_SEND, MODE_SPEAK, MODE_LIST, MODE_ALIASES, MODE_FLUSH };

struct mail {
	enum mode mode;
	bool from_header, dot_is_text, verbose;
	const char *sender, *full_name;       /* -f, -F; or NULL */
	const char *notify, *ret, *envid;     /* -N, -R, -V; or NULL */
	const char *verp;                     /* -XV; or NULL */
	char **arguments;
	int arguments_n;
	struct handin_server server;
	/* made of the above */
	struct buf input;
	struct composed composed;
	struct handin_words words;
};

static int
failed(int code, const char *what)
{
	fprintf(stderr, "sendmail: %s\n", what);
	return code;
}

/* --- options --- */

static int
set_mode(struct mail *m, const char *value)
{
	static const struct {
		char letter;
		enum mode mode;
	} modes[] = { { 'm', MODE_SEND }, { 's', MODE_SPEAK }, { 'p', MODE_LIST },
		{ 'i', MODE_ALIASES } };
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].letter == *value) {
			m->mode = modes[i].mode;
			return EX_OK;
		}
	if (*value == 'd' || *value == 'D')
		return failed(EX_USAGE, "-bd is not offered; the server is smtpd(8)");
	return failed(EX_USAGE, "of the -b options there are -bm, -bs, -bp and -bi");
}

/* "-oi" and its kin: the old way to write "-i"; the others set what cannot be set here. */
static void
set_old_option(struct mail *m, const char *value)
{
	if (strcmp(value, "i") == 0)
		m->dot_is_text = true;
}

/* "-XV", "-XV+=", as Postfix has it; any other is the name of a file for a trace. */
static void
set_verp(struct mail *m, const char *value)
{
	if (value[0] == 'V')
		m->verp = value[1] != '\0' ? value + 1 : VERP_DEFAULT;
}

static int
set_option(struct mail *m, int c, char *value)
{
	switch (c) {
	case 'b':
		return set_mode(m, value);
	case 'f':
	case 'r':
		m->sender = value;
		break;
	case 'F':
		m->full_name = value;
		break;
	case 'i':
		m->dot_is_text = true;
		break;
	case 'N':
		m->notify = value;
		break;
	case 'o':
		set_old_option(m, value);
		break;
	case 'q':
		m->mode = MODE_FLUSH;
		break;
	case 'R':
		m->ret = value;
		break;
	case 't':
		m->from_header = true;
		break;
	case 'V':
		m->envid = value;
		break;
	case 'X':
		set_verp(m, value);
		break;
	case 'v':
		m->verbose = true;
		break;
	case '?':
		return EX_USAGE;
	}
	return EX_OK;
}

static int
read_options(struct mail *m, int argc, char **argv)
{
	int c, r = EX_OK;

	if (strcmp(argv[0], "mailq") == 0)
		m->mode = MODE_LIST;
	if (strcmp(argv[0], "newaliases") == 0)
		m->mode = MODE_ALIASES;
	optind = 0; /* the words before may have been read by getopt, too */
	while (r == EX_OK && (c = getopt(argc, argv, OPTIONS)) != -1)
		r = set_option(m, c, optarg);
	m->arguments = argv + optind;
	m->arguments_n = argc - optind;
	return r;
}

/* --- the server --- */

/* Which name to complete addresses with, and how much is taken. */
static int
ask_server(struct mail *m)
{
	char *why;

	if (handin_ask(&m->server, &why))
		return EX_OK;
	(void)failed(EX_TEMPFAIL, why);
	free(why);
	return EX_TEMPFAIL;
}

/* --- the message --- */

/* To the end of file, or of the message where a lone dot is one: a terminal has no other. */
static int
read_input(struct mail *m)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, stdin)) > 0) {
		buf_add(&m->input, line, (size_t)len);
		if (m->input.len > m->server.size)
			break;
		if (!m->dot_is_text && line[0] == '.' &&
		    (len == 1 || line[1] == '\n' || (line[1] == '\r' && len == 3)))
			break;
	}
	free(line);
	if (ferror(stdin))
		return failed(EX_IOERR, "standard input cannot be read");
	if (m->input.len > m->server.size)
		return failed(EX_DATAERR, "the message is larger than this server takes");
	return EX_OK;
}

/* Full, normalised; NULL: it is none, and that was said.  The caller frees. */
static char *
full_address(const struct mail *m, const char *text, bool sender)
{
	const char *why;
	char *address = handin_address(m->server.host, text, sender, &why);

	if (address == NULL)
		fprintf(stderr, "sendmail: \"%s\" is no address: %s\n", text, why);
	return address;
}

static char *
account_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw != NULL ? xstrdup(pw->pw_name) : xasprintf("uid-%u", (unsigned)getuid());
}

/* The reverse-path: -f as an address in any form, "<>" for none; else whoever calls.  The caller
 * frees. */
static char *
find_sender(const struct mail *m)
{
	const char *text = m->sender;
	char *name, *address;
	size_t len;

	if (text == NULL) {
		name = account_name();
		address = full_address(m, name, true);
		free(name);
		return address;
	}
	len = strlen(text);
	if (len < 2 || text[0] != '<' || text[len - 1] != '>')
		return full_address(m, text, true);
	name = xstrndup(text + 1, len - 2);
	address = full_address(m, name, true);
	free(name);
	return address;
}

static int
add_recipient(struct mail *m, const char *text)
{
	char *address = full_address(m, text, false);

	if (address == NULL)
		return EX_USAGE;
	handin_add_recipient(&m->words, address);
	free(address);
	return EX_OK;
}

struct arguments {
	struct mail *mail;
	int status;
};

static void
on_argument(const struct header_address *a, void *arg)
{
	struct arguments *args = arg;

	if (args->status == EX_OK)
		args->status = add_recipient(args->mail, a->text);
}

/* An argument may be a list: "a@b, c@d", or "Name <a@b>". */
static int
add_argument(struct mail *m, const char *text)
{
	struct arguments args = { m, EX_OK };
	const char *why;
	size_t at;

	if (header_addresses(text, strlen(text), on_argument, &args, &why, &at))
		return args.status;
	fprintf(stderr, "sendmail: \"%s\" is no address: %s\n", text, why);
	return EX_USAGE;
}

/* -R and -N as RFC 3461 writes them, in any case; the server judges them. */
static void
add_lower(struct mail *m, const char *key, const char *value)
{
	char *word, *p;

	if (value == NULL)
		return;
	word = xasprintf("%s=%s", key, value);
	for (p = word; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	handin_add(&m->words, word);
}

static int
make_words(struct mail *m, const char *sender)
{
	int r = EX_OK;
	size_t i;

	handin_add(&m->words, xstrdup("submit"));
	handin_add(&m->words, xasprintf("from=%s", sender));
	add_lower(m, "notify", m->notify);
	add_lower(m, "ret", m->ret);
	if (m->envid != NULL)
		handin_add(&m->words, xasprintf("envid=%s", m->envid));
	if (m->verp != NULL)
		handin_add(&m->words, xasprintf("verp=%s", m->verp));
	for (i = 0; r == EX_OK && i < (size_t)m->arguments_n; i++)
		r = add_argument(m, m->arguments[i]);
	for (i = 0; r == EX_OK && i < m->composed.recipients_n; i++)
		r = add_recipient(m, m->composed.recipients[i]);
	if (r == EX_OK && m->words.recipients == 0)
		r = failed(EX_USAGE, m->from_header ? NONE_IN_HEADER : NONE_NAMED);
	return r;
}

/* --- handing in --- */

/* What the server's refusal means, by its SMTP reply code and enhanced status. */
static int
code_of(const char *reply)
{
	static const struct {
		const char *begin;
		int code;
	} codes[] = {
		{ "4", EX_TEMPFAIL }, { "552 5.3.4", EX_DATAERR }, { "554 5.6", EX_DATAERR },
		{ "553 5.1", EX_NOUSER },
		{ "550 5.1", EX_NOUSER }, { "501", EX_USAGE }, { "5", EX_UNAVAILABLE },
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strncmp(reply, codes[i].begin, strlen(codes[i].begin)) == 0)
			return codes[i].code;
	return EX_TEMPFAIL;
}

static int
hand_in(struct mail *m)
{
	char *queued, *why;
	int code = EX_OK;

	if (handin_submit(&m->words, &m->composed, &queued, &why) != 0)
		code = failed(code_of(why), why);
	else if (m->verbose)
		printf("queued as %s for %u recipients\n", queued != NULL ? queued : "?",
		    m->words.recipients);
	free(queued);
	free(why);
	return code;
}

static int
compose_and_hand_in(struct mail *m, const char *sender)
{
	struct compose_options o = { .from_header = m->from_header, .dot_is_text = m->dot_is_text,
		.host = m->server.host, .sender = sender, .full_name = m->full_name, .id = id_new(),
		.now = clock_now() };
	char *why = compose(&o, buf_str(&m->input), m->input.len, &m->composed);
	int r;

	if (why != NULL) {
		r = failed(EX_DATAERR, why);
		free(why);
		return r;
	}
	r = make_words(m, sender);
	return r == EX_OK ? hand_in(m) : r;
}

/* The message is read even when nobody will take it: whoever writes it is not to fail over a broken
 * pipe. */
static int
send_mail(struct mail *m)
{
	char *sender;
	int r, read;

	if (!m->from_header && m->arguments_n == 0)
		return failed(EX_USAGE, NONE_NAMED);
	r = ask_server(m);
	if (r != EX_OK)
		m->server.size = UINT64_MAX;
	read = read_input(m);
	if (r != EX_OK || read != EX_OK)
		return r != EX_OK ? r : read;
	sender = find_sender(m);
	r = sender == NULL ? EX_USAGE : compose_and_hand_in(m, sender);
	free(sender);
	return r;
}

/* --- the other modes --- */

struct listing {
	struct output *output;
	bool any;
};

static void
on_line(const struct field *fields, void *arg)
{
	struct listing *listing = arg;

	listing->any = true;
	output_record(fields, listing->output);
}

static int
ask_queue(const char *verb)
{
	const char *const words[] = { "queue", verb };
	struct listing listing = { .output = output_new(OUTPUT_TABLE) };
	struct request r = { .n = 2, .words = words, .record = on_line, .arg = &listing };
	char *why = NULL;
	int status = client_request(&r, false, &why);

	/* the words that those who watch mailq look for */
	if (status == 0 && !listing.any && strcmp(verb, "list") == 0)
		output_note(listing.output, "Mail queue is empty");
	output_end(listing.output);
	if (status != 0)
		status = smtpctl_refused(status, why);
	free(why);
	return status == EXIT_DONE ? EX_OK : status == EXIT_USAGE ? EX_USAGE : EX_UNAVAILABLE;
}

static int
run_mode(struct mail *m)
{
	switch (m->mode) {
	case MODE_LIST:
		return ask_queue("list");
	case MODE_FLUSH:
		return ask_queue("flush");
	case MODE_ALIASES:
		return newaliases(m->verbose);
	case MODE_SPEAK:
		return sendmail_speak();
	case MODE_SEND:
		break;
	}
	return send_mail(m);
}

int
sendmail_main(int argc, char **argv)
{
	struct mail m = { .mode = MODE_SEND };
	int r = read_options(&m, argc, argv);

	if (r == EX_OK)
		r = run_mode(&m);
	handin_words_free(&m.words);
	handin_server_free(&m.server);
	buf_free(&m.input);
	composed_free(&m.composed);
	return r;
}
