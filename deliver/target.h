/*
 * What an alias or a .forward names, as the text of a recipient:
 *
 *	bob@example.net              an address
 *	\alice@example.org           the mailbox of that name, past all aliases and forwards
 *	\alice@example.org|/bin/x y  a program that the alias, or the .forward, of alice names
 *	\alice@example.org/var/x     a file that it names
 *
 * No address begins with a backslash, so nobody outside can name any but the first.  The others are
 * claims, not orders: who runs the program or writes the file looks whether ALICE still says so.
 * Pure.
 */
#ifndef DELIVER_TARGET_H
#define DELIVER_TARGET_H

#include <stdbool.h>

/* Octets of a text; an item of an alias that would be longer is refused when it is read. */
#define TARGET_MAX 1000

enum target_kind { TARGET_ADDRESS, TARGET_MAILBOX, TARGET_PROGRAM, TARGET_FILE };

struct target {
	enum target_kind kind;
	char *address;    /* "alice@example.org" */
	const char *item; /* PROGRAM and FILE: from the '|' or '/' on; within the text */
};

/* Does not look whether ADDRESS is one.  The caller frees by target_free. */
void target_parse(const char *text, struct target *);
void target_free(struct target *);
/* As people read it: without the backslash. */
const char *target_words(const char *text);
/* Where the address in TEXT ends, for those who may show nothing else. */
const char *target_address_end(const char *text);

#endif
