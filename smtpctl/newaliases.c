/*
 * newaliases (newaliases.h), the same as sendmail -bi.
 *
 * The server reads its files again by itself.  So what is left to do is to say what is wrong with them
 * while somebody looks, and to make those Berkeley DB files anew whose text has changed.  Whoever may
 * not read the configuration, or has none, has nothing to do: installers call this, too.
 */
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/table.h"
#include "smtpctl/newaliases.h"
#include "smtpctl/smtpctl.h"

/* The file that DB was made of, when it was changed since; NULL: there is nothing to do.  The caller
 * frees. */
static char *
changed_text(const char *db)
{
	size_t len = strlen(db);
	struct stat text, made;
	char *path;

	if (len <= 3 || strcmp(db + len - 3, ".db") != 0)
		return NULL;
	path = xstrndup(db, len - 3);
	if (stat(path, &text) == 0 && stat(db, &made) == 0 &&
	    (text.st_mtim.tv_sec > made.st_mtim.tv_sec ||
		(text.st_mtim.tv_sec == made.st_mtim.tv_sec && text.st_mtim.tv_nsec > made.st_mtim.tv_nsec)))
		return path;
	free(path);
	return NULL;
}

static int
build_again(const char *text, const char *db)
{
	struct table *table = table_new("");
	char *why = table_load_file(table, text);

	if (why == NULL)
		why = table_first_fault(table);
	if (why == NULL)
		why = table_build(table, db);
	if (why == NULL)
		printf("%s: %zu rows\n", db, table_count(table));
	else
		fprintf(stderr, "newaliases: %s\n", why);
	table_free(table);
	if (why == NULL)
		return EX_OK;
	free(why);
	return EX_DATAERR;
}

static void
print_fault(const char *what, void *arg)
{
	fprintf(stderr, "newaliases: %s\n", what);
	*(int *)arg = EX_DATAERR;
}

static int
build_tables(const struct conf *conf)
{
	const struct table *table;
	int code = EX_OK, built;
	unsigned i;
	char *text;

	for (i = 0; i < conf->tables_n; i++) {
		table = conf->tables[i];
		text = table_kind(table) == TABLE_DB ? changed_text(table_path(table)) : NULL;
		built = text != NULL ? build_again(text, table_path(table)) : EX_OK;
		free(text);
		if (built != EX_OK)
			code = built;
		table_each_fault(table, print_fault, &code);
	}
	return code;
}

int
newaliases(bool verbose)
{
	struct buf errors = { 0 }, warnings = { 0 };
	struct conf *conf;
	int code;

	if (access(options.conf_path, R_OK) == -1)
		return EX_OK;
	conf = conf_load(options.conf_path, &errors, &warnings);
	fputs(buf_str(&errors), stderr);
	code = conf != NULL ? build_tables(conf) : EX_CONFIG;
	if (verbose && code == EX_OK)
		puts("all files can be read; the server does so by itself");
	conf_free(conf);
	buf_free(&errors);
	buf_free(&warnings);
	return code;
}
