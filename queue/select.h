/*
 * Which messages an operator means: the words behind `smtpctl queue VERB`.  Pure.
 *
 *   ID ...          these messages; several may be named
 *   from=ADDRESS    the sender: an address, "@domain", "domain", a pattern with "*", or "<>"
 *   to=ADDRESS      a recipient that waits, likewise
 *   domain=NAME     a recipient that waits is in this domain or below it
 *   older=TIME      accepted longer ago than this (2h, 3d); younger=TIME: less long ago
 *   size=SIZE       at least so large (1M); size=<SIZE: smaller
 *   state=STATE     waiting, active, deferred or held
 *   reason=TEXT     what was last said about a recipient contains this; host=TEXT: who said it
 *   all             every message
 *   dry-run, -n     no condition: show what would happen, and do nothing
 *
 * All conditions must hold; those on recipients must hold for one and the same recipient.  Case
 * does not matter.
 */
#ifndef QUEUE_SELECT_H
#define QUEUE_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/envelope.h"

enum message_state {
	MESSAGE_WAITING,  /* never tried */
	MESSAGE_ACTIVE,   /* something is being done about it */
	MESSAGE_DEFERRED, /* tried, and to be tried again */
	MESSAGE_HELD,
	MESSAGE_STATES
};
const char *message_state_name(enum message_state);

struct selector {
	uint64_t ids[64];
	unsigned ids_n;
	/* these point into the words */
	const char *from, *to, *domain, *reason, *host;
	uint64_t older, younger;     /* seconds; UINT64_MAX: not asked */
	uint64_t size_least, size_below;
	int state;                   /* enum message_state, or -1 */
	bool all;
	bool dry_run;
};

/* NULL, or what is wrong with the words and what to do (caller frees). */
char *select_parse(struct selector *, unsigned n, const char *const *words);
/* True when the words named no condition at all, not even `all`. */
bool select_is_empty(const struct selector *);
/* True when some condition is about recipients (to, domain, reason, host). */
bool select_asks_recipients(const struct selector *);
/* One recipient, by the conditions that are about recipients; it must wait. */
bool select_recipient(const struct selector *, const struct recipient *);
bool select_match(
    const struct selector *, const struct envelope *, enum message_state, int64_t now);

#endif
