/*
 * As whom an account may send (lookup.h, lookup_sender_now).
 *
 * The lookup role is asked for the envelope sender and for every author of what members submit.  An address is the account's own
 * when it leads to the account's mailbox, by whatever aliases; more is what the operator's table says.
 * Mailboxes are told apart by who owns them: an account of the host is one user in all domains, the user of a table
 * one in its domain.  What can fail is a name service; then nobody is refused for good.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/alias.h"
#include "deliver/book.h"
#include "deliver/lookup.h"
#include "lib/mem.h"
#include "lib/table.h"

#define STEPS_MOST 2000 /* addresses that one may stand for, looked at one after the other */

/* --- where an address leads --- */

struct walk {
	const struct lookup_conf *conf;
	struct alias_targets todo; /* all that was met: each once */
	char **owners;             /* of mailboxes: "alice@example.org", "alice@" for an account of the host */
	size_t owners_n;
	bool temp;
};

static void
add_owner(struct walk *w, const struct domain *domain, const char *user)
{
	w->owners = xreallocarray(w->owners, w->owners_n + 1, sizeof(w->owners[0]));
	w->owners[w->owners_n++] = xasprintf("%s@%s", user, domain->users_system ? "" : domain->name);
}

static void
walk_one(struct walk *w, const char *address)
{
	struct book_name name;
	struct book_entry entry;
	struct alias_of of = { .read_files = true, .account = (uid_t)-1 };
	const char *why;
	char *wrong = NULL;

	if (!book_name_parse(w->conf, address, &name, &why))
		return;
	of.self = name.address;
	of.local = name.local;
	of.domain = name.ours != NULL ? name.ours->name : "";
	book_find(w->conf, &name, false, &entry);
	if (entry.kind == BOOK_ALIAS)
		wrong = alias_parse(entry.value, &of, &w->todo);
	else if (entry.kind == BOOK_MOVED)
		alias_add(&w->todo, entry.moved);
	else if (entry.kind == BOOK_USER)
		add_owner(w, name.ours, entry.user.name);
	w->temp |= wrong != NULL || entry.kind == BOOK_ERROR;
	free(wrong);
	book_entry_free(&entry);
	book_name_free(&name);
}

/* An alias that names itself means the mailbox behind it. */
static void
walk_from(struct walk *w, const struct lookup_conf *conf, const char *address)
{
	char *mailbox = xasprintf("\\%s", address);
	size_t i;

	*w = (struct walk){ .conf = conf };
	alias_add(&w->todo, address);
	if (address[0] != '\\')
		alias_add(&w->todo, mailbox);
	free(mailbox);
	for (i = 0; i < w->todo.n && i < STEPS_MOST; i++)
		walk_one(w, w->todo.addresses[i]);
}

static void
walk_free(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->owners_n; i++)
		free(w->owners[i]);
	free(w->owners);
	alias_free(&w->todo);
}

/* The mailbox of ACCOUNT itself, past all aliases; an account without a domain is one of the host's. */
static void
walk_account(struct walk *w, const struct lookup_conf *conf, const char *account)
{
	const struct domain *home = book_home(conf);
	char *address;

	if (strchr(account, '@') != NULL)
		address = xasprintf("\\%s", account);
	else
		address = xasprintf("\\%s@%s", account, home != NULL ? home->name : conf->host);
	walk_from(w, conf, address);
	free(address);
}

static bool
share_an_owner(const struct walk *a, const struct walk *b)
{
	size_t i, k;

	for (i = 0; i < a->owners_n; i++)
		for (k = 0; k < b->owners_n; k++)
			if (strcasecmp(a->owners[i], b->owners[k]) == 0)
				return true;
	return false;
}

static enum recipient_verdict
judge_own(const struct lookup_conf *conf, const char *account, const char *address)
{
	struct walk own, led;
	enum recipient_verdict verdict;

	walk_account(&own, conf, account);
	walk_from(&led, conf, address);
	verdict = share_an_owner(&own, &led) ? RECIPIENT_OURS : own.temp || led.temp ? RECIPIENT_TEMP : RECIPIENT_FOREIGN;
	walk_free(&own);
	walk_free(&led);
	return verdict;
}

/* --- what the operator says --- */

/* LIST: addresses, domains, "*", parted by spaces and commas. */
static bool
is_listed(const char *list, const char *address)
{
	struct table *table = table_new("");
	char *copy = xstrdup(list), *at = copy, *word;
	bool listed = false;

	while ((word = strsep(&at, " \t,")) != NULL) {
		listed |= strcmp(word, "*") == 0;
		if (*word != '\0')
			table_add(table, word, NULL);
	}
	listed |= table_match_address(table, address);
	table_free(table);
	free(copy);
	return listed;
}

static bool
is_allowed(const struct table *senders, const char *account, const char *address)
{
	const char *own = table_get(senders, account), *all = table_get(senders, "*");

	return (own != NULL && is_listed(own, address)) || (all != NULL && is_listed(all, address));
}

/* The file says two things of the account, or of everybody, or may say one in a line that cannot be read. */
static bool
is_in_doubt(const struct table *senders, const char *account)
{
	char *own = table_fault(senders, account), *all = table_fault(senders, "*");
	bool doubt = own != NULL || all != NULL || table_unread(senders) != NULL;

	free(own);
	free(all);
	return doubt;
}

enum recipient_verdict
lookup_sender_now(const struct lookup_conf *conf, const char *account, const char *address)
{
	enum recipient_verdict verdict;

	if (conf->senders != NULL && is_allowed(conf->senders, account, address))
		return RECIPIENT_OURS;
	verdict = judge_own(conf, account, address);
	if (verdict == RECIPIENT_FOREIGN && conf->senders != NULL && is_in_doubt(conf->senders, account))
		return RECIPIENT_TEMP;
	return verdict;
}
