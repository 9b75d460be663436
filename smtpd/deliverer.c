/*
 * May there be a process with these ids? (deliverer.h)
 *
 * The master, who is root, makes delivery processes on request.  The queue asks, and could be lying
 * if it was taken over: so the new process, before it becomes anything, checks the account and the
 * directory against passwd, the configuration and the file system.  Not the master: passwd may be a
 * directory server that takes its time.  What a process of an account may do
 * for it is then a matter of that process: programs and files only when the account's own .forward,
 * or the aliases, name them (deliver/local.c).  Nothing is ever delivered as root.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/alias_account.h"
#include "deliver/lookup.h"
#include "deliver/mailbox_root.h"
#include "lib/table.h"
#include "smtpd/deliverer.h"
#include "smtpd/roles.h"

/* The client of DOMAIN's LMTP server is our own account, as the lookup role finds it (mailbox_root.h). */
static bool
explains_lmtp(const struct domain *domain, const struct wanted *w, const struct passwd *pw)
{
	return pw != NULL && pw->pw_uid == w->uid && pw->pw_gid == w->gid && strcmp(w->account, RUN_USER) == 0 &&
	    domain->mailbox.path != NULL && strcmp(domain->mailbox.path, w->root) == 0;
}

/* An account's mailboxes, or its programs, in its own home or in a directory for all. */
static bool
explains_account(const struct domain *domain, const struct wanted *w, const struct passwd *pw)
{
	return domain->users_system && pw != NULL && pw->pw_uid == w->uid && w->uid != 0 &&
	    mailbox_root_group(domain, w->root, pw->pw_gid) == w->gid;
}

struct home_search {
	const char *path;
	bool found;
};

static void
compare_home(const char *user, const char *home, void *arg)
{
	struct home_search *search = arg;

	(void)user;
	search->found |= home != NULL && strcmp(home, search->path) == 0;
}

/* What mailboxes or programs of DOMAIN with W's root have as their home; NULL: none, or no matter. */
static const char *
home_for(const struct domain *domain, const struct wanted *w, const struct passwd *pw)
{
	struct home_search search = { .path = w->root };

	if (domain->users_system)
		return pw != NULL ? pw->pw_dir : NULL;
	if (domain->users != NULL)
		table_each(domain->users, compare_home, &search);
	return search.found ? w->root : NULL;
}

/* W's root is what DOMAIN's mailboxes lie below, and its uid who may write there: the account PW itself where users are
 * accounts, else the owner of that directory. */
static bool
explains(const struct domain *domain, const struct wanted *w, const struct passwd *pw)
{
	bool account = explains_account(domain, w, pw), ok;
	struct mailbox_root r;
	char *why;

	if (domain->kind != DOMAIN_LOCAL || domain->mailbox.method != w->method)
		return false;
	if (w->method == MAILBOX_LMTP)
		return explains_lmtp(domain, w, pw);
	if (account && strcmp(pw->pw_dir, w->root) == 0)
		return true;
	why = mailbox_root_find(domain, home_for(domain, w, pw), !account, &r);
	if (why != NULL) {
		free(why);
		return false;
	}
	ok = strcmp(r.path, w->root) == 0 &&
	    (account || (r.uid == w->uid && r.gid == w->gid && strcmp(r.account, w->account) == 0));
	free(r.path);
	free(r.account);
	return ok;
}

/* What the aliases of DOMAIN name is done by one account, whoever it is for. */
static bool
explains_alias(const struct domain *domain, const struct wanted *w)
{
	struct mailbox_root r;
	char *why;
	bool ok;

	if (domain->aliases == NULL || strcmp(domain->name, w->root) != 0)
		return false;
	why = alias_account(domain, &r);
	if (why != NULL) {
		free(why);
		return false;
	}
	ok = r.uid == w->uid && r.gid == w->gid && strcmp(r.account, w->account) == 0;
	free(r.path);
	free(r.account);
	return ok;
}

/* The .forward in an account's home. */
static bool
explains_forward(const struct domain *domain, const struct wanted *w, const struct passwd *pw)
{
	return domain->users_system && pw != NULL && pw->pw_uid == w->uid && pw->pw_gid == w->gid &&
	       strcmp(pw->pw_dir, w->root) == 0;
}

bool
deliverer_explained(const struct lookup_conf *conf, const struct wanted *w)
{
	const struct passwd *pw = *w->account != '\0' ? getpwnam(w->account) : NULL;
	unsigned i;

	if (geteuid() != 0)
		return true; /* everybody is who started us; the sandbox keeps to ROOT */
	for (i = 0; i < conf->domains_n && w->uid != 0; i++) {
		const struct domain *domain = &conf->domains[i];

		if (domain->kind != DOMAIN_LOCAL)
			continue;
		if (w->method == MAILBOX_ALIAS ? explains_alias(domain, w)
		    : w->method == MAILBOX_FORWARD
			? explains_forward(domain, w, pw)
			: explains(domain, w, pw))
			return true;
	}
	return false;
}

const char *
deliverer_home(const struct wanted *w)
{
	const struct passwd *pw =
	    geteuid() == 0 && *w->account != '\0' ? getpwnam(w->account) : getpwuid(geteuid());

	return pw != NULL ? pw->pw_dir : NULL;
}
