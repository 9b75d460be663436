/*
 * The words of a refusal: a rule's text, or the action's own, as one line of ASCII.
 *
 * In a text %{client} is the client's address, %{name} its verified name or "unknown", %{helo}
 * what it calls itself, %{sender} and %{recipient} are the addresses, and %{minutes} is how long
 * the greylist asks to wait, rounded up (0 for other actions).
 */
#ifndef FILTERS_GATE_REPLY_H
#define FILTERS_GATE_REPLY_H

#include "filters/gate.h"

/* What an action says when its rule has no words of its own. */
struct gate_refusal {
	int code;
	const char *status; /* RFC 3463 */
	const char *text;
	bool close;
};
/* TEMPFAIL, REJECT, DROP; NULL for those that refuse nobody. */
const struct gate_refusal *gate_refusal(enum action);
/* The status of a refusal by RULE, as ACTION: that of the action, or of what had to be true for it. */
const char *gate_status(const struct rule *, enum action);
/* The greylist's, with %{minutes}. */
const char *gate_grey_text(unsigned minutes);

/* TEXT as above, of a rule that was checked.  The caller frees. */
char *gate_reply(const char *text, const struct facts *, unsigned minutes);
/* NULL, or the first field of TEXT that there is not, without its braces (caller frees). */
char *gate_reply_unknown_field(const char *text);

#endif
