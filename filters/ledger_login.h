/*
 * Failures and successes of logging in, as the ledger keeps them: the decision, and `smtpctl auth`.
 */
#ifndef FILTERS_LEDGER_LOGIN_H
#define FILTERS_LEDGER_LOGIN_H

#include "filters/ledger.h"

struct ledger;

/* What STEP by ACCOUNT at IP means at NOW.  A ledger without a store bans nobody. */
void ledger_judge_login(struct ledger *, enum login_step, const struct ip *, const char *account, int64_t now,
    struct login_answer *);
/* Registers the object "auth" with ctl.h. */
void ledger_login_ctl_init(struct ledger *);

#endif
