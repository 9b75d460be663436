/*
 * Named sets and maps of the configuration: `table friends { 192.0.2.0/24, "mail.example.net" }`,
 * `table virtual { "a" = "b" }`, `table aliases file "/etc/aliases"`.  One interface for every
 * kind.  File tables are read when the configuration is loaded (any line "key", "key value" or
 * "key: value", "#" begins a comment); table_refresh reads them again when the file changed, in
 * roles that may open it.
 */
#ifndef LIB_TABLE_H
#define LIB_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct ip;
struct table;
struct buf;

/* NAME may be "" for a list written in place. */
struct table *table_new(const char *name);
void table_free(struct table *);
/* The same for one whose name is "", so that a list written in place goes with its owner and a
 * named table stays; NULL is none. */
void table_free_in_place(const struct table *);
const char *table_name(const struct table *);
/* The file it comes from, or NULL. */
const char *table_path(const struct table *);

/* Overwrites keys and values, and is empty then. */
void table_wipe(struct table *);

/* VALUE may be NULL.  False: KEY is there already. */
bool table_add(struct table *, const char *key, const char *value);
/* Reads FILE now; NULL, or what is wrong: "/etc/x:12: ..." (caller frees). */
char *table_load_file(struct table *, const char *path);
/* Says which file it will be read from, without reading. */
void table_set_path(struct table *, const char *path);
/* Looks at the file's times and reads it anew when they changed; on error the old content stays
 * and the error is returned (caller frees). */
char *table_refresh(struct table *);

/* Keys fold case.  The value ("" for a set's member), or NULL. */
const char *table_get(const struct table *, const char *key);
/* A network that contains IP, or, when NAME is given, that name or a domain above it
 * ("example.net" and ".example.net" both match mail.example.net). */
bool table_match_client(const struct table *, const struct ip *, const char *name);
/* Some keys are no networks: table_match_client can then depend on the name. */
bool table_has_names(const struct table *);
/* The address itself, "local@", "@domain", "domain" or a domain above it. */
bool table_match_address(const struct table *, const char *address);
/* A name or a domain above it. */
bool table_match_name(const struct table *, const char *name);
/* In order of addition. */
void table_each(
    const struct table *, void (*visit)(const char *key, const char *value, void *), void *arg);
size_t table_count(const struct table *);
/* As it would stand in the configuration: <NAME>, or the list itself when it has no name. */
void table_print(struct buf *, const struct table *);
/* { KEY, KEY = "VALUE" ... } whether it has a name or not. */
void table_print_content(struct buf *, const struct table *);

#endif
