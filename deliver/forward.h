/*
 * The .forward of an account: addresses, programs and files that get its mail instead of the mailbox,
 * in the words of aliases.  Mail for an extension of its name looks for one of that extension first,
 * .forward+lists for alice+lists, as with sendmail and Postfix.  Read by a process of that account, or
 * by root for smtpctl.
 */
#ifndef DELIVER_FORWARD_H
#define DELIVER_FORWARD_H

#include <sys/types.h>

struct alias_targets;

enum forward_result {
	FORWARD_NONE,    /* the mailbox counts; *WHY when there is a file that is not believed */
	FORWARD_TARGETS, /* these do */
	FORWARD_LATER    /* cannot be told now, or makes no sense: *WHY */
};

struct forward_of {
	const char *account, *home; /* of UID */
	uid_t uid;
	const char *address; /* the recipient, whose own name in the file means the mailbox */
};
/* *FILE is the one that was looked at, the first that is there; *WHY is NULL or words that begin with
 * its name.  The caller frees both. */
enum forward_result forward_read(
    const struct forward_of *, struct alias_targets *targets, char **file, char **why);
/* "/home/alice/.forward+lists"; NULL: LOCAL, the local part of an address, is no extension of ACCOUNT,
 * or one that is no name of a file.  In lower case.  The caller frees. */
char *forward_extended(const char *home, const char *account, const char *local);

#endif
