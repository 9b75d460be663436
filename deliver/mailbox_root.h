/*
 * The directory that a delivery may write in, and whose it is.  For mailboxes in homes that is the
 * home; for others the fixed part of the format: "/var/vmail" of "/var/vmail/%{domain}/%{user}".
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
/* Before privileges go: opens the fixed part of DOMAIN's format, so that its owner can be seen also
 * from where its path cannot be walked. */
void mailbox_root_prepare(const struct domain *);

#endif
