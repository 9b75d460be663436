/*
 * Return paths that name the recipient (verp.h).
 *
 * The queue makes them when a recipient is delivered, and keeps only the formula.  Both addresses are
 * normalised (mailaddr.h); local parts are joined as they are meant, and the whole is quoted when it
 * must be.  What must never happen: two recipients with one path, which the last "=" of the local
 * part prevents, as no domain has one.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/verp.h"

bool
verp_formula_ok(const char *s, size_t len)
{
	return len == VERP_SIZE - 1 && memchr("-=+", s[0], 3) != NULL && memchr("-=+", s[1], 3) != NULL;
}

static char *
join(const char *formula, const struct mailaddr *sender, const struct mailaddr *recipient)
{
	struct mailaddr path = { .domain = sender->domain };
	char *text;

	/* <postmaster> has no domain */
	if (recipient->domain[0] == '\0')
		path.local = xasprintf("%s%c%s", sender->local, formula[0], recipient->local);
	else
		path.local = xasprintf("%s%c%s%c%s", sender->local, formula[0], recipient->local,
		    formula[1], recipient->domain);
	text = mailaddr_format(&path);
	free(path.local);
	return text;
}

char *
verp_path(const char *formula, const char *sender, const char *recipient)
{
	struct mailaddr from, to;
	char *path = NULL;
	const char *why;

	if (!mailaddr_parse(sender, strlen(sender), MAILADDR_UTF8, &from, &why))
		return xstrdup(sender);
	if (mailaddr_parse(
		recipient, strlen(recipient), MAILADDR_UTF8 | MAILADDR_POSTMASTER, &to, &why)) {
		path = join(formula, &from, &to);
		mailaddr_free(&to);
	}
	mailaddr_free(&from);
	if (path != NULL && strlen(path) + 2 <= MAILADDR_PATH_MAX)
		return path;
	free(path);
	return xstrdup(sender);
}
