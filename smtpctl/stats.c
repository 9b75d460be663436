/*
 * smtpctl stats and version: what the server says about itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mem.h"
#include "lib/version.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"


/* "session 1": who a record is about. */
static char *
group_name(const struct field *fields)
{
	const char *role = field_get(fields, "role");
	uint64_t instance = 0;

	for (; fields->type != FIELD_END; fields++)
		if (fields->type == FIELD_U64 && strcmp(fields->key, "instance") == 0)
			instance = fields->u64;
	return xasprintf("%s %" PRIu64, role != NULL ? role : "?", instance);
}

static void
print_record(const struct field *fields, void *arg)
{
	char *name = group_name(fields), **last = arg;
	struct buf line = { 0 };

	if (options.json) {
		field_json(&line, fields);
	} else {
		if (*last == NULL || strcmp(*last, name) != 0)
			buf_addf(&line, "%s\n", name);
		buf_adds(&line, "    ");
		field_text(&line, fields + 2);
	}
	puts(buf_str(&line));
	buf_free(&line);
	free(*last);
	*last = name;
}

int
stats_show(int n, char **words)
{
	char *last = NULL, *why = NULL;
	struct request r = { .n = (unsigned)n, .words = (const char *const *)words,
		.record = print_record, .arg = &last };
	int status = client_request(&r, false, &why);

	if (status != 0)
		status = smtpctl_failed("%s", why);
	free(last);
	free(why);
	return status;
}

static void
print_server(const struct field *fields, void *arg)
{
	const char *version = field_get(fields, "version");

	*(char **)arg = xstrdup(version != NULL ? version : "?");
}

/* A server that does not run is no failure: the program's own version was asked, too. */
int
version_show(int n, char **words)
{
	char *server = NULL, *why = NULL;
	struct request r = { .n = (unsigned)n, .words = (const char *const *)words,
		.record = print_server, .arg = &server };
	struct buf line = { 0 };

	(void)client_request(&r, true, &why);
	if (options.json)
		field_json(&line, FIELDS(F_STR("version", GENKAN_VERSION),
		    F_STR("server", server)));
	else
		buf_addf(&line, "Genkan " GENKAN_VERSION "; server: %s",
		    server != NULL ? server : why);
	puts(buf_str(&line));
	buf_free(&line);
	free(server);
	free(why);
	return EXIT_DONE;
}
