/*
 * A program to be given a message, as the address book found it and the delivery process runs it.
 * It travels as one string, in which every word is preceded by its length: no value can become
 * another argument.  Pure.
 */
#ifndef DELIVER_COMMAND_H
#define DELIVER_COMMAND_H

#include <stdbool.h>

struct command {
	char *user, *home, *domain, *extension; /* for its environment; "" for none */
	char **argv; /* NULL-terminated; the first is the program's path */
	unsigned argv_n;
};

/* "5:alice,11:/home/alice,...": user, home, domain, extension, then the arguments.  The caller
 * frees. */
char *command_encode(const struct command *);
/* The caller frees by command_free.  False, and nothing to free: it is none, or has no program that
 * begins with '/'. */
bool command_decode(const char *, struct command *);
void command_free(struct command *);

#endif
