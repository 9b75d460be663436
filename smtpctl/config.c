/*
 * smtpctl config: the configuration file, checked and as it takes effect.  Needs no server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/field.h"
#include "smtpctl/smtpctl.h"

/* Lines of the reader, for programs an object each. */
static void
print_lines(FILE *out, const char *severity, struct buf *lines)
{
	char *line, *end;
	struct buf b = { 0 };

	for (line = lines->data; line != NULL && *line != '\0'; line = end) {
		end = line + strcspn(line, "\n");
		if (*end != '\0')
			*end++ = '\0';
		if (options.json) {
			field_json(&b, FIELDS(F_STR("severity", severity), F_STR("text", line)));
			puts(buf_str(&b));
			buf_clear(&b);
		} else {
			fprintf(out, "%s\n", line);
		}
	}
	buf_free(&b);
}

int
config_check(int n, char **words)
{
	struct buf errors = { 0 }, warnings = { 0 };
	struct conf *conf = conf_load(options.conf_path, &errors, &warnings);
	bool ok = conf != NULL;

	(void)n;
	(void)words;
	print_lines(stderr, "warning", &warnings);
	print_lines(stderr, "error", &errors);
	if (options.json)
		printf("{\"configuration\":\"%s\"}\n", ok ? "ok" : "not usable");
	else if (ok)
		puts("configuration OK");
	conf_free(conf);
	buf_free(&errors);
	buf_free(&warnings);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

int
config_show(int n, char **words)
{
	const struct conf *conf = smtpctl_conf();
	struct buf text = { 0 };

	(void)n;
	(void)words;
	if (conf == NULL)
		return EXIT_FAILED;
	conf_print(&text, conf);
	if (options.json) {
		struct buf line = { 0 };

		field_json(&line, FIELDS(F_STR("path", conf->path), F_STR("text", buf_str(&text))));
		puts(buf_str(&line));
		buf_free(&line);
	} else {
		fputs(buf_str(&text), stdout);
	}
	buf_free(&text);
	return EXIT_DONE;
}
