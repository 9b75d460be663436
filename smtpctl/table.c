/*
 * smtpctl table: files of tables, without a server.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/field.h"
#include "lib/mem.h"
#include "lib/table.h"
#include "smtpctl/smtpctl.h"

/* FILE becomes FILE.db. */
int
table_build_db(int n, char **words)
{
	struct table *table = table_new("");
	char *path = xasprintf("%s.db", words[2]), *why;
	struct buf line = { 0 };

	(void)n;
	why = table_load_file(table, words[2]);
	if (why == NULL)
		why = table_first_fault(table);
	if (why == NULL)
		why = table_build(table, path);
	if (why != NULL) {
		smtpctl_failed("%s", why);
	} else if (options.json) {
		field_json(&line, FIELDS(F_STR("path", path), F_U64("rows", table_count(table))));
		puts(buf_str(&line));
	} else {
		printf("%s: %zu rows\n", path, table_count(table));
	}
	n = why == NULL ? EXIT_DONE : EXIT_FAILED;
	buf_free(&line);
	free(why);
	free(path);
	table_free(table);
	return n;
}
