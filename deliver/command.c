/*
 * Commands as text and back (command.h).
 *
 * The lookup role writes the text, the queue hands it on as the path of a mailbox, the delivery
 * process reads it, as data of another process: a length that the text has no room for, a missing
 * mark, or too many words make it unreadable.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/command.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define ARGUMENTS_MAX 256
#define DIGITS_MAX 7

static void
add_word(struct buf *out, const char *word)
{
	if (word == NULL)
		word = "";
	buf_addf(out, "%zu:%s,", strlen(word), word);
}

char *
command_encode(const struct command *command)
{
	struct buf out = { 0 };
	unsigned i;

	add_word(&out, command->user);
	add_word(&out, command->home);
	add_word(&out, command->domain);
	add_word(&out, command->extension);
	for (i = 0; command->argv[i] != NULL; i++)
		add_word(&out, command->argv[i]);
	return buf_take(&out);
}

/* The word at *TEXT, which then stands behind it; NULL when there is none. */
static char *
read_word(const char **text)
{
	size_t digits = strspn(*text, "0123456789"), len;
	const char *word = *text + digits + 1;

	if (digits == 0 || digits > DIGITS_MAX || (*text)[digits] != ':')
		return NULL;
	len = strtoul(*text, NULL, 10);
	if (strnlen(word, len + 1) <= len || word[len] != ',')
		return NULL;
	*text = word + len + 1;
	return xstrndup(word, len);
}

static bool
read_arguments(const char *text, struct command *command)
{
	char *word;

	while (*text != '\0') {
		word = read_word(&text);
		if (word == NULL || command->argv_n == ARGUMENTS_MAX) {
			free(word);
			return false;
		}
		command->argv = xreallocarray(
		    command->argv, command->argv_n + 2, sizeof(*command->argv));
		command->argv[command->argv_n++] = word;
		command->argv[command->argv_n] = NULL;
	}
	return command->argv_n > 0 && command->argv[0][0] == '/';
}

bool
command_decode(const char *text, struct command *command)
{
	*command = (struct command){ .argv = NULL };
	if ((command->user = read_word(&text)) != NULL &&
	    (command->home = read_word(&text)) != NULL &&
	    (command->domain = read_word(&text)) != NULL &&
	    (command->extension = read_word(&text)) != NULL && read_arguments(text, command))
		return true;
	command_free(command);
	return false;
}

void
command_free(struct command *command)
{
	unsigned i;

	for (i = 0; i < command->argv_n; i++)
		free(command->argv[i]);
	free(command->argv);
	free(command->user);
	free(command->home);
	free(command->domain);
	free(command->extension);
	*command = (struct command){ .argv = NULL };
}
