/*
 * Makes a message that can be sent out of what a program hands to sendmail: the recipients from its
 * header if asked, the fields that are missing, full addresses, CRLF.  Pure: octets in, octets out.
 */
#ifndef LIB_COMPOSE_H
#define LIB_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

struct compose_options {
	bool from_header;      /* -t: recipients from To, Cc, Bcc, or from their Resent- forms */
	bool dot_is_text;      /* -i: a line of one dot does not end the message */
	const char *host;      /* for addresses without a domain, and Message-ID */
	const char *sender;    /* for From when it is missing; "": the null one */
	const char *full_name; /* -F, or NULL */
	uint64_t id;           /* for Message-ID */
	int64_t now;           /* for Date */
};

struct composed {
	struct buf text;       /* the message, lines ended by CRLF */
	char **recipients;     /* from the header, as they stand there */
	size_t recipients_n;
};

/*
 * Header fields Bcc, Resent-Bcc, Return-Path and Content-Length go; From, Date, Message-ID and
 * (where neither To nor Cc is there) "To: undisclosed-recipients:;" are added; all others stay as
 * they are, except that addresses without a domain get HOST in the fields that hold addresses.  An
 * input that does not begin with a header is all body.  A CR without LF ends a line, a NUL becomes
 * '?', and a line of the body longer than 998 octets (RFC 5322 2.1.1) is broken.
 * NULL; or what is wrong with a field that recipients were to come from (caller frees).
 */
char *compose(const struct compose_options *, const char *in, size_t len, struct composed *out);
void composed_free(struct composed *);

#endif
