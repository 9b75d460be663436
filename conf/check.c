/*
 * What only the whole file can show: names that nobody defined, statements that contradict each
 * other, doors that stand open to everybody.
 *
 * conf_parse() calls it once, when every statement could be read.  Each check is a function over
 * the drafts and adds complaints, or warnings for what is legal and probably not meant, or not
 * served yet.  What must never happen: that a slip of a prefix makes an open relay.  So `relay
 * from`, `xclient from` and `proxy from` take addresses only, and no network wider than those that
 * are private by RFC 1918 and RFC 4193.
 */
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "deliver/alias.h"
#include "deliver/provider.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "lib/table.h"

#define RECIPIENTS_LEAST 100 /* RFC 5321 4.5.3.1.8 */
#define WIDEST_V4 8
#define WIDEST_V6 16

/* --- names --- */

static void
check_tables(struct build *build)
{
	const char **names = xcalloc(build->tables_n, sizeof(names[0])), *name, *near;
	const struct table_draft *draft;
	unsigned i;

	for (i = 0; i < build->tables_n; i++) {
		if (IS_GIVEN(build->tables[i].defined))
			names[i] = table_name(build->tables[i].table);
	}
	for (i = 0; i < build->tables_n; i++) {
		draft = &build->tables[i];
		name = table_name(draft->table);
		if (!IS_GIVEN(draft->used))
			complain(&build->warnings, draft->defined, "table <%s> is not used", name);
		if (IS_GIVEN(draft->defined))
			continue;
		near = nearest_word(name, names, build->tables_n);
		if (near != NULL)
			complain(&build->errors, draft->used,
			    "table <%s> is not defined (did you mean <%s>?)", name, near);
		else
			complain(&build->errors, draft->used, "table <%s> is not defined", name);
	}
	free(names);
}

struct warning {
	struct build *build;
	const struct table_draft *draft;
};

static void
warn_of_line(const char *what, void *arg)
{
	const struct table_draft *draft = ((const struct warning *)arg)->draft;

	complain(&((const struct warning *)arg)->build->warnings, draft->defined,
	    "%s (the other lines count)", what);
}

/* A slip of the pen in somebody's file of aliases must not keep the house from opening; what the
 * configuration itself says must make sense. */
static void
check_files(struct build *build)
{
	struct warning warning = { .build = build };
	unsigned i;

	for (i = 0; i < build->tables_n; i++) {
		warning.draft = &build->tables[i];
		if (table_path(warning.draft->table) != NULL && warning.draft->table != build->providers)
			table_each_fault(warning.draft->table, warn_of_line, &warning);
	}
}

static void
check_certificates(struct build *build)
{
	const char **names = xcalloc(build->certificates_n, sizeof(names[0])), *near;
	const struct certificate_draft *draft;
	unsigned i;

	for (i = 0; i < build->certificates_n; i++) {
		if (IS_GIVEN(build->certificates[i].defined))
			names[i] = build->certificates[i].certificate.name;
	}
	for (i = 0; i < build->certificates_n; i++) {
		draft = &build->certificates[i];
		if (IS_GIVEN(draft->defined))
			continue;
		near = nearest_word(draft->certificate.name, names, build->certificates_n);
		if (near != NULL)
			complain(&build->errors, draft->used,
			    "certificate \"%s\" is not defined (did you mean \"%s\"?)",
			    draft->certificate.name, near);
		else
			complain(&build->errors, draft->used, "certificate \"%s\" is not defined",
			    draft->certificate.name);
	}
	free(names);
}

/* --- who is believed --- */

struct width_check {
	struct build *build;
	struct place place;
	const char *what;
	const char *danger;
};

/* Private networks may be as wide as they are: fc00::/7 (RFC 4193) and fe80::/10 (RFC 4291
 * 2.5.6). */
static bool
is_too_wide(const struct ipnet *net)
{
	struct ipnet private[2];
	unsigned i;

	if (net->ip.family == AF_INET)
		return net->bits < WIDEST_V4;
	ipnet_parse("fc00::/7", &private[0]);
	ipnet_parse("fe80::/10", &private[1]);
	for (i = 0; i < 2; i++) {
		if (net->bits >= private[i].bits && ipnet_contains(&private[i], &net->ip))
			return false;
	}
	return net->bits < WIDEST_V6;
}

static void
check_width(const char *key, const char *value, void *arg)
{
	const struct width_check *check = arg;
	struct ipnet net;

	(void)value;
	if (!ipnet_parse(key, &net))
		complain(&check->build->errors, check->place,
		    "\"%s\" takes addresses and networks only, and \"%s\" is none", check->what,
		    key);
	else if (is_too_wide(&net))
		complain(&check->build->errors, check->place,
		    "\"%s\" takes in %s, %s; name your own networks", check->what,
		    ipnet_text(&net).s, check->danger);
}

static void
check_believed(struct build *build, const struct table *table, struct place place, const char *what,
    const char *danger)
{
	struct width_check check = { build, place, what, danger };

	if (table != NULL)
		table_each(table, check_width, &check);
}

/* --- listeners --- */

static bool
is_any(const struct ip *ip)
{
	static const uint8_t zero[sizeof(ip->bytes)];

	return memcmp(ip->bytes, zero, sizeof(zero)) == 0;
}

/* The kernel would refuse the second: the same port on the same address, or on all of that
 * family. */
static bool
collide(const struct listener *a, const struct listener *b)
{
	return a->port == b->port && a->ip.family == b->ip.family &&
	    (ip_equal(&a->ip, &b->ip) || is_any(&a->ip) || is_any(&b->ip));
}

static void
warn_unserved(struct build *build, struct place place, const char *what)
{
	if (IS_GIVEN(place))
		complain(&build->warnings, place, "\"%s\" is not served by this version", what);
}

static void
check_listener(struct build *build, unsigned i)
{
	const struct listener_draft *draft = &build->listeners[i], *other;

	for (other = build->listeners; other < draft; other++) {
		if (!collide(&draft->listener, &other->listener))
			continue;
		complain(&build->errors, draft->place,
		    "the listener on line %u has %s port %u already", other->place.line,
		    ip_text(&other->listener.ip).s, other->listener.port);
		break;
	}
	check_believed(build, draft->listener.xclient_from, draft->xclient, "xclient from",
	    "who could then claim to be anybody");
	check_believed(build, draft->listener.proxy_from, draft->proxy, "proxy from",
	    "who could then claim to be anybody");
	if (IS_GIVEN(draft->proxy) && IS_GIVEN(draft->xclient))
		complain(&build->errors, draft->proxy,
		    "\"proxy\" and \"xclient\" on one listener contradict "
		    "each other; only one of them can tell who the client is");
	if (IS_GIVEN(draft->client_ca) && !IS_GIVEN(draft->tls))
		complain(&build->errors, draft->client_ca,
		    "\"client-ca\" without \"tls\" or \"implicit-tls\": clients show their certificates under TLS only");
	if (IS_GIVEN(draft->submission) && !IS_GIVEN(draft->tls))
		complain(&build->warnings, draft->submission,
		    "submission without \"tls\": passwords would travel in the clear");
	if (IS_GIVEN(draft->submission) && !IS_GIVEN(build->accounts_at))
		complain(&build->warnings, draft->submission,
		    "submission without \"accounts\": only clients of \"relay from\" could send");
}

/* --- domains --- */

static void
check_exclusive(
    struct build *build, struct place a, const char *a_name, struct place b, const char *b_name)
{
	bool a_is_first = a.line < b.line || (a.line == b.line && a.column < b.column);

	if (IS_GIVEN(a) && IS_GIVEN(b))
		complain(&build->errors, a_is_first ? b : a,
		    "\"%s\" and \"%s\" contradict each other in one domain", a_name, b_name);
}

static void
check_domain_parts(struct build *build, const struct domain_draft *draft)
{
	const struct {
		struct place place;
		const char *name;
	} kinds[] = { { draft->lists, "lists" }, { draft->relay, "relay to" } },
	  parts[] = { { draft->aliases, "aliases" }, { draft->delimiter, "delimiter" },
		  { draft->users, "users" },
		  { draft->deliver, "deliver" } };
	unsigned i, j;

	check_exclusive(build, draft->lists, "lists", draft->relay, "relay to");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (j = 0; j < sizeof(parts) / sizeof(parts[0]); j++)
			check_exclusive(
			    build, kinds[i].place, kinds[i].name, parts[j].place, parts[j].name);
	}
	if (draft->domain.kind == DOMAIN_LOCAL && !IS_GIVEN(draft->users) &&
	    !IS_GIVEN(draft->aliases))
		complain(&build->errors, draft->place,
		    "domain \"%s\" has neither users nor aliases, so nobody "
		    "could get mail; expected \"users\", \"aliases\", \"lists\" or \"relay to\"",
		    draft->domain.name);
}

static void
note_homeless(const char *key, const char *value, void *arg)
{
	const char **homeless = arg;

	if (*homeless == NULL && value[0] != '/')
		*homeless = key;
}

/* Users of a table have a home only when the table says so. */
static void
check_homes(struct build *build, const struct domain_draft *draft)
{
	const char *path = draft->domain.mailbox.path, *homeless = NULL;

	if (draft->domain.users == NULL || (path != NULL && strstr(path, "%{home}") == NULL))
		return;
	table_each(draft->domain.users, note_homeless, &homeless);
	if (homeless != NULL)
		complain(&build->warnings, draft->users,
		    "\"%s\" has no home, and mail is delivered to %%{home}; "
		    "write \"%s\" = \"/its/home\", or deliver elsewhere",
		    homeless, homeless);
}

/* What the values of a list in the configuration must be. */
static void
check_values(struct build *build, const struct table *table, struct place place)
{
	char *why = table != NULL && table_path(table) == NULL ? table_first_fault(table) : NULL;

	if (why != NULL)
		complain(&build->errors, place, "%s", why);
	free(why);
}

/* A whole row is looked up by its name, and the name is the provider's. */
static void
check_providers(struct build *build)
{
	const struct table *table = build->providers;
	char *why;

	if (table == NULL)
		return;
	if (table_kind(table) != TABLE_LIST)
		complain(&build->errors, build->providers_at,
		    "\"providers\" wants a list, or a table with \"file\"");
	why = table_first_fault(table);
	if (why == NULL)
		why = provider_check_all(table);
	if (why != NULL)
		complain(&build->errors, build->providers_at, "%s", why);
	free(why);
}

static void
note_program(const char *key, const char *value, void *arg)
{
	const char **found = arg;

	if (*found == NULL && alias_needs_account(value))
		*found = key;
}

/* The aliases usually belong to root. */
static void
check_programs(struct build *build, const struct domain_draft *draft)
{
	const struct domain *domain = &draft->domain;
	const char *found = NULL, *path;
	struct stat st;

	if (domain->aliases == NULL || domain->aliases_as != NULL || table_kind(domain->aliases) == TABLE_DB)
		return;
	path = table_path(domain->aliases);
	if (path != NULL && (!build_reads_files || stat(path, &st) < 0 || st.st_uid != 0))
		return;
	table_each(domain->aliases, note_program, &found);
	if (found != NULL)
		complain(&build->warnings, draft->aliases,
		    "alias \"%s\" names a program or a file, and none is run or written as root; "
		    "say whom instead: aliases ... as \"nobody\"", found);
}

/* Nothing is delivered as root. */
static void
check_root(struct build *build, const struct domain_draft *draft)
{
	const struct domain *domain = &draft->domain;
	char *key;
	bool named;

	if (!domain->users_system || build->postmaster != NULL)
		return;
	key = xasprintf("root@%s", domain->name);
	named = domain->aliases != NULL &&
		(table_get(domain->aliases, "root") != NULL || table_get(domain->aliases, key) != NULL);
	free(key);
	if (!named)
		complain(&build->warnings, draft->users,
		    "nobody gets the mail of root and postmaster of %s; write an alias for root, or: "
		    "postmaster \"somebody@example.net\"", domain->name);
}

static void
check_domain(struct build *build, unsigned i)
{
	const struct domain_draft *draft = &build->domains[i], *other;

	for (other = build->domains; other < draft; other++) {
		if (strcmp(other->domain.name, draft->domain.name) != 0)
			continue;
		complain(&build->errors, draft->place,
		    "domain \"%s\" is given twice; the first is on line %u", draft->domain.name,
		    other->place.line);
		break;
	}
	check_domain_parts(build, draft);
	check_homes(build, draft);
	check_values(build, draft->domain.aliases, draft->aliases);
	check_programs(build, draft);
	check_root(build, draft);
	warn_unserved(build, draft->lists, "lists");
}

/* --- routes --- */

/* FIRST takes all that LATER would: they are the same, or LATER's domains lie below FIRST's "*."
 * or "*". */
static bool
covers(const char *first, const char *later)
{
	size_t first_len = strlen(first), later_len = strlen(later);

	if (strcmp(first, later) == 0 || strcmp(first, "*") == 0)
		return true;
	return first[0] == '*' && later_len >= first_len &&
	    strcmp(first + 1, later + later_len - (first_len - 1)) == 0;
}

/* The same of routes: "*" of recipients takes everything, and those of recipients and of senders
 * else have nothing in common. */
static bool
takes_all(const struct route *first, const struct route *later)
{
	const char *at = strrchr(later->pattern, '@');

	if (first->by_sender != later->by_sender)
		return !first->by_sender && strcmp(first->pattern, "*") == 0;
	if (at != NULL && strchr(first->pattern, '@') == NULL)
		return covers(first->pattern, at + 1);
	return covers(first->pattern, later->pattern);
}

static void
check_route(struct build *build, unsigned i)
{
	const struct route_draft *draft = &build->routes[i], *other;

	for (other = build->routes; other < draft; other++) {
		if (!takes_all(&other->route, &draft->route))
			continue;
		complain(&build->errors, draft->place,
		    "nothing reaches this route; \"%s\" on line %u takes it first",
		    other->route.pattern, other->place.line);
		break;
	}
}

/* --- limits --- */

/* Where the complaint about two limits goes: to the one that the file gives, the later if both. */
static struct place
limits_place(const struct build *build, enum limit a, enum limit b)
{
	struct place a_at = build->limit_at[a], b_at = build->limit_at[b];

	return a_at.line > b_at.line || (a_at.line == b_at.line && a_at.column > b_at.column)
		   ? a_at
		   : b_at;
}

static void
check_limits(struct build *build)
{
	static const struct {
		enum limit less, more;
	} orders[] = {
		{ LIMIT_RETRY_FIRST, LIMIT_RETRY_MOST },
		{ LIMIT_RETRY_FIRST, LIMIT_LIFETIME },
		{ LIMIT_CONNECTIONS_PER_ADDRESS, LIMIT_CONNECTIONS_PER_NETWORK },
	};
	static const enum limit needed[] = { LIMIT_RETRY_FIRST, LIMIT_RETRY_MOST };
	unsigned i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (build->limits[needed[i]] == UINT64_MAX)
			complain(&build->errors, build->limit_at[needed[i]], "\"%s\" cannot be off",
			    limit_specs[needed[i]].name);
	}
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (build->limits[orders[i].less] <= build->limits[orders[i].more] ||
		    build->limits[orders[i].less] == UINT64_MAX)
			continue;
		complain(&build->errors, limits_place(build, orders[i].less, orders[i].more),
		    "limit %s is more than limit %s", limit_specs[orders[i].less].name,
		    limit_specs[orders[i].more].name);
	}
	if (build->limits[LIMIT_RECIPIENTS] < RECIPIENTS_LEAST)
		complain(&build->warnings, build->limit_at[LIMIT_RECIPIENTS],
		    "a server should take at least %d recipients (RFC 5321 4.5.3.1.8)",
		    RECIPIENTS_LEAST);
}

static void
add_error(struct place place, const char *text, void *arg)
{
	complain(&((struct build *)arg)->errors, place, "%s", text);
}

static void
add_warning(struct place place, const char *text, void *arg)
{
	complain(&((struct build *)arg)->warnings, place, "%s", text);
}

void
build_check(struct build *build)
{
	unsigned i;

	check_tables(build);
	check_files(build);
	check_certificates(build);
	for (i = 0; i < build->listeners_n; i++)
		check_listener(build, i);
	for (i = 0; i < build->domains_n; i++)
		check_domain(build, i);
	for (i = 0; i < build->routes_n; i++)
		check_route(build, i);
	check_believed(build, build->relay_from, build->relay_from_at, "relay from",
	    "who could then send through this server to anybody");
	check_limits(build);
	check_values(build, build->rewrite, build->rewrite_at);
	check_providers(build);
	gate_number(&build->gate, add_error, build);
	gate_warn(&build->gate, add_warning, build);
}
