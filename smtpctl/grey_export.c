/*
 * smtpctl grey export: the way back to postgrey.
 *
 *	smtpctl grey export postgrey DIR
 *
 * Writes into DIR, which must be empty of them: postgrey.db and postgrey_clients.db, as postgrey
 * itself would have them, and whitelist_clients.local for what it has no database for: callers that
 * are trusted by name or network, and whom the operator allowed.  postgrey knows callers by address,
 * Genkan by name where there is one; triplets of such callers are counted and left out, and their
 * next message waits once.  The files are made by the same library that postgrey uses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <db.h>

#include "lib/berkeley.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/postgrey.h"
#include "smtpctl/smtpctl.h"

enum file { FILE_TRIPLETS, FILE_CLIENTS, FILE_DBS };

static const char *const names[FILE_DBS] = { "postgrey.db", "postgrey_clients.db" };

struct export {
	const char *dir;
	DB *dbs[FILE_DBS];
	FILE *white;
	uint64_t triplets, clients, lines, unsaid;
	char *why; /* a file could not be written */
};

static void
put(struct export *x, enum file file, const struct buf *key, const struct buf *value)
{
	DBT k = { .data = key->data, .size = (u_int32_t)key->len };
	DBT v = { .data = value->data, .size = (u_int32_t)value->len };
	int rc = x->dbs[file]->put(x->dbs[file], NULL, &k, &v, 0);

	if (rc != 0 && x->why == NULL)
		x->why = xasprintf("%s/%s: %s", x->dir, names[file], db_strerror(rc));
}

/* The network of "net:192.0.2.0/24". */
static bool
network_of(const char *identity, struct ipnet *net)
{
	return strncmp(identity, "net:", 4) == 0 && ipnet_parse(identity + 4, net);
}

static bool
is_address(const struct ipnet *net)
{
	return net->bits == (net->ip.family == AF_INET6 ? 128 : 32);
}

static void
on_triplet(struct export *x, const struct field *f, const char *identity)
{
	struct postgrey_triplet t = { .first = (int64_t)field_u64(f, "first"),
		.last = (int64_t)field_u64(f, "last") };
	const char *from = field_get(f, "from"), *to = field_get(f, "to");
	struct buf key = { 0 }, value = { 0 };

	if (!network_of(identity, &t.client) || from == NULL || to == NULL ||
	    strcmp(to, "*") == 0) {
		x->unsaid++;
		return;
	}
	/* it has passed, and postgrey tells that by the time between first and last */
	if (field_u64(f, "passed") != 0 && t.last - t.first < POSTGREY_DELAY)
		t.last = t.first + POSTGREY_DELAY;
	t.sender = xstrdup(from);
	t.recipient = xstrdup(to);
	postgrey_triplet_write(&t, &key, &value);
	put(x, FILE_TRIPLETS, &key, &value);
	x->triplets++;
	postgrey_triplet_clear(&t);
	buf_free(&key);
	buf_free(&value);
}

static void
white_line(struct export *x, const char *line)
{
	fprintf(x->white, "%s\n", line);
	x->lines++;
}

static void
on_trusted(struct export *x, const struct field *f, const char *identity)
{
	struct postgrey_client c = { .count = POSTGREY_AWL, .last = (int64_t)field_u64(f, "last") };
	struct buf key = { 0 }, value = { 0 };
	struct ipnet net;

	if (strncmp(identity, "name:", 5) == 0) {
		white_line(x, identity + 5);
	} else if (!network_of(identity, &net)) {
		x->unsaid++;
	} else if (!is_address(&net)) {
		white_line(x, identity + 4);
	} else {
		if (field_u64(f, "triplets") > c.count)
			c.count = (uint32_t)field_u64(f, "triplets");
		c.ip = net.ip;
		postgrey_client_write(&c, &key, &value);
		put(x, FILE_CLIENTS, &key, &value);
		x->clients++;
	}
	buf_free(&key);
	buf_free(&value);
}

static void
on_record(const struct field *f, void *arg)
{
	const char *state = field_get(f, "state"), *identity = field_get(f, "identity");
	struct export *x = arg;

	if (state == NULL)
		return;
	if (strcmp(state, "allowed") == 0) {
		if (field_get(f, "client") != NULL)
			white_line(x, field_get(f, "client"));
		else if (field_get(f, "name") != NULL)
			white_line(x, field_get(f, "name"));
		else
			x->unsaid++;
	} else if (identity != NULL && strcmp(state, "trusted") == 0) {
		on_trusted(x, f, identity);
	} else if (identity != NULL &&
		   (strcmp(state, "passed") == 0 || strcmp(state, "waiting") == 0 ||
		       strcmp(state, "ready") == 0)) {
		on_triplet(x, f, identity);
	}
}

static int
open_file(struct export *x, enum file file)
{
	char *path = xasprintf("%s/%s", x->dir, names[file]);
	int rc;

	berkeley_begin();
	rc = db_create(&x->dbs[file], NULL, 0);
	if (rc == 0)
		rc = x->dbs[file]->open(x->dbs[file], NULL, path, NULL, DB_BTREE,
		    DB_CREATE | DB_EXCL, 0640);
	if (rc != 0)
		smtpctl_failed("%s: %s", path, db_strerror(rc));
	free(path);
	return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int
open_all(struct export *x)
{
	char *path;
	int i;

	if (mkdir(x->dir, 0750) == -1 && errno != EEXIST)
		return smtpctl_failed("%s: %s", x->dir, strerror(errno));
	for (i = 0; i < FILE_DBS; i++)
		if (open_file(x, (enum file)i) != EXIT_DONE)
			return EXIT_FAILED;
	path = xasprintf("%s/whitelist_clients.local", x->dir);
	x->white = fopen(path, "wx");
	if (x->white == NULL)
		smtpctl_failed("%s: %s", path, strerror(errno));
	else
		fputs("# whom Genkan trusted or allowed; written by smtpctl grey export\n", x->white);
	free(path);
	return x->white != NULL ? EXIT_DONE : EXIT_FAILED;
}

static int
close_all(struct export *x)
{
	int i, rc, status = EXIT_DONE;

	for (i = 0; i < FILE_DBS; i++) {
		rc = x->dbs[i] != NULL ? x->dbs[i]->close(x->dbs[i], 0) : 0;
		if (rc != 0)
			status = smtpctl_failed("%s/%s: %s", x->dir, names[i], db_strerror(rc));
	}
	if (x->white != NULL && fclose(x->white) != 0)
		status = smtpctl_failed("%s/whitelist_clients.local: %s", x->dir, strerror(errno));
	return status;
}

static void
tell(const struct export *x)
{
	struct output *o = output_new(OUTPUT_TABLE);

	if (options.json)
		output_record(FIELDS(F_U64("triplets", x->triplets), F_U64("clients", x->clients),
				  F_U64("white_list", x->lines), F_U64("left_out", x->unsaid)),
		    o);
	output_note(o, "%llu triplets, %llu clients, %llu lines of a white list",
	    (unsigned long long)x->triplets, (unsigned long long)x->clients,
	    (unsigned long long)x->lines);
	if (x->unsaid > 0)
		output_note(o, "%llu records have no form in postgrey and were left out",
		    (unsigned long long)x->unsaid);
	output_end(o);
}

/* WORDS: "grey", "export", "postgrey", DIR */
int
grey_export(int n, char **words)
{
	static const char *const ask[] = { "grey", "show", "all" };
	struct export x = { .dir = words[3] };
	struct request r = { .n = 3, .words = ask, .record = on_record, .arg = &x };
	char *why = NULL;
	int status;

	(void)n;
	if (strcmp(words[2], "postgrey") != 0)
		return smtpctl_usage("\"%s\" cannot be written; postgrey can", words[2]);
	status = open_all(&x);
	if (status == EXIT_DONE && client_request(&r, false, &why) != 0)
		status = smtpctl_failed("%s", why);
	else if (status == EXIT_DONE && x.why != NULL)
		status = smtpctl_failed("%s", x.why);
	free(why);
	free(x.why);
	if (close_all(&x) != EXIT_DONE)
		status = EXIT_FAILED;
	if (status == EXIT_DONE)
		tell(&x);
	return status;
}
