/*
 * Text files as tables (table_inside.h).
 *
 * A line is "key", "key value" or "key: value", as in sendmail's and Postfix's files; for a table of
 * patterns "/pattern/ value".  A '#' at the start of a word begins a comment, a line that begins
 * with white space continues the one before.  Everything can be wrong with a line, and then its reason
 * names file and line, and the next line is read: a slip of the pen in one must not cost the others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/quote.h"
#include "lib/table_inside.h"

#define FAULTS_KEPT 1000

struct reader {
	struct table_content *content;
	enum table_kind kind;
	const char *path;
	struct buf logical; /* a line and its continuations */
	unsigned first;     /* number of its first line */
	unsigned nul;       /* of that with a NUL in it, or 0 */
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The key's octets at the start of LINE, quotes included; the sendmail form may put the colon
 * right behind it. */
static size_t
key_span(const char *line)
{
	struct ipnet net;
	size_t i, span = strcspn(line, " \t");
	char *word;
	bool network;

	if (line[0] == '"') {
		for (i = 1; line[i] != '\0' && line[i] != '"'; i++)
			i += line[i] == '\\' && line[i + 1] != '\0';
		return line[i] == '"' ? i + 1 : i;
	}
	word = xstrndup(line, span);
	network = ipnet_parse(word, &net);
	if (!network && span > 0 && line[span - 1] == ':') {
		/* "2001:db8::1: value" */
		word[span - 1] = '\0';
		network = ipnet_parse(word, &net);
		span -= network;
	}
	free(word);
	return network ? span : strcspn(line, " \t:");
}

/* A '#' at the start of a word, outside of quotes, to the end of the line; then trailing space. */
static void
cut_comment(char *line)
{
	bool quoted = false;
	size_t i;

	for (i = 0; line[i] != '\0'; i++) {
		if (line[i] == '\\' && line[i + 1] != '\0')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
		else if (line[i] == '#' && !quoted && (i == 0 || is_space(line[i - 1])))
			break;
	}
	while (i > 0 && (is_space(line[i - 1]) || line[i - 1] == '\r' || line[i - 1] == '\n'))
		i--;
	line[i] = '\0';
}

/* WHY is wrong with line NUMBER, and freed. */
static void
add_fault(struct reader *reader, unsigned number, char *why, bool unread)
{
	struct table_faults *faults = &reader->content->faults;

	if (unread && faults->unread == NULL) {
		faults->unread = xasprintf("%s:%u: %s", reader->path, number, why);
		faults->unread_line = number;
	}
	if (faults->n == FAULTS_KEPT) {
		free(why);
		return;
	}
	if (faults->n == faults->cap) {
		faults->cap = faults->cap == 0 ? 8 : faults->cap * 2;
		faults->texts = xreallocarray(faults->texts, faults->cap, sizeof(faults->texts[0]));
	}
	faults->texts[faults->n++] = xasprintf("%s:%u: %s", reader->path, number, why);
	free(why);
}

/* "/pattern/ value"; "\/" is a slash within.  NULL, or what is wrong. */
static char *
add_pattern(struct reader *reader, const char *line)
{
	const char *end = line + 1;
	char *pattern, *why;

	while (line[0] == '/' && *end != '\0' && *end != '/')
		end += *end == '\\' && end[1] != '\0' ? 2 : 1;
	if (line[0] != '/' || *end != '/' || (end[1] != '\0' && !is_space(end[1])))
		return xstrdup("expected \"/pattern/\", and perhaps a value");
	pattern = xstrndup(line, (size_t)(end + 1 - line));
	why = reader->content->ops->add(
	    reader->content, pattern, end + 1 + strspn(end + 1, " \t"), reader->first);
	free(pattern);
	return why;
}

/* One logical line "key", "key value" or "key: value".  NULL, or what is wrong; *UNREAD: with its key. */
static char *
add_key(struct reader *reader, const char *line, bool *unread)
{
	struct buf key = { 0 };
	const char *rest, *why = NULL;
	char *error = NULL;
	size_t span = key_span(line), at = 0;

	*unread = true;
	if (span == 0)
		return xstrdup("there is no key before the \":\"");
	if (line[0] == '"' && quote_read(line, span, &key, &why, &at) == 0)
		error = xstrdup(why);
	else if (line[0] != '"')
		buf_add(&key, line, span);
	rest = line + span;
	rest += strspn(rest, " \t");
	if (*rest == ':')
		rest++;
	rest += strspn(rest, " \t");
	*unread = error != NULL;
	if (error == NULL)
		error = reader->content->ops->add(
		    reader->content, buf_str(&key), rest, reader->first);
	buf_free(&key);
	return error;
}

static void
flush_line(struct reader *reader)
{
	unsigned number = reader->nul != 0 ? reader->nul : reader->first;
	bool unread = true;
	char *why = NULL;

	if (reader->nul != 0)
		why = xstrdup("there is a NUL in this line");
	else if (reader->logical.len > 0 && reader->kind == TABLE_REGEX)
		why = add_pattern(reader, buf_str(&reader->logical));
	else if (reader->logical.len > 0)
		why = add_key(reader, buf_str(&reader->logical), &unread);
	buf_clear(&reader->logical);
	reader->nul = 0;
	if (why != NULL)
		add_fault(reader, number, why, unread);
}

/* A line that begins with white space continues the one before, as in sendmail's alias files. */
static char *
read_lines(struct reader *reader, FILE *file)
{
	char *line = NULL, *text;
	unsigned number = 0;
	size_t size = 0;
	ssize_t len;
	bool more, nul;

	while ((len = getline(&line, &size, file)) != -1) {
		number++;
		nul = strlen(line) != (size_t)len;
		more = is_space(line[0]);
		cut_comment(line);
		text = line + strspn(line, " \t");
		if (*text == '\0' && !nul)
			continue;
		if (!more || reader->logical.len == 0) {
			flush_line(reader);
			reader->first = number;
		} else {
			buf_addc(&reader->logical, ' ');
		}
		if (nul && reader->nul == 0)
			reader->nul = number;
		buf_adds(&reader->logical, nul ? "(NUL)" : text);
	}
	free(line);
	if (ferror(file))
		return xasprintf("%s: %s", reader->path, strerror(errno));
	flush_line(reader);
	return NULL;
}

char *
table_read_file(
    const char *path, enum table_kind kind, struct table_content *content, struct stat *st)
{
	struct reader reader = { .content = content, .kind = kind, .path = path };
	FILE *file = fopen(path, "re");
	char *error;

	if (file == NULL || fstat(fileno(file), st) == -1)
		error = xasprintf("%s: %s", path, strerror(errno));
	else if (!S_ISREG(st->st_mode))
		error = xasprintf("%s: not a regular file", path);
	else
		error = read_lines(&reader, file);
	if (file != NULL)
		fclose(file);
	buf_free(&reader.logical);
	return error;
}
