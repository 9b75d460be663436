/*
 * The operator's own word about callers: `smtpctl grey allow` and `deny`.  Entries are few and are
 * asked for with every connection and recipient, so all of them are in memory, sorted; the ledger
 * keeps them on disk besides.
 *
 * When several entries match, the most exact one decides, and of two alike the one that denies: an
 * address or network before a name, the longer network before the shorter; a whole mail address
 * before a domain, the longer domain before the shorter, a domain before the greylist's identity.
 */
#ifndef FILTERS_OPERATOR_H
#define FILTERS_OPERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct ip;
struct operator_list;

enum operator_kind {
	OPERATOR_CLIENT,   /* address or network */
	OPERATOR_NAME,	   /* verified host name, and all below it */
	OPERATOR_IDENTITY, /* of identity_of(): "name:example.org" */
	OPERATOR_FROM,	   /* sender: address, "<>", or domain and all below it */
	OPERATOR_TO,	   /* recipient: likewise */
	OPERATOR_KINDS
};

struct operator_entry {
	enum operator_kind kind;
	bool allow;   /* else deny */
	bool rescued; /* by a rule of the gate, not by a person */
	uint32_t uid; /* who made it */
	int64_t created;
	int64_t expires;  /* 0: never */
	const char *text; /* as operator_text() gave it */
	const char *note; /* or "" */
};

enum operator_word { OPERATOR_SILENT, OPERATOR_ALLOW, OPERATOR_DENY };

#define OPERATOR_TEXT_MAX 512
#define OPERATOR_NOTE_MAX 256

/* "client", "name", "identity", "from", "to": the words of smtpctl. */
const char *operator_kind_name(enum operator_kind);
/* -1: none. */
int operator_kind_by_name(const char *, size_t len);
/* The one spelling of what was given for KIND; the caller frees.  NULL: *WHY (static) says what is
 * wrong. */
char *operator_text(enum operator_kind, const char *given, const char **why);

struct operator_list *operator_list_new(void);
void operator_list_free(struct operator_list *);
/* Copies it; one of the same kind and text is replaced. */
void operator_list_put(struct operator_list *, const struct operator_entry *);
/* False when there was none. */
bool operator_list_remove(struct operator_list *, enum operator_kind, const char *text);
/* The first entry behind AFTER (NULL: of all), by kind and text; NULL at the end. */
const struct operator_entry *operator_list_next(
    const struct operator_list *, const struct operator_entry *after);
const struct operator_entry *operator_list_find(
    const struct operator_list *, enum operator_kind, const char *text);
/* Is there an entry about mail: by identity, sender or recipient? */
bool operator_list_knows_mail(const struct operator_list *);
/* What the entries that have not expired at NOW say.  NAME, SENDER and the others may be NULL:
 * unknown. */
enum operator_word operator_on_caller(
    const struct operator_list *, const struct ip *, const char *name, int64_t now);
enum operator_word operator_on_mail(const struct operator_list *, const char *identity,
    const char *sender, const char *recipient, int64_t now);

/* On disk: kind and text are the key. */
void operator_encode_key(struct buf *, enum operator_kind, const char *text);
void operator_encode(struct buf *, const struct operator_entry *);
/* False when the octets are no entry.  Strings are copied: free them with operator_entry_clear().
 */
bool operator_decode(
    const void *key, size_t key_len, const void *value, size_t len, struct operator_entry *);
void operator_entry_clear(struct operator_entry *);

#endif
