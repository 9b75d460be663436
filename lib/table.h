/*
 * Named sets and maps of the configuration, one interface for every kind:
 *
 *	table friends { 192.0.2.0/24, "mail.example.net" }	table virtual { "a" = "b" }
 *	table aliases file "/etc/aliases"	any line "key", "key value" or "key: value"
 *	table members db "/etc/genkan/members.db"	made by `smtpctl table build`, read as it is asked
 *	table odd regex { "^sales-.*@" = "bob" }	table odd regex "/etc/genkan/odd"
 *
 * They are read when the configuration is loaded; table_refresh reads them again when their file
 * changed, in roles that may open it.  A line of a file that makes no sense costs what it would have
 * said, and no other line: table_each_fault tells all of them, and whoever asks for the value of a key
 * that has two different ones gets none.
 */
#ifndef LIB_TABLE_H
#define LIB_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct ip;
struct table;
struct buf;

enum table_kind {
	TABLE_LIST,  /* keys in memory, from the configuration or a file */
	TABLE_DB,    /* keys in a Berkeley DB file */
	TABLE_REGEX  /* patterns, from the configuration or a file: the first that fits */
};

/* NAME may be "" for a list written in place. */
struct table *table_new(const char *name);
void table_free(struct table *);
/* The same for one whose name is "", so that a list written in place goes with its owner and a
 * named table stays; NULL is none. */
void table_free_in_place(const struct table *);
/* Of an empty table, before anything else. */
void table_set_kind(struct table *, enum table_kind);
enum table_kind table_kind(const struct table *);
const char *table_name(const struct table *);
/* The file it comes from, or NULL. */
const char *table_path(const struct table *);

/* Overwrites keys and values, and is empty then. */
void table_wipe(struct table *);

/* VALUE may be NULL.  False: KEY is there already. */
bool table_add(struct table *, const char *key, const char *value);
/* An element of a list in the configuration: a key, or the pattern of a REGEX table.  NULL, or what is
 * wrong with it (caller frees). */
char *table_add_element(struct table *, const char *key, const char *value);
/* What the values of this table must be: CHECK gives NULL, or what is wrong (caller frees).  For
 * table_each_fault; a value that fails it is given all the same to whoever asks. */
void table_set_check(struct table *, char *(*check)(const char *key, const char *value));
/* Reads FILE now; NULL, or why it cannot be read: "/etc/x: Permission denied" (caller frees).  A DB is
 * opened. */
char *table_load_file(struct table *, const char *path);
/* Tells what is wrong with its lines, "/etc/x:12: ...", and with its values, in this order; of a DB
 * nothing. */
void table_each_fault(const struct table *, void (*visit)(const char *what, void *), void *arg);
/* The first of these (caller frees), or NULL. */
char *table_first_fault(const struct table *);
/* Logs the first of these. */
void table_log_faults(const struct table *);
/* Says which file it will be read from, without reading. */
void table_set_path(struct table *, const char *path);
/* Looks at the file's times and reads it anew when they changed, and logs what is wrong with its lines;
 * when it cannot be read the old content stays and the error is returned (caller frees). */
char *table_refresh(struct table *);

/* Keys fold case.  The value ("" for a set's member), or NULL: there is none, or it cannot be told
 * (table_fault); it lives until the table is asked or refreshed again. */
const char *table_get(const struct table *, const char *key);
/* Why the value of KEY cannot be told: lines of a file give it two, or a pattern above it is none.
 * NULL: nothing is wrong with it (caller frees). */
char *table_fault(const struct table *, const char *key);
/* The first line of its file that does not even tell whose it is, or NULL.  Whom the table does not
 * name may be meant by it. */
const char *table_unread(const struct table *);
/* Where what table_get found stands: "/etc/aliases:12", "<virtual>", or "a list" without a name.  The
 * caller frees. */
char *table_where(const struct table *, const char *key);
/* A network that contains IP, or, when NAME is given, that name or a domain above it
 * ("example.net" and ".example.net" both match mail.example.net). */
bool table_match_client(const struct table *, const struct ip *, const char *name);
/* Some keys are no networks: table_match_client can then depend on the name. */
bool table_has_names(const struct table *);
/* The address itself, "local@", "@domain", "domain" or a domain above it. */
bool table_match_address(const struct table *, const char *address);
/* A name or a domain above it. */
bool table_match_name(const struct table *, const char *name);
/* In order of addition, of a DB in that of its keys; of REGEX the patterns. */
void table_each(
    const struct table *, void (*visit)(const char *key, const char *value, void *), void *arg);
size_t table_count(const struct table *);
/* As it would stand in the configuration: <NAME>, or the list itself when it has no name. */
void table_print(struct buf *, const struct table *);
/* What stands behind its name in a statement: { KEY, KEY = "VALUE" ... }, or the kind and the file. */
void table_print_content(struct buf *, const struct table *);

/* Writes all of the table to a new file for `table NAME db "PATH"`, in place of what was there, in one
 * step.  NULL, or what is wrong (caller frees). */
char *table_build(const struct table *, const char *path);

#endif
