/*
 * Where the mailboxes of a domain lie (mailbox_root.h).
 *
 * Called by the lookup role for each recipient with a mailbox.  Who writes virtual mailboxes is
 * told by the owner of the directory they are in: the operator chooses the account by chown, and no
 * line of configuration can disagree with the file system.  The role has no privileges and may not
 * be able to walk there; so it opens the directories before it gives them up, only to look at
 * (O_PATH).
 *
 * What must never happen: that the root, below which a delivery process may write, becomes "/".
 */
#include <sys/queue.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/account.h"
#include "deliver/domain.h"
#include "deliver/mailbox_root.h"
#include "lib/mem.h"

static const char home_field[] = "%{home}";

struct opened {
	SLIST_ENTRY(opened) entry;
	char *path;
	int fd;
};

static SLIST_HEAD(, opened) all_opened = SLIST_HEAD_INITIALIZER(all_opened);

static bool
starts_with_home(const struct domain *domain)
{
	return strncmp(domain->mailbox.path, home_field, sizeof(home_field) - 1) == 0;
}

/* The format up to the last '/' before its first field, or before its end; "" when that is the root
 * directory. */
static char *
fixed_part(const char *format)
{
	const char *field = strstr(format, "%{");
	size_t len = field != NULL ? (size_t)(field - format) : strlen(format);

	while (len > 0 && format[len] != '/')
		len--;
	while (len > 0 && format[len - 1] == '/')
		len--;
	return xstrndup(format, len);
}

/* Cuts the last component off PATH; false when that leaves nothing. */
static bool
cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	while (slash != NULL && slash > path && slash[-1] == '/')
		slash--;
	if (slash == NULL || slash == path)
		return false;
	*slash = '\0';
	return true;
}

void
mailbox_root_prepare(const struct domain *domain)
{
	struct opened *opened;
	char *path;
	int fd;

	if (domain->kind != DOMAIN_LOCAL || domain->users_system || domain->mailbox.path == NULL ||
	    starts_with_home(domain))
		return;
	path = fixed_part(domain->mailbox.path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		free(path);
		return;
	}
	opened = xcalloc(1, sizeof(*opened));
	opened->path = path;
	opened->fd = fd;
	SLIST_INSERT_HEAD(&all_opened, opened, entry);
}

/* 0 or an errno.  What was opened is only asked when the path does not lead there. */
static int
look_at(const char *path, struct stat *st)
{
	const struct opened *opened;
	int error = stat(path, st) == 0 ? 0 : errno;

	if (error != EACCES)
		return error;
	SLIST_FOREACH(opened, &all_opened, entry) {
		if (strcmp(opened->path, path) == 0)
			return fstat(opened->fd, st) == 0 ? 0 : errno;
	}
	return error;
}

/* PATH, or when MAY_BE_MADE the nearest directory above it that is there. */
static char *
find_existing(char *path, bool may_be_made, struct stat *st)
{
	char *wanted = xstrdup(path), *why = NULL;
	int error;

	while ((error = look_at(path, st)) == ENOENT && may_be_made && cut_last(path))
		;
	if (error == ENOENT)
		why = xasprintf(
		    "there is no directory %s; make it, and give it to who owns the mailboxes",
		    wanted);
	else if (error != 0)
		why = xasprintf("cannot look at %s: %s", path, strerror(error));
	else if (!S_ISDIR(st->st_mode))
		why = xasprintf("%s is not a directory", path);
	else if (strcmp(path, wanted) != 0 && (st->st_mode & S_IWOTH))
		why = xasprintf(
		    "there is no directory %s, and %s is everybody's; make it", wanted, path);
	free(wanted);
	return why;
}

static char *
find_owner(struct mailbox_root *root, bool may_be_made)
{
	struct account account;
	struct stat st;
	const char *words;
	char *why = find_existing(root->path, may_be_made, &st);

	if (why != NULL)
		return why;
	if (account_by_uid(st.st_uid, &account, &words) != ACCOUNT_FOUND)
		return xstrdup(words);
	root->account = xstrdup(account.name);
	root->uid = st.st_uid;
	root->gid = st.st_gid;
	return NULL;
}

/* The client of a server has no rights to files: any account without privileges will do, and the
 * operator can put this one into the group of a socket. */
static char *
lmtp_root(const struct domain *domain, struct mailbox_root *root)
{
	struct account account;
	const char *words;

	if (account_by_uid(geteuid(), &account, &words) != ACCOUNT_FOUND)
		return xstrdup(words);
	root->path = xstrdup(domain->mailbox.path);
	root->account = xstrdup(account.name);
	root->uid = geteuid();
	root->gid = getegid();
	return NULL;
}

/* An account's program runs as that account.  For users that are none the operator chooses by chown,
 * as for mailboxes. */
static char *
pipe_root(const struct domain *domain, const char *home, bool want_owner, struct mailbox_root *root)
{
	const char *program = domain->mailbox.path, *words;
	struct account account;
	struct stat st;
	char *why = NULL;
	int error;

	root->path = xstrdup(home != NULL ? home : program);
	if (!want_owner)
		return NULL;
	error = look_at(root->path, &st);
	if (error != 0)
		why = xasprintf("cannot look at %s: %s", root->path, strerror(error));
	else if (st.st_uid == 0)
		why = xasprintf("%s belongs to root, and no program is run as root; give it to the "
				"account that shall run it", root->path);
	else if (account_by_uid(st.st_uid, &account, &words) != ACCOUNT_FOUND)
		why = xstrdup(words);
	if (why != NULL) {
		free(root->path);
		return why;
	}
	root->account = xstrdup(account.name);
	root->uid = st.st_uid;
	root->gid = st.st_gid;
	return NULL;
}

static bool
is_spool_directory(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && (st->st_mode & S_IWGRP) && !(st->st_mode & S_IWOTH);
}

gid_t
mailbox_root_group(const struct domain *domain, const char *root, gid_t gid)
{
	struct stat st;

	if (domain->mailbox.method != MAILBOX_MBOX || starts_with_home(domain) ||
	    look_at(root, &st) != 0 || !is_spool_directory(&st) || st.st_gid == 0)
		return gid;
	return st.st_gid;
}

char *
mailbox_root_find(
    const struct domain *domain, const char *home, bool want_owner, struct mailbox_root *root)
{
	char *why = NULL;

	*root = (struct mailbox_root){ .path = NULL };
	if (domain->mailbox.path == NULL)
		return xasprintf("%s has no mailboxes", domain->name);
	if (domain->mailbox.method == MAILBOX_LMTP)
		return lmtp_root(domain, root);
	if (starts_with_home(domain) && home == NULL)
		return xasprintf("mailboxes of %s need a home directory", domain->name);
	if (domain->mailbox.method == MAILBOX_PIPE)
		return pipe_root(domain, home, want_owner, root);
	if (!starts_with_home(domain))
		root->path = fixed_part(domain->mailbox.path);
	else
		root->path = xstrdup(home);
	if (root->path[0] != '/' || strspn(root->path, "/.") == strlen(root->path))
		why = xasprintf(
		    "mailboxes in \"%s\" have no directory of their own", domain->mailbox.path);
	else if (want_owner)
		why = find_owner(root, !starts_with_home(domain)); /* nobody's home is made here */
	if (why != NULL)
		free(root->path);
	return why;
}
