/*
 * The .forward of an account: addresses, programs and files that get its mail instead of the mailbox,
 * in the words of aliases.  Read by a process of that account, or by root for smtpctl.
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

/* HOME is that of UID; ADDRESS is the recipient, whose own name in the file means the mailbox.  *WHY
 * is NULL or words that begin with the file's name (caller frees). */
enum forward_result forward_read(const char *home, uid_t uid, const char *address,
    struct alias_targets *targets, char **why);

#endif
