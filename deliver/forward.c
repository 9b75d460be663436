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

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/alias.h"
#include "deliver/forward.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"

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
parse(const char *path, char *text, const char *address, uid_t uid, struct alias_targets *targets,
    char **why)
{
	struct alias_of of = { .self = address, .read_files = true, .account = uid };
	struct mailaddr parsed;
	const char *wrong;
	char *words;

	if (!mailaddr_parse(address, strlen(address), MAILADDR_UTF8, &parsed, &wrong)) {
		*why = xasprintf("%s: for \"%s\": %s", path, address, wrong);
		return FORWARD_LATER;
	}
	of.local = parsed.local;
	of.domain = parsed.domain;
	words = alias_parse_text(text, &of, targets);
	mailaddr_free(&parsed);
	if (words != NULL) {
		*why = xasprintf("%s: %s", path, words);
		free(words);
		return FORWARD_LATER;
	}
	alias_mark_self(targets, address);
	return targets->n > 0 ? FORWARD_TARGETS : FORWARD_NONE;
}

static enum forward_result
read_safe(const char *path, const char *home, uid_t uid, const char *address,
    struct alias_targets *targets, char **why)
{
	struct buf text = { 0 };
	struct stat file, folder;
	enum forward_result result = FORWARD_NONE;
	const char *words = NULL;
	int error = alias_read_file(path, &text, &file);

	if (error == 0 && stat(home, &folder) < 0)
		error = errno;
	if (error == EINVAL) {
		words = "is no text file";
	} else if (error != 0 && error != ENOENT && error != ENOTDIR) {
		*why = xasprintf("%s: %s", path, strerror(error));
		result = FORWARD_LATER;
	} else if (error == 0 && (words = fault(&file, uid)) == NULL &&
		   fault(&folder, uid) != NULL) {
		*why = xasprintf("%s is not believed: %s %s", path, home, fault(&folder, uid));
	} else if (error == 0 && words == NULL && text.len > 0) {
		result = parse(path, text.data, address, uid, targets, why);
	}
	if (words != NULL)
		*why = xasprintf("%s is not believed: it %s", path, words);
	buf_free(&text);
	return result;
}

enum forward_result
forward_read(const char *home, uid_t uid, const char *address, struct alias_targets *targets,
    char **why)
{
	char *path = xasprintf("%s/.forward", home);
	enum forward_result result;

	*why = NULL;
	result = read_safe(path, home, uid, address, targets, why);
	free(path);
	return result;
}
