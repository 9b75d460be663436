/*
 * The reader of a message's text after 354: finds the end, undoes dot-stuffing, and notices what must not be there.
 * Pure: octets in, octets out, no session.
 *
 * Only CRLF ends a line and only CRLF "." CRLF ends the text (RFC 5321 2.3.8, 4.1.1.4).  A bare CR, a bare LF or a NUL
 * never ends anything; it makes the text defective, and the reader still finds the true end, so that what a smuggler
 * hid behind a false one is read as the text that it is.
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/content.h"

struct evbuffer;

struct data_reader {
	uint8_t state;
	uint8_t defects;    /* enum content_defect, or'ed */
	uint8_t tolerated;  /* those of them with which the text is read on, as it came */
	bool in_body;       /* the header is over */
	bool eight_bit;     /* an octet above 127 was seen */
	uint8_t matched;    /* octets of "Received:" that the present header line begins with */
	uint32_t column;    /* in the present header line */
	uint32_t received;  /* Received fields, for the loop limit (RFC 5321 6.3) */
	uint64_t size;      /* octets of text, without the dots that were stuffing and without the end */
};

void data_init(struct data_reader *);
/* Reads up to LEN octets, appends the text to OUT (NULL: to nowhere), sets *USED; true when the end was found. */
bool data_read(struct data_reader *, const char *in, size_t len, struct evbuffer *out, size_t *used);

#endif
