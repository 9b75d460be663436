/*
 * Whose programs an alias names (alias_account.h).
 *
 * The lookup role asks for each program or file that is due, and the master once more before it
 * makes the process: the file system and the configuration decide, not who asks.  An aliases file
 * usually belongs to root, and nothing is run as root; so the configuration must then say who.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/account.h"
#include "deliver/alias_account.h"
#include "deliver/domain.h"
#include "lib/mem.h"
#include "lib/table.h"

static char *
refuse_root(const struct domain *domain, const char *whose)
{
	return xasprintf("no program is run and no file is written as root, %s; say whom instead: "
			 "aliases ... as \"nobody\", in domain \"%s\"", whose, domain->name);
}

/* The file's owner. */
static char *
owner(const struct domain *domain, struct account *account)
{
	const char *path = table_path(domain->aliases), *words;
	struct stat st;
	char *whose, *why;

	if (path == NULL)
		return refuse_root(domain, "who may own the configuration");
	if (stat(path, &st) < 0)
		return xasprintf("cannot look at %s: %s", path, strerror(errno));
	if (st.st_uid == 0) {
		whose = xasprintf("to whom %s belongs", path);
		why = refuse_root(domain, whose);
		free(whose);
		return why;
	}
	return account_by_uid(st.st_uid, account, &words) == ACCOUNT_FOUND ? NULL : xstrdup(words);
}

static char *
named(const struct domain *domain, struct account *account)
{
	const char *words;

	switch (account_by_name(domain->aliases_as, account, &words)) {
	case ACCOUNT_FOUND:
		return account->uid != 0 ? NULL : refuse_root(domain, "whose account that is");
	case ACCOUNT_NONE:
		return xasprintf("there is no account \"%s\", as which the aliases of %s run their "
				 "programs", domain->aliases_as, domain->name);
	case ACCOUNT_ERROR:
		break;
	}
	return xstrdup(words);
}

char *
alias_account(const struct domain *domain, struct mailbox_root *root)
{
	struct account account;
	char *why = domain->aliases_as != NULL ? named(domain, &account) : owner(domain, &account);

	if (why != NULL)
		return why;
	*root = (struct mailbox_root){ .path = xstrdup(domain->name),
		.account = xstrdup(account.name),
		.uid = account.uid,
		.gid = account.gid };
	return NULL;
}
