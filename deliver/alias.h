/*
 * The right side of an alias, "alice, bob@example.net, :include:/etc/mail/team", and the lines of a
 * .forward: what they name, as texts of recipients (target.h).  Parsing, and reading of the files
 * they include; who the addresses are is lookup.h's.
 */
#ifndef DELIVER_ALIAS_H
#define DELIVER_ALIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stat;

/* Addresses that one alias may stand for; their octets must fit a message between roles. */
#define ALIAS_TARGETS_MAX 20000
#define ALIAS_TARGETS_SIZE_MAX (768 * 1024)
#define ALIAS_FILE_MAX (1024 * 1024)

struct alias_targets {
	size_t n, cap, size; /* SIZE: octets of all */
	char **addresses;    /* target.h; each once */
	struct table *seen;
	bool includes; /* there are :include: items, read or not */
};

/* Whose alias it is. */
struct alias_of {
	const char *self;   /* "alice@example.org": programs and files are named by it */
	const char *local;  /* its local part, for "@example.net" */
	const char *domain; /* of names without one */
	bool read_files;    /* :include: files */
	uid_t account;      /* who runs its programs; a file of another's, but root's, may name none.  -1:
	                     * nobody */
};

/*
 * Adds what VALUE names.  NULL, or what is wrong as words that fit behind `alias "x": ` (caller
 * frees): a file that cannot be read or trusted, a slip of the pen, too many.  A line of an included
 * file that is none is logged and left out.
 */
char *alias_parse(const char *value, const struct alias_of *, struct alias_targets *);
/* The same for a .forward: lines of items, '#' begins a comment line.  What is wrong begins with the
 * number of the line.  TEXT is changed. */
char *alias_parse_text(char *text, const struct alias_of *, struct alias_targets *);
/* Looks at VALUE without reading any file: NULL, or what is wrong with it (caller frees); for
 * table_set_check. */
char *alias_check(const char *key, const char *value);
/* VALUE says "@example.net": a domain written anew, and nothing else. */
bool alias_is_domain(const char *value);
/* It names a program or a file other than /dev/null, itself. */
bool alias_needs_account(const char *value);
/* Adds one address, unless it is there. */
void alias_add(struct alias_targets *, const char *address);
/* What ADDRESS means by its own name is its mailbox. */
void alias_mark_self(struct alias_targets *, const char *address);
bool alias_has(const struct alias_targets *, const char *target);
void alias_free(struct alias_targets *);

/* Reads all of a file of at most ALIAS_FILE_MAX octets without waiting for anything; 0, or an errno:
 * EINVAL when it is no text. */
struct buf;
int alias_read_file(const char *path, struct buf *, struct stat *);

#endif
