/*
 * One item of an alias's right side, or of a .forward, as sendmail's files have them:
 *
 *	bob   bob@example.net   "b o b"@example.net   Bob <bob@example.net>   bob@example.net (Bob)
 *	\bob   @example.net   |/usr/bin/prog arg   "|/usr/bin/prog 'an arg'"
 *	/var/log/mail   :include:/etc/mail/staff
 *
 * Pure: what an item means is alias.h's.
 */
#ifndef DELIVER_ALIAS_ITEM_H
#define DELIVER_ALIAS_ITEM_H

enum alias_item_kind {
	ITEM_ADDRESS, /* with or without a domain; quotes are still there */
	ITEM_MAILBOX, /* the same, without the '\' */
	ITEM_DOMAIN,  /* "@example.net": the same name at that domain */
	ITEM_PROGRAM, /* "|/usr/bin/prog ...": a command that command_split takes */
	ITEM_FILE,    /* "/path" */
	ITEM_INCLUDE  /* "/path" */
};

struct alias_item {
	enum alias_item_kind kind;
	char *text; /* the caller frees */
};

/* The next item at *AT, which then stands behind it.  1: there is one; 0: the end; -1: what stands
 * there is none, and *WHY (caller frees) says what is wrong; *AT stands behind it. */
int alias_item_next(const char **at, struct alias_item *, char **why);

#endif
