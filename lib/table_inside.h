/*
 * The inside of tables: what table.c asks of every kind.  Nobody else includes this.
 *
 *	table.c         the questions: names, networks, addresses; printing
 *	table_key.c     the one spelling of a key
 *	table_list.c    keys in memory
 *	table_file.c    lines of text files, and when to read them again
 *	table_db.c      Berkeley DB files
 *	table_regex.c   patterns
 */
#ifndef LIB_TABLE_INSIDE_H
#define LIB_TABLE_INSIDE_H

#include <sys/stat.h>

#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/table.h"

#define LENGTHS_V4 33
#define LENGTHS_V6 129

/* Which questions can have an answer at all. */
struct table_shape {
	bool v4[LENGTHS_V4], v6[LENGTHS_V6]; /* the lengths that networks in here have */
	bool names;                          /* some keys are no networks */
};

struct table_row {
	const char *value;
	unsigned line;     /* of the file; 0: unknown */
	const char *fault; /* why VALUE cannot be believed, or NULL */
};

/* What is wrong with the lines of a file: texts for people, in their order. */
struct table_faults {
	char **texts;
	size_t n, cap;
	char *unread; /* the first whose key cannot be read, and its number */
	unsigned unread_line;
};

struct table_content;

struct table_ops {
	/* KEY is in its one form (table_normal_key), or for patterns any text.  ROW->VALUE lives until
	 * the next question. */
	bool (*find)(struct table_content *, const char *key, struct table_row *);
	/* NULL, or what is wrong, for the line of a list that its key stands in two lines: then the
	 * second one adds nothing.  NULL as the function: there is nothing to add to. */
	char *(*add)(struct table_content *, const char *key, const char *value, unsigned line);
	void (*each)(const struct table_content *,
	    void (*)(const char *key, const char *value, unsigned line, void *), void *);
	size_t (*count)(const struct table_content *);
	void (*free)(struct table_content *);
};

/* What every content begins with. */
struct table_content {
	const struct table_ops *ops;
	struct table_shape shape;
	struct table_faults faults;
};

struct table {
	char *name;
	char *path;
	enum table_kind kind;
	struct stat seen; /* of the file, when it was read */
	char *(*check)(const char *key, const char *value);
	struct table_content *content;
};

struct table_content *table_list_new(void);
struct table_content *table_regex_new(void);
/* NULL with *WHY. */
struct table_content *table_db_open(const char *path, char **why);
/* Adds the lines of FILE to CONTENT, and what is wrong with them to its faults; NULL, or why it cannot be
 * read. */
char *table_read_file(const char *path, enum table_kind, struct table_content *, struct stat *);

/* The one form of a key, and in *NET (family 0 if none) the network that it is.  The caller frees. */
char *table_normal_key(const char *key, struct ipnet *net);
struct ip_text table_network_key(const struct ipnet *);
/* LEN octets of a name in small letters. */
void table_add_folded(struct buf *, const char *, size_t len);
/* Puts what NET is the network of (family 0: a name) into the shape. */
void table_shape_add(struct table_shape *, const struct ipnet *);

#endif
