/*
 * The ledger's records on disk: typed reading and writing over kv.h.  Everything answers 1 there, 0
 * not there, -1 no answer (the store is broken or was never opened: STORE may be NULL); a record
 * that does not decode is deleted and not there.
 */
#ifndef FILTERS_LEDGER_STORE_H
#define FILTERS_LEDGER_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/ledger_item.h"
#include "lib/kv.h"

struct ledger_store;

/* As kv_open: *WHY may say something although the store is open; the caller frees it. */
struct ledger_store *ledger_store_open(const char *dir, char **why);
void ledger_store_close(struct ledger_store *);
/* Does it answer; false of none, and while it is closed after an error. */
bool ledger_store_is_open(const struct ledger_store *);
int ledger_store_sync(struct ledger_store *);
/* How many of those failed since it was opened. */
uint64_t ledger_store_sync_failures(const struct ledger_store *);

int ledger_get_triplet(struct ledger_store *, const struct grey_question *, struct grey_record *);
int ledger_put_triplet(
    struct ledger_store *, const struct grey_question *, const struct grey_record *);
/* Texts longer than a name may be are cut (tries.h). */
int ledger_get_tries(struct ledger_store *, const struct grey_question *, struct tries *);
int ledger_put_tries(struct ledger_store *, const struct grey_question *, const struct tries *);
int ledger_get_identity(struct ledger_store *, const char *identity, struct grey_identity *);
int ledger_put_identity(struct ledger_store *, const char *identity, const struct grey_identity *);
/* ITEM_PASSED, ITEM_TRAP, ITEM_LEFT, ITEM_STAYED.  What is over at NOW is not there. */
int ledger_get_caller(struct ledger_store *, enum ledger_item_type, const struct ip *, int64_t now);
int ledger_put_caller(
    struct ledger_store *, enum ledger_item_type, const struct ip *, int64_t now, int64_t until);
/* Case does not matter. */
int ledger_get_correspondent(
    struct ledger_store *, const char *theirs, const char *ours, int64_t now);
int ledger_put_correspondent(
    struct ledger_store *, const char *theirs, const char *ours, int64_t until);
int ledger_put_operator(struct ledger_store *, const struct operator_entry *);
int ledger_delete_operator(struct ledger_store *, enum operator_kind, const char *text);
/* ACCOUNT in lower case; only what the subject has of IP and ACCOUNT matters. */
int ledger_get_lockout(struct ledger_store *, enum lockout_subject, const struct ip *, const char *account,
    struct lockout *);
int ledger_put_lockout(struct ledger_store *, enum lockout_subject, const struct ip *, const char *account,
    const struct lockout *);
int ledger_get_counts(struct ledger_store *, const struct report_key *, struct report_counts *);
int ledger_put_counts(
    struct ledger_store *, const struct report_key *, const struct report_counts *);
int ledger_get_waits(struct ledger_store *, uint32_t hour, struct report_waits *);
int ledger_put_waits(struct ledger_store *, uint32_t hour, const struct report_waits *);
/* 1 also for one that is over; its strings are valid until the next call. */
int ledger_get_policy(struct ledger_store *, const char *domain, struct ledger_policy *);
int ledger_put_policy(struct ledger_store *, const char *domain, const struct ledger_policy *);
/* Adds a decision to the last ones; the oldest goes when there are too many.  It is on disk after
 * the next flush, and whoever scans the table sees it (ledger_events.h). */
#define LEDGER_EVENTS_KEPT 20000
int ledger_put_event(struct ledger_store *, const struct gate_event *);
int ledger_flush_events(struct ledger_store *);

/*
 * Looks at the items of TABLE from the key in POSITION on, at most LIMIT, and leaves in POSITION
 * where to go on.  VISIT answers as for kv_scan; what does not decode is deleted unseen.  How many
 * were met, fewer than LIMIT when the end was reached or VISIT stopped; or -1.
 */
long ledger_scan(struct ledger_store *, enum ledger_table, struct buf *position, long limit,
    enum kv_step (*visit)(const struct ledger_item *, void *arg), void *arg);

#endif
