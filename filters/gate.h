/*
 * The gate: one ordered list of rules, `[observe] ACTION [arguments] [at PHASE] [when CONDITION]`, read top to bottom.
 * This is the whole of its meaning, without any input or output: the configuration builds it, gate_check() judges it at
 * load time, gate_run() evaluates it over what is known of a caller.  The session (smtpd/) and smtpctl's explain drive the same code.
 */
#ifndef FILTERS_GATE_H
#define FILTERS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/dnsbl.h"
#include "filters/helo.h"
#include "filters/rdns.h"
#include "filters/sender_domain.h"
#include "lib/ip.h"

struct buf;
struct table;

enum phase {
	PHASE_CONNECT,
	PHASE_GREETING, /* the banner is about to be sent */
	PHASE_HELO,
	PHASE_MAIL,
	PHASE_RCPT,
	PHASE_DATA,
	PHASE_MESSAGE, /* the content is there, not yet acknowledged */
	PHASE_COUNT
};

enum action {
	ACTION_TRUST,    /* ends the gate for the session */
	ACTION_PASS,     /* ends the rules of this phase, for this recipient */
	ACTION_PAUSE,    /* SECONDS before the banner; the longest that applies */
	ACTION_TARPIT,   /* SECONDS before the reply of its phase; the longest that applies */
	ACTION_MARK,     /* adds a header NAME: TEXT */
	ACTION_TRAP,     /* remembers the caller as trapped for SECONDS */
	ACTION_GREYLIST, /* 450 until the triplet has waited */
	ACTION_TEMPFAIL, /* 450 TEXT */
	ACTION_REJECT,   /* 550 TEXT */
	ACTION_DROP,     /* 421 TEXT and close */
	ACTION_COUNT
};

enum fact {
	FACT_CLIENT,
	FACT_TIME,
	FACT_RDNS,
	FACT_S25R,
	FACT_DNSBL,
	FACT_DNSWL,
	FACT_RATE,
	FACT_CONNECTIONS,
	FACT_TRAPPED,
	FACT_EARLY_TALKER,
	FACT_HELO,
	FACT_HELO_RESOLVES,
	FACT_SENDER,
	FACT_SENDER_DOMAIN,
	FACT_SPF,
	FACT_RECIPIENT,
	FACT_KNOWN_CORRESPONDENT,
	FACT_LIST_MEMBER,
	FACT_UNKNOWN_RECIPIENTS,
	FACT_PIPELINING,
	FACT_DKIM,
	FACT_DMARC,
	FACT_SIZE,
	FACT_AUTHENTICATED,
	FACT_TLS,
	FACT_COUNT
};
#define FACT_BIT(f) (1u << (f))

/* Results of SPF, DKIM, DMARC, by their usual names. */
enum auth_result { AUTH_NONE, AUTH_NEUTRAL, AUTH_PASS, AUTH_FAIL, AUTH_SOFTFAIL, AUTH_POLICY, AUTH_TEMPERROR, AUTH_PERMERROR };

struct place { /* in the configuration file */
	unsigned line, column;
};

/* Whom the greylist takes for the same caller, and what has to come back. */
enum grey_by {
	GREY_BY_TRIPLET, /* identity, sender, recipient: identity.h */
	GREY_BY_NETWORK, /* /24 or /64, sender, recipient: postgrey */
	GREY_BY_ADDRESS, /* address, sender, recipient: spamd */
	GREY_BY_CLIENT,  /* the address alone, whoever writes to whom: qgreylist */
	GREY_BY_COUNT
};

/* One question about a fact. */
struct test {
	enum fact fact;
	struct place place;
	const struct table *in; /* client, rdns, helo, sender, recipient: `in <table>` or `in { ... }`; or NULL */
	int value;              /* rdns: enum rdns_status; spf, dkim, dmarc: enum auth_result; s25r: S25R_ANY, S25R_OWN, or a rule 0-6;
	                         * sender-domain: enum sender_domain; helo without IN: enum helo_kind */
	char *zone;             /* dnsbl, dnswl: one listing, or IN holds several with their weights */
	int at_least;           /* dnsbl, dnswl: what the weights must come to; 0: not given, which is 1 */
	struct dnsbl_terms terms; /* dnsbl, dnswl: what they are in the gate's set (gate_number) */
	uint64_t more_than;     /* rate, connections, unknown-recipients, size */
	uint32_t period;        /* rate, unknown-recipients: seconds */
	bool network;           /* rate, connections: of the /24 or /64, not of the address */
	unsigned meter;         /* rate, unknown-recipients: in gate.meters (gate_number) */
	uint16_t from, to;      /* time: minutes of the day; FROM may be later than TO: over midnight */
};
#define S25R_ANY (-1)
#define S25R_OWN (-2)

struct condition {
	enum { CONDITION_TEST, CONDITION_NOT, CONDITION_AND, CONDITION_OR } op;
	struct condition *left, *right; /* NOT: left */
	struct test test;
};

struct rule {
	struct place place;
	unsigned number; /* 1, 2, ... in the order of the file: the short id in replies */
	bool observe;
	enum action action;
	bool at_given;
	enum phase at;        /* given or the action's own: pause greeting; trust the earliest that its condition allows; others rcpt */
	struct condition *when; /* NULL: always */
	uint32_t seconds;     /* pause, tarpit; trap: for how long */
	bool else_greylist;   /* tarpit ... else greylist */
	uint32_t delay, window, lifetime; /* greylist; 0: the defaults */
	enum grey_by by;      /* greylist */
	uint32_t trust_after; /* greylist: triplets passed; 0: the default */
	uint32_t rescue;      /* tempfail: whoever comes back as a mail server does is let in for so long; 0: never by itself */
	char *text;           /* reply text (gate_reply.h), or the marked header's value; NULL: the default */
	char *name;           /* mark: header name */
};

/* What is counted over time, for all rules that ask for the same. */
struct gate_meter {
	enum fact fact;
	bool network;
	uint32_t period; /* seconds */
};
#define GATE_METERS 8
/* The time over which unknown recipients are counted, unless the rule says. */
#define UNKNOWN_RECIPIENTS_PERIOD 3600

struct gate {
	struct rule *rules;
	unsigned n;
	bool built_in; /* the default, because the file has no gate block */
	bool observe;  /* of all that its rules would do only trust and pass are done; the rest is told as `observe` rules are */
	/* by gate_number(): */
	struct dnsbl_set *lists; /* all that dnsbl and dnswl ask for, or NULL */
	struct gate_meter meters[GATE_METERS];
	unsigned meters_n;
};

/* Defaults of the greylist, in seconds (design: 2 min, 2 days, 36 days), and how many passed triplets make an identity trusted. */
#define GREYLIST_DELAY 120
#define GREYLIST_WINDOW (2 * 86400)
#define GREYLIST_LIFETIME (36 * 86400)
#define GREYLIST_TRUST_AFTER 3
/* In a rule: nobody is trusted, however many pass. */
#define GREYLIST_TRUST_NEVER UINT32_MAX

/* Fills in the phase of every rule that names none, and checks all of them.  NULL, or the first complaint without the file's name:
 * `14:9: "spf" is not known at connect; the earliest phase is mail` (caller frees). */
char *gate_check(struct gate *);
/* The same for one rule, so that a file with several mistakes can show them all. */
char *rule_check(struct rule *);
/* Gives what the rules ask for its numbers; to be called once, when all rules and tables are there, before the gate is run.
 * COMPLAIN is called for each mistake that only then can be seen: a zone that is none, a weight that is none. */
void gate_number(struct gate *, void (*complain)(struct place, const char *text, void *arg), void *arg);
/* What is legal and probably not meant in a checked gate: facts that are not evaluated yet, rules that no mail reaches. */
void gate_warn(const struct gate *, void (*warn)(struct place, const char *text, void *arg), void *arg);
/* Whether this version finds the fact out; when not, it is never known and its tests never match. */
bool fact_is_evaluated(enum fact);
void gate_free(struct gate *);
void condition_free(struct condition *);
/* The built-in default, checked; its text, with the reasons, is gate_default_text. */
const char *gate_default_text(void);

/* What is known of a caller.  The owner of the strings is who fills it in. */
struct facts {
	uint32_t known;  /* FACT_BIT()s of what was asked and answered, or is plain */
	uint32_t failed; /* of those: DNS or the ledger gave no answer; counts as not matching, under `not` as well */
	struct ip client;
	enum rdns_status rdns;
	const char *name;    /* verified, or NULL */
	const char *claimed; /* unverified PTR, or NULL */
	bool early_talker, pipelining, trapped, known_correspondent, list_member, authenticated, tls;
	const char *helo, *sender, *recipient;
	enum auth_result spf, dkim, dmarc;
	bool spf_blanket;    /* a pass that nearly everybody would have: to the rules it is neutral */
	const char *spf_domain;
	struct dnsbl_answers dnsbl; /* of the gate's set; what is not known when FACT_DNSBL is has failed */
	enum sender_domain sender_domain;
	bool helo_own, helo_resolves;
	uint16_t minute; /* of the day, local time */
	uint32_t connections, network_connections;
	uint32_t meters[GATE_METERS];
	uint64_t size;
};

/* Rules that only watch, mark or trap stand among the first so many (checked). */
#define GATE_BITS 64

/* What the rules of one phase say. */
struct gate_result {
	uint32_t missing;          /* FACT_BIT()s that must be learned before the rest can be judged; then nothing below is final */
	const struct rule *verdict; /* the decisive rule: trust, greylist, tempfail, reject, drop; or NULL: go on */
	const struct rule *wait;    /* pause or tarpit with the longest wait; or NULL */
	const struct rule *wait_else; /* likewise of `tarpit ... else greylist`, which is for those who have the choice */
	uint64_t observed;          /* bit number-1 of each `observe` rule that would have acted */
	uint64_t marks, traps;      /* likewise, of mark and trap rules that apply */
};

/* Where the rule matches it ends its phase: it is decisive, or would be if its gate did more than observe. */
bool rule_ends_phase(const struct gate *, const struct rule *);
/* Evaluates the rules that act at PHASE. */
void gate_run(const struct gate *, enum phase, const struct facts *, struct gate_result *);
/* Whether the greylist comes before the verdict that a caller owes to the tarpit OWES, which he left, or NULL: when there is no
 * verdict, or only a pass that stands below the tarpit. */
bool gate_owed_first(const struct gate_result *, const struct rule *owes);
/* The rule that refuses a caller for good at one of these phases, whatever of FACTS is still to be learned; NULL: it depends, or
 * there is none. */
const struct rule *gate_foresee(const struct gate *, enum phase first, enum phase last, const struct facts *);
/* A `reject` that leans on DNS which did not answer: it is carried out as `tempfail`, since trouble with DNS is no reason
 * to lose mail. */
bool rule_is_softened(const struct rule *, const struct facts *);
/* Its condition asks for the fact. */
bool rule_asks(const struct rule *, enum fact);
/* FACT_BIT()s that rules acting at phases up to LAST may ask and that can be known at phase FIRST: what to ask for in advance. */
uint32_t gate_wants(const struct gate *, enum phase first, enum phase last);
/* -1 unknown (a fact is missing), 0, 1: for explain. */
int condition_eval(const struct condition *, const struct facts *, uint32_t *missing);

const char *phase_name(enum phase);
const char *action_name(enum action);
const char *fact_name(enum fact);
const char *auth_result_name(enum auth_result);
/* The earliest phase at which a fact can be known. */
enum phase fact_phase(enum fact);
/* By name, -1 when there is none. */
int phase_by_name(const char *);
/* As it would stand in the file: `reject "no" at rcpt when s25r and not rdns pass`. */
void rule_print(struct buf *, const struct rule *);
void condition_print(struct buf *, const struct condition *);
/* `greylist when s25r` in one word for replies and logs: "greylist#5" */
void rule_tag(const struct rule *, char *out, unsigned size);

#endif
