/*
 * The entries of the address book: whose domain an address is in, which alias and which user it
 * has.
 *
 * The one place that takes an address of ours apart, for answers (lookup.c) and for the walk that
 * finds loops (alias_loop.c).  Domains, aliases and the users of tables are asked in memory;
 * accounts by account.h, which is the only thing that can fail here.  The case of letters in a
 * local part never tells two users apart.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/account.h"
#include "deliver/book.h"
#include "deliver/srs.h"
#include "lib/clock.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"

#define DELIMITER_DEFAULT "+"

/* --- addresses --- */

static const struct domain *
find_domain(const struct lookup_conf *conf, const char *name)
{
	unsigned i;

	for (i = 0; i < conf->domains_n; i++) {
		if (strcasecmp(conf->domains[i].name, name) == 0)
			return &conf->domains[i];
	}
	return NULL;
}

static bool
has_mailboxes(const struct domain *domain)
{
	return domain->kind == DOMAIN_LOCAL && (domain->users_system || domain->users != NULL);
}

/* Where mail for the host itself goes: its own name if that is a domain, else the first that has
 * mailboxes. */
const struct domain *
book_home(const struct lookup_conf *conf)
{
	const struct domain *domain = find_domain(conf, conf->host);
	unsigned i;

	for (i = 0; domain == NULL && i < conf->domains_n; i++) {
		if (has_mailboxes(&conf->domains[i]))
			domain = &conf->domains[i];
	}
	for (i = 0; domain == NULL && i < conf->domains_n; i++) {
		if (conf->domains[i].kind != DOMAIN_LISTS)
			domain = &conf->domains[i];
	}
	return domain;
}

/* RFC 2142 5 and 6; mailer-daemon is where people answer our notices to. */
static bool
is_reserved(const char *local)
{
	return strcasecmp(local, "postmaster") == 0 || strcasecmp(local, "abuse") == 0 ||
	       strcasecmp(local, "mailer-daemon") == 0;
}

static char *
lower(const char *s)
{
	char *copy = xstrdup(s), *at;

	for (at = copy; *at != '\0'; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
	return copy;
}

void
book_name_free(struct book_name *name)
{
	free(name->address);
	free(name->local);
	free(name->domain);
	free(name->base);
}

/* False, and nothing to free: ADDRESS is none. */
bool
book_name_parse(
    const struct lookup_conf *conf, const char *address, struct book_name *name, const char **why)
{
	struct mailaddr parsed;
	const char *signs = DELIMITER_DEFAULT;
	size_t len;

	*name = (struct book_name){ .mailbox = address[0] == '\\' };
	address += name->mailbox;
	if (!mailaddr_parse(
		address, strlen(address), MAILADDR_UTF8 | MAILADDR_POSTMASTER, &parsed, why))
		return false;
	name->address = mailaddr_format(&parsed);
	name->local = parsed.local;
	name->domain = parsed.domain;
	if (name->domain[0] != '\0')
		name->ours = find_domain(conf, name->domain);
	if (name->ours != NULL && name->ours->delimiter != NULL)
		signs = name->ours->delimiter;
	len = strcspn(name->local, signs);
	if (len > 0 && name->local[len] != '\0') {
		name->base = xstrndup(name->local, len);
		name->extension = name->local + len + 1;
	}
	return true;
}

/* --- rows --- */

struct row {
	char *key;	   /* what found it */
	const char *value; /* NULL: there is none, or FAULT */
	char *fault;
};

static void
row_free(struct row *row)
{
	free(row->key);
	free(row->fault);
}

/* True when TABLE has it, right or wrong. */
static bool
get_row(const struct table *table, char *key, struct row *row)
{
	row->key = key;
	row->value = table_get(table, key);
	row->fault = row->value == NULL ? table_fault(table, key) : NULL;
	return row->value != NULL || row->fault != NULL;
}

/* The row of TABLE for a name at DOMAIN, "name@domain" or "name"; NULL LOCAL: for everybody, "@domain"
 * or "*".  The caller frees it in either case. */
static bool
find_row(const struct table *table, const struct domain *domain, const char *local, struct row *row)
{
	if (get_row(table, xasprintf("%s@%s", local != NULL ? local : "", domain->name), row))
		return true;
	if (local != NULL && local[0] == '\0')
		return false;
	row_free(row);
	return get_row(table, xstrdup(local != NULL ? local : "*"), row);
}

static void
add_because(struct book_entry *entry, const struct table *table, const struct row *row)
{
	char *where = table_where(table, row->key);

	entry->because = xasprintf("\"%s\" in %s", row->key, where);
	free(where);
}

/* What the file says of it cannot be told, so mail waits until it can. */
static void
take_fault(struct book_entry *entry, const char *fault)
{
	entry->kind = BOOK_ERROR;
	entry->fault = xstrdup(fault);
	entry->why = entry->fault;
}

/* The entry becomes an alias when TABLE has that row, and says where it stands. */
static bool
take_alias(struct book_entry *entry, const struct table *table, const struct domain *domain,
    const char *local)
{
	struct row row;
	bool found = find_row(table, domain, local, &row);

	if (row.fault != NULL) {
		take_fault(entry, row.fault);
	} else if (found) {
		entry->kind = BOOK_ALIAS;
		entry->value = xstrdup(row.value);
		entry->name = local != NULL ? xstrdup(local) : NULL;
	}
	if (found)
		add_because(entry, table, &row);
	row_free(&row);
	return found;
}

/* The alias that stands before any user. */
static bool
find_alias(const struct book_name *name, struct book_entry *entry)
{
	const struct table *aliases = name->ours->aliases;

	if (name->mailbox || aliases == NULL)
		return false;
	return take_alias(entry, aliases, name->ours, name->local) ||
	       (name->base != NULL && take_alias(entry, aliases, name->ours, name->base));
}

char *
book_owner(const struct book_name *name, const struct book_entry *entry)
{
	char *local, *address = NULL;
	struct mailaddr owner;
	struct row row;

	if (entry->name == NULL || name->ours->aliases == NULL)
		return NULL;
	local = xasprintf("owner-%s", entry->name);
	if (find_row(name->ours->aliases, name->ours, local, &row)) {
		owner = (struct mailaddr){ local, name->ours->name };
		address = mailaddr_format(&owner);
	}
	row_free(&row);
	free(local);
	return address;
}

/* --- users --- */

static enum account_status
find_system_user(const char *local, struct book_user *user, const char **why)
{
	struct account account;
	char *folded = lower(local);
	enum account_status status = account_by_name(local, &account, why);

	if (status == ACCOUNT_NONE && strcmp(folded, local) != 0)
		status = account_by_name(folded, &account, why);
	free(folded);
	if (status == ACCOUNT_FOUND)
		*user = (struct book_user){ .name = xstrdup(account.name),
			.home = xstrdup(account.home),
			.uid = account.uid,
			.gid = account.gid };
	return status;
}

/* A table's keys are "alice" or "alice@example.net", in any case; a value that is a path is the
 * home, and another one an alias.  NULL LOCAL: the row for everybody. */
static enum account_status
find_table_user(const struct book_name *name, const char *local, struct book_entry *entry)
{
	const struct domain *domain = name->ours;
	struct row row;
	bool found = find_row(domain->users, domain, local, &row);

	if (row.fault != NULL || (found && row.value[0] != '\0' && row.value[0] != '/' && !name->mailbox)) {
		take_alias(entry, domain->users, domain, local);
	} else if (found) {
		entry->kind = BOOK_USER;
		entry->user = (struct book_user){ .name = lower(local != NULL ? local : name->local),
			.home = row.value[0] == '/' ? xstrdup(row.value) : NULL };
		add_because(entry, domain->users, &row);
	}
	row_free(&row);
	return found ? ACCOUNT_FOUND : ACCOUNT_NONE;
}

static enum account_status
user_called(const struct book_name *name, const char *local, struct book_entry *entry)
{
	enum account_status status;

	if (!name->ours->users_system)
		return name->ours->users == NULL ? ACCOUNT_NONE
						 : find_table_user(name, local, entry);
	status = find_system_user(local, &entry->user, &entry->why);
	if (status == ACCOUNT_FOUND) {
		entry->kind = BOOK_USER;
		entry->because = xasprintf("account %s", entry->user.name);
	} else if (status == ACCOUNT_ERROR) {
		entry->kind = BOOK_ERROR;
	}
	return status;
}

/* True when it is known now, or known that it cannot be told. */
static bool
find_user(const struct book_name *name, struct book_entry *entry)
{
	if (user_called(name, name->local, entry) != ACCOUNT_NONE)
		return true;
	if (name->base == NULL || user_called(name, name->base, entry) == ACCOUNT_NONE)
		return false;
	entry->user.extension = name->extension;
	return true;
}

/* A line that does not tell whose it is may be that of whom no other line names. */
static bool
find_unread(const struct book_name *name, struct book_entry *entry)
{
	const struct table *tables[] = { name->mailbox ? NULL : name->ours->aliases, name->ours->users };
	const char *unread;
	unsigned i;

	for (i = 0; i < 2; i++) {
		unread = tables[i] != NULL ? table_unread(tables[i]) : NULL;
		if (unread != NULL) {
			take_fault(entry, unread);
			return true;
		}
	}
	return false;
}

/* Everybody who is nobody else. */
static bool
find_catch_all(const struct book_name *name, struct book_entry *entry)
{
	const struct domain *ours = name->ours;

	if (ours->aliases != NULL && !name->mailbox && take_alias(entry, ours->aliases, ours, NULL))
		return true;
	return ours->users != NULL &&
	       find_table_user(name, NULL, entry) != ACCOUNT_NONE;
}

/* --- entries --- */

static void
move(struct book_entry *entry, char *address, const char *because)
{
	entry->kind = BOOK_MOVED;
	entry->moved = address;
	entry->because = xstrdup(because);
}

/* `postmaster ADDRESS` of the configuration, unless that is NAME itself. */
static bool
find_postmaster(
    const struct lookup_conf *conf, const struct book_name *name, struct book_entry *entry)
{
	if (conf->postmaster == NULL || strcasecmp(conf->postmaster, name->address) == 0)
		return false;
	move(entry, xstrdup(conf->postmaster), "postmaster of the configuration");
	return true;
}

/* Nothing is delivered as root, so root must stand for somebody. */
static void
find_root(const struct lookup_conf *conf, const struct book_name *name, struct book_entry *entry)
{
	static const char why[] = "nobody is named for the mail of root; write an alias for root, or "
				  "postmaster \"somebody@example.net\" into the configuration";
	struct book_name root = { .local = (char *)(uintptr_t) "root", .ours = name->ours };
	struct book_entry alias = { .kind = BOOK_NOBODY };

	if (strcasecmp(name->local, "root") != 0 && find_alias(&root, &alias)) {
		move(entry, xasprintf("root@%s", name->ours->name), "there is an alias for root");
	} else if (!find_postmaster(conf, name, entry)) {
		entry->kind = BOOK_ERROR;
		entry->why = why;
	}
	book_entry_free(&alias);
}

/* Where a reserved name leads when nobody was named for it. */
static void
find_reserved(
    const struct lookup_conf *conf, const struct book_name *name, struct book_entry *entry)
{
	const struct domain *home = book_home(conf);

	if (name->ours->users_system) {
		find_root(conf, name, entry);
	} else if (find_postmaster(conf, name, entry)) {
		return;
	} else if (has_mailboxes(name->ours)) {
		entry->kind = BOOK_USER;
		entry->user.name = lower(name->local);
		entry->because = xstrdup("a reserved name");
	} else if (home != NULL && home != name->ours && has_mailboxes(home)) {
		move(entry, xasprintf("%s@%s", name->local, home->name), "a reserved name");
	}
}

/* A return address that we made for a sender whose mail we forwarded. */
static bool
find_return(
    const struct lookup_conf *conf, const struct book_name *name, struct book_entry *entry)
{
	char *address;

	if (conf->srs == NULL)
		return false;
	switch (srs_reverse(conf->srs, name->local, clock_now(), &address)) {
	case SRS_NONE:
		return false;
	case SRS_GOOD:
		move(entry, address, "a return address that we made (SRS)");
		return true;
	case SRS_FORGED:
		entry->why = "this is no return address that we have made";
		break;
	case SRS_EXPIRED:
		entry->why = "this return address is too old; it was made for a message of long ago";
		break;
	}
	entry->kind = BOOK_EXPIRED;
	return true;
}

/* Root's own mailbox is nobody's. */
static void
check_root(const struct lookup_conf *conf, const struct book_name *name, struct book_entry *entry)
{
	if (entry->kind != BOOK_USER || !name->ours->users_system || entry->user.uid != 0)
		return;
	book_entry_free(entry);
	*entry = (struct book_entry){ .kind = BOOK_NOBODY };
	find_root(conf, name, entry);
}

static bool
has_catch_all(const struct domain *domain)
{
	struct book_entry entry = { .kind = BOOK_NOBODY };
	bool has = domain->aliases != NULL && take_alias(&entry, domain->aliases, domain, NULL);

	book_entry_free(&entry);
	return has;
}

static void
find_local(const struct lookup_conf *conf, const struct book_name *name, bool aliases_only,
    struct book_entry *entry)
{
	if (find_alias(name, entry))
		return;
	/* name services are slow */
	if (aliases_only && name->ours->users_system && !is_reserved(name->local) &&
	    !has_catch_all(name->ours))
		return;
	if (find_user(name, entry))
		check_root(conf, name, entry);
	else if (!find_return(conf, name, entry) && !find_unread(name, entry) &&
		 !find_catch_all(name, entry) && is_reserved(name->local))
		find_reserved(conf, name, entry);
}

/* The host's own name, and those by which programs and old aliases mean the host they are on. */
static bool
names_host(const struct lookup_conf *conf, const char *domain)
{
	return strcasecmp(domain, conf->host) == 0 || strcasecmp(domain, "localhost") == 0 ||
	       strcasecmp(domain, "localhost.localdomain") == 0;
}

/* The domain that has <postmaster>, and what is at the host itself where that is no domain of ours: the
 * mail of cron, and the answers to it.  Whoever only stands in front of others' servers keeps them from
 * all but the reserved names.  NULL: none. */
static const struct domain *
stands_for_host(const struct lookup_conf *conf, const struct book_name *name)
{
	const struct domain *home;

	if (name->domain[0] != '\0' && (name->ours != NULL || !names_host(conf, name->domain)))
		return NULL;
	home = book_home(conf);
	return home != NULL && (has_mailboxes(home) || is_reserved(name->local)) ? home : NULL;
}

void
book_find(const struct lookup_conf *conf, const struct book_name *name, bool aliases_only,
    struct book_entry *entry)
{
	const struct domain *home = stands_for_host(conf, name);

	*entry = (struct book_entry){ .kind = BOOK_NOBODY };
	if (home != NULL) {
		move(entry, xasprintf("%s@%s", name->local, home->name),
		    "the domain that stands for this host");
	} else if (name->domain[0] == '\0') {
		return;
	} else if (name->ours == NULL) {
		entry->kind = BOOK_FOREIGN;
	} else if (name->ours->kind != DOMAIN_LOCAL) {
		entry->kind = name->ours->kind == DOMAIN_RELAY ? BOOK_BEHIND : BOOK_LISTS;
	} else {
		find_local(conf, name, aliases_only, entry);
	}
}

void
book_entry_free(struct book_entry *entry)
{
	free(entry->value);
	free(entry->name);
	free(entry->moved);
	free(entry->because);
	free(entry->fault);
	free(entry->user.name);
	free(entry->user.home);
}

bool
book_is_ours(const struct lookup_conf *conf, const char *address)
{
	const char *domain = strrchr(address, '@');

	return domain != NULL &&
	       (find_domain(conf, domain + 1) != NULL || names_host(conf, domain + 1));
}
