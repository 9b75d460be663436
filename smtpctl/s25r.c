/*
 * smtpctl s25r: which rule a host name matches.  Asks nobody.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/field.h"
#include "smtpctl/smtpctl.h"

static void
print_name(const char *name)
{
	int rule = s25r_match(name);
	struct buf line = { 0 };
	char result[16];

	if (rule == S25R_PASS)
		snprintf(result, sizeof(result), "pass");
	else
		snprintf(result, sizeof(result), "rule %d", rule);
	if (options.json && rule == S25R_PASS) {
		field_json(&line, FIELDS(F_STR("name", name), F_STR("result", result)));
	} else if (options.json) {
		field_json(&line, FIELDS(F_STR("name", name), F_STR("result", result),
		    F_I64("rule", rule)));
	} else {
		human_add_text(&line, name);
		buf_addf(&line, "\t%s", result);
	}
	puts(buf_str(&line));
	buf_free(&line);
}

/* A name a line; blanks around it and empty lines do not count. */
static int
print_names_of(FILE *in)
{
	char *line = NULL, *name;
	size_t cap = 0;

	while (getline(&line, &cap, in) >= 0) {
		name = line + strspn(line, " \t");
		name[strcspn(name, " \t\r\n")] = '\0';
		if (*name != '\0')
			print_name(name);
	}
	free(line);
	return ferror(in) ? smtpctl_failed("standard input: cannot be read") : EXIT_DONE;
}

int
s25r_names(int n, char **words)
{
	int i, status = EXIT_DONE;

	for (i = 1; i < n && status == EXIT_DONE; i++) {
		if (strcmp(words[i], "-") == 0)
			status = print_names_of(stdin);
		else
			print_name(words[i]);
	}
	return status;
}
