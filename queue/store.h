/*
 * The store: messages on disk, and the index of them in memory.  It is what the queue role stands on; it knows nothing
 * of schedules, destinations or other roles, and is driven by one event loop plus the flush thread it owns.
 *
 * Promise: when store_add's callback says 0, the message survives any crash of the program, and of the machine as far
 * as the disk keeps its word about fdatasync.  What a crash can cost is an outcome not yet flushed: a second delivery,
 * never a lost one.
 *
 * On disk, below DIR (0700): segments "journal/NNNNNNNNNN" (journal.h), contents above STORE_INLINE_MAX as files
 * "content/ID", "content/tmp.ID" before they are committed.
 */
#ifndef QUEUE_STORE_H
#define QUEUE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/envelope.h"

struct event_base;
struct evbuffer;
struct store;

/* Contents up to this many octets live in the journal; larger ones in files of their own. */
#define STORE_INLINE_MAX (256 * 1024)

/*
 * Opens or creates, recovers, and calls FOUND for every message that is not finished, oldest first.  Returns NULL with
 * *WHY (caller frees) when the directory cannot be used: a reason that an operator can act on.  A damaged record at the
 * end of the last segment is where recovery stops (a torn write that nobody was promised); elsewhere it is logged, the
 * segment is kept aside as "journal/NNNNNNNNNN.damaged", and the others are read.
 */
struct store *store_open(struct event_base *, const char *dir, void (*found)(struct envelope *, void *arg), void *arg,
    char **why);
/* Flushes what is pending and closes. */
void store_close(struct store *);

/*
 * Adds a message.  ENV becomes the store's own, and stays valid until store_finish; ENV->id must be set and new (else
 * -1).  Content is either CONTENT (drained) or, when the message came by store_content_create, the file of that id.
 * DONE is called from the loop, once, after the flush that covers it: 0, or a negated errno, in which case the
 * message is gone and ENV freed.
 */
int store_add(struct store *, struct envelope *env, struct evbuffer *content,
    void (*done)(struct envelope *env, int error, void *arg), void *arg);
/* A new file for a large content: a descriptor open for writing, which the caller closes or passes on; or -1 with
 * errno.  store_content_discard for one that will not be added. */
int store_content_create(struct store *, uint64_t id);
void store_content_discard(struct store *, uint64_t id);

/*
 * Records the present state of recipient INDEX (state, due, attempts, reason, host, notify...), after the caller
 * changed it in ENV.  Written at once, flushed with the next flush.  Adding recipients (expansion) is recorded by
 * store_update_all, in one record, so that a crash sees all of them or none.
 */
void store_update(struct store *, struct envelope *env, uint32_t index);
/* Records the whole envelope anew: held or released, expanded. DONE may be NULL; else as in store_add. */
void store_update_all(struct store *, struct envelope *env, void (*done)(struct envelope *, int error, void *),
    void *arg);
/* No recipient waits: forgets the message, frees ENV and, in time, its space. */
void store_finish(struct store *, struct envelope *env);

/* The content: appended to OUT when it is at most STORE_INLINE_MAX (from memory while it is fresh, else read), and *FD
 * is -1; else *FD is a new read-only descriptor of its file.  0, or a negated errno. */
int store_content(struct store *, const struct envelope *env, struct evbuffer *out, int *fd);

/* Iteration in order of age; the callback must not add or finish messages. */
void store_each(struct store *, bool (*visit)(struct envelope *, void *arg), void *arg);
struct envelope *store_find(struct store *, uint64_t id);

struct store_stats {
	uint64_t messages, recipients; /* unfinished */
	uint64_t segments, bytes, live_bytes;
	uint64_t records, flushes, flush_errors; /* since start */
};
void store_stats(const struct store *, struct store_stats *);
/* 0, or ENOSPC and the like when a message of SIZE octets should not be taken on now (disk or inodes short, journal
 * poisoned and not yet replaced). */
int store_check_room(struct store *, uint64_t size);

#endif
