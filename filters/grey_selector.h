/*
 * Which of the ledger's records smtpctl means: `grey list state=waiting from=example.org`.  Pure:
 * words in, a selector or a complaint out; a selector and an item in, yes or no out.
 */
#ifndef FILTERS_GREY_SELECTOR_H
#define FILTERS_GREY_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/ledger_item.h"
#include "lib/ip.h"

struct grey_selector {
	char *text[OPERATOR_KINDS]; /* as operator_text() spells it; NULL: not asked */
	struct ipnet client;	    /* of text[OPERATOR_CLIENT] */
	char *state;
	uint64_t limit; /* 0: none */
	bool all, dry_run;
};

/* What "state=" may be; ends with NULL. */
extern const char *const grey_states[];

/* Words "client=", "name=", "identity=", "from=", "to=", "state=", "limit=", "all", "-n"; all that
 * are given must match.  False: *WHY (the caller frees) says what is wrong. */
bool grey_selector_parse(unsigned n, const char *const *words, struct grey_selector *, char **why);
void grey_selector_clear(struct grey_selector *);
/* True when nothing narrows it: it selects every record. */
bool grey_selector_is_open(const struct grey_selector *);
/* LIMIT and ALL are the caller's to obey. */
bool grey_selector_matches(const struct grey_selector *, const struct ledger_item *, int64_t now);

#endif
