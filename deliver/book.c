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
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"

#define EXTENSION_SIGN '+'

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
static const struct domain *
home_domain(const struct lookup_conf *conf)
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
	const char *plus;

	*name = (struct book_name){ .mailbox = address[0] == '\\' };
	address += name->mailbox;
	if (!mailaddr_parse(
		address, strlen(address), MAILADDR_UTF8 | MAILADDR_POSTMASTER, &parsed, why))
		return false;
	name->address = mailaddr_format(&parsed);
	name->local = parsed.local;
	name->domain = parsed.domain;
	plus = strchr(name->local, EXTENSION_SIGN);
	if (plus != NULL && plus > name->local) {
		name->base = xstrndup(name->local, (size_t)(plus - name->local));
		name->extension = plus + 1;
	}
	if (name->domain[0] != '\0')
		name->ours = find_domain(conf, name->domain);
	return true;
}

/* --- aliases --- */

static const char *
alias_value(const struct domain *domain, const char *local)
{
	char *key = xasprintf("%s@%s", local, domain->name);
	const char *value = table_get(domain->aliases, key);

	free(key);
	return value != NULL ? value : local[0] != '\0' ? table_get(domain->aliases, local) : NULL;
}

/* The alias that stands before any user; NULL when there is none. */
static const char *
find_alias(const struct book_name *name)
{
	const char *value;

	if (name->mailbox || name->ours->aliases == NULL)
		return NULL;
	value = alias_value(name->ours, name->local);
	return value == NULL && name->base != NULL ? alias_value(name->ours, name->base) : value;
}

/* "@domain": everybody who is nobody else. */
static const char *
find_catch_all(const struct book_name *name)
{
	if (name->mailbox || name->ours->aliases == NULL)
		return NULL;
	return alias_value(name->ours, "");
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
 * home. */
static enum account_status
find_table_user(const struct domain *domain, const char *local, struct book_user *user)
{
	char *key = xasprintf("%s@%s", local, domain->name);
	const char *value = table_get(domain->users, key);

	free(key);
	if (value == NULL)
		value = table_get(domain->users, local);
	if (value == NULL)
		return ACCOUNT_NONE;
	*user = (struct book_user){ .name = lower(local),
		.home = value[0] == '/' ? xstrdup(value) : NULL };
	return ACCOUNT_FOUND;
}

static enum account_status
user_called(
    const struct domain *domain, const char *local, struct book_user *user, const char **why)
{
	enum account_status status = ACCOUNT_NONE;

	if (domain->users_system)
		status = find_system_user(local, user, why);
	else if (domain->users != NULL)
		status = find_table_user(domain, local, user);
	return status;
}

static enum account_status
find_user(const struct book_name *name, struct book_user *user, const char **why)
{
	enum account_status status = user_called(name->ours, name->local, user, why);

	if (status != ACCOUNT_NONE || name->base == NULL)
		return status;
	status = user_called(name->ours, name->base, user, why);
	if (status == ACCOUNT_FOUND)
		user->extension = name->extension;
	return status;
}

/* --- entries --- */

/* The mailbox that a reserved name has when nobody was named for it. */
static void
find_reserved(
    const struct lookup_conf *conf, const struct book_name *name, struct book_entry *entry)
{
	const struct domain *home = home_domain(conf);
	struct book_name root = { .local = (char *)(uintptr_t) "root", .ours = name->ours };
	enum account_status status;

	if (!has_mailboxes(name->ours)) {
		if (home != NULL && home != name->ours && has_mailboxes(home)) {
			entry->kind = BOOK_MOVED;
			entry->moved = xasprintf("%s@%s", name->local, home->name);
		}
		return;
	}
	if (!name->ours->users_system) {
		entry->kind = BOOK_USER;
		entry->user.name = lower(name->local);
		return;
	}
	if (find_alias(&root) != NULL) {
		entry->kind = BOOK_MOVED;
		entry->moved = xasprintf("root@%s", name->ours->name);
		return;
	}
	status = find_user(&root, &entry->user, &entry->why);
	if (status == ACCOUNT_NONE)
		entry->why = "there is no account root";
	entry->kind = status == ACCOUNT_FOUND ? BOOK_USER : BOOK_ERROR;
}

static void
find_local(const struct lookup_conf *conf, const struct book_name *name, bool aliases_only,
    struct book_entry *entry)
{
	const char *alias = find_alias(name), *rest = find_catch_all(name);
	bool reserved = is_reserved(name->local);
	enum account_status status = ACCOUNT_NONE;

	if (alias == NULL && (!aliases_only || rest != NULL || reserved))
		status = find_user(name, &entry->user, &entry->why);
	if (alias == NULL && status == ACCOUNT_NONE)
		alias = rest;
	if (alias != NULL) {
		entry->kind = BOOK_ALIAS;
		entry->value = alias;
	} else if (status != ACCOUNT_NONE) {
		entry->kind = status == ACCOUNT_FOUND ? BOOK_USER : BOOK_ERROR;
	} else if (reserved) {
		find_reserved(conf, name, entry);
	}
}

/* <postmaster>, and the reserved names at the host's own name, also when that is no domain of ours.
 */
static bool
is_for_host(const struct lookup_conf *conf, const struct book_name *name)
{
	if (name->domain[0] == '\0')
		return true;
	return name->ours == NULL && is_reserved(name->local) &&
	       strcasecmp(name->domain, conf->host) == 0;
}

void
book_find(const struct lookup_conf *conf, const struct book_name *name, bool aliases_only,
    struct book_entry *entry)
{
	const struct domain *home;

	*entry = (struct book_entry){ .kind = BOOK_NOBODY };
	if (is_for_host(conf, name)) {
		home = home_domain(conf);
		if (home != NULL) {
			entry->kind = BOOK_MOVED;
			entry->moved = xasprintf("%s@%s", name->local, home->name);
		}
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
	free(entry->moved);
	free(entry->user.name);
	free(entry->user.home);
}
