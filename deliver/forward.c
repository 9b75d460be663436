/*
 * Reading a .forward (forward.h).
 *
 * The delivery process of an account calls it for each message, with that account's ids: so no
 * other process has to see into homes, and a link in a home leads nowhere that its owner could not
 * read himself.  A file that others can write is not believed, since its commands run as its owner;
 * then the mailbox gets the mail, and the log says why.  A file that cannot be read or understood is
 * a reason to wait: half of a forward could be the half that does not matter.
 */
#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/alias.h"
#include "deliver/forward.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"

#define EXTENSION_MAX 200 /* so that it makes the name of a file */

/* Of the file, or of the home: who but UID may change it. */
static const char *
fault(const struct stat *st, uid_t uid)
{
	if (st->st_uid != uid && st->st_uid != 0)
		return "belongs to somebody else";
	if (st->st_mode & S_IWGRP)
		return "may be written by its group; chmod g-w";
	if (st->st_mode & S_IWOTH)
		return "may be written by everybody; chmod o-w";
	return NULL;
}

static enum forward_result
parse(const char *path, char *text, const struct forward_of *who, const struct mailaddr *address,
    struct alias_targets *targets, char **why)
{
	struct alias_of of = { .self = who->address,
		.local = address->local,
		.domain = address->domain,
		.read_files = true,
		.account = who->uid };
	char *words = alias_parse_text(text, &of, targets);

	if (words != NULL) {
		*why = xasprintf("%s: %s", path, words);
		free(words);
		return FORWARD_LATER;
	}
	alias_mark_self(targets, who->address);
	return targets->n > 0 ? FORWARD_TARGETS : FORWARD_NONE;
}

/* False: there is no such file. */
static bool
read_safe(const char *path, const struct forward_of *who, const struct mailaddr *address,
    struct alias_targets *targets, char **why, enum forward_result *result)
{
	struct buf text = { 0 };
	struct stat file, folder;
	const char *words = NULL;
	int error = alias_read_file(path, &text, &file);

	*result = FORWARD_NONE;
	if (error == ENOENT || error == ENOTDIR)
		return false;
	if (error == 0 && stat(who->home, &folder) < 0)
		error = errno;
	if (error == EINVAL) {
		words = "is no text file";
	} else if (error != 0) {
		*why = xasprintf("%s: %s", path, strerror(error));
		*result = FORWARD_LATER;
	} else if ((words = fault(&file, who->uid)) == NULL && fault(&folder, who->uid) != NULL) {
		*why = xasprintf(
		    "%s is not believed: %s %s", path, who->home, fault(&folder, who->uid));
	} else if (words == NULL && text.len > 0) {
		*result = parse(path, text.data, who, address, targets, why);
	}
	if (words != NULL)
		*why = xasprintf("%s is not believed: it %s", path, words);
	buf_free(&text);
	return true;
}

char *
forward_extended(const char *home, const char *account, const char *local)
{
	size_t len = strlen(account);
	char *path, *at;

	if (strncasecmp(local, account, len) != 0 || local[len] == '\0' || local[len + 1] == '\0' ||
	    strchr(local, '/') != NULL || strlen(local) > EXTENSION_MAX)
		return NULL;
	path = xasprintf("%s/.forward%s", home, local + len);
	for (at = path + strlen(home); *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	return path;
}

enum forward_result
forward_read(
    const struct forward_of *who, struct alias_targets *targets, char **file, char **why)
{
	struct mailaddr address;
	enum forward_result result;
	const char *wrong;

	*why = NULL;
	*file = NULL;
	if (!mailaddr_parse(
		who->address, strlen(who->address), MAILADDR_UTF8, &address, &wrong)) {
		*why = xasprintf("%s/.forward: for \"%s\": %s", who->home, who->address, wrong);
		return FORWARD_LATER;
	}
	*file = forward_extended(who->home, who->account, address.local);
	if (*file == NULL || !read_safe(*file, who, &address, targets, why, &result)) {
		free(*file);
		*file = xasprintf("%s/.forward", who->home);
		read_safe(*file, who, &address, targets, why, &result);
	}
	mailaddr_free(&address);
	return result;
}
