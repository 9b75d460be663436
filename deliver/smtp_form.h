/*
 * What a server takes, by its reply to EHLO or LHLO, and the form in which it gets a message: as it is,
 * in one chunk, or in text of 7 bits (RFC 6152 3, RFC 3030 3, RFC 6531 3.6).  For clients of SMTP and
 * LMTP.
 */
#ifndef DELIVER_SMTP_FORM_H
#define DELIVER_SMTP_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deliver/downgrade.h"
#include "deliver/smtp_client.h"
#include "deliver/smtp_content.h"

enum offer {
	OFFER_PIPELINING = 1,
	OFFER_SIZE = 2,
	OFFER_8BITMIME = 4,
	OFFER_SMTPUTF8 = 8,
	OFFER_DSN = 16,
	OFFER_STARTTLS = 32,
	OFFER_REQUIRETLS = 64,
	OFFER_AUTH = 128,
	OFFER_DELIVERBY = 256,
	OFFER_CHUNKING = 512,
	OFFER_BINARYMIME = 1024
};
/* The extension that a line of the reply names, or 0; *WORD octets of it are the name. */
enum offer smtp_offer(const char *line, size_t len, size_t *word);

enum smtp_form_kind {
	FORM_AS_IT_IS,
	FORM_7BIT,  /* encoded */
	FORM_BINARY /* by BDAT */
};

struct smtp_form {
	enum smtp_form_kind kind;
	bool utf8;      /* as one of RFC 6531 */
	bool eight_bit; /* it goes as it is, with octets above 127 */
	uint64_t size;  /* octets, as far as they are known */
	/* unless it goes as it is */
	struct downgrade plan;
	const char *s;
	size_t len;
	void *mapped; /* or NULL */
};

/* What of the message is sent to a server that makes OFFERS.  NULL, or why nothing is (caller
 * frees); smtp_form_free in either case. */
char *smtp_form_choose(struct smtp_form *, unsigned offers, const struct smtp_client_message *);
/* Its content from the beginning, once for each transaction. */
void smtp_form_content(
    struct smtp_form *, const struct smtp_client_message *, struct smtp_content *);
void smtp_form_free(struct smtp_form *);

#endif
