/*
 * Whose fault is it?  When most callers' names cannot be found out, it is our own DNS that is
 * broken, and nobody is to be punished for what it does not say.  And a list that lists
 * everybody, or that nobody can ask, is no evidence against anybody.  Pure: memory and judgement;
 * smtpd/health.c asks and acts.
 */
#ifndef FILTERS_BREAKER_H
#define FILTERS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/dnsbl.h"

/* --- our own DNS --- */

/* The last callers from so many networks, each with its last outcome: one network with a broken
 * zone counts once. */
#define BREAKER_CALLERS 16
/* Of fewer nothing is concluded. */
#define BREAKER_LEAST 8

struct breaker {
	uint64_t callers[BREAKER_CALLERS];
	bool failed[BREAKER_CALLERS];
	unsigned n, next;
	bool broken;
};

enum breaker_change { BREAKER_SAME, BREAKER_BROKE, BREAKER_MENDED };

/* DNS failed, or did not, for CALLER (a number for its network).  It broke when three of four
 * fail, and is mended when half of them do not. */
enum breaker_change breaker_note(struct breaker *, uint64_t caller, bool failed);
/* The resolver says itself that nobody answers it. */
enum breaker_change breaker_trip(struct breaker *);

/* --- lists --- */

enum list_state {
	LIST_UNPROVEN, /* not probed yet */
	LIST_WELL,
	LIST_ALL,      /* lists 127.0.0.1, which must not be listed (RFC 5782 5) */
	LIST_NONE,     /* does not list 127.0.0.2, which must be */
	LIST_ODD,      /* answers with what is no listing: a wildcard, or "you may not ask" */
	LIST_SILENT    /* no answer */
};
const char *list_state_name(enum list_state);
/* For people: what is wrong. */
const char *list_state_text(enum list_state);

/* What a list says to one of its test entries (RFC 5782 5). */
enum list_entry {
	ENTRY_OUTAGE, /* our own DNS is down: it tells nothing of the list */
	ENTRY_ABSENT,
	ENTRY_LISTED,
	ENTRY_ODD,
	ENTRY_SILENT
};
struct dns_answer;
enum list_entry list_entry(const struct dns_answer *);
/* 127.0.0.2 must be listed, 127.0.0.1 must not. */
enum list_state list_judge(enum list_entry must_be, enum list_entry must_not_be);

/* What a list has said of late. */
struct list_record {
	uint64_t asked, listed, failed;
	unsigned run; /* the last so many answers were alike: RUN_OF */
	enum dnsbl_reply run_of;
};
/* True when so many answers in a row were the same that the list should be probed now: it may
 * list everybody, or nobody, or be dead. */
bool list_note(struct list_record *, enum dnsbl_reply);

#endif
