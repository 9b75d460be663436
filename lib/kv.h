/*
 * A small ordered key-value store with transactions: Berkeley DB behind about ten calls.  One
 * process opens it (the ledger), always with recovery, in a directory of its own (0700); another
 * backend needs only this header. Keys and values are a few hundred octets; what is read is data
 * and is checked by whoever reads it.
 */
#ifndef LIB_KV_H
#define LIB_KV_H

#include <stdbool.h>
#include <stddef.h>

struct kv;	 /* an environment: one directory */
struct kv_table; /* one named table in it */

/* A directory that cannot be recovered is moved aside to "DIR.damaged-TIME" (its files to
 * "DIR/damaged-TIME.*" where DIR cannot be renamed) and an empty one is made; *WHY then says so
 * although the result is not NULL.  NULL: not even that was possible.  The caller frees *WHY. */
struct kv *kv_open(const char *dir, char **why);
void kv_close(struct kv *);
/* False while it is closed after an error, such as a full disk; it opens itself again as soon as it can. */
bool kv_is_open(const struct kv *);
struct kv_table *kv_table_open(struct kv *, const char *name, char **why);

/* 1 found (the value is copied to OUT, at most SIZE octets, *LEN its whole length), 0 not there, -1
 * error (logged). */
int kv_get(struct kv_table *, const void *key, size_t key_len, void *out, size_t size, size_t *len);
/* 0 or -1.  Survives the death of the process at once; power loss after the next kv_sync. */
int kv_put(struct kv_table *, const void *key, size_t key_len, const void *value, size_t len);
/* Many puts, and deletions where VALUE is NULL, all or none, for the price of one write: 0 or -1, as
 * kv_put. */
struct kv_change {
	const void *key;
	size_t key_len;
	const void *value;
	size_t len;
};
int kv_change_all(struct kv_table *, const struct kv_change *, size_t n);
/* 1 deleted, 0 not there, -1. */
int kv_delete(struct kv_table *, const void *key, size_t key_len);
/* From the first key >= FROM on, in order, while VISIT returns KV_NEXT; it may ask to delete the
 * present entry.  At most LIMIT entries; returns how many, or -1.  VISIT calls nothing of this
 * header.  To go on, pass the last key seen with a zero byte added. */
enum kv_step { KV_NEXT, KV_DELETE, KV_STOP };
long kv_scan(struct kv_table *, const void *from, size_t from_len, long limit,
    enum kv_step (*visit)(
	const void *key, size_t key_len, const void *value, size_t len, void *arg),
    void *arg);
/* Log to disk, checkpoint, old logs removed: from time to time, not for each put.  It runs beside
 * the caller; 0 says that it is under way, -1 that the last one failed. */
int kv_sync(struct kv *);

#endif
