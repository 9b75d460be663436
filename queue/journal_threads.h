/*
 * What journal.c (the loop's side), journal_flush.c (the flush thread) and journal_keeper.c with
 * journal_index.c (the keeper) share, and which of them each field belongs to.  Nobody else includes
 * this.
 */
#ifndef QUEUE_JOURNAL_THREADS_H
#define QUEUE_JOURNAL_THREADS_H

#include <sys/uio.h>

#include <pthread.h>
#include <stdatomic.h>

#include "queue/journal.h"

#define ROUND_PIECES 512 /* records in one pwritev; the kernel takes 1024 */
#define SPARES_MAX 16

struct event;

/* A segment that takes no more records, and where its valid ones end: what OPENED tells of it. */
struct extent {
	uint64_t number, end;
};

struct journal {
	/* the loop's */
	struct event *kick; /* the turn's appends are handed over together, at its end */
	struct event *wake;
	int dir;
	int wake_fd;
	void (*changed)(void *arg);
	void *arg;
	void (*opened)(struct chore *), (*ended)(struct chore *); /* of every segment */
	struct segment_list segments; /* by number */
	struct chore_list incoming;
	uint64_t incoming_bytes;
	bool started, closed;
	bool indexing; /* the keeper makes an index, or will */
	pthread_t flusher, keeper;

	/* shared, under LOCK */
	pthread_mutex_t lock;
	pthread_cond_t work;   /* for the flush thread: PENDING or STOP_FLUSHER */
	pthread_cond_t chore;  /* for the keeper: CHORES, WANT_NEXT or STOP_KEEPER */
	pthread_cond_t supply; /* from the keeper: NEXT, NEXT_ERROR, or it has nothing to do */
	struct chore_list pending, done, chores;
	uint64_t pending_bytes;
	bool signalled; /* the loop was woken and has not looked yet */
	bool stop_flusher, stop_keeper, keeper_busy;
	bool want_next;
	struct segment *next;
	int next_error;
	struct extent *extents;
	size_t extents_n;

	/* the flush thread's */
	struct segment *active;
	struct chore_list queue;     /* taken from PENDING, not yet written */
	struct chore_list unflushed; /* written to ACTIVE since its last flush */
	struct chore_list failed;    /* to be told when ACTIVE's successor says where it ends */
	uint64_t linger_until;      /* UNFLUSHED is flushed then; 0: it is empty */
	uint64_t retry_at;          /* no segment could be written: tried again then */
	struct iovec pieces[ROUND_PIECES + 2];
	uint8_t pad[2 * SEGMENT_BLOCK];

	/* the keeper's */
	uint64_t next_number;
	uint64_t spares[SPARES_MAX];
	unsigned spares_n;
	bool made_one;

	/* anybody's */
	_Atomic uint64_t records, flushes, errors;
	_Atomic int error;
};

/* A thread's main function; ARG is the journal. */
void *journal_flush_main(void *);
void *journal_keeper_main(void *);
/* Hands finished chores to the loop and wakes it, with LOCK not held. */
void journal_done(struct journal *, struct chore_list *);
/* LOCK is held: the keeper shall see to NEXT. */
void journal_want_next(struct journal *);
/* Its CHOREs go to the loop's side.  No file yet. */
struct segment *journal_new_segment(struct journal *, uint64_t number);
/* In the keeper: takes the file away, by unlink or another name, for good.  0 or an errno. */
int journal_remove(struct journal *, const struct segment *);

#endif
