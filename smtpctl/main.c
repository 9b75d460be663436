/*
 * smtpctl: the table of what can be asked, and the way to each handler.
 *
 *	smtpctl [-j] [-f FILE] OBJECT [VERB] [WORD ...]
 *
 * By the names sendmail, mailq and newaliases it is the mail submission program that scripts expect (sendmail.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "smtpctl/smtpctl.h"

#define SELECTORS "[SELECTOR ...]"

static const struct command {
	const char *object;
	const char *verb; /* NULL: the object takes its words itself */
	handler handle;
	int least, most;  /* words behind the verb; most -1: any number */
	const char *words;
	const char *meaning;
} commands[] = {
	{ "queue", "list", queue_ask, 0, -1, SELECTORS, "what waits, a line for each message" },
	{ "queue", "summary", queue_ask, 0, -1, SELECTORS, "how much waits, for which domains, and what keeps it" },
	{ "queue", "show", queue_show, 1, 1, "ID", "one message: envelope and recipients" },
	{ "queue", "cat", queue_cat, 1, 1, "ID", "its content" },
	{ "queue", "log", queue_ask, 1, 1, "ID", "what was tried, and what the answers were" },
	{ "queue", "flush", queue_act, 0, -1, "[-n] [at=TIME] SELECTOR ... | all", "try now, or then" },
	{ "queue", "hold", queue_act, 0, -1, "[-n] SELECTOR ... | all", "do not try until released" },
	{ "queue", "release", queue_act, 0, -1, "[-n] SELECTOR ... | all", "try again what was held" },
	{ "queue", "remove", queue_act, 0, -1, "[-n] SELECTOR ... | all", "forget; nobody is told" },
	{ "queue", "bounce", queue_act, 0, -1, "[-n] SELECTOR ... | all", "give up; the sender is told" },
	{ "queue", "reroute", queue_act, 3, -1, "[-n] SELECTOR ... | all to HOST:PORT | default",
	    "send to another server" },
	{ "queue", "export", queue_export, 1, -1, "DIR " SELECTORS, "write messages and envelopes as files" },
	{ "queue", "import", queue_import, 1, 2, "[-n] DIR", "take in what export has written" },
	{ "gate", "explain", gate_explain, 1, -1, "client=IP [name=] [helo=] [from=] [to=] | session=ID",
	    "what the gate thinks of a caller, rule by rule" },
	{ "gate", "simulate", gate_simulate, 1, -1, "FILE | - | client=IP [ptr=] [a=] [helo=] [from=] [to=] [again=TIMES] ...",
	    "play sessions with a DNS and a clock that are given" },
	{ "gate", "replay", gate_replay, 1, -1, "[lookup] [format=NAME] [limit=N] FILE ... | -",
	    "what the gate would have done with the callers of an old log" },
	{ "gate", "report", gate_report, 0, 5, "[html FILE | -] [lang=en | ja] [since=TIME] [until=TIME]",
	    "what each rule stopped, delayed, let in; as a page with plots" },
	{ "gate", "rescued", gate_rescued, 0, 1, "[since=TIME]", "who came back after a refusal and was let in" },
	{ "grey", "list", grey_ask, 0, -1, SELECTORS " [limit=N]", "who waits, who passed, whom the operator named" },
	{ "grey", "show", grey_ask, 1, -1, "SELECTOR ...", "all that is known" },
	{ "grey", "allow", grey_ask, 1, -1, "WHOM [for=TIME] [note=TEXT]", "never made to wait" },
	{ "grey", "deny", grey_ask, 1, -1, "WHOM [for=TIME] [note=TEXT]", "always refused" },
	{ "grey", "pass", grey_ask, 1, -1, "[-n] SELECTOR ... | all", "let through what waits, at its next try" },
	{ "grey", "forget", grey_ask, 1, -1, "[-n] SELECTOR ... | all", "as if never seen" },
	{ "grey", "import", grey_import, 2, -1, "postgrey | targrey [-n] DIR | FILE ...",
	    "take over what another greylist has learnt" },
	{ "grey", "export", grey_export, 2, 2, "postgrey DIR", "write it as another greylist has it" },
	{ "auth", "list", grey_ask, 0, -1, "[client=] [account=] [state=]", "who failed to log in, who is banned, who is known where" },
	{ "auth", "forget", grey_ask, 1, -1, "[-n] client= account= state= | all", "as if they had never tried" },
	{ "s25r", NULL, s25r_names, 1, -1, "NAME ... | -", "which S25R rule a host name matches" },
	{ "spf", NULL, spf_show, 1, 3, "ip=IP helo=NAME from=ADDRESS | -", "may this client send for that domain" },
	{ "address", NULL, address_show, 1, 2, "ADDRESS [from=SENDER]", "where mail for it goes, and why" },
	{ "table", "build", table_build_db, 1, 1, "FILE", "make FILE.db of FILE, for a table of kind db" },
	{ "config", "check", config_check, 0, 0, "", "read the configuration, name its mistakes" },
	{ "config", "show", config_show, 0, 0, "", "the effective configuration with its defaults" },
	{ "config", "import", config_import, 2, 2, "access | regexp | postgrey-clients | postgrey-recipients FILE",
	    "another server's table in the words of smtpd.conf" },
	{ "stats", NULL, stats_show, 0, 0, "", "counters of every part of the server" },
	{ "reload", NULL, reload_ask, 0, 0, "", "the configuration anew; the old one stays if it has mistakes" },
	{ "upgrade", NULL, upgrade_ask, 0, 0, "", "go on as the binary that is installed now" },
	{ "pause", NULL, pause_ask, 0, 2, "[in | out [DESTINATION] | local]",
	    "take no new mail, send none, deliver none here" },
	{ "resume", NULL, pause_ask, 0, 2, "[in | out [DESTINATION] | local]", "go on" },
	{ "version", NULL, version_show, 0, 0, "", "of this program and of the server that runs" },
	{ "sendmail", NULL, sendmail_main, 0, -1, "[OPTION ...] [ADDRESS ...]", "hand in a message, as sendmail(8)" },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* --- the table --- */

static void
print_table(FILE *out)
{
	size_t i;
	int n;

	fputs("usage: smtpctl [-j] [-f FILE] OBJECT [VERB] [WORD ...]\n\n", out);
	for (i = 0; i < COMMANDS; i++) {
		if (i > 0 && strcmp(commands[i].object, commands[i - 1].object) != 0 &&
		    (commands[i].verb != NULL || commands[i - 1].verb != NULL))
			fputc('\n', out);
		n = fprintf(out, "  %s %s%s%s", commands[i].object, commands[i].verb != NULL ? commands[i].verb : "",
		    commands[i].verb != NULL && *commands[i].words != '\0' ? " " : "", commands[i].words);
		if (n > 44) {
			fputc('\n', out);
			n = 0;
		}
		fprintf(out, "%*s%s\n", 46 - n, "", commands[i].meaning);
	}
	fputs("\nqueue SELECTOR: ID, from= to= domain= older= younger= size= state= reason= host=\n"
	      "grey SELECTOR:  client= name= identity= from= to= state=, WHOM: one of the first five\n", out);
	fputs("\n  -j  one JSON object a line        -f  the configuration, instead of " CONF_PATH "\n", out);
	fputs("  exit status: 0 done, 1 failed, 2 usage; smtpctl(8) says more\n", out);
}

static int
unknown(const char *what, const char *word, const char *const *words, size_t n)
{
	const char *meant = nearest_word(word, words, n);

	if (meant != NULL)
		return smtpctl_usage("unknown %s \"%s\" (did you mean \"%s\"?)", what, word, meant);
	return smtpctl_usage("unknown %s \"%s\"; smtpctl -h lists them", what, word);
}

static int
unknown_object(const char *word)
{
	const char *objects[COMMANDS];
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		objects[i] = commands[i].object;
	return unknown("object", word, objects, COMMANDS);
}

static int
unknown_verb(const char *object, const char *word)
{
	const char *verbs[COMMANDS];
	struct buf list = { 0 };
	size_t i;
	int r;

	for (i = 0; i < COMMANDS; i++) {
		verbs[i] = strcmp(commands[i].object, object) == 0 ? commands[i].verb : NULL;
		if (verbs[i] != NULL)
			buf_addf(&list, " %s", verbs[i]);
	}
	if (word != NULL)
		r = unknown("verb", word, verbs, COMMANDS);
	else
		r = smtpctl_usage("%s what?  One of:%s", object, buf_str(&list));
	buf_free(&list);
	return r;
}

static int
run(int n, char **words)
{
	const struct command *c;
	bool known = false;
	size_t i;
	int rest;

	for (i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].object, words[0]) != 0)
			continue;
		known = true;
		if (commands[i].verb == NULL || (n > 1 && strcmp(commands[i].verb, words[1]) == 0))
			break;
	}
	if (i == COMMANDS)
		return known ? unknown_verb(words[0], n > 1 ? words[1] : NULL) : unknown_object(words[0]);
	c = &commands[i];
	smtpctl_called(c->object, c->verb, c->words);
	rest = n - (c->verb == NULL ? 1 : 2);
	if (rest < c->least)
		return smtpctl_usage("something is missing");
	if (c->most >= 0 && rest > c->most)
		return smtpctl_usage("\"%s\": too many words", words[n - rest + c->most]);
	return c->handle(n, words);
}

/* The program's name without its folder. */
static char *
name_of(char *path)
{
	char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool
is_mailer(const char *name)
{
	return strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 || strcmp(name, "newaliases") == 0;
}

int
main(int argc, char **argv)
{
	static const struct log_conf log = { .to_stderr = true };
	int c, r;

	clock_init();
	log_init(&log, "smtpctl");
	if (argc > 0 && is_mailer(name_of(argv[0]))) {
		argv[0] = name_of(argv[0]);
		return sendmail_main(argc, argv);
	}
	while ((c = getopt(argc, argv, "+f:hj")) != -1) {
		switch (c) {
		case 'f':
			options.conf_path = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			print_table(stdout);
			return EXIT_DONE;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		print_table(stdout);
		return EXIT_USAGE;
	}
	r = run(argc - optind, argv + optind);
	if (fflush(stdout) != 0 && r == EXIT_DONE)
		r = smtpctl_failed("standard output: cannot be written to");
	return r;
}
