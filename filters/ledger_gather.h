/*
 * Sessions tell the ledger of their decisions in their own time (channel_end_lazily).  Whoever asks for a report or a session's
 * story means everything that is over, so those who answer such requests have it fetched first.
 */
#ifndef FILTERS_LEDGER_GATHER_H
#define FILTERS_LEDGER_GATHER_H

#include "lib/ctl.h"

struct peer;
struct message;

/* As ctl_register; HANDLER is called when every session has told what it knew when the request came, or has had a second
 * for it. */
void ledger_gather_register(const char *object, ctl_handler handler);
/* A session has told all: LEDGER_ALL_TOLD.  False when the message makes no sense. */
bool ledger_gathered(struct peer *, struct message *);

#endif
