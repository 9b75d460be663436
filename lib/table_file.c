/*
 * Text files as tables (table_inside.h).
 *
 * A line is "key", "key value" or "key: value", as in sendmail's and Postfix's files; for a table of
 * patterns "/pattern/ value".  A '#' at the start of a word begins a comment, a line that begins
 * with white space continues the one before.  Everything can be wrong with a file, and then the
 * reason names file and line; what was read up to there is the caller's to throw away.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/quote.h"
#include "lib/table_inside.h"

struct reader {
	struct table_content *content;
	enum table_kind kind;
	const char *path;
	struct buf logical; /* a line and its continuations */
	unsigned first;     /* number of its first line */
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

/* One logical line "key", "key value" or "key: value".  NULL, or what is wrong. */
static char *
add_key(struct reader *reader, const char *line)
{
	struct buf key = { 0 };
	const char *rest, *why = NULL;
	char *error = NULL;
	size_t span = key_span(line), at = 0;

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
	if (error == NULL)
		error = reader->content->ops->add(
		    reader->content, buf_str(&key), rest, reader->first);
	buf_free(&key);
	return error;
}

static char *
flush_line(struct reader *reader)
{
	char *why = NULL, *error = NULL;

	if (reader->logical.len > 0 && reader->kind == TABLE_REGEX)
		why = add_pattern(reader, buf_str(&reader->logical));
	else if (reader->logical.len > 0)
		why = add_key(reader, buf_str(&reader->logical));
	buf_clear(&reader->logical);
	if (why != NULL)
		error = xasprintf("%s:%u: %s", reader->path, reader->first, why);
	free(why);
	return error;
}

/* A line that begins with white space continues the one before, as in sendmail's alias files. */
static char *
read_lines(struct reader *reader, FILE *file)
{
	char *line = NULL, *error = NULL, *text;
	unsigned number = 0;
	size_t size = 0;
	ssize_t len;
	bool more;

	while (error == NULL && (len = getline(&line, &size, file)) != -1) {
		number++;
		if (strlen(line) != (size_t)len) {
			error = xasprintf(
			    "%s:%u: there is a NUL in this line", reader->path, number);
			break;
		}
		more = is_space(line[0]);
		cut_comment(line);
		text = line + strspn(line, " \t");
		if (*text == '\0')
			continue;
		if (!more || reader->logical.len == 0) {
			error = flush_line(reader);
			reader->first = number;
		} else {
			buf_addc(&reader->logical, ' ');
		}
		buf_adds(&reader->logical, text);
	}
	if (error == NULL && ferror(file))
		error = xasprintf("%s: %s", reader->path, strerror(errno));
	if (error == NULL)
		error = flush_line(reader);
	free(line);
	return error;
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
