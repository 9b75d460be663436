/*
 * Tables in memory: a hash over the folded keys, the order of addition beside it.
 *
 * Lists of the configuration and text files end here.  A question costs one lookup however long the
 * table is.  Nothing can fail but a key that is there already; when lines of a file give it different
 * values neither of them counts, since nobody can know which was meant.  The hash is not keyed: whoever can
 * choose the keys can write the configuration.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/table_inside.h"

#define BUCKETS_MIN 16

struct entry {
	char *key;   /* in its one form */
	char *value; /* "" in a set */
	char *fault; /* it has another one, too; or NULL */
	struct entry *next;
	unsigned line;
};

struct list {
	struct table_content content;
	struct entry **buckets;
	size_t buckets_n; /* a power of two, or 0 */
	struct entry **order;
	size_t n, cap;
};

/* FNV-1a */
static uint64_t
hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	return h;
}

static struct entry *
find_entry(const struct list *list, const char *key)
{
	struct entry *entry;

	if (list->buckets_n == 0)
		return NULL;
	entry = list->buckets[hash(key) & (list->buckets_n - 1)];
	while (entry != NULL && strcmp(entry->key, key) != 0)
		entry = entry->next;
	return entry;
}

static void
link_entry(struct list *list, struct entry *entry)
{
	struct entry **bucket = &list->buckets[hash(entry->key) & (list->buckets_n - 1)];

	entry->next = *bucket;
	*bucket = entry;
}

static void
make_room(struct list *list)
{
	size_t i;

	if (list->n == list->cap) {
		list->cap = list->cap == 0 ? BUCKETS_MIN : list->cap * 2;
		list->order = xreallocarray(list->order, list->cap, sizeof(list->order[0]));
	}
	if (list->n < list->buckets_n)
		return;
	free(list->buckets);
	list->buckets_n = list->buckets_n == 0 ? BUCKETS_MIN : list->buckets_n * 2;
	list->buckets = xcalloc(list->buckets_n, sizeof(list->buckets[0]));
	for (i = 0; i < list->n; i++)
		link_entry(list, list->order[i]);
}

/* KEY is in lines of the file twice. */
static char *
add_again(struct entry *first, const char *key, const char *value, unsigned line)
{
	bool same = strcmp(first->value, value) == 0;

	if (!same && first->fault == NULL)
		first->fault = xasprintf("\"%s\" has different values in lines %u and %u", key,
		    first->line, line);
	return xasprintf("\"%s\" is there already, in line %u%s", key, first->line,
	    same ? "" : ", with another value; neither counts");
}

static char *
list_add(struct table_content *content, const char *key, const char *value, unsigned line)
{
	struct list *list = (struct list *)content;
	struct entry *entry;
	struct ipnet net;
	char *normal = table_normal_key(key, &net);

	if (value == NULL)
		value = "";
	entry = find_entry(list, normal);
	if (entry != NULL) {
		free(normal);
		return entry->line == 0 ? xasprintf("\"%s\" is there already", key)
					: add_again(entry, key, value, line);
	}
	make_room(list);
	entry = xcalloc(1, sizeof(*entry));
	entry->key = normal;
	entry->value = xstrdup(value);
	entry->line = line;
	link_entry(list, entry);
	list->order[list->n++] = entry;
	table_shape_add(&content->shape, &net);
	return NULL;
}

static bool
list_find(struct table_content *content, const char *key, struct table_row *row)
{
	const struct entry *entry = find_entry((struct list *)content, key);

	if (entry == NULL)
		return false;
	*row = (struct table_row){ entry->value, entry->line, entry->fault };
	return true;
}

static void
list_each(const struct table_content *content,
    void (*visit)(const char *, const char *, unsigned, void *), void *arg)
{
	const struct list *list = (const struct list *)content;
	size_t i;

	for (i = 0; i < list->n; i++)
		visit(list->order[i]->key, list->order[i]->value, list->order[i]->line, arg);
}

static size_t
list_count(const struct table_content *content)
{
	return ((const struct list *)content)->n;
}

static void
list_free(struct table_content *content)
{
	struct list *list = (struct list *)content;
	size_t i;

	for (i = 0; i < list->n; i++) {
		explicit_bzero(list->order[i]->key, strlen(list->order[i]->key));
		explicit_bzero(list->order[i]->value, strlen(list->order[i]->value));
		free(list->order[i]->key);
		free(list->order[i]->value);
		free(list->order[i]->fault);
		free(list->order[i]);
	}
	free(list->order);
	free(list->buckets);
	free(list);
}

struct table_content *
table_list_new(void)
{
	static const struct table_ops ops = {
		.find = list_find,
		.add = list_add,
		.each = list_each,
		.count = list_count,
		.free = list_free,
	};
	struct list *list = xcalloc(1, sizeof(*list));

	list->content.ops = &ops;
	return &list->content;
}
