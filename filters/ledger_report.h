/*
 * `smtpctl gate report`, answered in the ledger.
 */
#ifndef FILTERS_LEDGER_REPORT_H
#define FILTERS_LEDGER_REPORT_H

struct ctl;
struct ledger;

/* Words "since=", "until=" (times ago; a day and now) and "by=hour": then every counter for itself, with its hour, and the waits in
 * their buckets, for whoever adds them up by days of his own. */
void ledger_report(struct ledger *, struct ctl *, unsigned n, const char *const *words);

#endif
