/*
 * The inside of `smtpctl gate replay`: attempts of an old log go through the gate of the configuration
 * and are counted.  gate_replay.c reads the files, replay_names.c finds out names that the log does not
 * tell, replay.c judges and counts, replay_show.c prints.
 */
#ifndef SMTPCTL_REPLAY_H
#define SMTPCTL_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/report.h"
#include "smtpctl/logbook.h"
#include "smtpctl/trial.h"

struct conf;
struct dict;
struct output;

/* What becomes of an attempt. */
enum replay_outcome {
	REPLAY_IN,      /* let in */
	REPLAY_WAITS,   /* greylisted */
	REPLAY_PUT_OFF, /* tempfail without rescue: until somebody changes the gate, or the caller's name */
	REPLAY_REFUSED, /* reject, drop */
	REPLAY_OUTCOMES
};

/* Of one rule: attempts that it decided about or made wait, by what the old server said to them. */
struct replay_rule {
	uint64_t accepted, refused;
	uint64_t waits; /* pause and tarpit: callers that waited */
	uint64_t observed;
};

/* One caller as the greylist knows him. */
struct replay_identity {
	uint64_t accepted[REPLAY_OUTCOMES]; /* what the old server accepted */
	uint64_t refused[REPLAY_OUTCOMES];
	uint16_t rule;    /* the last that was not for letting him in */
	char example[96]; /* a name or address, and a sender */
};

struct replay {
	const struct conf *conf;
	struct trial_memory *memory;
	struct replay_rule *rules; /* by number - 1 */
	struct dict *mails;        /* by identity, sender, recipient */
	struct dict *identities;
	struct dict *rates;        /* by address and meter */
	uint64_t attempts, own, without_recipient, early;
	uint64_t accepted[REPLAY_OUTCOMES];
	uint64_t after_waiting;    /* of those let in: they had waited, and came again in the log */
	uint64_t refused[REPLAY_OUTCOMES]; /* of callers that the old server never accepted */
	uint64_t retries;          /* refused by the old server, and accepted later */
	struct report_waits waits; /* how long, where the log tells */
	uint32_t least_wait;       /* of those whose return the log cannot tell: the longest delay of a rule */
	uint64_t unverified, untold, forged; /* attempts with a name of that kind */
	uint32_t missing;          /* FACT_BIT()s that rules asked in vain */
	int64_t first, last;
};

void replay_init(struct replay *, const struct conf *);
/* What DNS says of the caller now, or NULL: the log's word is taken. */
struct replay_name {
	enum rdns_status status;
	const char *name; /* verified, or NULL */
};
void replay_attempt(struct replay *, const struct attempt *, const struct replay_name *);
/* All attempts are there: those that the old server refused for good are counted. */
void replay_finish(struct replay *);
void replay_clear(struct replay *);
/* LIMIT: of the list of callers; 0: all. */
void replay_show(struct replay *, struct output *, unsigned limit);

/* --- names (replay_names.c) --- */

struct replay_names;

/* Asks DNS about every client, as the configuration says; the attempts go on to REPLAY in their order.  NULL and *WHY. */
struct replay_names *replay_names_new(struct replay *, char **why);
void replay_names_attempt(struct replay_names *, const struct attempt *);
/* Waits for what is still asked, and ends. */
void replay_names_end(struct replay_names *);

#endif
