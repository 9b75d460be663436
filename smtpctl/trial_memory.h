/*
 * The ledger of a server that is not there: what `gate simulate` and `gate replay` remember of
 * callers while they run.  The arithmetic is that of the real one (filters/grey.h); only the store is
 * memory, and time is what the caller says.
 */
#ifndef SMTPCTL_TRIAL_MEMORY_H
#define SMTPCTL_TRIAL_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/grey.h"
#include "lib/ip.h"

struct trial_memory;

struct trial_memory *trial_memory_new(void);
void trial_memory_free(struct trial_memory *);

struct trial_caller {
	int64_t passed, stayed, left, trapped; /* until when */
};
/* What is known of an address; zero for a stranger.  Valid until the memory is freed. */
struct trial_caller *trial_caller(struct trial_memory *, const struct ip *);
/* He sat through a pause. */
void trial_caller_passed(struct trial_memory *, const struct ip *, int64_t now);
/* He sat through a tarpit with a greylist behind it, or came back. */
void trial_caller_stayed(struct trial_memory *, const struct ip *, int64_t now);

/* As ledger_decide() without an operator. */
void trial_grey(
    struct trial_memory *, const struct grey_question *, int64_t now, struct grey_answer *);
/* The triplet of Q, which waits, is taken as come back at NOW: for mail of which only the first
 * attempt is known. */
void trial_grey_returns(struct trial_memory *, const struct grey_question *, int64_t now);

/* As ledger_decide() for a `tempfail rescue`: TRUSTED when he has been rescued, or is by this try. */
void trial_rescue(
    struct trial_memory *, const struct grey_question *, int64_t now, struct grey_answer *);
/* He is taken as come back in the rhythm of a mail server, and rescued at NOW. */
void trial_rescued(struct trial_memory *, const struct grey_question *, int64_t now);

/* One of ours wrote to somebody; he answers. */
void trial_wrote(struct trial_memory *, const char *ours, const char *theirs, int64_t now);
bool trial_corresponds(
    struct trial_memory *, const char *theirs, const char *ours, int64_t now);

/* Identities that were asked about: how often, and how many triplets of theirs passed. */
struct trial_identity {
	struct grey_identity trust;
	uint64_t asked;
};
void trial_each_identity(const struct trial_memory *,
    void (*visit)(const char *identity, const struct trial_identity *, void *arg), void *arg);

#endif
