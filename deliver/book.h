/*
 * Entries of the address book, for lookup.c and alias_loop.c: an address taken apart, and what is
 * known of it.
 */
#ifndef DELIVER_BOOK_H
#define DELIVER_BOOK_H

#include <stdbool.h>
#include <sys/types.h>

#include "deliver/lookup.h"

struct book_name {
	char *address; /* normalised, without the '\' */
	char *local;
	char *domain; /* "" for <postmaster> */
	char *base;   /* LOCAL up to the delimiter, or NULL: no extension */
	const char *extension;
	bool mailbox;		   /* no alias: the text of a recipient said so (target.h) */
	const struct domain *ours; /* NULL: a domain of others */
};

/* False, with nothing to free: ADDRESS is none, and *WHY says in words for a reply what is wrong.
 */
bool book_name_parse(
    const struct lookup_conf *, const char *address, struct book_name *, const char **why);
void book_name_free(struct book_name *);

enum book_kind {
	BOOK_NOBODY,  /* our domain, no such user */
	BOOK_ALIAS,   /* VALUE, that of NAME */
	BOOK_USER,    /* USER has a mailbox */
	BOOK_MOVED,   /* the address MOVED is meant */
	BOOK_EXPIRED, /* a return address of ours (srs.h) that is too old or not ours: WHY */
	BOOK_FOREIGN, /* a domain of others */
	BOOK_BEHIND,  /* a domain that we are the door of */
	BOOK_LISTS,   /* a domain of mailing lists */
	BOOK_ERROR    /* cannot be told now: WHY */
};

struct book_user {
	char *name;
	char *home;	       /* or NULL */
	const char *extension; /* of the book_name, or NULL */
	uid_t uid;	       /* system users only */
	gid_t gid;
};

struct book_entry {
	enum book_kind kind;
	char *value;
	char *name;	  /* "staff"; NULL for everybody who is nobody else */
	char *moved;
	struct book_user user;
	const char *why;
	char *fault;	  /* WHY, when it is a file's; or NULL */
	char *because;	  /* for people: what was found, and where it stands; or NULL */
};

/* Where mail for the host itself goes: its own name if that is a domain, else the first that has mailboxes; NULL: none. */
const struct domain *book_home(const struct lookup_conf *);

/* Who only wants to know of aliases may see BOOK_NOBODY for a user, who is then not looked for. */
void book_find(
    const struct lookup_conf *, const struct book_name *, bool aliases_only, struct book_entry *);
void book_entry_free(struct book_entry *);
/* ADDRESS is in a domain of ours, or at the host itself. */
bool book_is_ours(const struct lookup_conf *, const char *address);
/* The address that owner-NAME of the domain's aliases is, for an alias found by book_find; NULL: there
 * is none.  The caller frees. */
char *book_owner(const struct book_name *, const struct book_entry *);

#endif
