/*
 * Listeners, domains and routes, as the grammar reads them.
 *
 * The parts of a listener or domain belong to the last one begun.  What can be seen in a single
 * word is judged here (is it an address, a domain, a path), what takes two statements to see is
 * judged in conf/check.c.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "deliver/alias.h"
#include "deliver/destination.h"
#include "deliver/lmtp.h"
#include "deliver/provider.h"
#include "lib/buf.h"
#include "lib/idn.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"

#define SUBMISSION_PORT 587  /* RFC 6409 */
#define HOPS_MAX 50
#define SUBMISSIONS_PORT 465 /* RFC 8314 */

static void
lower(char *s)
{
	for (; *s != '\0'; s++) {
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
	}
}

/* A domain, "*.domain" or "local@domain" with the domain as DNS knows it (RFC 5891), in lower case.  NAME becomes it. */
static char *
as_dns(char *name)
{
	char *at = strrchr(name, '@'), *domain = at != NULL ? at + 1 : name + (strncmp(name, "*.", 2) == 0 ? 2 : 0);
	char *ascii, *whole, *s;

	lower(name);
	for (s = domain; *s != '\0' && (*s & 0x80) == 0; s++)
		;
	ascii = *s != '\0' ? idn_to_ascii(domain) : NULL;
	if (ascii == NULL || !mailaddr_domain_ok(ascii, strlen(ascii), 0)) { /* what was written is complained of */
		free(ascii);
		return name;
	}
	whole = xasprintf("%.*s%s", (int)(domain - name), name, ascii);
	free(ascii);
	free(name);
	return whole;
}

/* --- listeners --- */

static struct listener_draft *
last_listener(struct build *build)
{
	return &build->listeners[build->listeners_n - 1];
}

void
build_listener(struct build *build, struct place place, char *address, uint64_t port)
{
	struct listener_draft draft = { .place = place, .listener = { .port = (uint16_t)port } };

	build_address(build, place, address, &draft.listener.ip);
	build->listeners = xreallocarray(build->listeners, build->listeners_n + 1, sizeof(draft));
	build->listeners[build->listeners_n++] = draft;
	free(address);
}

void
build_listener_tls(struct build *build, struct place place, char *certificate, bool implicit)
{
	struct listener_draft *draft = last_listener(build);

	build_certificate_used(build, place, certificate);
	if (IS_GIVEN(draft->tls) && draft->listener.implicit_tls != implicit)
		complain(&build->errors, place,
		    "\"tls\" and \"implicit-tls\" exclude each other; one listener speaks one of "
		    "them");
	else
		build_once(build, &draft->tls, place, implicit ? "implicit-tls" : "tls");
	draft->listener.implicit_tls = implicit;
	free(draft->certificate);
	draft->certificate = certificate;
}

void
build_listener_client_ca(struct build *build, struct place place, char *path)
{
	struct listener_draft *draft = last_listener(build);

	build_once(build, &draft->client_ca, place, "client-ca");
	build_is_path(build, place, path, "a certificate");
	free(draft->listener.client_ca);
	draft->listener.client_ca = path;
}

void
build_listener_submission(struct build *build, struct place place)
{
	build_once(build, &last_listener(build)->submission, place, "submission");
	last_listener(build)->listener.submission = true;
}

void
build_listener_gate(struct build *build, struct place place)
{
	build_once(build, &last_listener(build)->gate, place, "gate");
	last_listener(build)->listener.gate = true;
}

/* WHAT is for the clients of FROM, given once. */
static void
set_clients(struct build *build, struct place place, const char *what, struct place *first, const struct table **member,
    struct table *from)
{
	build_once(build, first, place, what);
	table_free_in_place(*member);
	*member = from;
}

void
build_listener_xclient(struct build *build, struct place place, struct table *from)
{
	struct listener_draft *draft = last_listener(build);

	set_clients(build, place, "xclient from", &draft->xclient, &draft->listener.xclient_from, from);
}

void
build_listener_proxy(struct build *build, struct place place, struct table *from)
{
	struct listener_draft *draft = last_listener(build);

	set_clients(build, place, "proxy from", &draft->proxy, &draft->listener.proxy_from, from);
}

void
build_listener_normalize(struct build *build, struct place place, struct table *from)
{
	struct listener_draft *draft = last_listener(build);

	set_clients(build, place, "normalize from", &draft->normalize, &draft->listener.normalize_from, from);
}

void
build_listener_end(struct build *build)
{
	struct listener *listener = &last_listener(build)->listener;

	if (listener->port != 0)
		return;
	listener->port = SMTP_PORT;
	if (listener->submission)
		listener->port = listener->implicit_tls ? SUBMISSIONS_PORT : SUBMISSION_PORT;
}

/* --- domains --- */

static struct domain_draft *
last_domain(struct build *build)
{
	return &build->domains[build->domains_n - 1];
}

void
build_domain(struct build *build, struct place place, char *name)
{
	struct domain_draft draft = {
		.place = place, .domain = { .name = as_dns(name), .delimiter = xstrdup("+") }
	};

	if (!mailaddr_domain_ok(draft.domain.name, strlen(draft.domain.name), 0))
		complain(&build->errors, place, "\"%s\" is not a mail domain", draft.domain.name);
	build->domains = xreallocarray(build->domains, build->domains_n + 1, sizeof(draft));
	build->domains[build->domains_n++] = draft;
}

void
build_domain_aliases(
    struct build *build, struct place place, struct table *table, char *account)
{
	struct domain_draft *draft = last_domain(build);

	build_once(build, &draft->aliases, place, "aliases");
	table_free_in_place(draft->domain.aliases);
	draft->domain.aliases = table;
	table_set_check(table, alias_check);
	if (account != NULL && strcmp(account, "root") == 0)
		complain(&build->errors, place,
		    "no program is run and no file is written as root; name another account");
	free(draft->domain.aliases_as);
	draft->domain.aliases_as = account;
}

/* Each of SIGNS divides a name from its extension. */
void
build_domain_delimiter(struct build *build, struct place place, char *signs)
{
	struct domain_draft *draft = last_domain(build);

	build_once(build, &draft->delimiter, place, "delimiter");
	if (strspn(signs, "+-_=.#%") != strlen(signs))
		complain(&build->errors, place,
		    "\"%s\": a delimiter is one or more of + - _ = . # %%, or off", signs);
	free(draft->domain.delimiter);
	draft->domain.delimiter = signs;
}

void
build_domain_users(struct build *build, struct place place, struct table *table)
{
	struct domain_draft *draft = last_domain(build);

	build_once(build, &draft->users, place, "users");
	table_free_in_place(draft->domain.users);
	draft->domain.users = table;
	draft->domain.users_system = table == NULL;
}

static void
check_format(struct build *build, struct place place, const char *format)
{
	char *why = mailbox_check(format);

	if (why != NULL)
		complain(&build->errors, place, "%s", why);
	free(why);
}

/* One server takes the mail of all users. */
static void
check_lmtp(struct build *build, struct place place, const char *server)
{
	struct ip ip;
	uint16_t port;

	if (!lmtp_parse(server, &ip, &port))
		complain(&build->errors, place,
		    "\"%s\" is no LMTP server; expected \"/path/of/a/socket\" or "
		    "\"[127.0.0.1]:24\"", server);
	else if (strstr(server, "%{") != NULL)
		complain(&build->errors, place,
		    "\"%s\": fields are not filled in for lmtp, whose server is told the address",
		    server);
}

void
build_domain_deliver(struct build *build, struct place place, enum mailbox_method method,
    char *path, struct strings arguments)
{
	struct domain_draft *draft = last_domain(build);
	unsigned i;

	build_once(build, &draft->deliver, place, "deliver");
	if (method == MAILBOX_LMTP)
		check_lmtp(build, place, path);
	else if (strncmp(path, "%{home}/", strlen("%{home}/")) != 0)
		build_is_path(build, place, path, "mail");
	check_format(build, place, path);
	for (i = 0; i < arguments.n; i++)
		check_format(build, place, arguments.list[i]);
	mailbox_free_parts(&draft->domain.mailbox);
	if (method == MAILBOX_PIPE && arguments.list == NULL)
		arguments.list = xcalloc(1, sizeof(arguments.list[0]));
	draft->domain.mailbox =
	    (struct mailbox){ .method = method, .path = path, .argv = arguments.list };
}

void
build_domain_lists(struct build *build, struct place place)
{
	build_once(build, &last_domain(build)->lists, place, "lists");
	last_domain(build)->domain.kind = DOMAIN_LISTS;
}

void
build_domain_relay(struct build *build, struct place place, struct hops hops)
{
	struct domain_draft *draft = last_domain(build);

	if (!build_once(build, &draft->relay, place, "relay to")) {
		destination_free(hops.list, hops.n, NULL);
		return;
	}
	draft->domain.kind = DOMAIN_RELAY;
	draft->domain.hops = hops.list;
	draft->domain.hops_n = hops.n;
}

/* --- accounts --- */

void
build_accounts(struct build *build, struct place place, enum accounts accounts, struct place path_at,
    char *path)
{
	static const char *const usual[] = {
		[ACCOUNTS_SASLDB] = "/etc/sasldb2",
		[ACCOUNTS_SASLAUTHD] = "/run/saslauthd/mux",
		[ACCOUNTS_DOVECOT] = NULL,
	};

	if (path != NULL)
		build_is_path(build, path_at, path, "accounts");
	if (!build_once(build, &build->accounts_at, place, "accounts")) {
		free(path);
		return;
	}
	build->vault.accounts = accounts;
	build->vault.path = path != NULL ? path : xstrdup(usual[accounts]);
}

void
build_accounts_table(struct build *build, struct place place, struct table *table)
{
	if (!build_once(build, &build->accounts_at, place, "accounts")) {
		table_free_in_place(table);
		return;
	}
	build->vault.accounts = ACCOUNTS_TABLE;
	build->vault.table = table;
}

void
build_senders(struct build *build, struct place place, struct table *table)
{
	(void)place;
	table_free_in_place(build->senders); /* of a second `accounts`, which is an error */
	build->senders = table;
}

/* --- routes --- */

void
build_relay_trust(struct build *build, struct place place, char *path)
{
	build_is_path(build, place, path, "the certificates");
	build_once(build, &build->trust_at, place, "trust");
	free(build->trust_path);
	build->trust_path = path;
}

void
build_relay_from(struct build *build, struct place place, struct table *table)
{
	build_once(build, &build->relay_from_at, place, "from");
	table_free_in_place(build->relay_from);
	build->relay_from = table;
}

void
build_relay_providers(struct build *build, struct place place, struct table *table)
{
	build_once(build, &build->providers_at, place, "providers");
	table_free_in_place(build->providers);
	table_set_check(table, provider_check);
	build->providers = table;
}

static bool
is_pattern(const char *pattern)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strncmp(pattern, "*.", 2) == 0)
		pattern += 2;
	return mailaddr_domain_ok(pattern, strlen(pattern), 0);
}

static bool
is_address(const char *pattern)
{
	const char *at = strrchr(pattern, '@');

	return at != NULL && at != pattern && mailaddr_domain_ok(at + 1, strlen(at + 1), 0);
}

void
build_route(struct build *build, struct place place, char *pattern, bool by_sender, struct hops hops)
{
	struct route_draft draft = { .place = place,
		.route = { .pattern = as_dns(pattern),
		    .by_sender = by_sender,
		    .hops = hops.list,
		    .hops_n = hops.n } };

	pattern = draft.route.pattern;
	if (!is_pattern(pattern) && !(by_sender && is_address(pattern)))
		complain(&build->errors, place,
		    "\"%s\" is no pattern of domains; expected \"*\", \"example.net\" or "
		    "\"*.example.net\"%s",
		    pattern, by_sender ? ", or a whole address" : "");
	build->routes = xreallocarray(build->routes, build->routes_n + 1, sizeof(draft));
	build->routes[build->routes_n++] = draft;
}

/* 1 to 65535 in all of S. */
static bool
parse_port(const char *s, uint16_t *port)
{
	unsigned value = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 5; i++)
		value = value * 10 + (unsigned)(s[i] - '0');
	if (i == 0 || s[i] != '\0' || value < 1 || value > UINT16_MAX)
		return false;
	*port = (uint16_t)value;
	return true;
}

/* "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]", "[2001:db8::1]" */
static bool
parse_hop_address(const char *host, struct ip *ip)
{
	size_t len = strlen(host);
	char *inside;
	bool good;

	if (ip_parse(host, ip) || ip_parse_literal(host, len, ip))
		return true;
	if (len < 2 || host[0] != '[' || host[len - 1] != ']')
		return false;
	inside = xstrndup(host + 1, len - 2);
	good = ip_parse(inside, ip);
	free(inside);
	return good;
}

/* False: it is no hop. */
static bool
parse_hop(const char *text, struct hop *hop)
{
	const char *close = strchr(text, ']'), *colon = strrchr(close != NULL ? close : text, ':');
	struct ip ip;
	char *host;

	/* "2001:db8::1" has colons of its own. */
	if (colon != NULL && ip_parse(text, &ip))
		colon = NULL;
	hop->port = SMTP_PORT;
	if (colon != NULL && !parse_port(colon + 1, &hop->port))
		return false;
	host = xstrndup(text, colon != NULL ? (size_t)(colon - text) : strlen(text));
	lower(host);
	if (parse_hop_address(host, &hop->ip)) {
		free(host);
		host = xasprintf("[%s]", ip_text(&hop->ip).s);
	} else if (!mailaddr_domain_ok(host, strlen(host), 0)) {
		free(host);
		return false;
	}
	hop->host = host;
	return true;
}

void
build_hop(struct build *build, struct place place, struct hops *hops, char *text)
{
	struct hop hop = { .mx = text == NULL, .port = SMTP_PORT };

	if (text != NULL && !parse_hop(text, &hop))
		complain(&build->errors, place,
		    "\"%s\" is no server; expected mx, \"mail.example.net:25\" or "
		    "\"[192.0.2.1]:25\"",
		    text);
	else if (hops->n == HOPS_MAX)
		complain(&build->errors, place, "more than %d servers in a row", HOPS_MAX);
	free(text);
	if ((!hop.mx && hop.host == NULL) || hops->n == HOPS_MAX) {
		free(hop.host);
		return;
	}
	hops->list = xreallocarray(hops->list, hops->n + 1, sizeof(hop));
	hop.implicit_tls = hop.port == SMTPS_PORT;
	hops->list[hops->n++] = hop;
}

void
build_hops_tls(struct build *build, struct place place, struct hops *hops, int tls, bool implicit)
{
	unsigned i;

	if (hops->tls_given)
		complain(&build->errors, place, "\"tls\" is given twice for these servers");
	if (implicit && tls == HOP_TLS_OFF)
		complain(&build->errors, place,
		    "\"implicit-tls off\" contradicts itself; expected \"required\" or \"verify\"");
	hops->tls_given = true;
	for (i = 0; i < hops->n; i++) {
		hops->list[i].tls = (enum hop_tls)tls;
		hops->list[i].implicit_tls = implicit ||
		    (hops->list[i].implicit_tls && tls != HOP_TLS_OFF);
		if (implicit && hops->list[i].mx)
			complain(&build->errors, place,
			    "\"implicit-tls\" is for servers named here; an mx speaks STARTTLS");
	}
}

void
build_hops_source(struct build *build, struct place place, struct hops *hops, char *address)
{
	struct ip ip, *source;
	unsigned i;

	for (i = 0; build_address(build, place, address, &ip) && i < hops->n; i++) {
		source = ip.family == AF_INET ? &hops->list[i].source4 : &hops->list[i].source6;
		if (i == 0 && source->family != 0)
			complain(&build->errors, place, "\"source\" is given twice for %s",
			    ip.family == AF_INET ? "IPv4" : "IPv6");
		*source = ip;
	}
	free(address);
}

void
build_hops_as(struct build *build, struct place place, struct hops *hops, char *name)
{
	unsigned i;

	lower(name);
	if (!mailaddr_domain_ok(name, strlen(name), 0))
		complain(&build->errors, place, "\"%s\" is no host name", name);
	if (hops->n > 0 && hops->list[0].helo != NULL)
		complain(&build->errors, place, "\"as\" is given twice for these servers");
	for (i = 0; i < hops->n; i++) {
		free(hops->list[i].helo);
		hops->list[i].helo = xstrdup(name);
	}
	free(name);
}

/* A password goes only where the server is known to be the one it is for, unless the file says
 * otherwise, before or behind. */
void
build_hops_login(struct build *build, struct place place, struct hops *hops, char *path)
{
	unsigned i;

	build_is_path(build, place, path, "the account");
	if (strchr(path, ' ') != NULL)
		complain(&build->errors, place, "\"%s\" has a space; please rename it", path);
	if (hops->n > 0 && hops->list[0].login != NULL)
		complain(&build->errors, place, "\"login\" is given twice for these servers");
	for (i = 0; i < hops->n; i++) {
		if (hops->list[i].mx)
			complain(&build->errors, place,
			    "\"login\" is for servers named here; nobody has an account at an mx");
		free(hops->list[i].login);
		hops->list[i].login = xstrdup(path);
		if (!hops->tls_given)
			hops->list[i].tls = HOP_TLS_VERIFY;
	}
	free(path);
}
