/*
 * What the gate did, in numbers: counters by hour and rule, and how long mail that was let in had
 * waited.  Arithmetic and encoding only; the ledger keeps the counters and smtpctl prints them.
 */
#ifndef FILTERS_REPORT_H
#define FILTERS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* What is counted together.  ACTION is enum action; ACTION_COUNT is mail let in, which belongs to
 * no rule. */
struct report_key {
	uint32_t hour; /* since 1970 */
	uint16_t rule;
	uint16_t line;
	uint8_t action;
	bool observe;
};

struct report_counts {
	uint64_t sessions;
	uint64_t recipients; /* decisions that named a recipient */
	uint64_t triplets;   /* greylist, tempfail: those first seen in this hour */
	uint64_t returned;   /* of these, how many passed, whenever */
	uint64_t seconds;    /* waits, summed up */
	uint64_t left;       /* pause, tarpit: sessions that hung up in it */
	uint64_t stayed;     /* and those that sat through it */
	uint32_t window;     /* of these: how long a triplet may take to come back, the longest */
};

uint32_t report_hour(int64_t time);
void report_counts_add(struct report_counts *, const struct report_counts *);
/* Triplets that did not come back: WAITING still may at NOW, STOPPED may not.  HOUR is that of the
 * counts. */
void report_unreturned(
    const struct report_counts *, uint32_t hour, int64_t now, uint64_t *waiting, uint64_t *stopped);

/*
 * What a rule did with what it decided about, in one unit a rule: mail (sender and recipient) where the ledger knows it again, else
 * recipients, else sessions.  Of an `observe` rule it is what it would have done.
 */
struct report_effect {
	uint64_t stopped; /* never let in */
	uint64_t delayed; /* let in later, or kept waiting and let go on */
	uint64_t waiting; /* put off, and may still come back */
	uint64_t let_in;  /* by a rule that lets in */
};
void report_effect(const struct report_key *, const struct report_counts *, int64_t now, struct report_effect *);

/* Keys sort by hour. */
#define REPORT_KEY_LEN 10
void report_key_encode(uint8_t out[REPORT_KEY_LEN], const struct report_key *);
bool report_key_decode(const void *, size_t, struct report_key *);
void report_counts_encode(struct buf *, const struct report_counts *);
bool report_counts_decode(const void *, size_t, struct report_counts *);

/*
 * Waits in seconds, in buckets: exact up to 31 s, then sixteen to each doubling, so a value read
 * from them is at most 1/16 off; up to 2^32 s.
 */
#define REPORT_BUCKETS 464
struct report_waits {
	uint64_t count;
	uint64_t sum;
	uint32_t max;
	uint32_t bucket[REPORT_BUCKETS];
};

void report_waits_add(struct report_waits *, uint32_t seconds);
void report_waits_merge(struct report_waits *, const struct report_waits *);
/* The largest wait that falls into it. */
uint32_t report_bucket_end(unsigned bucket);
/* The wait that PERCENT of all did not exceed; 0 without any. */
uint32_t report_waits_percentile(const struct report_waits *, unsigned percent);
void report_waits_encode(struct buf *, const struct report_waits *);
bool report_waits_decode(const void *, size_t, struct report_waits *);

#endif
