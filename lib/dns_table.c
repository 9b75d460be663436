/*
 * A list of records that answers questions (dns_table.h).
 *
 * lib/resolver.c asks it when it was told to.  Pure but for memory.  Answers are what a server that
 * knows these records would say: a name that is there without the type asked for, or that only has
 * names below it, is NODATA; one that is not there at all is NXDOMAIN; one that was declared silent,
 * or leads to one, or runs in a circle, is DNS_TEMP.
 */
#include <sys/tree.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/dns_table.h"
#include "lib/mem.h"

#define NAME_MAX_OCTETS 253
#define CHAIN_MAX 10
#define TTL 300

struct item {
	struct dns_record record;
	char *text; /* behind name or data */
};

struct name {
	RB_ENTRY(name) tree;
	char *text;
	bool silent;
	char *canonical; /* its CNAME, or NULL */
	struct item *items;
	unsigned n;
};

RB_HEAD(name_tree, name);

struct dns_table {
	struct name_tree names;
	struct dns_record *answer;
	unsigned answer_max;
};

static int
compare(const struct name *a, const struct name *b)
{
	return strcmp(a->text, b->text);
}

RB_GENERATE_INTERNAL(name_tree, name, tree, compare, __attribute__((unused)) static)

struct dns_table *
dns_table_new(void)
{
	struct dns_table *t = xcalloc(1, sizeof(*t));

	RB_INIT(&t->names);
	return t;
}

void
dns_table_free(struct dns_table *t)
{
	struct name *name;

	if (t == NULL)
		return;
	while ((name = RB_ROOT(&t->names)) != NULL) {
		RB_REMOVE(name_tree, &t->names, name);
		while (name->n > 0)
			free(name->items[--name->n].text);
		free(name->items);
		free(name->canonical);
		free(name->text);
		free(name);
	}
	free(t->answer);
	free(t);
}

/* Lower case, no last dot; NULL when it is too long for a name. */
static char *
spell(const char *s, size_t len)
{
	char *text, *p;

	if (len > 0 && s[len - 1] == '.')
		len--;
	if (len > NAME_MAX_OCTETS)
		return NULL;
	text = xstrndup(s, len);
	for (p = text; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return text;
}

static struct name *
find(struct dns_table *t, const char *text)
{
	struct name key = { .text = (char *)(uintptr_t)text };

	return RB_FIND(name_tree, &t->names, &key);
}

/* The name, and all above it, so that they exist. */
static struct name *
add_name(struct dns_table *t, const char *text)
{
	struct name *name = find(t, text);
	const char *dot;

	if (name != NULL)
		return name;
	name = xcalloc(1, sizeof(*name));
	name->text = xstrdup(text);
	RB_INSERT(name_tree, &t->names, name);
	dot = strchr(text, '.');
	if (dot != NULL && strncmp(text, "*.", 2) != 0)
		(void)add_name(t, dot + 1);
	return name;
}

/* --- records --- */

struct words {
	const char *pos;
	const char *word;
	size_t len;
};

static bool
next_word(struct words *w)
{
	w->pos += strspn(w->pos, " \t");
	w->word = w->pos;
	w->len = strcspn(w->pos, " \t");
	w->pos += w->len;
	return w->len > 0;
}

static bool
word_is(const struct words *w, const char *word)
{
	return strlen(word) == w->len && strncasecmp(w->word, word, w->len) == 0;
}

static bool
is_number(const struct words *w)
{
	return strspn(w->word, "0123456789") >= w->len;
}

static bool
is_same(const struct dns_record *a, const struct dns_record *b)
{
	if (a->type != b->type || a->preference != b->preference || a->data_len != b->data_len)
		return false;
	if (a->name != NULL || b->name != NULL)
		return a->name != NULL && b->name != NULL && strcasecmp(a->name, b->name) == 0;
	if (a->data_len > 0)
		return memcmp(a->data, b->data, a->data_len) == 0;
	return ip_equal(&a->ip, &b->ip);
}

/* RFC 2181 5: a record that is there twice is there once, as when a caller brings his records again. */
static void
add_item(struct name *name, struct dns_record record, char *text)
{
	unsigned i;

	for (i = 0; i < name->n; i++)
		if (is_same(&name->items[i].record, &record)) {
			free(text);
			return;
		}
	name->items = xreallocarray(name->items, name->n + 1, sizeof(*name->items));
	name->items[name->n++] = (struct item){ record, text };
}

/* A, AAAA */
static bool
add_address(struct name *name, uint16_t type, const char *data)
{
	struct dns_record r = { .type = type };

	if (!ip_parse(data, &r.ip) || (r.ip.family == AF_INET6) != (type == DNS_AAAA))
		return false;
	add_item(name, r, NULL);
	return true;
}

/* PTR, NS, MX */
static bool
add_pointer(struct name *name, uint16_t type, const char *data)
{
	struct dns_record r = { .type = type };
	struct words w = { .pos = data };
	char *text;

	if (type == DNS_MX) {
		if (!next_word(&w) || !is_number(&w) || w.len > 5)
			return false;
		r.preference = (uint16_t)atoi(w.word);
	}
	if (!next_word(&w) || (text = spell(w.word, w.len)) == NULL)
		return false;
	r.name = text;
	add_item(name, r, text);
	return true;
}

/* Strings in quotes are joined; without quotes it is the rest of the line. */
static bool
add_text(struct name *name, const char *data)
{
	struct dns_record r = { .type = DNS_TXT };
	struct buf text = { 0 };
	bool quoted = false;

	if (*data != '"') {
		buf_adds(&text, data);
	} else {
		for (; *data != '\0'; data++) {
			if (*data == '"')
				quoted = !quoted;
			else if (*data == '\\' && data[1] != '\0')
				buf_addc(&text, *++data);
			else if (quoted)
				buf_addc(&text, *data);
		}
	}
	r.data_len = text.len;
	r.data = (const uint8_t *)buf_take(&text);
	add_item(name, r, (char *)(uintptr_t)r.data);
	return !quoted;
}

static bool
add_alias(struct name *name, const char *data)
{
	struct words w = { .pos = data };

	free(name->canonical);
	name->canonical = next_word(&w) ? spell(w.word, w.len) : NULL;
	return name->canonical != NULL;
}

static bool
add_record(struct name *name, const struct words *type, const char *data)
{
	if (word_is(type, "SERVFAIL") || word_is(type, "TIMEOUT"))
		return name->silent = true;
	if (word_is(type, "A"))
		return add_address(name, DNS_A, data);
	if (word_is(type, "AAAA"))
		return add_address(name, DNS_AAAA, data);
	if (word_is(type, "PTR"))
		return add_pointer(name, DNS_PTR, data);
	if (word_is(type, "NS"))
		return add_pointer(name, DNS_NS, data);
	if (word_is(type, "MX"))
		return add_pointer(name, DNS_MX, data);
	if (word_is(type, "TXT"))
		return add_text(name, data);
	if (word_is(type, "CNAME"))
		return add_alias(name, data);
	return false;
}

char *
dns_table_add(struct dns_table *t, const char *record)
{
	struct words w = { .pos = record };
	char *text, *data, *why = NULL;
	size_t len;

	if (!next_word(&w) || (text = spell(w.word, w.len)) == NULL)
		return xstrdup("a name is expected");
	if (next_word(&w) && is_number(&w))
		(void)next_word(&w);
	if (word_is(&w, "IN"))
		(void)next_word(&w);
	data = xstrdup(w.pos + strspn(w.pos, " \t"));
	for (len = strlen(data); len > 0 && isspace((unsigned char)data[len - 1]); len--)
		data[len - 1] = '\0';
	if (!add_record(add_name(t, text), &w, data))
		why = xasprintf("\"%s\": a record is NAME TYPE DATA with the type A, AAAA, PTR, MX, TXT, CNAME or "
				"NS, or NAME SERVFAIL",
		    record);
	free(data);
	free(text);
	return why;
}

/* --- answers --- */

/* The name itself, or the wildcard beside it or above it where nothing is nearer. */
static struct name *
find_or_wildcard(struct dns_table *t, const char *text)
{
	struct name *name = find(t, text);
	const char *dot = text;
	char *wild;

	while (name == NULL && (dot = strchr(dot, '.')) != NULL) {
		wild = xasprintf("*%s", dot);
		name = find(t, wild);
		free(wild);
		dot++;
		if (name == NULL && find(t, dot) != NULL)
			break;
	}
	return name;
}

static void
fill(struct dns_table *t, const struct name *name, uint16_t type, struct dns_answer *a)
{
	unsigned i;

	if (name->n > t->answer_max) {
		t->answer_max = name->n;
		t->answer = xreallocarray(t->answer, t->answer_max, sizeof(*t->answer));
	}
	for (i = 0; i < name->n; i++)
		if (name->items[i].record.type == type)
			t->answer[a->records_n++] = name->items[i].record;
	a->records = t->answer;
	a->status = a->records_n > 0 ? DNS_OK : DNS_NODATA;
}

void
dns_table_answer(struct dns_table *t, const char *asked, uint16_t type, struct dns_answer *a)
{
	char *text = spell(asked, strlen(asked));
	struct name *name = NULL;
	unsigned links;

	*a = (struct dns_answer){ .status = DNS_NXDOMAIN, .ttl = TTL, .canonical = "" };
	if (text != NULL)
		name = find_or_wildcard(t, text);
	for (links = 0; name != NULL && name->canonical != NULL && type != DNS_CNAME; links++) {
		if (links == CHAIN_MAX) {
			*a = (struct dns_answer){ .status = DNS_TEMP, .why = "a chain of CNAMEs without an end",
				.canonical = "" };
			free(text);
			return;
		}
		a->canonical = name->canonical;
		name = find_or_wildcard(t, name->canonical);
	}
	if (name != NULL && name->silent) {
		a->status = DNS_TEMP;
		a->why = "SERVFAIL";
	} else if (name != NULL) {
		fill(t, name, type, a);
	}
	free(text);
}
