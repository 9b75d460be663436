/*
 * What the ledger keeps, as keys and values of its tables: one encoder for each kind of key, one
 * decoder for whatever is found on disk.  Pure; the store (ledger_store.h) reads and writes.
 *
 * Parts of a key are length-prefixed, so that no value from outside can look like the end of one
 * part and the beginning of another.  Keys that a scan should meet in an order begin with a
 * big-endian number.
 */
#ifndef FILTERS_LEDGER_ITEM_H
#define FILTERS_LEDGER_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/grey.h"
#include "filters/lockout.h"
#include "filters/operator.h"
#include "filters/report.h"
#include "filters/tries.h"

struct buf;

enum ledger_table {
	TABLE_GREY,	     /* triplets and identities */
	TABLE_CALLER,	     /* who passed lately, who is trapped, who hung up, who stayed */
	TABLE_CORRESPONDENT, /* to whom one of ours wrote */
	TABLE_OPERATOR,
	TABLE_COUNTER,
	TABLE_EVENT, /* the last decisions, by number */
	TABLE_TRIES, /* what was put off and came back */
	TABLE_LOGIN, /* who failed to log in, who has */
	TABLE_POLICY, /* MTA-STS policies of domains */
	TABLE_COUNT
};

enum ledger_item_type {
	ITEM_TRIPLET,
	ITEM_IDENTITY,
	ITEM_PASSED,
	ITEM_TRAP,
	ITEM_LEFT,
	ITEM_STAYED,
	ITEM_CORRESPONDENT,
	ITEM_OPERATOR,
	ITEM_COUNTS,
	ITEM_WAITS,
	ITEM_EVENT,
	ITEM_TRIES,
	ITEM_LOGIN,
	ITEM_POLICY
};

/* Strings point into the key and value that were decoded, but for the operator's entry. */
struct ledger_item {
	enum ledger_item_type type;
	const char *identity, *sender, *recipient; /* TRIPLET, TRIES; IDENTITY: the first */
	struct grey_record triplet;
	struct grey_identity trust; /* IDENTITY */
	struct ip client;	    /* PASSED, TRAP, LEFT, STAYED, LOGIN but for an account */
	const char *theirs, *ours;  /* CORRESPONDENT */
	int64_t until;		    /* PASSED, TRAP, LEFT, STAYED, CORRESPONDENT */
	struct operator_entry operator_entry;
	struct report_key key; /* COUNTS; WAITS: the hour */
	struct report_counts counts;
	struct report_waits waits;
	enum lockout_subject subject; /* LOGIN */
	const char *account;	      /* LOGIN, or "" */
	struct lockout lockout;
	uint64_t number; /* EVENT */
	struct gate_event event;
	struct tries tries;
	const char *domain; /* POLICY */
	struct ledger_policy policy;
};

/* With what all keys of a type begin: where a scan for it starts. */
void ledger_key_first(struct buf *, enum ledger_item_type);
void ledger_key_triplet(
    struct buf *, const char *identity, const char *sender, const char *recipient);
void ledger_key_tries(
    struct buf *, const char *identity, const char *sender, const char *recipient);
void ledger_key_identity(struct buf *, const char *identity);
/* With what all keys of an identity's ITEM_TRIPLET or ITEM_TRIES begin. */
void ledger_key_triplets_of(struct buf *, enum ledger_item_type, const char *identity);
/* ITEM_PASSED, ITEM_TRAP, ITEM_LEFT or ITEM_STAYED */
void ledger_key_caller(struct buf *, enum ledger_item_type, const struct ip *);
/* Both in lower case. */
void ledger_key_correspondent(struct buf *, const char *theirs, const char *ours);
void ledger_key_counts(struct buf *, const struct report_key *);
void ledger_key_waits(struct buf *, uint32_t hour);
/* With what the keys of ITEM_COUNTS or ITEM_WAITS of that hour begin. */
void ledger_key_hour(struct buf *, enum ledger_item_type, uint32_t hour);
void ledger_key_event(struct buf *, uint64_t number);

/* IP and ACCOUNT as far as SUBJECT has them. */
void ledger_key_login(struct buf *, enum lockout_subject, const struct ip *, const char *account);

/* The value of PASSED, TRAP, LEFT, STAYED and CORRESPONDENT: written at SINCE (0: by a version that did not say). */
void ledger_until_encode(struct buf *, int64_t since, int64_t until);
bool ledger_until_decode(const void *, size_t, int64_t *since, int64_t *until);
void ledger_event_value(struct buf *, const struct gate_event *);
void ledger_key_policy(struct buf *, const char *domain);
void ledger_policy_value(struct buf *, const struct ledger_policy *);
bool ledger_policy_decode(const void *, size_t, struct ledger_policy *);

/* False when the octets are nothing that this version writes into TABLE. */
bool ledger_item_decode(enum ledger_table, const void *key, size_t key_len, const void *value,
    size_t len, struct ledger_item *);
void ledger_item_clear(struct ledger_item *);
/* When the purge may drop it; INT64_MAX: never by age. */
int64_t ledger_item_expires(const struct ledger_item *);
/* "waiting", "trusted", "allowed" ... as `grey list state=` selects. */
const char *ledger_item_state(const struct ledger_item *, int64_t now);

/* Hours that counters are kept. */
#define LEDGER_HOURS_KEPT (62 * 24)

#endif
