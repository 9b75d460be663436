/*
 * The journal: segment files, the thread that writes and flushes them, and the thread that keeps
 * house.
 *
 * Only the store uses it.  The loop appends records; the flush thread writes all that have
 * gathered with one pwritev and one fdatasync, while the next gather; what became of them is told
 * from the loop again.  The keeper prepares the next segment ahead of need, removes those that
 * are done with, and does other slow work on files.  The loop's thread itself never writes and
 * never flushes.
 *
 * Segments and chores belong to the loop, except where a field says otherwise.
 */
#ifndef QUEUE_JOURNAL_H
#define QUEUE_JOURNAL_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "queue/segment.h"

struct envelope;
struct event_base;
struct index_reader;
struct journal;
struct queued;
struct store;

/* Something that a thread does, and what the loop does after it. */
struct chore {
	STAILQ_ENTRY(chore) next;
	/* In the keeper thread; sets ERROR.  False: the chore went elsewhere, DONE is not called
	 * for this. */
	bool (*run)(struct journal *, struct chore *);
	void (*done)(struct chore *); /* in the loop; frees the chore */
	int error;                   /* errno, or 0 */
};
STAILQ_HEAD(chore_list, chore);

/* One record on its way to the disk.  DONE comes when it is durable, or with an error. */
struct record {
	struct chore chore; /* the first field: lists of chores hold records too */
	struct buf bytes;
	bool urgent; /* somebody waits for it: flush at once; else it is written at once and flushed
		      * with the next, or after a second */
	bool keep;   /* an error is not the end: it is written again to another segment, until it is
		      * durable or we close */
	/* where it went, when there was no error */
	struct segment *segment;
	uint64_t offset;
	/* for the store */
	struct store *store;
	struct queued *message;
	uint64_t id;
	void (*told)(struct envelope *, int error, void *arg);
	void *arg;
	uint32_t content_at, content_len; /* in BYTES */
	bool kept_fresh;
	TAILQ_ENTRY(record) fresh;
};

struct segment {
	TAILQ_ENTRY(segment) entry;
	uint64_t number;
	uint32_t seed;
	uint64_t size;    /* what was filled with zeros */
	uint64_t end;     /* octets with valid records, once CLOSED */
	bool closed;      /* nothing is appended any more */
	bool poisoned;    /* because a write or flush failed */
	bool indexed;     /* its index was written, or tried to */
	bool damaged;     /* recovery could not read all of it: set aside, not removed */
	bool unmovable;   /* some message in it could not be read: compaction leaves it */
	bool retiring;    /* the keeper is removing it */
	LIST_HEAD(, queued) live; /* messages whose record is here */
	uint64_t live_bytes;
	uint64_t *needs;  /* numbers of the older segments that it must outlive (compact.c) */
	size_t needs_n;
	bool needed;      /* some younger segment must outlive it */
	/* the flush thread's until CLOSED */
	int fd;
	uint64_t position; /* of the next record */
	uint64_t durable;  /* records before are flushed */
	uint64_t first;    /* behind OPENED */
	struct chore opened, ended;
	struct journal *journal;
};
TAILQ_HEAD(segment_list, segment);

/* Figures that tests make smaller. */
struct journal_sizes {
	uint64_t segment;   /* a segment */
	uint64_t first;     /* the first one after a start without spare files: there at once;
			     * and all where room is scarce */
	unsigned spares;    /* removed segments that are kept to be used again */
	uint64_t fresh;     /* contents kept in memory */
	uint64_t slack;     /* dead octets that are never worth compaction */
	uint64_t move;      /* octets moved by compaction at a time */
	unsigned linger_ms; /* a record that nobody waits for is flushed after so long */
};
extern struct journal_sizes journal_sizes;

/* DIR: a descriptor of the folder, which stays the caller's.  CHANGED is called from the loop
 * after records or chores were done, once for many. */
struct journal *journal_new(struct event_base *, int dir, void (*changed)(void *arg), void *arg);
/* What recovery found, before journal_start: segments oldest first, all closed; numbers of spare
 * files; the first number that was never used. */
struct segment *journal_add_segment(struct journal *, uint64_t number, uint64_t size);
void journal_set_end(struct journal *, struct segment *, uint64_t end);
void journal_add_spare(struct journal *, uint64_t number);
/* Starts the threads.  0, or an errno. */
int journal_start(struct journal *, uint64_t next_number);
/* Writes and flushes what is pending, tells everybody, ends the threads and frees. */
void journal_close(struct journal *);

/* Takes over RECORD (record_new); DONE is called later, never from here. */
void journal_append(struct journal *, struct record *);
/* CHORE's RUN in the keeper thread, then its DONE. */
void journal_run(struct journal *, struct chore *);
/* CHORE's DONE with this error, from the loop, without doing anything. */
void journal_fail(struct journal *, struct chore *, int error);
/* From RUN: the record is ready for the flush thread now. */
void journal_forward(struct journal *, struct record *);
/* Makes an index of every closed segment that has none, in time. */
void journal_make_indexes(struct journal *);
/* Reads the index of a segment that ends there into BYTES, which R then looks at and the caller
 * frees.  False: there is none that fits, and nothing is to be freed. */
bool journal_read_index(
    int dir, uint64_t number, uint64_t end, struct buf *bytes, struct index_reader *r);
/* Removes a segment, or sets it aside; GONE is called when that is durable and SEGMENT is freed
 * after it. */
void journal_retire(
    struct journal *, struct segment *, void (*gone)(struct segment *, void *arg), void *arg);

/* A record without META yet (segment.h); URGENT and KEEP are false. */
struct record *record_new(void (*done)(struct chore *));
void record_free(struct record *);

/* Descriptor of a segment for reading; the caller closes it.  -1 with errno. */
int journal_open_segment(const struct journal *, const struct segment *);

const struct segment_list *journal_segments(const struct journal *);
struct segment *journal_find(const struct journal *, uint64_t number);
/* 0, or the errno for which nothing can be written now. */
int journal_error(const struct journal *);
/* Octets that wait to be written. */
uint64_t journal_backlog(struct journal *);

struct journal_counts {
	uint64_t records, flushes, errors;
};
struct journal_counts journal_counts(const struct journal *);

/* Names of files in the folder. */
#define JOURNAL_NAME_MAX 40
void journal_name(char name[JOURNAL_NAME_MAX], uint64_t number);
void journal_spare_name(char name[JOURNAL_NAME_MAX], uint64_t number);
void journal_index_name(char name[JOURNAL_NAME_MAX], uint64_t number);
#define JOURNAL_DAMAGED ".damaged"
#define JOURNAL_INDEX ".index"
#define JOURNAL_NEW "new"

#endif
