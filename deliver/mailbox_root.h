/*
 * The directory that a delivery may write in, and whose it is.  For mailboxes in homes that is the
 * home; for others the fixed part of the format: "/var/vmail" of "/var/vmail/%{domain}/%{user}".
 * For LMTP it is the server, whose client is the account of the role that asks; for a program the
 * home of the user, or without one the program itself, by whose owner it is run.
 */
#ifndef DELIVER_MAILBOX_ROOT_H
#define DELIVER_MAILBOX_ROOT_H

#include <stdbool.h>
#include <sys/types.h>

struct domain;

struct mailbox_root {
	char *path;    /* the caller frees */
	char *account; /* of the owner, or NULL; the caller frees */
	uid_t uid;
	gid_t gid;
};

/*
 * HOME may be NULL.  The owner is looked up only when WANT_OWNER; a fixed part that is not there
 * yet is made by the delivery, so then the root is the nearest directory above that is.  NULL, or
 * what is wrong, in words that name the path (caller frees; nothing in *ROOT is to be freed then).
 */
char *mailbox_root_find(
    const struct domain *, const char *home, bool want_owner, struct mailbox_root *root);
/*
 * The group that a delivery to an account's mailbox below ROOT has: its own, GID; but for a mbox in
 * a spool directory whose group may write there and others may not (/var/mail), that group, since
 * nobody else can make a dotlock.
 */
gid_t mailbox_root_group(const struct domain *, const char *root, gid_t gid);
/* Before privileges go: opens the fixed part of DOMAIN's format, so that its owner can be seen also
 * from where its path cannot be walked. */
void mailbox_root_prepare(const struct domain *);

#endif
