/*
 * The greylist's decision, as pure functions over a record and the clock: nothing is looked up here
 * and nothing is stored.  A caller of unknown manners is asked to come back; the delay counts from
 * its first try, whatever it does in between.  Ages are tested at every look, so that what the
 * purge has not yet removed does not count.
 *
 * Records go to disk as encoded here.  What comes back from there is data: what does not decode, or
 * could not have been written, is no record.
 */
#ifndef FILTERS_GREY_H
#define FILTERS_GREY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/ledger.h"

struct buf;

/* One triplet: identity, sender, recipient.  All times are clock_now()'s. */
struct grey_record {
	int64_t first;	 /* the first try of this round: the delay counts from here */
	int64_t last;	 /* the last try, early ones too; never before first */
	int64_t passed;	 /* when it passed first, between first and last; 0: it waits */
	int64_t expires; /* after this the purge may drop it */
	uint32_t count;	 /* tries, this round */
	uint32_t delay;	 /* that the last try was measured by: for the listing */
	uint16_t rule;	 /* the gate's rule and its line that made it wait */
	uint16_t line;
	bool waived; /* the operator lets it pass at its next try */
};

/* One identity: how many of its triplets passed. */
struct grey_identity {
	int64_t last; /* its last passing */
	int64_t expires;
	uint32_t count;
	uint32_t trust_after; /* that was asked last: for the listing */
};

/* Judges one try at NOW by a triplet of which R is known; R->count 0 says that nothing is.  Fills
 * ANSWER and brings R up to date.  GREY_NEW, GREY_EARLY or GREY_PASS; an identity's trust and the
 * operator's word are the caller's to ask before. */
void grey_decide(
    struct grey_record *r, const struct grey_question *, int64_t now, struct grey_answer *);
/* What the last decision asks to be told an operator: "waiting", "ready" (the delay is over),
 * "passed", "expired". */
const char *grey_record_state(const struct grey_record *, int64_t now);
/* Seconds until it would pass; 0 when it would now. */
uint32_t grey_record_left(const struct grey_record *, int64_t now);
/* The operator's pass: the next try passes, however late or early it comes. */
void grey_waive(struct grey_record *, int64_t now);

/* True when enough triplets of the identity have passed and the last one not too long ago. */
bool grey_identity_trusted(const struct grey_identity *, const struct grey_question *, int64_t now);
/* One more triplet of it passed, or (FIRST_PASS false) a trusted one sent mail again. */
void grey_identity_passed(
    struct grey_identity *, const struct grey_question *, int64_t now, bool first_pass);
/* True when a trusted identity's record should be written again: not for every mail. */
bool grey_identity_stale(const struct grey_identity *, int64_t now);

void grey_record_encode(struct buf *, const struct grey_record *);
/* False when the octets are no record of this version; then *R is zero: nothing known. */
bool grey_record_decode(const void *, size_t, struct grey_record *r);
void grey_identity_encode(struct buf *, const struct grey_identity *);
bool grey_identity_decode(const void *, size_t, struct grey_identity *);

#endif
