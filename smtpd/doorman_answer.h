/*
 * The doorman's mouth: tells what rules did, and gives the answer of a phase, which ends it.  Only smtpd/doorman.c calls it.
 */
#ifndef SMTPD_DOORMAN_ANSWER_H
#define SMTPD_DOORMAN_ANSWER_H

#include <stdint.h>

struct rule;
struct session;

/* Who calls, for the ledger's memory of what was put off (filters/tries.h); the caller frees. */
char *door_identity(const struct session *);
/* In the log and to the ledger: what RULE did, or would have done; WAITED is seconds. */
#define DOOR_HUNG_UP "hung up"
void door_tell(struct session *, const struct rule *, const char *what, uint32_t waited);
/* The same of each rule whose bit is set (by its place in the gate). */
void door_tell_each(struct session *, uint64_t rules, const char *what);

/* Nothing stops the caller in this phase. */
void door_go_on(struct session *);
/* What the rule that decides says. */
void door_act(struct session *, const struct rule *);
/* The greylist's word, by RULE; the answer comes when the ledger's does. */
void door_ask_greylist(struct session *, const struct rule *);
/* The operator has denied him, or his mail. */
void door_refuse_denied(struct session *);

#endif
