/*
 * The extensions of ESMTP (RFC 5321 2.2): which of them this client is offered now.  The reply to EHLO, and what MAIL and
 * RCPT take, come from this one table.
 */
#ifndef SMTPD_EXTENSION_H
#define SMTPD_EXTENSION_H

#include <stdbool.h>

struct session;

enum extension {
	EXT_PIPELINING,    /* RFC 2920 */
	EXT_SIZE,          /* RFC 1870 */
	EXT_8BITMIME,      /* RFC 6152 */
	EXT_CHUNKING,      /* RFC 3030, */
	EXT_BINARYMIME,    /* too */
	EXT_SMTPUTF8,      /* RFC 6531 */
	EXT_DSN,           /* RFC 3461 */
	EXT_DELIVERBY,     /* RFC 2852 */
	EXT_FUTURERELEASE, /* RFC 4865 */
	EXT_LIMITS,        /* RFC 9422 */
	EXT_ETRN,          /* RFC 1985 */
	EXT_STARTTLS,      /* RFC 3207 */
	EXT_REQUIRETLS,    /* RFC 8689 */
	EXT_AUTH,          /* RFC 4954 */
	EXT_XCLIENT,       /* Postfix's XCLIENT_README, */
	EXT_XVERP,         /* and VERP_README */
	EXT_ENHANCEDSTATUSCODES, /* RFC 2034 */
	EXT_COUNT
};

bool extension_offered(const struct session *, enum extension);
/* The reply to EHLO. */
void extensions_say(struct session *);

/* Seconds for which a submitted message may wait for its release. */
unsigned extension_hold_most(void);

#endif
