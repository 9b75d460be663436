/*
 * From text to struct conf: parse, check, fill in defaults, hand over.
 *
 * The master calls conf_load() before it forks, smtpctl whenever it needs the configuration.
 * Everything can be wrong with the file and nothing with the process: all mistakes come back as
 * lines, and all that was built is freed.  What must never happen is half a configuration;
 * conf_load() returns a whole one or NULL.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/conf.h"
#include "conf/defaults.h"
#include "conf/lex.h"
#include "conf/parse.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/table.h"

/* Tables that do not fit are files of their own. */
#define FILE_MAX (16 << 20)

static void
parse_text(struct build *build, const char *text, size_t len)
{
	struct lexer lexer;
	int result;

	lexer_init(&lexer, text, len);
	result = conf_yyparse(&lexer, build);
	if (result != 0 && build->errors.n == 0)
		complain(&build->errors, lexer.place, "the file cannot be read from here on");
	lexer_free(&lexer);
}

static void
complain_of_default(struct place place, const char *text, void *arg)
{
	complain(&((struct build *)arg)->errors, place, "the built-in gate: %s", text);
}

/* The built-in gate goes the same way as one in the file, so that it can do nothing that the
 * language cannot say.  It comes after the check, which has numbered only what stands in the file. */
static void
parse_default_gate(struct build *build)
{
	char *text = xasprintf("gate %s{\n%s}\n", build->gate.observe ? "observe " : "", gate_default_text());

	build->gate_at = (struct place){ 0 };
	parse_text(build, text, strlen(text));
	gate_number(&build->gate, complain_of_default, build);
	build->gate.built_in = true;
	free(text);
}

/* --- what was built becomes a configuration --- */

/* Hands over the pointer and leaves NULL, so that build_free() leaves it alone. */
#define TAKE(to, from) ((to) = (from), (from) = NULL)

static void
take_certificates(struct conf *conf, struct build *build)
{
	struct certificate_draft *draft;
	unsigned i;

	conf->certificates = xcalloc(build->certificates_n, sizeof(conf->certificates[0]));
	conf->certificates_n = build->certificates_n;
	for (i = 0; i < build->certificates_n; i++) {
		draft = &build->certificates[i];
		conf->certificates[i] = draft->certificate;
		draft->certificate = (struct certificate){ .name = NULL };
	}
}

static const struct certificate *
certificate_by_name(const struct conf *conf, const char *name)
{
	unsigned i;

	for (i = 0; name != NULL && i < conf->certificates_n; i++) {
		if (strcmp(conf->certificates[i].name, name) == 0)
			return &conf->certificates[i];
	}
	return NULL;
}

/* After the certificates. */
static void
take_listeners(struct conf *conf, struct build *build)
{
	struct listener_draft *draft;
	unsigned i;

	if (build->listeners_n == 0) {
		conf->listeners_n = defaults_listeners(&conf->listeners);
		return;
	}
	conf->listeners = xcalloc(build->listeners_n, sizeof(conf->listeners[0]));
	conf->listeners_n = build->listeners_n;
	for (i = 0; i < build->listeners_n; i++) {
		draft = &build->listeners[i];
		conf->listeners[i] = draft->listener;
		conf->listeners[i].certificate = certificate_by_name(conf, draft->certificate);
		draft->listener = (struct listener){ .port = 0 };
	}
}

static void
take_tables(struct conf *conf, struct build *build)
{
	unsigned i;

	conf->tables = xcalloc(build->tables_n, sizeof(conf->tables[0]));
	conf->tables_n = build->tables_n;
	for (i = 0; i < build->tables_n; i++)
		TAKE(conf->tables[i], build->tables[i].table);
}

static void
take_domains(struct conf *conf, struct build *build)
{
	struct domain *domain;
	unsigned i;

	conf->lookup.domains = xcalloc(build->domains_n, sizeof(conf->lookup.domains[0]));
	conf->lookup.domains_n = build->domains_n;
	for (i = 0; i < build->domains_n; i++) {
		domain = &conf->lookup.domains[i];
		*domain = build->domains[i].domain;
		build->domains[i].domain = (struct domain){ .name = NULL };
		if (domain->kind == DOMAIN_LOCAL && domain->mailbox.path == NULL)
			domain->mailbox.path = defaults_maildir();
	}
}

static void
take_routes(struct conf *conf, struct build *build)
{
	bool complete = false;
	unsigned i;

	conf->lookup.routes = xcalloc(build->routes_n + 1, sizeof(conf->lookup.routes[0]));
	for (i = 0; i < build->routes_n; i++) {
		conf->lookup.routes[i] = build->routes[i].route;
		complete = complete || strcmp(conf->lookup.routes[i].pattern, "*") == 0;
		build->routes[i].route = (struct route){ .pattern = NULL };
	}
	if (!complete)
		conf->lookup.routes[i++] = defaults_route();
	conf->lookup.routes_n = i;
	conf->relay_from = build->relay_from != NULL ? build->relay_from : defaults_relay_from();
	build->relay_from = NULL;
}

static void
take_dns(struct conf *conf, struct build *build)
{
	TAKE(conf->dns.servers, build->servers);
	conf->dns.servers_n = build->servers_n;
	conf->dns.validate = !build->no_validation;
	conf->dns.anchors = (const char *const *)build->anchors;
	build->anchors = NULL;
	TAKE(conf->anchor_path, build->anchor_path);
}

static void
take_accounts(struct conf *conf, struct build *build)
{
	conf->vault = build->vault;
	build->vault = (struct vault_conf){ .accounts = ACCOUNTS_NONE };
	TAKE(conf->lookup.senders, build->senders);
}

/* A limit as a role gets it: UINT32_MAX when it is off. */
static uint32_t
limit_u32(const struct conf *conf, enum limit limit)
{
	return conf->limits[limit] > UINT32_MAX ? UINT32_MAX : (uint32_t)conf->limits[limit];
}

static void
add_logins(struct relay_conf *relay, const struct hop *hops, unsigned n)
{
	unsigned i, k;

	for (i = 0; i < n; i++) {
		for (k = 0; k < relay->logins_n && hops[i].login != NULL; k++) {
			if (strcmp(relay->logins[k], hops[i].login) == 0)
				break;
		}
		if (hops[i].login == NULL || k < relay->logins_n)
			continue;
		relay->logins =
		    xreallocarray(relay->logins, relay->logins_n + 1, sizeof(relay->logins[0]));
		relay->logins[relay->logins_n++] = hops[i].login;
	}
}

static void
set_relay(struct conf *conf)
{
	const struct lookup_conf *lookup = &conf->lookup;
	unsigned i;

	defaults_relay(&conf->relay);
	conf->relay.trust = conf->trust_path;
	conf->relay.providers = conf->providers;
	for (i = 0; i < lookup->domains_n; i++)
		add_logins(&conf->relay, lookup->domains[i].hops, lookup->domains[i].hops_n);
	for (i = 0; i < lookup->routes_n; i++)
		add_logins(&conf->relay, lookup->routes[i].hops, lookup->routes[i].hops_n);
}

static void
set_roles(struct conf *conf)
{
	conf->lookup.host = conf->relay.host = conf->local.host = conf->queue.host = conf->vault.host =
	    conf->host;
	conf->lookup.postmaster = conf->postmaster;
	conf->lookup.spool = conf->spool;
	conf->lookup.srs = &conf->srs;
	set_relay(conf);
	conf->queue.retry_first = limit_u32(conf, LIMIT_RETRY_FIRST);
	conf->queue.retry_most = limit_u32(conf, LIMIT_RETRY_MOST);
	conf->queue.lifetime = limit_u32(conf, LIMIT_LIFETIME);
	conf->queue.notice_lifetime = limit_u32(conf, LIMIT_NOTICE_LIFETIME);
	conf->queue.destination_most = limit_u32(conf, LIMIT_DESTINATION);
	conf->queue.local_most = limit_u32(conf, LIMIT_LOCAL);
	conf->queue.delay_notice = conf->limits[LIMIT_DELAY_NOTICE] == UINT64_MAX ? 0 :
	    limit_u32(conf, LIMIT_DELAY_NOTICE);
}

static struct conf *
finish(const char *path, struct build *build)
{
	struct conf *conf = xcalloc(1, sizeof(*conf));

	conf->path = xstrdup(path);
	TAKE(conf->host, build->host);
	TAKE(conf->spool, build->spool);
	TAKE(conf->postmaster, build->postmaster);
	TAKE(conf->rewrite, build->rewrite);
	conf->log = build->log;
	conf->gate = build->gate;
	build->gate = (struct gate){ .n = 0 };
	memcpy(conf->limits, build->limits, sizeof(conf->limits));
	take_dns(conf, build);
	take_certificates(conf, build);
	take_tables(conf, build);
	take_listeners(conf, build);
	take_domains(conf, build);
	take_routes(conf, build);
	TAKE(conf->trust_path, build->trust_path);
	TAKE(conf->providers, build->providers);
	take_accounts(conf, build);
	set_roles(conf);
	return conf;
}

static void
fill_in(struct build *build)
{
	if (build->spool == NULL)
		build->spool = defaults_spool();
	if (build->host == NULL)
		build->host = defaults_host();
	if (build->host == NULL)
		complain(&build->errors, (struct place){ 1, 1 },
		    "the name of this machine has no domain; expected a statement such as: "
		    "host \"mx.example.net\"");
	else if (strchr(build->host, '.') == NULL)
		complain(&build->warnings, build->host_at,
		    "other servers will not believe a host without a domain, such as \"%s\"",
		    build->host);
	if (!IS_GIVEN(build->gate_at) || build->gate.built_in)
		parse_default_gate(build);
}

struct conf *
conf_parse(const char *path, const char *text, size_t len, struct buf *errors, struct buf *warnings)
{
	struct build build = { .host = NULL };
	struct conf *conf = NULL;

	defaults_limits(build.limits);
	parse_text(&build, text, len);
	/* After a statement that could not be read, "not defined" may not be true. */
	if (build.errors.n == 0)
		build_check(&build);
	if (build.errors.n == 0)
		fill_in(&build);
	complaints_print(&build.errors, path, errors);
	complaints_print(&build.warnings, path, warnings);
	if (build.errors.n == 0)
		conf = finish(path, &build);
	build_free(&build);
	return conf;
}

/* NULL, or why the file cannot be read (a string to print; nobody frees it). */
static const char *
read_file(FILE *file, struct buf *text)
{
	struct stat st;
	size_t n;

	if (fstat(fileno(file), &st) == -1)
		return strerror(errno);
	if (S_ISDIR(st.st_mode))
		return strerror(EISDIR);
	while (text->len <= FILE_MAX) {
		n = fread(buf_reserve(text, BUFSIZ), 1, BUFSIZ, file);
		text->len += n;
		if (n == 0)
			break;
	}
	if (ferror(file))
		return strerror(errno);
	return text->len > FILE_MAX ? "longer than 16M; large tables are files of their own" : NULL;
}

struct conf *
conf_load(const char *path, struct buf *errors, struct buf *warnings)
{
	struct conf *conf = NULL;
	struct buf text = { 0 };
	FILE *file = fopen(path, "re");
	const char *why;

	why = file != NULL ? read_file(file, &text) : strerror(errno);
	if (file != NULL)
		fclose(file);
	if (why != NULL)
		buf_addf(errors, "%s: %s\n", path, why);
	else
		conf = conf_parse(path, buf_str(&text), text.len, errors, warnings);
	buf_free(&text);
	return conf;
}

static void
free_mail(struct conf *conf)
{
	unsigned i;

	for (i = 0; i < conf->listeners_n; i++)
		listener_free_parts(&conf->listeners[i]);
	for (i = 0; i < conf->lookup.domains_n; i++)
		domain_free_parts(&conf->lookup.domains[i]);
	for (i = 0; i < conf->lookup.routes_n; i++)
		route_free_parts(&conf->lookup.routes[i]);
	free(conf->listeners);
	free(conf->lookup.domains);
	free(conf->lookup.routes);
	free(conf->relay.logins);
	table_free_in_place(conf->relay_from);
	table_free_in_place(conf->providers);
	table_free_in_place(conf->rewrite);
	table_free_in_place(conf->vault.table);
	table_free_in_place(conf->lookup.senders);
	free(conf->vault.path);
}

void
conf_forget_secrets(struct conf *conf)
{
	if (conf->vault.table != NULL)
		table_wipe((struct table *)conf->vault.table);
}

void
conf_free(struct conf *conf)
{
	unsigned i;

	if (conf == NULL)
		return;
	/* Those who use named tables go before the tables. */
	free_mail(conf);
	gate_free(&conf->gate);
	for (i = 0; i < conf->tables_n; i++)
		table_free(conf->tables[i]);
	for (i = 0; i < conf->certificates_n; i++)
		certificate_free_parts(&conf->certificates[i]);
	for (i = 0; conf->dns.anchors != NULL && conf->dns.anchors[i] != NULL; i++)
		free((char *)conf->dns.anchors[i]);
	free((void *)conf->dns.anchors);
	free(conf->dns.servers);
	free(conf->anchor_path);
	free(conf->trust_path);
	free(conf->tables);
	free(conf->certificates);
	free(conf->host);
	free(conf->postmaster);
	free(conf->spool);
	free(conf->path);
	free(conf);
}
