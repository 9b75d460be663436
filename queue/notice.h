/*
 * Delivery status notices: what the sender of a message is told about recipients that were not
 * reached (RFC 3464, in the multipart/report of RFC 6522; RFC 6533 when an address is
 * internationalised).  Pure: an envelope and a content come out of what the caller names, time and
 * id included.
 */
#ifndef QUEUE_NOTICE_H
#define QUEUE_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/envelope.h"

struct evbuffer;

enum notice_kind {
	NOTICE_FAILURE, /* these recipients will not get it */
	NOTICE_DELAY,   /* they did not get it yet; we go on trying */
	NOTICE_SUCCESS, /* they got it, or others who tell nothing took it on (RFC 3464 2.3.3) */
	NOTICE_DOUBLE   /* a failure, for the postmaster, because there is no sender to tell */
};

/* Where a notice of that kind comes from: such messages are never the reason for another one. */
#define NOTICE_ORIGIN_DOUBLE "double bounce"

struct notice_recipient {
	const struct recipient *recipient; /* REASON and HOST say why */
	bool expired;                      /* given up for its age, not for the last answer */
};

struct notice {
	enum notice_kind kind;
	uint64_t id;             /* of the notice itself */
	int64_t time;            /* its date */
	const char *host;        /* our name */
	const struct envelope *about;
	const char *to;          /* who sent to these recipients; DOUBLE: not used */
	const char *envid;       /* that he gave (RFC 3461), or NULL */
	const struct notice_recipient *recipients;
	unsigned recipients_n;
	const char *content;     /* of the message: at least its header, or what there is of it */
	size_t content_len;
	bool whole;              /* CONTENT is all of it, and may be returned if that was asked for */
};

/* Whether the sender is to hear of this at all (RFC 3461 4.1; never when the sender is null, and
 * then the postmaster hears of failures, once). */
bool notice_wanted(enum notice_kind, const struct envelope *, uint32_t index);
/* Writes the content to OUT; returns the envelope, from the null sender, without an expiry. */
struct envelope *notice_compose(const struct notice *, struct evbuffer *out);

#endif
