/*
 * What the parts of smtpctl share: the options, the configuration when it is needed, and the table's handlers, one file an
 * object.
 */
#ifndef SMTPCTL_SMTPCTL_H
#define SMTPCTL_SMTPCTL_H

#include <stdbool.h>

struct conf;

/* Exit codes of smtpctl, not of sendmail (sysexits.h). */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
	const char *conf_path;
	bool json; /* -j: one JSON object a line */
};
extern struct options options;

/* The configuration, read once; when it cannot be used, its errors on standard error and NULL. */
const struct conf *smtpctl_conf(void);
/* The spool it names, also when the rest of it cannot be used, or else the default one; with a warning unless QUIET.  The
 * caller frees. */
char *smtpctl_spool(bool quiet);
/* "smtpctl: " and a line on standard error; returns EXIT_FAILED. */
int smtpctl_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with the way the command is called, as smtpctl_called has it; returns EXIT_USAGE. */
int smtpctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* VERB may be NULL. */
void smtpctl_called(const char *object, const char *verb, const char *words);

/* What a server answered that did not do it: STATUS and why; returns the exit code. */
int smtpctl_refused(int status, const char *why);

/*
 * A handler gets the words from the object on: {"queue", "list", "from=a@b"}.  It returns the exit code.
 */
typedef int (*handler)(int n, char **words);

int queue_ask(int, char **);     /* list, summary, log: records as a table */
int queue_act(int, char **);     /* flush, hold, release, remove, bounce, reroute */
int queue_show(int, char **);
int queue_cat(int, char **);
int queue_export(int, char **);
int queue_import(int, char **);
int gate_report(int, char **);
int gate_rescued(int, char **);
int gate_explain(int, char **);
int gate_simulate(int, char **);
int gate_replay(int, char **);
int grey_ask(int, char **);
int grey_import(int, char **);
int grey_export(int, char **);
int s25r_names(int, char **);
int spf_show(int, char **);
int address_show(int, char **);
int table_build_db(int, char **);
int config_check(int, char **);
int config_show(int, char **);
int config_import(int, char **);
int stats_show(int, char **);
int pause_ask(int, char **);
int reload_ask(int, char **);
int upgrade_ask(int, char **);
int version_show(int, char **);
/* As sendmail is called: WORDS[0] is the name; returns a code of sysexits.h. */
int sendmail_main(int, char **);

#endif
