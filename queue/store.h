/*
 * The store: messages on disk, and the index of them in memory.  It is what the queue role stands
 * on; it knows nothing of schedules, destinations or other roles, and is driven by one event loop
 * plus the two threads that it owns (journal.h).
 *
 * Promise: when store_add's callback says 0, the message survives any crash of the program, and of
 * the machine as far as the disk keeps its word about fdatasync.  What a crash can cost is an
 * outcome not yet flushed: a second delivery, never a lost one.
 *
 * On disk, below DIR (0700): segments "journal/NNNNNNNNNN" (journal_keeper.c lists the other
 * names), contents above STORE_INLINE_MAX as files "content/ID", "content/tmp.ID" before they are
 * committed; small files (store_file.c).
 */
#ifndef QUEUE_STORE_H
#define QUEUE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/envelope.h"

struct buf;
struct event_base;
struct evbuffer;
struct store;

/* Contents up to this many octets live in the journal; larger ones in files of their own. */
#define STORE_INLINE_MAX (256 * 1024)

/*
 * Opens or creates, recovers, and calls FOUND for every message that is not finished, oldest
 * first.  Returns NULL with *WHY (caller frees) when the directory cannot be used: a reason that
 * an operator can act on.  A damaged record at the end of the last segment is where recovery
 * stops (a torn write that nobody was promised); elsewhere it is logged, the segment is kept
 * aside as "journal/NNNNNNNNNN.damaged", and the others are read.
 */
struct store *store_open(struct event_base *, const char *dir,
    void (*found)(struct envelope *, void *arg), void *arg, char **why);
/* Flushes what is pending, calls every DONE that is owed (-ESHUTDOWN when it could not be
 * flushed), and closes.  All envelopes are freed.  NULL is allowed. */
void store_close(struct store *);

/*
 * Adds a message.  Returns 0, and ENV is the store's own and stays valid until store_finish; or -1
 * when envelope_ok() says no, the id is taken, or CONTENT is larger than STORE_INLINE_MAX: then
 * everything stays the caller's.  The content is CONTENT (drained) or, when that is NULL, the file
 * of store_content_create for that id.
 *
 * DONE is called from the loop, once, after the flush that covers the message: with 0; or with a
 * negated errno, and then nothing of the message stays and ENV is freed when DONE returns.  Until
 * then nobody else sees the message, and nothing may be done with it.
 */
int store_add(struct store *, struct envelope *env, struct evbuffer *content,
    void (*done)(struct envelope *env, int error, void *arg), void *arg);
/* A new file for a large content: a descriptor open for writing, which the caller closes or
 * passes on; or -1 with errno.  store_content_discard for one that will not be added. */
int store_content_create(struct store *, uint64_t id);
void store_content_discard(struct store *, uint64_t id);

/*
 * Records the present state of recipient INDEX (state, due, attempts, reason, host, notify...),
 * after the caller changed it in ENV.  Written at once, flushed with the next flush, or after a
 * second; an error of the disk only delays it.  Adding recipients (expansion) is recorded by
 * store_update_all, in one record, so that a crash sees all of them or none.
 */
void store_update(struct store *, struct envelope *env, uint32_t index);
/*
 * Records the whole envelope anew: held or released, expanded.  With a DONE the record is flushed
 * at once and DONE is called as in store_add, but ENV stays, whatever the error (it is NULL when
 * the message was finished meanwhile): the record is then written again without hurry, and what
 * must not happen twice should wait.  -EINVAL: envelope_ok() says no, and nothing was recorded.
 */
void store_update_all(struct store *, struct envelope *env,
    void (*done)(struct envelope *, int error, void *), void *arg);
/* No recipient waits: forgets the message, frees ENV and, in time, its space. */
void store_finish(struct store *, struct envelope *env);

/* The content: appended to OUT when it is in the journal (from memory while it is fresh, else
 * read), and *FD is -1; else *FD is a new read-only descriptor of its file.  0, or a negated
 * errno; -EBADMSG when the disk has damaged it. */
int store_content(struct store *, const struct envelope *env, struct evbuffer *out, int *fd);

/* In order of id, which is the order of age to the second; ends when VISIT returns false.  VISIT
 * must not add or finish messages. */
void store_each(struct store *, bool (*visit)(struct envelope *, void *arg), void *arg);
struct envelope *store_find(struct store *, uint64_t id);
/* The next one in that order with an id above ID, or NULL: for going through all of them with rests
 * in between. */
struct envelope *store_after(struct store *, uint64_t id);
/* The last one's id, or 0. */
uint64_t store_last(struct store *);

/* What the journal still has about a message, which may be finished: EVENT for each record in
 * order, then DONE, from the loop, not from inside this call.  Takes as long as the keeper needs to
 * go through the journal, and holds nobody up. */
enum history_kind {
	HISTORY_ACCEPTED,
	HISTORY_BEFORE,  /* in place of all that came before: the message was moved by compaction */
	HISTORY_CHANGED, /* held, released, expanded */
	HISTORY_OUTCOME, /* of recipient INDEX */
	HISTORY_FINISHED
};
struct history {
	enum history_kind kind;
	int64_t time;               /* 0: not known */
	const struct envelope *env; /* as it was then */
	uint32_t index;
};
void store_history(struct store *, uint64_t id, void (*event)(const struct history *, void *arg),
    void (*done)(void *arg), void *arg);

/* A small file beside the journal, written anew in one step.  DONE comes from the loop when it is
 * durable, or with a negated errno: then the old one stays.  Names are ours, and not the journal's. */
void store_write_file(struct store *, const char *name, const struct buf *content,
    void (*done)(int error, void *arg), void *arg);
/* 0, or a negated errno: -ENOENT when it was never written, -EBADMSG when it is damaged. */
int store_read_file(struct store *, const char *name, struct buf *content);

struct store_stats {
	uint64_t messages, recipients; /* unfinished */
	uint64_t segments, bytes, live_bytes;    /* of the journal; live: of unfinished messages */
	uint64_t records, flushes, flush_errors; /* since start */
};
void store_stats(const struct store *, struct store_stats *);
/* 0, or an errno when a message of SIZE octets should not be taken on now: ENOSPC when disk or
 * inodes run short (32 MiB, of a small disk an eighth, are kept for outcomes and notices; looked
 * at once a second, and what is added meanwhile is counted), EBUSY when more waits for the disk
 * than memory should hold, else why the journal cannot be written. */
int store_check_room(struct store *, uint64_t size);

#endif
