/*
 * What store.c, index.c, recover.c and compact.c share: the index of messages in memory.  Nobody
 * else includes this.
 */
#ifndef QUEUE_INDEX_H
#define QUEUE_INDEX_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stdint.h>

#include "queue/journal.h"
#include "queue/store.h"

/* One message; kept small, there may be a million. */
struct queued {
	RB_ENTRY(queued) by_id;
	LIST_ENTRY(queued) in_segment;
	struct envelope *env; /* NULL: finished, or never came about; then it is not in the tree */
	struct segment *segment; /* of its MESSAGE or MOVE record; NULL until that is durable */
	struct record *fresh;    /* content in memory, or NULL */
	uint32_t offset, length; /* of the record */
	unsigned in_flight : 28; /* records and chores that point here */
	unsigned external : 1;   /* the content is a file */
	unsigned added : 1;      /* acknowledged */
	unsigned unreadable : 1; /* compaction could not read it */
	unsigned seen : 1;       /* recovery found its content's file */
};
RB_HEAD(message_tree, queued);
RB_PROTOTYPE(message_tree, queued, by_id, message_compare)
int message_compare(const struct queued *, const struct queued *);
TAILQ_HEAD(record_list, record);

struct compaction;

struct store {
	struct journal *journal;
	int dir, journal_dir, content_dir;
	int lock;
	struct message_tree messages;
	uint64_t messages_n, recipients_n; /* acknowledged; waiting */
	struct record_list fresh;          /* oldest first */
	uint64_t fresh_bytes;
	uint64_t room_checked; /* clock_ms */
	uint64_t room, inodes; /* free at that time, less the reserve */
	struct compaction *compaction; /* the one that is going on */
	uint64_t compact_after;        /* clock_ms: not before */
	bool closing;
};

struct queued *message_new(struct store *, struct envelope *);
struct queued *message_find(struct store *, uint64_t id);
/* Looks at which recipients wait, or whether this one does, for the counts. */
void message_count(struct store *, struct envelope *);
void message_count_recipient(struct store *, struct recipient *);
/* Out of the tree, the envelope is freed; the rest goes with the last record in flight. */
void message_forget(struct store *, struct queued *);
/* One thing less that points to it. */
void message_release(struct queued *);
/* The content in its MESSAGE record, which is the index's now, stays in memory until younger ones
 * need the room or the message is finished: perhaps not beyond this call. */
void message_keep_fresh(struct store *, struct record *);

/* A MESSAGE or MOVE record of it is durable there. */
void message_place(struct queued *, struct segment *, uint64_t offset, uint64_t length);
/* Its FINISH is durable. */
void message_unplace(struct queued *);
/* SEGMENT holds a statement about MESSAGE. */
void segment_speaks_of(struct segment *, const struct queued *);
/* Its MESSAGE record, or, of TYPE, its MOVE; DONE is the journal's. */
struct record *message_record(struct store *, struct queued *, enum record_type,
    void (*done)(struct chore *), const void *content, uint32_t content_len);

/* --- recover.c --- */

/* Fills the index and the journal's segments from disk, and starts the journal.  0; or -1 and
 * *WHY. */
int store_recover(struct store *, char **why);

/* --- compact.c --- */

/* Lets go of segments that nobody needs any more, and moves messages out of the way of others. */
void store_tidy(struct store *);

#endif
