/*
 * Commands as people write them into aliases and .forward files.  Pure.
 */
#ifndef DELIVER_COMMAND_LINE_H
#define DELIVER_COMMAND_LINE_H

/*
 * "/usr/bin/prog -a 'an argument' \"another\"" into words; *ARGV ends with NULL.  No shell reads it:
 * blanks divide, quotes and backslashes hold together, and nothing else has a meaning.  NULL, or what
 * is wrong with it (caller frees), such as a character that only means something to a shell.
 */
char *command_split(const char *text, char ***argv);
void command_argv_free(char **argv);

#endif
