/*
 * Tables: the questions that can be asked of every kind, and their files.
 *
 * The configuration builds them, the gate and the address book ask them, for every client and
 * recipient, so that each question costs a few lookups however long the table is: a name is looked
 * up label by label, an address once for each length of network that the table has, and patterns
 * see the whole.  What can fail is a file: when it cannot be read the table keeps what it had, and
 * what is wrong with single lines is told with file and line.  What must never happen: an address with
 * two spellings, or a value that another line contradicts.  Keys that are addresses or networks are
 * stored in the one form of lib/ip.h, and a whole address without its length.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/quote.h"
#include "lib/table_inside.h"

#define NULL_SENDER "<>"
#define FAULTS_LOGGED 20

/* --- making --- */

static struct table_content *
new_content(enum table_kind kind)
{
	return kind == TABLE_REGEX ? table_regex_new() : table_list_new();
}

static void
free_content(struct table_content *content)
{
	struct table_faults faults = content->faults;
	size_t i;

	content->ops->free(content);
	for (i = 0; i < faults.n; i++)
		free(faults.texts[i]);
	free(faults.texts);
	free(faults.unread);
}

struct table *
table_new(const char *name)
{
	struct table *table = xcalloc(1, sizeof(*table));

	table->name = xstrdup(name);
	table->content = new_content(TABLE_LIST);
	return table;
}

/* Of a DB until it is opened: an empty list. */
void
table_set_kind(struct table *table, enum table_kind kind)
{
	free_content(table->content);
	table->kind = kind;
	table->content = new_content(kind);
}

enum table_kind
table_kind(const struct table *table)
{
	return table->kind;
}

void
table_free(struct table *table)
{
	if (table == NULL)
		return;
	free_content(table->content);
	free(table->name);
	free(table->path);
	free(table);
}

/* What is freed is wiped: a list may hold passwords. */
void
table_wipe(struct table *table)
{
	free_content(table->content);
	table->content = new_content(table->kind);
}

void
table_free_in_place(const struct table *table)
{
	if (table != NULL && table->name[0] == '\0')
		table_free((struct table *)table);
}

const char *
table_name(const struct table *table)
{
	return table->name;
}

const char *
table_path(const struct table *table)
{
	return table->path;
}

void
table_set_path(struct table *table, const char *path)
{
	free(table->path);
	table->path = xstrdup(path);
}

bool
table_has_names(const struct table *table)
{
	return table->content->shape.names;
}

char *
table_add_element(struct table *table, const char *key, const char *value)
{
	return table->content->ops->add(table->content, key, value, 0);
}

bool
table_add(struct table *table, const char *key, const char *value)
{
	char *why = table_add_element(table, key, value);

	free(why);
	return why == NULL;
}

/* --- files --- */

void
table_set_check(struct table *table, char *(*check)(const char *key, const char *value))
{
	table->check = check;
}

struct checking {
	const struct table *table;
	void (*visit)(const char *what, void *);
	void *arg;
};

static void
check_row(const char *key, const char *value, unsigned line, void *arg)
{
	struct checking *checking = arg;
	const struct table *table = checking->table;
	char *why = table->check(key, value), *what;

	if (why == NULL)
		return;
	what = line > 0 ? xasprintf("%s:%u: %s", table->path, line, why)
			: xasprintf("\"%s\": %s", key, why);
	checking->visit(what, checking->arg);
	free(what);
	free(why);
}

void
table_each_fault(const struct table *table, void (*visit)(const char *what, void *), void *arg)
{
	const struct table_faults *faults = &table->content->faults;
	struct checking checking = { table, visit, arg };
	size_t i;

	for (i = 0; i < faults->n; i++)
		visit(faults->texts[i], arg);
	if (table->check != NULL && table->kind != TABLE_DB)
		table->content->ops->each(table->content, check_row, &checking);
}

static void
keep_first(const char *what, void *arg)
{
	char **first = arg;

	if (*first == NULL)
		*first = xstrdup(what);
}

char *
table_first_fault(const struct table *table)
{
	char *first = NULL;

	table_each_fault(table, keep_first, &first);
	return first;
}

struct logging {
	const struct table *table;
	unsigned n;
};

static void
log_fault(const char *what, void *arg)
{
	struct logging *logging = arg;

	if (logging->n++ < FAULTS_LOGGED)
		log_warning("table.line", F_STR("table", logging->table->name), F_STR("why", what),
		    F_STR("effect", "what it was to say does not count; the other lines do"));
}

void
table_log_faults(const struct table *table)
{
	struct logging logging = { .table = table };

	table_each_fault(table, log_fault, &logging);
	if (logging.n > FAULTS_LOGGED)
		log_warning("table.lines", F_STR("table", table->name), F_STR("file", table->path),
		    F_U64("faults", logging.n));
}

/* What is in the file now, with its times; NULL and *WHY. */
static struct table_content *
read_content(const struct table *table, struct stat *st, char **why)
{
	struct table_content *content;

	if (table->kind == TABLE_DB) {
		if (stat(table->path, st) == -1) {
			*why = xasprintf("%s: %s", table->path, strerror(errno));
			return NULL;
		}
		return table_db_open(table->path, why);
	}
	content = new_content(table->kind);
	*why = table_read_file(table->path, table->kind, content, st);
	if (*why == NULL)
		return content;
	free_content(content);
	return NULL;
}

char *
table_load_file(struct table *table, const char *path)
{
	struct table_content *content;
	char *why = NULL, *own_path = xstrdup(path); /* PATH may be the table's own */
	struct stat st;

	free(table->path);
	table->path = own_path;
	content = read_content(table, &st, &why);
	if (content == NULL)
		return why;
	free_content(table->content);
	table->content = content;
	table->seen = st;
	return NULL;
}

char *
table_refresh(struct table *table)
{
	struct stat st;
	char *why;

	if (table->path == NULL)
		return NULL;
	if (stat(table->path, &st) == -1)
		return xasprintf("%s: %s", table->path, strerror(errno));
	if (st.st_mtim.tv_sec == table->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == table->seen.st_mtim.tv_nsec &&
	    st.st_size == table->seen.st_size && st.st_ino == table->seen.st_ino &&
	    st.st_dev == table->seen.st_dev)
		return NULL;
	why = table_load_file(table, table->path);
	if (why == NULL)
		table_log_faults(table);
	return why;
}

/* --- questions --- */

/* A pattern that cannot be read might have been meant before this one. */
static bool
find_pattern(const struct table *table, const char *text, struct table_row *row)
{
	const struct table_faults *faults = &table->content->faults;

	if (!table->content->ops->find(table->content, text, row))
		return false;
	if (faults->unread != NULL && row->line > faults->unread_line)
		row->fault = faults->unread;
	return true;
}

/* KEY as it was given. */
static bool
find(const struct table *table, const char *key, struct table_row *row)
{
	struct ipnet net;
	char *normal;
	bool found;

	if (table->kind == TABLE_REGEX)
		return find_pattern(table, key, row);
	normal = table_normal_key(key, &net);
	found = table->content->ops->find(table->content, normal, row);
	free(normal);
	return found;
}

/* KEY in its one form. */
static bool
has(const struct table *table, const char *key)
{
	struct table_row row;

	return table->content->ops->find(table->content, key, &row);
}

const char *
table_get(const struct table *table, const char *key)
{
	struct table_row row;

	return find(table, key, &row) && row.fault == NULL ? row.value : NULL;
}

char *
table_fault(const struct table *table, const char *key)
{
	struct table_row row;

	if (!find(table, key, &row) || row.fault == NULL)
		return NULL;
	return table->kind == TABLE_REGEX ? xstrdup(row.fault)
					  : xasprintf("%s: %s", table->path, row.fault);
}

const char *
table_unread(const struct table *table)
{
	return table->content->faults.unread;
}

char *
table_where(const struct table *table, const char *key)
{
	struct table_row row;

	if (table->path == NULL)
		return table->name[0] != '\0' ? xasprintf("<%s>", table->name)
					      : xstrdup("a list in the configuration");
	if (find(table, key, &row) && row.line > 0)
		return xasprintf("%s:%u", table->path, row.line);
	return xstrdup(table->path);
}

static bool
match_network(const struct table *table, const struct ip *ip)
{
	const struct table_shape *shape = &table->content->shape;
	const bool *lengths = ip->family == AF_INET ? shape->v4 : shape->v6;
	int bits = ip->family == AF_INET ? 32 : ip->family == AF_INET6 ? 128 : -1;
	struct ipnet net;

	if (table->kind == TABLE_REGEX)
		return has(table, ip_text(ip).s);
	for (; bits >= 0; bits--) {
		if (!lengths[bits])
			continue;
		net = ip_network(ip, (uint8_t)bits);
		if (has(table, table_network_key(&net).s))
			return true;
	}
	return false;
}

/* FOLDED, or what stands behind one of its dots, with that dot or without. */
static bool
match_labels(const struct table *table, const char *folded)
{
	const char *s;

	if (folded[0] == '\0')
		return false;
	if (has(table, folded))
		return true;
	for (s = strchr(folded + 1, '.'); s != NULL; s = strchr(s + 1, '.')) {
		if (has(table, s) || (s[1] != '\0' && has(table, s + 1)))
			return true;
	}
	return false;
}

bool
table_match_name(const struct table *table, const char *name)
{
	struct buf folded = { 0 };
	size_t len = strlen(name);
	bool match;

	if (!table->content->shape.names)
		return false;
	if (len > 0 && name[len - 1] == '.')
		len--;
	table_add_folded(&folded, name, len);
	if (table->kind == TABLE_REGEX)
		match = len > 0 && has(table, buf_str(&folded));
	else
		match = match_labels(table, buf_str(&folded));
	buf_free(&folded);
	return match;
}

bool
table_match_client(const struct table *table, const struct ip *ip, const char *name)
{
	return match_network(table, ip) || (name != NULL && table_match_name(table, name));
}

static bool
match_mailbox(const struct table *table, char *folded)
{
	char *domain = strrchr(folded, '@'), first;
	bool match = has(table, folded);

	if (match || domain == NULL)
		return match;
	if (has(table, domain) || match_labels(table, domain + 1))
		return true;
	first = domain[1];
	domain[1] = '\0';
	match = has(table, folded);
	domain[1] = first;
	return match;
}

bool
table_match_address(const struct table *table, const char *address)
{
	struct buf folded = { 0 };
	bool match;

	if (table->kind == TABLE_REGEX)
		return has(table, address[0] != '\0' ? address : NULL_SENDER);
	if (address[0] == '\0')
		return has(table, "") || has(table, NULL_SENDER);
	if (!table->content->shape.names)
		return false;
	table_add_folded(&folded, address, strlen(address));
	match = match_mailbox(table, folded.data);
	buf_free(&folded);
	return match;
}

struct visit {
	void (*visit)(const char *key, const char *value, void *);
	void *arg;
};

static void
pass_on(const char *key, const char *value, unsigned line, void *arg)
{
	const struct visit *v = arg;

	(void)line;
	v->visit(key, value, v->arg);
}

void
table_each(
    const struct table *table, void (*visit)(const char *key, const char *value, void *), void *arg)
{
	struct visit v = { visit, arg };

	table->content->ops->each(table->content, pass_on, &v);
}

size_t
table_count(const struct table *table)
{
	return table->content->ops->count(table->content);
}

/* --- printing --- */

struct printing {
	struct buf *out;
	bool patterns, more;
};

static void
print_row(const char *key, const char *value, unsigned line, void *arg)
{
	struct printing *p = arg;
	struct ipnet net;

	(void)line;
	buf_adds(p->out, p->more ? ", " : " ");
	p->more = true;
	if (!p->patterns && ipnet_parse(key, &net))
		buf_adds(p->out, key);
	else
		quote_add(p->out, key);
	if (value[0] != '\0') {
		buf_adds(p->out, " = ");
		quote_add(p->out, value);
	}
}

void
table_print_content(struct buf *out, const struct table *table)
{
	static const char *const words[] = {
		[TABLE_LIST] = "file ", [TABLE_DB] = "db ", [TABLE_REGEX] = "regex "
	};
	struct printing p = { .out = out, .patterns = table->kind == TABLE_REGEX };

	if (table->path != NULL || table->kind != TABLE_LIST)
		buf_adds(out, words[table->kind]);
	if (table->path != NULL) {
		quote_add(out, table->path);
		return;
	}
	buf_adds(out, "{");
	table->content->ops->each(table->content, print_row, &p);
	buf_adds(out, " }");
}

void
table_print(struct buf *out, const struct table *table)
{
	if (table->name[0] != '\0')
		buf_addf(out, "<%s>", table->name);
	else
		table_print_content(out, table);
}
