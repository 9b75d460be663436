/*
 * The text of a transaction on its way to the queue: what DATA and BDAT have in common once each has read its octets in its
 * own way.
 */
#ifndef SMTPD_INTAKE_H
#define SMTPD_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

struct session;

/* What the reader of a text found in it. */
struct intake_found {
	uint64_t size;      /* octets of text */
	uint32_t received;  /* Received fields, for the loop limit (RFC 5321 6.3) */
	uint8_t defects;    /* enum content_defect, or'ed: those that this text may not have */
	bool eight_bit;     /* an octet above 127 was seen */
};

/* The gate let the text in, and octets may come: tx->text takes them. */
void intake_open(struct session *);
/* The defects, enum content_defect, that this text may have: they are mended on its way. */
uint8_t intake_tolerated(const struct session *);
/* Hands on what tx->text has, or throws it away when the text, of SIZE octets so far, is too big or has DEFECTS; the session
 * waits while the disk is behind. */
void intake_write(struct session *, uint64_t size, uint8_t defects);
/* All of the text is there.  Refuses it, or has it judged and stored; the one reply to it comes from here.  True, and
 * replied, when it had defects. */
bool intake_end(struct session *, const struct intake_found *);
/* The transaction is over, however it ended. */
void intake_over(struct session *);

#endif
