/*
 * When to try what: pure data structures over times that the caller names.  No clock, no events, no
 * store.
 *
 * A recipient that waits has one entry of 16 octets here, found again by message id and index.
 * Entries are never taken out before their time: what became of the recipient meanwhile is told by
 * comparing the entry's time with the recipient's (schedule_entry_for), so that a flush, a hold or
 * a removal costs nothing here.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- who is due --- */
struct schedule_entry {
	uint64_t message;
	uint32_t due; /* seconds since 1970, held to what 32 bits can say (until 2106) */
	uint32_t recipient;
};

/* Zero-initialised is empty and valid. */
struct schedule {
	struct schedule_entry *heap;
	size_t n, room;
};

void schedule_add(struct schedule *, int64_t due, uint64_t message, uint32_t recipient);
/* The least time there is; false when there is none. */
bool schedule_next(const struct schedule *, int64_t *due);
/* Takes the first entry that is due at NOW: by time, then by message id (older first), then by
 * recipient. */
bool schedule_take(struct schedule *, int64_t now, struct schedule_entry *);
/* True when this is the entry that was added for that time; older entries of the same recipient are
 * to be ignored. */
bool schedule_entry_for(const struct schedule_entry *, int64_t due);
void schedule_clear(struct schedule *);

/* --- how long to wait --- */
struct retry_policy {
	uint32_t first; /* seconds after the first failure; then twice as long each time */
	uint32_t most;
};
/* Seconds to wait after attempt number ATTEMPTS (1, 2, ...), 10 % more or less by SEED; the same
 * seed gives the same wait, so that recipients of one message stay together.  Never 0. */
uint32_t retry_wait(const struct retry_policy *, unsigned attempts, uint64_t seed);

/* --- how much at once ---
 * The window of one destination, or of the servers of several.  It starts at 2, grows by one with
 * every success and is halved when the destination as a whole fails; when as many have failed in a
 * row as the window held, the destination is dead, and one attempt at a time, after longer and longer
 * waits, asks whether it is back.  One that asks to be left alone for some time is as dead until
 * then, whatever becomes of what was under way. */
struct window {
	uint32_t most;     /* never more than this */
	uint32_t size;
	uint32_t running;
	uint32_t failures; /* in a row */
	uint32_t cohort;   /* SIZE at the first of them: so many make it dead */
	uint32_t deaths;   /* in a row */
	bool dead;
	bool rests;        /* dead because it asked for it */
	int64_t retry_at;  /* dead: not before */
	uint64_t begun;    /* attempts so far */
	uint64_t cut; /* BEGUN when it was last halved, or began to rest: earlier attempts do not do that
		       * again */
};

void window_init(struct window *, uint32_t most);
/* Another limit from now on. */
void window_limit(struct window *, uint32_t most);
/* May one more attempt begin? */
bool window_open(const struct window *, int64_t now);
/* True while nothing is to be tried, and nobody is finding out: what waits for it can as well wait
 * until RETRY_AT. */
bool window_shut(const struct window *, int64_t now);
/* An attempt begins; the ticket is for its end. */
uint64_t window_begin(struct window *);
/* How it ended: the destination answered; it failed as a whole (true: it is dead now, anew); it
 * asked to be left alone for so many seconds (true: it is now); nothing was learnt. */
void window_succeeded(struct window *, uint64_t ticket);
bool window_failed(
    struct window *, uint64_t ticket, int64_t now, const struct retry_policy *, uint64_t seed);
bool window_rest(struct window *, uint64_t ticket, int64_t now, uint32_t seconds);
void window_abandoned(struct window *);

#endif
