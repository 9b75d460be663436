/*
 * The right side of an alias: "alice, bob@example.net, :include:/etc/mail/team".  Parsing, and
 * reading of the files it includes; who the addresses are is lookup.h's.
 */
#ifndef DELIVER_ALIAS_H
#define DELIVER_ALIAS_H

#include <stdbool.h>
#include <stddef.h>

/* Addresses that one alias may stand for; their octets must fit a message between roles. */
#define ALIAS_TARGETS_MAX 20000
#define ALIAS_TARGETS_SIZE_MAX (768 * 1024)
#define ALIAS_FILE_MAX (1024 * 1024)

struct alias_targets {
	size_t n, cap, size; /* SIZE: octets of all */
	/* "local@domain", normalised; "\local@domain": that mailbox, whatever alias there is.  Each
	 * once. */
	char **addresses;
	struct table *seen;
	bool includes; /* there are :include: items, read or not */
};

/*
 * Adds what VALUE names; a name without a domain is one of DOMAIN's.  :include: files are read when
 * READ_FILES.  NULL, or what is wrong as words that fit behind `alias "x": ` (caller frees); *LATER
 * is then true when the operator can put it right (a file, a slip of the pen, too many), false when
 * the alias asks for what is not done here.
 */
char *alias_parse(
    const char *value, const char *domain, bool read_files, struct alias_targets *, bool *later);
/* Adds one address, unless it is there. */
void alias_add(struct alias_targets *, const char *address);
void alias_free(struct alias_targets *);

#endif
