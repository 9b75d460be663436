/*
 * The mail submission program: what cron, PHP and a hundred scripts call as sendmail, mailq and
 * newaliases.
 *
 * It reads the whole message first, then asks the running server for its name, completes the
 * message (lib/compose.h) and hands it in over the control socket; it has no privileges and needs
 * none.  It exits with codes of sysexits.h, and with EX_TEMPFAIL whenever the same call may succeed
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
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"
#include "lib/verp.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

/* Options of every sendmail there was; most mean nothing here and are taken all the same. */
#define OPTIONS "+A:B:C:F:GIL:N:O:R:UV:X:b:cd:e:f:h:imno:p:q::r:stvx"

#define NONE_NAMED "no recipients; name them, or use -t to take them from the message"
#define NONE_IN_HEADER "the message names no recipients in To, Cc or Bcc"

enum mode { MODE_SEND, MODE_LIST, MODE_ALIASES, MODE_FLUSH };

struct mail {
	enum mode mode;
	bool from_header, dot_is_text, verbose;
	const char *sender, *full_name;       /* -f, -F; or NULL */
	const char *notify, *ret, *envid;     /* -N, -R, -V; or NULL */
	const char *verp;                     /* -XV; or NULL */
	char **arguments;
	int arguments_n;
	/* from the server */
	char *host;
	uint64_t size;
	/* made of the above */
	struct buf input;
	struct composed composed;
	char **words;
	unsigned words_n;
	char *queued; /* the message's id */
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
	} modes[] = { { 'm', MODE_SEND }, { 'p', MODE_LIST }, { 'i', MODE_ALIASES } };
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].letter == *value) {
			m->mode = modes[i].mode;
			return EX_OK;
		}
	if (*value == 's')
		return failed(EX_USAGE, "-bs is not offered; speak SMTP to port 25 of this host");
	if (*value == 'd' || *value == 'D')
		return failed(EX_USAGE, "-bd is not offered; the server is smtpd(8)");
	return failed(EX_USAGE, "of the -b options there are -bm, -bp and -bi");
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

static void
on_version(const struct field *fields, void *arg)
{
	struct mail *m = arg;
	const char *host = field_get(fields, "host");

	if (host != NULL && m->host == NULL)
		m->host = xstrdup(host);
	for (; fields->type != FIELD_END; fields++)
		if (fields->type == FIELD_U64 && strcmp(fields->key, "size") == 0)
			m->size = fields->u64;
}

/* Which name to complete addresses with, and how much is taken. */
static int
ask_server(struct mail *m)
{
	static const char *const words[] = { "version" };
	struct request r = { .n = 1, .words = words, .record = on_version, .arg = m };
	char *why = NULL;
	int status = client_request(&r, true, &why);

	if (status == 0 && m->host == NULL)
		status = 1;
	if (status != 0 && why != NULL && *why != '\0')
		(void)failed(EX_TEMPFAIL, why);
	else if (status != 0)
		(void)failed(EX_TEMPFAIL, "the server did not tell its name");
	free(why);
	return status == 0 ? EX_OK : EX_TEMPFAIL;
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
		if (m->input.len > m->size)
			break;
		if (!m->dot_is_text && line[0] == '.' &&
		    (len == 1 || line[1] == '\n' || (line[1] == '\r' && len == 3)))
			break;
	}
	free(line);
	if (ferror(stdin))
		return failed(EX_IOERR, "standard input cannot be read");
	if (m->input.len > m->size)
		return failed(EX_DATAERR, "the message is larger than this server takes");
	return EX_OK;
}

/* Full, normalised; NULL: it is none, and that was said.  The caller frees. */
static char *
full_address(const struct mail *m, const char *text, bool sender)
{
	bool complete = strchr(text, '@') != NULL || *text == '\0';
	char *full = complete ? xstrdup(text) : xasprintf("%s@%s", text, m->host), *address;
	struct mailaddr a;
	const char *why;

	if (!mailaddr_parse(full, strlen(full), sender ? MAILADDR_NULL : 0, &a, &why)) {
		fprintf(stderr, "sendmail: \"%s\" is no address: %s\n", text, why);
		free(full);
		return NULL;
	}
	address = mailaddr_format(&a);
	mailaddr_free(&a);
	free(full);
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

static void
add_word(struct mail *m, char *word)
{
	m->words = xreallocarray(m->words, m->words_n + 1, sizeof(char *));
	m->words[m->words_n++] = word;
}

/* The same recipient twice gets one message. */
static int
add_recipient(struct mail *m, const char *text)
{
	char *address = full_address(m, text, false), *word;
	unsigned i;

	if (address == NULL)
		return EX_USAGE;
	word = xasprintf("to=%s", address);
	free(address);
	for (i = 0; i < m->words_n; i++)
		if (strcmp(m->words[i], word) == 0) {
			free(word);
			return EX_OK;
		}
	add_word(m, word);
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
	add_word(m, word);
}

static int
make_words(struct mail *m, const char *sender)
{
	int r = EX_OK;
	unsigned before;
	size_t i;

	add_word(m, xstrdup("submit"));
	add_word(m, xasprintf("from=%s", sender));
	add_lower(m, "notify", m->notify);
	add_lower(m, "ret", m->ret);
	if (m->envid != NULL)
		add_word(m, xasprintf("envid=%s", m->envid));
	if (m->verp != NULL)
		add_word(m, xasprintf("verp=%s", m->verp));
	before = m->words_n;
	for (i = 0; r == EX_OK && i < (size_t)m->arguments_n; i++)
		r = add_argument(m, m->arguments[i]);
	for (i = 0; r == EX_OK && i < m->composed.recipients_n; i++)
		r = add_recipient(m, m->composed.recipients[i]);
	if (r == EX_OK && m->words_n == before)
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

static void
on_queued(const struct field *fields, void *arg)
{
	struct mail *m = arg;

	if (m->queued == NULL && field_get(fields, "message") != NULL)
		m->queued = xstrdup(field_get(fields, "message"));
}

static int
hand_in(struct mail *m)
{
	struct request r = { .n = m->words_n, .words = (const char *const *)m->words,
		.content = m->composed.text.data, .content_len = m->composed.text.len,
		.record = on_queued, .arg = m };
	char *why = NULL;
	int status = client_request(&r, true, &why), code = EX_OK;

	if (status != 0)
		code = failed(code_of(why), why);
	else if (m->verbose)
		printf("queued as %s for %u recipients\n", m->queued != NULL ? m->queued : "?",
		    m->words_n - 2 - (m->notify != NULL) - (m->ret != NULL) - (m->envid != NULL));
	free(why);
	return code;
}

static int
compose_and_hand_in(struct mail *m, const char *sender)
{
	struct compose_options o = { .from_header = m->from_header, .dot_is_text = m->dot_is_text,
		.host = m->host, .sender = sender, .full_name = m->full_name, .id = id_new(),
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
		m->size = UINT64_MAX;
	read = read_input(m);
	if (r != EX_OK || read != EX_OK)
		return r != EX_OK ? r : read;
	sender = find_sender(m);
	r = sender == NULL ? EX_USAGE : compose_and_hand_in(m, sender);
	free(sender);
	return r;
}

/* --- the other modes --- */

static int
ask_queue(const char *verb)
{
	char object[] = "queue", *copy = xstrdup(verb), *words[] = { object, copy };
	int status = output_answer(OUTPUT_TABLE, 2, words);

	free(copy);
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
		if (m->verbose)
			puts("aliases are read from their files; there is nothing to build");
		return EX_OK;
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
	unsigned i;

	if (r == EX_OK)
		r = run_mode(&m);
	for (i = 0; i < m.words_n; i++)
		free(m.words[i]);
	free(m.words);
	free(m.host);
	free(m.queued);
	buf_free(&m.input);
	composed_free(&m.composed);
	return r;
}
