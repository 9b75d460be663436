/*
 * The directory of a key-value store: ours alone, held by one process, moved aside when what is in it
 * is damaged.
 */
#ifndef LIB_KV_DIR_H
#define LIB_KV_DIR_H

#include <stdbool.h>
#include <stddef.h>

struct kv_dir {
	char *path;
	int lock; /* held while it is not -1 */
};

/* The path of FILE in it; the caller frees. */
char *kv_dir_path(const struct kv_dir *, const char *file);
/* Makes it if need be, refuses one that others may write to, and holds it.  0, or -1 with *WHY, which
 * the caller frees. */
int kv_dir_take(struct kv_dir *, char **why);
void kv_dir_release(struct kv_dir *);
/* True when so much more can be written there: a store that fails otherwise fails for want of room,
 * not of health. */
bool kv_dir_has_room(const struct kv_dir *, size_t octets);
/* Puts what is there out of the way and leaves an empty directory that is held.  *WHERE says where it
 * went; the caller frees.  0 or -1. */
int kv_dir_move_aside(struct kv_dir *, char **where);

/* Recovery reads files that may hold anything, and a crash in it would come again with every restart
 * of the role.  So each opening leaves a mark first and wipes it out after.  0, an errno, or
 * KV_DIR_DAMAGED when too many in a row did not come to their end. */
#define KV_DIR_DAMAGED -1
int kv_dir_opening_begin(const struct kv_dir *);
void kv_dir_opening_end(const struct kv_dir *);

#endif
