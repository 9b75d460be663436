/*
 * What a greylist or tempfail rule asks the ledger about one recipient: whom it takes for the same caller, and
 * the rule's times with the defaults filled in.  The session asks with it, and so do smtpctl's
 * explain, simulate and replay, so that all of them mean the same caller.
 */
#ifndef FILTERS_GREY_ASK_H
#define FILTERS_GREY_ASK_H

#include "filters/gate.h"
#include "filters/ledger.h"

struct grey_ask {
	char *identity, *sender, *recipient; /* of QUESTION */
	struct grey_question question;
};

/* What the question points to besides FACTS is freed by grey_ask_clear(). */
void grey_ask_make(struct grey_ask *, const struct rule *, const struct facts *);
void grey_ask_clear(struct grey_ask *);

#endif
