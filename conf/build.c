/*
 * The single statements, the tables and the certificates.
 *
 * Called by the actions of the grammar, in the order of the file.  A mistake adds a complaint and
 * leaves what was there, so that later statements are judged against something.  What can fail
 * besides is reading the files of tables and anchors, which is a complaint like any other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "lib/table.h"

#define DNS_PORT 53
#define ANCHORS_MAX 100

bool build_reads_files = true;

bool
build_once(struct build *build, struct place *first, struct place place, const char *what)
{
	if (IS_GIVEN(*first)) {
		complain(&build->errors, place, "\"%s\" is given twice; the first is on line %u",
		    what, first->line);
		return false;
	}
	*first = place;
	return true;
}

bool
build_is_path(struct build *build, struct place place, const char *path, const char *what)
{
	if (path[0] == '/' && path[1] != '\0')
		return true;
	complain(&build->errors, place, "\"%s\" is no place for %s; a path begins with \"/\"", path,
	    what);
	return false;
}

void
strings_add(struct strings *strings, char *s)
{
	strings->list = xreallocarray(strings->list, strings->n + 2, sizeof(strings->list[0]));
	strings->list[strings->n++] = s;
	strings->list[strings->n] = NULL;
}

/* Takes over VALUE as *MEMBER, freeing what was there. */
static void
replace(char **member, char *value)
{
	free(*member);
	*member = value;
}

void
build_host(struct build *build, struct place place, char *name)
{
	build_once(build, &build->host_at, place, "host");
	if (!mailaddr_domain_ok(name, strlen(name), 0) || name[0] == '[')
		complain(&build->errors, place, "\"%s\" is not a host name", name);
	replace(&build->host, name);
}

/* "user@example.net", or "@example.net". */
static char *
check_rewritten(const char *key, const char *value)
{
	struct mailaddr parsed;
	const char *why;
	char *text;

	(void)key;
	if (strchr(value, '$') != NULL)
		return NULL;
	text = value[0] == '@' ? xasprintf("x%s", value) : xstrdup(value);
	if (mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &parsed, &why)) {
		mailaddr_free(&parsed);
		free(text);
		return NULL;
	}
	free(text);
	return xasprintf("\"%s\" is neither an address nor \"@example.net\"", value);
}

void
build_rewrite(struct build *build, struct place place, struct table *table)
{
	build_once(build, &build->rewrite_at, place, "rewrite");
	table_free_in_place(build->rewrite);
	table_set_check(table, check_rewritten);
	build->rewrite = table;
}

void
build_postmaster(struct build *build, struct place place, char *address)
{
	struct mailaddr parsed;
	const char *why;

	build_once(build, &build->postmaster_at, place, "postmaster");
	free(build->postmaster);
	build->postmaster = NULL;
	if (mailaddr_parse(address, strlen(address), MAILADDR_UTF8, &parsed, &why)) {
		build->postmaster = mailaddr_format(&parsed);
		mailaddr_free(&parsed);
	} else {
		complain(&build->errors, place, "\"%s\" is no address: %s", address, why);
	}
	free(address);
}

void
build_spool(struct build *build, struct place place, char *path)
{
	size_t len = strlen(path);

	build_once(build, &build->spool_at, place, "spool");
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	if (build_is_path(build, place, path, "the spool") && len > SPOOL_MAX)
		complain(&build->errors, place,
		    "the path of the spool has %zu octets; at most %d leave "
		    "room for a socket's name",
		    len, SPOOL_MAX);
	replace(&build->spool, path);
}

void
build_log(struct build *build, struct place place, bool to_stderr, bool json)
{
	build_once(build, &build->log_at, place, "log");
	build->log = (struct log_conf){ .to_stderr = to_stderr, .json = json };
}

/* --- DNS --- */

bool
build_address(struct build *build, struct place place, const char *text, struct ip *ip)
{
	if (ip_parse(text, ip))
		return true;
	complain(&build->errors, place, "\"%s\" is not an address", text);
	return false;
}

void
build_server(struct build *build, struct place place, char *address, uint64_t port)
{
	struct dns_server server = { .port = port != 0 ? (uint16_t)port : DNS_PORT };
	const struct dns_server *other;
	unsigned i;

	if (build_address(build, place, address, &server.ip)) {
		for (i = 0; i < build->servers_n; i++) {
			other = &build->servers[i];
			if (ip_equal(&other->ip, &server.ip) && other->port == server.port)
				complain(&build->errors, place,
				    "resolver %s port %u is given twice", address, server.port);
		}
		build->servers =
		    xreallocarray(build->servers, build->servers_n + 1, sizeof(server));
		build->servers[build->servers_n++] = server;
	}
	free(address);
}

/* One record a line; ';' begins a comment, as in zone files. */
static char *
read_anchors(FILE *file, struct strings *anchors)
{
	char *line = NULL, *error = NULL, *text;
	unsigned number = 0;
	size_t size = 0;

	while (error == NULL && getline(&line, &size, file) != -1) {
		number++;
		line[strcspn(line, ";\r\n")] = '\0';
		text = line + strspn(line, " \t");
		if (*text == '\0')
			continue;
		if (strcasestr(text, " DS ") == NULL && strcasestr(text, "\tDS\t") == NULL &&
		    strcasestr(text, "DNSKEY") == NULL)
			error = xasprintf("line %u is no DS or DNSKEY record", number);
		else if (anchors->n == ANCHORS_MAX)
			error = xasprintf("there are more than %d records", ANCHORS_MAX);
		else
			strings_add(anchors, xstrdup(text));
	}
	if (error == NULL && ferror(file))
		error = xstrdup(strerror(errno));
	else if (error == NULL && anchors->n == 0)
		error = xstrdup("there is no record in it");
	free(line);
	return error;
}

static char *
load_anchors(const char *path, struct strings *anchors)
{
	FILE *file = fopen(path, "re");
	char *error;

	if (file == NULL)
		return xstrdup(strerror(errno));
	error = read_anchors(file, anchors);
	fclose(file);
	return error;
}

void
build_anchor(struct build *build, struct place place, char *path)
{
	struct strings anchors = { NULL, 0 };
	char *error = NULL;

	if (!build_once(build, &build->anchor_at, place, "anchor")) {
		free(path);
		return;
	}
	build->anchor_path = path;
	build->no_validation = path == NULL;
	if (path == NULL || !build_is_path(build, place, path, "an anchor") || !build_reads_files)
		return;
	error = load_anchors(path, &anchors);
	if (error != NULL)
		complain(&build->errors, place, "%s: %s", path, error);
	free(error);
	build->anchors = anchors.list;
}

/* --- certificates --- */

static struct certificate_draft *
certificate_draft(struct build *build, const char *name)
{
	unsigned i;

	for (i = 0; i < build->certificates_n; i++) {
		if (strcmp(build->certificates[i].certificate.name, name) == 0)
			return &build->certificates[i];
	}
	build->certificates = xreallocarray(build->certificates, build->certificates_n + 1,
	    sizeof(build->certificates[0]));
	build->certificates[build->certificates_n] =
	    (struct certificate_draft){ .certificate = { .name = xstrdup(name) } };
	return &build->certificates[build->certificates_n++];
}

void
build_certificate(struct build *build, struct place place, char *name)
{
	struct certificate_draft *draft = certificate_draft(build, name);

	if (IS_GIVEN(draft->defined))
		complain(&build->errors, place,
		    "certificate \"%s\" is given twice; the first is on line %u", name,
		    draft->defined.line);
	draft->defined = place;
	draft->certificate.line = place.line;
	build->certificate = (unsigned)(draft - build->certificates);
	free(name);
}

void
build_key_pair(struct build *build, struct place place, char *chain, struct place key_at, char *key)
{
	struct certificate *certificate = &build->certificates[build->certificate].certificate;

	build_is_path(build, place, chain, "a certificate");
	build_is_path(build, key_at, key, "a key");
	certificate->pairs = xreallocarray(certificate->pairs, certificate->pairs_n + 1, sizeof(certificate->pairs[0]));
	certificate->pairs[certificate->pairs_n++] = (struct key_pair){ .chain = chain, .key = key };
}

void
build_ocsp(struct build *build, struct place place, char *path)
{
	struct certificate *certificate = &build->certificates[build->certificate].certificate;
	struct key_pair *pair = &certificate->pairs[certificate->pairs_n - 1];

	build_is_path(build, place, path, "an OCSP response");
	if (pair->ocsp != NULL)
		complain(&build->errors, place, "\"ocsp\" is given twice for one chain");
	replace(&pair->ocsp, path);
}

void
build_certificate_used(struct build *build, struct place place, const char *name)
{
	struct certificate_draft *draft = certificate_draft(build, name);

	if (!IS_GIVEN(draft->used))
		draft->used = place;
}

/* --- limits --- */

static int
limit_by_name(const char *name)
{
	int i;

	for (i = 0; i < LIMIT_COUNT; i++) {
		if (strcmp(limit_specs[i].name, name) == 0)
			return i;
	}
	return -1;
}

static void
unknown_limit(struct build *build, struct place place, const char *name)
{
	const char *names[LIMIT_COUNT], *near;
	struct buf all = { 0 };
	int i;

	for (i = 0; i < LIMIT_COUNT; i++) {
		names[i] = limit_specs[i].name;
		buf_adds(&all, i == 0 ? "" : i + 1 < LIMIT_COUNT ? ", " : " or ");
		buf_adds(&all, names[i]);
	}
	near = nearest_word(name, names, LIMIT_COUNT);
	if (near != NULL)
		complain(&build->errors, place, "unknown limit \"%s\" (did you mean \"%s\"?)", name,
		    near);
	else
		complain(&build->errors, place, "unknown limit \"%s\"; expected %s", name,
		    buf_str(&all));
	buf_free(&all);
}

/* A size may be a plain number of octets; a time needs its unit. */
static bool
limit_fits(const struct limit_spec *spec, const struct limit_value *value)
{
	switch (spec->unit) {
	case UNIT_SIZE:
		return value->kind == QUANTITY_SIZE || value->kind == QUANTITY_COUNT;
	case UNIT_TIME:
		return value->kind == QUANTITY_TIME;
	default:
		return value->kind == QUANTITY_COUNT;
	}
}

void
build_limit(struct build *build, struct place place, char *name, struct limit_value value)
{
	static const char *const wanted[] = {
		[UNIT_COUNT] = "a number",
		[UNIT_SIZE] = "a size such as 50M",
		[UNIT_TIME] = "a time such as 20s",
	};
	char *whole = xasprintf("limit %s", name);
	int i = limit_by_name(name);

	if (i < 0)
		unknown_limit(build, place, name);
	else if (!build_once(build, &build->limit_at[i], place, whole))
		;
	else if (!value.off && !limit_fits(&limit_specs[i], &value))
		complain(&build->errors, value.place, "\"%s\" takes %s, or \"off\"", whole,
		    wanted[limit_specs[i].unit]);
	else if (!value.off && value.number == 0)
		complain(&build->errors, value.place,
		    "a limit of 0 would let nothing through; \"off\" lifts it");
	else
		build->limits[i] = value.off ? UINT64_MAX : value.number;
	free(whole);
	free(name);
}

/* --- tables --- */

static struct table_draft *
table_draft(struct build *build, const char *name)
{
	unsigned i;

	for (i = 0; i < build->tables_n; i++) {
		if (strcmp(table_name(build->tables[i].table), name) == 0)
			return &build->tables[i];
	}
	build->tables = xreallocarray(build->tables, build->tables_n + 1, sizeof(build->tables[0]));
	build->tables[build->tables_n] = (struct table_draft){ .table = table_new(name) };
	return &build->tables[build->tables_n++];
}

struct copying {
	struct build *build;
	struct place place;
	struct table *table;
};

static void
copy_element(const char *key, const char *value, void *arg)
{
	const struct copying *copying = arg;
	char *why = table_add_element(copying->table, key, value);

	if (why != NULL)
		complain(&copying->build->errors, copying->place, "%s", why);
	free(why);
}

static void
fill_from_file(struct build *build, struct place place, struct table *table, const char *path)
{
	char *error = NULL;

	table_set_path(table, path);
	if (build_is_path(build, place, path, "a table") && build_reads_files)
		error = table_load_file(table, path);
	if (error != NULL)
		complain(&build->errors, place, "%s", error);
	free(error);
}

/* As <NAME> takes it. */
static bool
is_table_name(const char *name)
{
	return name[0] != '\0' && name[strcspn(name, " \t<>{}(),=\"#\\|&;'`^")] == '\0';
}

void
build_table(struct build *build, struct place place, char *name, enum table_kind kind,
    struct table *content, char *path)
{
	struct copying copying = { .build = build, .place = place };
	struct table_draft *draft;

	if (!is_table_name(name)) {
		complain(&build->errors, place, "\"%s\" is no name for a table", name);
	} else {
		draft = table_draft(build, name);
		copying.table = draft->table;
		if (!IS_GIVEN(draft->defined))
			table_set_kind(draft->table, kind);
		if (IS_GIVEN(draft->defined))
			complain(&build->errors, place,
			    "table <%s> is given twice; the first is on line %u", name,
			    draft->defined.line);
		else if (content != NULL)
			table_each(content, copy_element, &copying);
		else
			fill_from_file(build, place, draft->table, path);
		if (!IS_GIVEN(draft->defined))
			draft->defined = place;
	}
	table_free(content);
	free(name);
	free(path);
}

struct table *
build_table_used(struct build *build, struct place place, char *name)
{
	struct table_draft *draft = table_draft(build, name);

	if (!IS_GIVEN(draft->used))
		draft->used = place;
	free(name);
	return draft->table;
}

void
build_element(struct build *build, struct place place, struct table *table, char *key, char *value)
{
	char *why = table_add_element(table, key, value);

	if (why != NULL && table_kind(table) == TABLE_LIST)
		complain(&build->errors, place, "\"%s\" is in this list already", key);
	else if (why != NULL)
		complain(&build->errors, place, "%s", why);
	free(why);
	free(key);
	free(value);
}
