/*
 * The ledger: what we remember of callers.  One role opens the database (kv.h); the sessions, the queue and smtpctl
 * ask it by message.  A ledger that is down or slow never becomes a refusal: requests then answer LEDGER_UNKNOWN.
 */
#ifndef FILTERS_LEDGER_H
#define FILTERS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/gate.h"
#include "filters/lockout.h"
#include "lib/ip.h"

struct ledger_request;

/* In a role's start. */
void ledger_client_init(void);
/* False while the ledger is down: every answer is "unknown". */
bool ledger_is_there(void);
void ledger_cancel(struct ledger_request *);

/* --- the caller, at connect --- */
struct ledger_caller {
	bool unknown;   /* no answer: all below is false */
	bool allowed;   /* by the operator: `grey allow` */
	bool denied;    /* by the operator: `grey deny` */
	bool passed;    /* sat through a pause or passed the greylist lately: is not made to wait again */
	bool trapped;
	bool stayed;    /* sat through a tarpit that has a greylist behind it, or passed the greylist */
	bool left;      /* hung up lately in such a tarpit, and has not stayed since */
	bool mail_words; /* the operator has said something about mail, perhaps about his */
};
struct ledger_request *ledger_ask_caller(const struct ip *, const char *name,
    void (*)(const struct ledger_caller *, void *), void *arg);
/* A caller sat through its pause in order; remembered for a day.  RULE, LINE and SECONDS are the pause's, for the report. */
void ledger_caller_passed(const struct ip *, uint16_t rule, uint16_t line, uint32_t seconds);
/* A caller sat through a `tarpit ... else greylist`: for a day he has no pause before him either.  The reverse does not hold,
 * for a pause is the shorter of the two. */
void ledger_caller_stayed(const struct ip *);
void ledger_trap(const struct ip *, uint32_t seconds);
/* A caller hung up in a `tarpit ... else greylist`; remembered for as long as the greylist's window. */
void ledger_caller_left(const struct ip *);

/* --- the greylist, at rcpt --- */
enum grey_state {
	GREY_UNKNOWN, /* the ledger did not answer: let pass, and say so */
	GREY_NEW,     /* never seen: wait */
	GREY_EARLY,   /* seen, came back too soon: wait */
	GREY_PASS,    /* waited, now or before */
	GREY_TRUSTED, /* the identity has passed often enough, was rescued, or the operator allowed it */
	GREY_DENIED   /* by the operator */
};
struct grey_question {
	const char *identity;  /* identity_of() */
	const char *sender;    /* identity_sender() */
	const char *recipient; /* lower case */
	uint32_t delay, window, lifetime; /* seconds */
	uint32_t trust_after;
	uint16_t rule, line;   /* of the greylist rule that asks: the report counts by it */
	bool observe;          /* look, remember nothing */
	bool client_only;      /* the identity is the whole key: sender and recipient are for the operator's word */
	bool narrow;           /* what his address or network is known for counts only under the identity itself */
	bool tempfail;         /* nobody passes by waiting: only the operator's word lets in, or RESCUE */
	bool word_only;        /* the operator's word: TRUSTED is `grey allow`, DENIED `grey deny`, PASS nothing; remember nothing */
	uint32_t rescue;       /* tempfail: seconds to let in who came back as a mail server does; 0: the operator is asked */
	struct ip client;      /* who calls now, with his verified name and what he calls himself, or NULL */
	const char *name, *helo;
};
struct grey_answer {
	enum grey_state state;
	uint32_t left;   /* NEW, EARLY: seconds until it will pass */
	uint32_t waited; /* let in for the first time: seconds since the first try; else 0 */
	bool first_pass; /* this is the first time that the triplet passes */
	int64_t first;   /* when the triplet was first seen */
};
struct ledger_request *ledger_ask_grey(const struct grey_question *, void (*)(const struct grey_answer *, void *), void *arg);
const char *grey_state_name(enum grey_state);
/* The caller hung up while a tarpit kept him from the answer to this recipient. */
void ledger_hung_up(const struct grey_question *);

/* --- what happened, for reports: one for each decision of the gate --- */
struct gate_event {
	uint64_t session;
	int64_t time;
	struct ip client;
	const char *name;  /* verified, or NULL */
	const char *helo, *sender, *recipient; /* as far as known; or NULL */
	const char *identity; /* identity_of(), as far as known; or NULL */
	uint16_t rule;     /* number; 0: no rule spoke: let in */
	uint16_t line;
	enum action action; /* of the rule; ACTION_COUNT: let in */
	enum phase phase;
	bool observe;
	bool left;         /* pause, tarpit: the caller hung up in it */
	uint32_t waited;   /* let in: how long the greylist had held it; pause, tarpit: seconds */
	const char *evidence; /* "rdns=mismatch s25r=1 ..." */
};
void ledger_record(const struct gate_event *);

/* --- logging in --- */
enum login_step {
	LOGIN_TRY,    /* may ACCOUNT be tried from here? */
	LOGIN_FAILED, /* the password was wrong */
	LOGIN_PASSED
};
struct login_answer {
	uint32_t left;               /* seconds that a ban still lasts; 0: there is none */
	enum lockout_subject banned; /* whose, if there is one */
	uint32_t delay;              /* FAILED: seconds to hold the answer back */
	bool known;                  /* TRY: the account has logged in from there of late */
};
struct ledger_request *ledger_ask_login(enum login_step, const struct ip *, const char *account,
    void (*)(const struct login_answer *, void *), void *arg);

/* Outgoing mail teaches: one of ours wrote to this address. */
void ledger_correspondent(const char *ours, const char *theirs);
struct ledger_request *ledger_ask_correspondent(const char *theirs, const char *ours, void (*)(bool known, void *), void *arg);

/* --- MTA-STS policies, kept for the relays (RFC 8461 5.1): a restart must not forget them --- */
struct ledger_policy {
	const char *id;         /* of the TXT record */
	const char *text;       /* the policy */
	int64_t fetched, until; /* clock_now() */
};
/* What is longer is not kept. */
#define LEDGER_POLICY_MAX 6000
/* NULL: there is none, or no answer. */
struct ledger_request *ledger_ask_policy(const char *domain, void (*)(const struct ledger_policy *, void *), void *arg);
void ledger_policy(const char *domain, const struct ledger_policy *);

/* --- the role itself (smtpd/roles.c) --- */
struct ledger_conf {
	const char *dir; /* as seen after chroot */
};
void ledger_role_start(const struct ledger_conf *);
void ledger_role_stop(void);

#endif
