/*
 * Command lines of aliases and .forward files (command_line.h).
 *
 * The parser of aliases asks when a file is read, so that the operator hears at once what will not
 * work, and the delivery process when it runs the program.  Where sendmail would have given the line
 * to a shell, what only a shell understands is an error and never an argument: somebody wrote it
 * expecting something else to happen.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/command_line.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define WORDS_MAX 200

static const char shell_signs[] = "|&;<>()$`*?[]#~!";
static const char in_quotes[] = "$`";

static char *
refuse_sign(char c)
{
	return xasprintf("'%c' would need a shell, and none is run; name the program alone, and put "
			 "the rest into a script", c);
}

/* A word at *AT, which then stands behind it; NULL, or what is wrong. */
static char *
read_word(const char **at, struct buf *word)
{
	const char *s = *at;
	char quote = '\0';

	for (; *s != '\0' && (quote != '\0' || (*s != ' ' && *s != '\t')); s++) {
		if (*s == '\\' && quote != '\'' && s[1] != '\0')
			buf_addc(word, *++s);
		else if (quote == '\0' && (*s == '"' || *s == '\''))
			quote = *s;
		else if (*s == quote && quote != '\0')
			quote = '\0';
		else if (quote != '\'' && strchr(quote == '"' ? in_quotes : shell_signs, *s))
			return refuse_sign(*s);
		else
			buf_addc(word, *s);
	}
	*at = s;
	return quote == '\0' ? NULL : xasprintf("a quote (%c) is not closed", quote);
}

static char *
check_program(char **argv, unsigned n)
{
	if (n == 0)
		return xstrdup("there is no program behind the \"|\"");
	if (argv[0][0] != '/')
		return xasprintf("\"%s\": a program is named by its whole path", argv[0]);
	return NULL;
}

char *
command_split(const char *text, char ***argv)
{
	char **words = xcalloc(WORDS_MAX + 1, sizeof(*words)), *why = NULL;
	struct buf word = { 0 };
	unsigned n = 0;

	text += strspn(text, " \t");
	/* it is what the last command of a shell's line says, and means nothing without one */
	if (strncmp(text, "exec ", 5) == 0)
		text += 5;
	for (text += strspn(text, " \t"); *text != '\0' && why == NULL;
	     text += strspn(text, " \t")) {
		buf_clear(&word);
		why = n < WORDS_MAX ? read_word(&text, &word) : xstrdup("it has too many words");
		if (why == NULL)
			words[n++] = xstrdup(buf_str(&word));
	}
	buf_free(&word);
	if (why == NULL)
		why = check_program(words, n);
	if (why == NULL) {
		*argv = words;
		return NULL;
	}
	command_argv_free(words);
	return why;
}

void
command_argv_free(char **argv)
{
	unsigned i;

	for (i = 0; argv[i] != NULL; i++)
		free(argv[i]);
	free(argv);
}
