/*
 * Where the server is found: the spool that the configuration names.
 *
 * The requests that need no more of the configuration must not fail because something else in it is
 * wrong, or because a table that it names cannot be read by whoever asks.  So when it cannot be used as
 * a whole, its lines are searched for the one statement, and when that fails, too, the server of
 * the default spool is asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "conf/conf.h"
#include "conf/defaults.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/quote.h"
#include "smtpctl/smtpctl.h"

#define WORD "spool"

/* The string of a line `spool "..."`; NULL when it is another line.  The caller frees. */
static char *
spool_of(const char *line)
{
	struct buf value = { 0 };
	const char *why;
	size_t at;

	line += strspn(line, " \t");
	if (strncmp(line, WORD, strlen(WORD)) != 0)
		return NULL;
	line += strlen(WORD);
	if (*line != ' ' && *line != '\t')
		return NULL;
	line += strspn(line, " \t");
	if (*line == '"' && quote_read(line, strlen(line), &value, &why, &at) > 0 &&
	    buf_str(&value)[0] == '/')
		return buf_take(&value);
	buf_free(&value);
	return NULL;
}

static char *
search(const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, *found = NULL;
	size_t cap = 0;

	if (f == NULL)
		return NULL;
	while (found == NULL && getline(&line, &cap, f) >= 0)
		found = spool_of(line);
	free(line);
	fclose(f);
	return found;
}

char *
smtpctl_spool(bool quiet)
{
	struct buf errors = { 0 }, warnings = { 0 };
	struct conf *conf = conf_load(options.conf_path, &errors, &warnings);
	char *spool = conf != NULL ? xstrdup(conf->spool) : search(options.conf_path);

	if (spool == NULL)
		spool = defaults_spool();
	if (conf == NULL && !quiet)
		fprintf(stderr, "smtpctl: warning: %s cannot be used (smtpctl config check says "
		    "why); asking the server of %s\n",
		    options.conf_path, spool);
	conf_free(conf);
	buf_free(&errors);
	buf_free(&warnings);
	return spool;
}
