/*
 * smtpctl config import: another server's table, printed in the words of smtpd.conf.
 *
 *	smtpctl config import access /etc/mail/access
 *
 * Nothing is changed anywhere: the lines go to standard output, to be read before they are used.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "smtpctl/import.h"
#include "smtpctl/smtpctl.h"

/* No table that a person keeps is larger. */
#define FILE_MAX (64u * 1024 * 1024)
#define PIECE 65536

static const struct {
	const char *kind;
	void (*import)(struct buf *, const char *, size_t);
} kinds[] = {
	{ "postgrey-clients", import_postgrey_clients },
	{ "postgrey-recipients", import_postgrey_recipients },
	{ "access", import_access },
	{ "regexp", import_regexp },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int
read_all(const char *path, struct buf *text)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	bool failed;
	size_t n;

	if (f == NULL)
		return smtpctl_failed("%s: %s", path, strerror(errno));
	do {
		n = fread(buf_reserve(text, PIECE), 1, PIECE, f);
		text->len += n;
	} while (n > 0 && text->len < FILE_MAX);
	failed = ferror(f) != 0;
	if (f != stdin)
		fclose(f);
	if (failed || text->len >= FILE_MAX)
		return smtpctl_failed("%s: %s", path, failed ? "cannot be read" : "too large for a table");
	return EXIT_DONE;
}

/* What is printed must not move the cursor, and no value of the configuration holds controls. */
static void
blank_controls(struct buf *text)
{
	size_t i;

	for (i = 0; i < text->len; i++)
		if (((unsigned char)text->data[i] < ' ' && text->data[i] != '\n') || text->data[i] == '\x7f')
			text->data[i] = ' ';
}

/* WORDS: "config", "import", KIND, FILE */
int
config_import(int n, char **words)
{
	struct buf text = { 0 }, out = { 0 };
	int status;
	size_t i;

	(void)n;
	for (i = 0; i < KINDS && strcmp(kinds[i].kind, words[2]) != 0; i++)
		;
	if (i == KINDS)
		return smtpctl_usage("\"%s\" cannot be imported", words[2]);
	status = read_all(words[3], &text);
	blank_controls(&text);
	if (status == EXIT_DONE) {
		printf("# from %s; read it before you use it\n", strcmp(words[3], "-") == 0 ? "standard input" : words[3]);
		kinds[i].import(&out, buf_str(&text), text.len);
		fwrite(buf_str(&out), 1, out.len, stdout);
	}
	buf_free(&text);
	buf_free(&out);
	return status;
}
