/*
 * The rhythm in which mail comes back, and whether it is a mail server's.  Pure.
 *
 * ASAMI Hideo's log sorting script sorts refusals by client, sender and recipient, so that somebody who reads the log sees
 * the same three come back like a mail server's, and puts the client into the white list.  Here that is a rule:
 * three tries or more that came at least a minute after the one before, the last of these at least ten minutes after the
 * first, never a day between two, and not more others than those.  Programs that send spam do not return, or return at
 * once, or once.  Every schedule that was measured of large providers has this rhythm after 11 to 30 minutes, also that of
 * one who gives up after half an hour; those of Postfix, Exim, sendmail, qmail and Exchange after 15 minutes to two hours.
 */
#ifndef FILTERS_RHYTHM_H
#define FILTERS_RHYTHM_H

#include <stdbool.h>
#include <stdint.h>

#define RHYTHM_STEP 60
#define RHYTHM_TRIES 3
#define RHYTHM_SPREAD 600
#define RHYTHM_GAP 86400

/* All zero: no try yet. */
struct rhythm {
	uint32_t total;	  /* tries */
	uint32_t counted; /* of these, those at least RHYTHM_STEP after the one before */
	int64_t first, stepped, last; /* the first, the last that counted, the last */
};

/* One more at TIME, which is taken for the last one's when it is before it.  True when it counts. */
bool rhythm_add(struct rhythm *, int64_t time);
bool rhythm_is_of_a_server(const struct rhythm *);
/* So long ago at NOW, or by a clock so far ahead of it, that the next try is of another mail. */
bool rhythm_is_over(const struct rhythm *, int64_t now);

#endif
