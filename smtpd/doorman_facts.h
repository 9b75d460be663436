/*
 * The doorman's ears: asks for the facts that the rules need and keeps what was answered in the session's struct facts.
 * Only smtpd/doorman.c calls it; it calls back through struct doorman's LEARNED.
 */
#ifndef SMTPD_DOORMAN_FACTS_H
#define SMTPD_DOORMAN_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/gate.h"

struct session;

/* What one question answers together. */
#define DOOR_RDNS (FACT_BIT(FACT_RDNS) | FACT_BIT(FACT_S25R))
#define DOOR_CALLER FACT_BIT(FACT_TRAPPED)
#define DOOR_LISTS (FACT_BIT(FACT_DNSBL) | FACT_BIT(FACT_DNSWL))
/* Known without asking, from the beginning. */
#define DOOR_PLAIN \
	(FACT_BIT(FACT_CLIENT) | FACT_BIT(FACT_AUTHENTICATED) | FACT_BIT(FACT_TLS) | FACT_BIT(FACT_TIME) | \
	    FACT_BIT(FACT_CONNECTIONS) | FACT_BIT(FACT_RATE) | FACT_BIT(FACT_UNKNOWN_RECIPIENTS))
/* Asked for as soon as they can be known, because a rule of a later phase will want them. */
#define DOOR_EARLY \
	(FACT_BIT(FACT_HELO_RESOLVES) | FACT_BIT(FACT_SENDER_DOMAIN) | FACT_BIT(FACT_SPF))

/* Asks for those of MISSING (FACT_BIT()s) that are neither known nor asked for, perhaps only when the caller's first moment is
 * over.  What is then still not among door.asked is known: LEARNED is called once for each answer, later. */
void door_ask(struct session *, uint32_t missing);
/* The same for what rules to come may want to know, so that it is there in time; not about one who is refused by what is
 * known already. */
void door_ask_ahead(struct session *, uint32_t facts);
/* The first moment is over: asks what was left for later (door.later), and calls LEARNED. */
void door_ask_now(struct session *);
/* A caller rings: what is known of him without asking. */
void door_take_caller(struct session *);
/* What the session knows by itself once PHASE is reached; what was learned of another HELO or sender is forgotten. */
void door_take_plain_facts(struct session *, enum phase);
/* No question is answered any more; what was learned about the name is forgotten. */
void door_forget(struct session *);

#endif
