/*
 * Looks at the octets of a message as they pass: are its lines lines (RFC 5321 2.3.8), how many
 * servers has it seen, is it 8-bit.  For messages whose end is known otherwise (BDAT, sendmail);
 * pure, octets in, findings out.
 */
#ifndef LIB_CONTENT_H
#define LIB_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum content_defect { CONTENT_BARE_CR = 1, CONTENT_BARE_LF = 2, CONTENT_NUL = 4 };

struct content {
	uint8_t defects;   /* enum content_defect, or'ed */
	uint8_t header_defects; /* those of the header, when it is over */
	bool eight_bit;    /* an octet above 127 was seen */
	bool in_body;      /* the header is over */
	bool after_cr;
	uint8_t matched;   /* octets of "Received:" that the present header line begins with */
	uint64_t column;   /* octets of the present line, its end not counted */
	uint32_t received; /* Received fields, for the loop limit (RFC 5321 6.3) */
	uint64_t size;
};

/* CONTENT zeroed before the first piece. */
void content_look(struct content *, const void *, size_t);
/* At the end of the last piece: true when the last line is a whole one.  Notices a CR that nothing
 * follows. */
bool content_end(struct content *);
/* What is wrong with a message that may hold any octets behind its header (RFC 3030 3). */
uint8_t content_binary_defects(const struct content *);

#endif
