/*
 * Tables in memory: a hash over the folded keys, the order of addition beside it.
 *
 * The configuration builds them, the gate and the address book ask them, for every client and
 * recipient, so that each question costs a few lookups however long the table is: a name is looked
 * up label by label, an address once for each length of network that the table has.  What can fail
 * is a file, and then the reason names file and line and the table keeps what it had.  What must
 * never happen: an address with two spellings.  Keys that are addresses or networks are stored in
 * the one form of lib/ip.h, and a whole address without its length.
 *
 * The hash is not keyed: who can choose the keys can write the configuration.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"
#include "lib/quote.h"
#include "lib/table.h"

#define BUCKETS_MIN 16
#define LENGTHS_V6 129
#define NULL_SENDER "<>"

struct entry {
	char *key;   /* folded */
	char *value; /* "" in a set */
	struct entry *next;
};

struct content {
	struct entry **buckets;
	size_t buckets_n; /* a power of two, or 0 */
	struct entry **order;
	size_t n, cap;
	bool v4[33], v6[LENGTHS_V6]; /* the lengths that networks in here have */
	bool names;                  /* some keys are no networks */
};

struct table {
	char *name;
	char *path;
	struct stat seen; /* of the file, when it was read */
	struct content content;
};

static void
add_folded(struct buf *out, const char *s, size_t len)
{
	for (; len > 0; s++, len--)
		buf_addc(out, *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s);
}

static struct ip_text
network_key(const struct ipnet *net)
{
	return net->bits == (net->ip.family == AF_INET ? 32 : 128) ? ip_text(&net->ip)
								   : ipnet_text(net);
}

/* The one form of a key, and in *NET (family 0 if none) the network that it is. */
static char *
normal_key(const char *key, struct ipnet *net)
{
	struct buf out = { 0 };

	*net = (struct ipnet){ .ip = { .family = 0 } };
	if (ipnet_parse(key, net))
		buf_adds(&out, network_key(net).s);
	else
		add_folded(&out, key, strlen(key));
	return buf_take(&out);
}

/* FNV-1a */
static uint64_t
hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	return h;
}

static const struct entry *
find(const struct content *content, const char *folded)
{
	const struct entry *entry;

	if (content->buckets_n == 0)
		return NULL;
	entry = content->buckets[hash(folded) & (content->buckets_n - 1)];
	while (entry != NULL && strcmp(entry->key, folded) != 0)
		entry = entry->next;
	return entry;
}

static void
link_entry(struct content *content, struct entry *entry)
{
	struct entry **bucket = &content->buckets[hash(entry->key) & (content->buckets_n - 1)];

	entry->next = *bucket;
	*bucket = entry;
}

static void
make_room(struct content *content)
{
	size_t i;

	if (content->n == content->cap) {
		content->cap = content->cap == 0 ? BUCKETS_MIN : content->cap * 2;
		content->order =
		    xreallocarray(content->order, content->cap, sizeof(content->order[0]));
	}
	if (content->n < content->buckets_n)
		return;
	free(content->buckets);
	content->buckets_n = content->buckets_n == 0 ? BUCKETS_MIN : content->buckets_n * 2;
	content->buckets = xcalloc(content->buckets_n, sizeof(content->buckets[0]));
	for (i = 0; i < content->n; i++)
		link_entry(content, content->order[i]);
}

static bool
content_add(struct content *content, const char *key, const char *value)
{
	struct entry *entry;
	struct ipnet net;
	char *folded = normal_key(key, &net);

	if (find(content, folded) != NULL) {
		free(folded);
		return false;
	}
	make_room(content);
	entry = xcalloc(1, sizeof(*entry));
	entry->key = folded;
	entry->value = xstrdup(value != NULL ? value : "");
	link_entry(content, entry);
	content->order[content->n++] = entry;
	if (net.ip.family == AF_INET)
		content->v4[net.bits] = true;
	else if (net.ip.family == AF_INET6)
		content->v6[net.bits] = true;
	else
		content->names = true;
	return true;
}

static void
content_free(struct content *content)
{
	size_t i;

	for (i = 0; i < content->n; i++) {
		free(content->order[i]->key);
		free(content->order[i]->value);
		free(content->order[i]);
	}
	free(content->order);
	free(content->buckets);
	*content = (struct content){ 0 };
}

void
table_wipe(struct table *table)
{
	size_t i;

	for (i = 0; i < table->content.n; i++) {
		explicit_bzero(table->content.order[i]->key, strlen(table->content.order[i]->key));
		explicit_bzero(table->content.order[i]->value, strlen(table->content.order[i]->value));
	}
	content_free(&table->content);
}

struct table *
table_new(const char *name)
{
	struct table *table = xcalloc(1, sizeof(*table));

	table->name = xstrdup(name);
	return table;
}

void
table_free(struct table *table)
{
	if (table == NULL)
		return;
	content_free(&table->content);
	free(table->name);
	free(table->path);
	free(table);
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
	return table->content.names;
}

bool
table_add(struct table *table, const char *key, const char *value)
{
	return content_add(&table->content, key, value);
}

/* --- files --- */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The key's octets at the start of LINE, quotes included; the sendmail form may put the colon
 * right behind it. */
static size_t
key_span(const char *line)
{
	struct ipnet net;
	size_t i, span = strcspn(line, " \t");
	char *word;
	bool network;

	if (line[0] == '"') {
		for (i = 1; line[i] != '\0' && line[i] != '"'; i++)
			i += line[i] == '\\' && line[i + 1] != '\0';
		return line[i] == '"' ? i + 1 : i;
	}
	word = xstrndup(line, span);
	network = ipnet_parse(word, &net);
	if (!network && span > 0 && line[span - 1] == ':') {
		/* "2001:db8::1: value" */
		word[span - 1] = '\0';
		network = ipnet_parse(word, &net);
		span -= network;
	}
	free(word);
	return network ? span : strcspn(line, " \t:");
}

/* A '#' at the start of a word, outside of quotes, to the end of the line; then trailing space. */
static void
cut_comment(char *line)
{
	bool quoted = false;
	size_t i;

	for (i = 0; line[i] != '\0'; i++) {
		if (line[i] == '\\' && line[i + 1] != '\0')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
		else if (line[i] == '#' && !quoted && (i == 0 || is_space(line[i - 1])))
			break;
	}
	while (i > 0 && (is_space(line[i - 1]) || line[i - 1] == '\r' || line[i - 1] == '\n'))
		i--;
	line[i] = '\0';
}

/* One logical line "key", "key value" or "key: value".  NULL, or what is wrong. */
static char *
add_line(struct content *content, const char *line)
{
	struct buf key = { 0 };
	const char *rest, *why = NULL;
	char *error = NULL;
	size_t span = key_span(line), at = 0;

	if (span == 0)
		return xstrdup("there is no key before the \":\"");
	if (line[0] == '"' && quote_read(line, span, &key, &why, &at) == 0)
		error = xstrdup(why);
	else if (line[0] != '"')
		buf_add(&key, line, span);
	rest = line + span;
	rest += strspn(rest, " \t");
	if (*rest == ':')
		rest++;
	rest += strspn(rest, " \t");
	if (error == NULL && !content_add(content, buf_str(&key), rest))
		error = xasprintf("\"%s\" is there already", buf_str(&key));
	buf_free(&key);
	return error;
}

struct reader {
	struct content content;
	struct buf logical; /* a line and its continuations */
	unsigned long first; /* number of its first line */
};

static char *
flush_line(struct reader *reader, const char *path)
{
	char *why = NULL, *error = NULL;

	if (reader->logical.len > 0)
		why = add_line(&reader->content, buf_str(&reader->logical));
	buf_clear(&reader->logical);
	if (why != NULL)
		error = xasprintf("%s:%lu: %s", path, reader->first, why);
	free(why);
	return error;
}

/* A line that begins with white space continues the one before, as in sendmail's alias files. */
static char *
read_lines(struct reader *reader, FILE *file, const char *path)
{
	char *line = NULL, *error = NULL, *text;
	unsigned long number = 0;
	size_t size = 0;
	ssize_t len;
	bool more;

	while (error == NULL && (len = getline(&line, &size, file)) != -1) {
		number++;
		if (strlen(line) != (size_t)len) {
			error = xasprintf("%s:%lu: there is a NUL in this line", path, number);
			break;
		}
		more = is_space(line[0]);
		cut_comment(line);
		text = line + strspn(line, " \t");
		if (*text == '\0')
			continue;
		if (!more || reader->logical.len == 0) {
			error = flush_line(reader, path);
			reader->first = number;
		} else {
			buf_addc(&reader->logical, ' ');
		}
		buf_adds(&reader->logical, text);
	}
	if (error == NULL && ferror(file))
		error = xasprintf("%s: %s", path, strerror(errno));
	if (error == NULL)
		error = flush_line(reader, path);
	free(line);
	return error;
}

char *
table_load_file(struct table *table, const char *path)
{
	struct reader reader = { .first = 0 };
	struct stat st;
	char *error, *own_path = xstrdup(path); /* PATH may be the table's own */
	FILE *file = fopen(path, "re");

	if (file == NULL || fstat(fileno(file), &st) == -1)
		error = xasprintf("%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		error = xasprintf("%s: not a regular file", path);
	else
		error = read_lines(&reader, file, path);
	if (file != NULL)
		fclose(file);
	buf_free(&reader.logical);
	free(table->path);
	table->path = own_path;
	if (error != NULL) {
		content_free(&reader.content);
		return error;
	}
	content_free(&table->content);
	table->content = reader.content;
	table->seen = st;
	return NULL;
}

char *
table_refresh(struct table *table)
{
	struct stat st;

	if (table->path == NULL)
		return NULL;
	if (stat(table->path, &st) == -1)
		return xasprintf("%s: %s", table->path, strerror(errno));
	if (st.st_mtim.tv_sec == table->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == table->seen.st_mtim.tv_nsec &&
	    st.st_size == table->seen.st_size && st.st_ino == table->seen.st_ino &&
	    st.st_dev == table->seen.st_dev)
		return NULL;
	return table_load_file(table, table->path);
}

/* --- questions --- */

const char *
table_get(const struct table *table, const char *key)
{
	const struct entry *entry;
	struct ipnet net;
	char *folded = normal_key(key, &net);

	entry = find(&table->content, folded);
	free(folded);
	return entry != NULL ? entry->value : NULL;
}

static bool
match_network(const struct content *content, const struct ip *ip)
{
	const bool *lengths = ip->family == AF_INET ? content->v4 : content->v6;
	int bits = ip->family == AF_INET ? 32 : ip->family == AF_INET6 ? 128 : -1;
	struct ipnet net;

	for (; bits >= 0; bits--) {
		if (!lengths[bits])
			continue;
		net = ip_network(ip, (uint8_t)bits);
		if (find(content, network_key(&net).s) != NULL)
			return true;
	}
	return false;
}

/* FOLDED, or what stands behind one of its dots, with that dot or without. */
static bool
match_labels(const struct content *content, const char *folded)
{
	const char *s;

	if (folded[0] == '\0')
		return false;
	if (find(content, folded) != NULL)
		return true;
	for (s = strchr(folded + 1, '.'); s != NULL; s = strchr(s + 1, '.')) {
		if (find(content, s) != NULL || (s[1] != '\0' && find(content, s + 1) != NULL))
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

	if (table->content.n == 0)
		return false;
	if (len > 0 && name[len - 1] == '.')
		len--;
	add_folded(&folded, name, len);
	match = match_labels(&table->content, buf_str(&folded));
	buf_free(&folded);
	return match;
}

bool
table_match_client(const struct table *table, const struct ip *ip, const char *name)
{
	return match_network(&table->content, ip) ||
	       (name != NULL && table_match_name(table, name));
}

bool
table_match_address(const struct table *table, const char *address)
{
	const struct content *content = &table->content;
	struct buf folded = { 0 };
	char *domain, first;
	bool match;

	if (content->n == 0)
		return false;
	if (address[0] == '\0')
		return find(content, "") != NULL || find(content, NULL_SENDER) != NULL;
	add_folded(&folded, address, strlen(address));
	match = find(content, folded.data) != NULL;
	domain = strrchr(folded.data, '@');
	if (!match && domain != NULL) {
		match = find(content, domain) != NULL || match_labels(content, domain + 1);
		first = domain[1];
		domain[1] = '\0';
		match = match || find(content, folded.data) != NULL;
		domain[1] = first;
	}
	buf_free(&folded);
	return match;
}

void
table_each(
    const struct table *table, void (*visit)(const char *key, const char *value, void *), void *arg)
{
	size_t i;

	for (i = 0; i < table->content.n; i++)
		visit(table->content.order[i]->key, table->content.order[i]->value, arg);
}

size_t
table_count(const struct table *table)
{
	return table->content.n;
}

/* --- printing --- */

void
table_print_content(struct buf *out, const struct table *table)
{
	const struct entry *entry;
	struct ipnet net;
	size_t i;

	buf_adds(out, "{");
	for (i = 0; i < table->content.n; i++) {
		entry = table->content.order[i];
		buf_adds(out, i > 0 ? ", " : " ");
		if (ipnet_parse(entry->key, &net))
			buf_adds(out, entry->key);
		else
			quote_add(out, entry->key);
		if (entry->value[0] != '\0') {
			buf_adds(out, " = ");
			quote_add(out, entry->value);
		}
	}
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
