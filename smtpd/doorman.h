/*
 * The doorman: leads one session through the gate (filters/gate.h).  He gathers the facts that the rules ask for, while the
 * caller waits anyway; keeps him waiting as they say; asks the ledger; and gives one answer for each phase, with the
 * evidence in the log and the rule in the reply.
 */
#ifndef SMTPD_DOORMAN_H
#define SMTPD_DOORMAN_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/gate.h"
#include "filters/ledger.h"

struct session;
struct dnsbl_query;
struct helo_query;
struct rdns_query;
struct sender_domain_query;
struct spf_query;

/* What a phase came to. */
struct door_answer {
	int code;           /* 0: go on */
	const char *status;
	const char *text;
	bool close;         /* and good-bye */
};
typedef void (*door_callback)(struct session *, const struct door_answer *);

struct doorman {
	struct facts facts;
	uint32_t asked;     /* FACT_BIT()s under way */
	uint32_t later;     /* those of them for whom nobody is asked before the first moment is over */
	uint8_t phase;      /* enum phase: being judged */
	bool open;          /* trusted: no more questions */
	bool rung;          /* his first moment is over */
	bool waiting;       /* the timer runs: pause or tarpit */
	bool served;        /* the wait of this phase is over */
	bool undecided;     /* but for the wait no rule of this phase stops him */
	bool lists_due;     /* the gate's lists are to be asked as soon as they are proven */
	bool no_such_user;  /* the recipient is refused already: only traps, waits and drop count */
	bool caller_passed, caller_allowed, caller_denied, caller_stayed, caller_left; /* struct ledger_caller */
	bool mail_words;    /* the operator has said something about mail: he is asked at each recipient */
	bool heard, mail_allowed, mail_denied; /* and this is what he said about this recipient's */
	uint16_t waited;    /* seconds of pause and tarpit that the caller sat through */
	uint32_t grey_waited; /* seconds that the greylist had held this mail */
	uint64_t since_ms;  /* the caller rang */
	uint64_t marks;     /* bit number-1 of the mark rules that applied */
	char *name, *claimed; /* behind facts.name and facts.claimed */
	const struct rule *rule;    /* the one that makes the caller wait or greylists him */
	const struct rule *owes;    /* a tarpit ... else greylist that he left lately: now he is greylisted */
	door_callback done;
	void (*learned)(struct session *); /* judges again */
	struct rdns_query *rdns;
	struct dnsbl_query *dnsbl;
	struct helo_query *helo_query;
	struct sender_domain_query *sender_domain;
	struct spf_query *spf;
	char *spf_domain;   /* behind facts.spf_domain */
	char *spf_words;    /* what the sender's domain says to a fail (exp=), or NULL */
	struct ledger_request *caller, *grey, *correspondent;
};

/* A caller rings: in the end session_greet is called. */
void door_open(struct session *);
/* XCLIENT told the name: no DNS question is asked for it.  Before door_open. */
void door_set_name(struct session *, enum rdns_status, const char *name);
/* Judges PHASE; the answer comes by DONE, at once or later. */
void door_pass(struct session *, enum phase, door_callback done);
/* The gate refuses RECIPIENT whether it exists or not, and nobody counts those that do not: it need not be looked up. */
bool door_refuses(const struct session *, const char *recipient);
/* As door_pass at rcpt, for a recipient that does not exist: remembered against the client's network, seen by rules that
 * wait, trap or drop, and never let in. */
void door_pass_unknown(struct session *, door_callback done);
/* The caller closed his side while an answer of the gate is due: true when nothing more is to be seen of him, and the session may
 * end at once. */
bool door_left(const struct session *);
/* The session's timer went off. */
void door_timer(struct session *);
/* Octets came before the banner.  When the gate refuses him for that in the banner's place, it does so now. */
void door_early(struct session *);
/* The caller left, or the session ends: no question of his is answered any more. */
void door_close(struct session *);
/* The gate's lists may be asked from now on: for those who wait for it. */
void door_lists_proven(struct session *);
/* A message was accepted: says so to the ledger, for the reports. */
void door_let_in(struct session *);
/* "rdns=pass name=... s25r=1 ..."; for logs and X-Genkan; the caller frees. */
char *door_evidence(const struct session *);

#endif
