/*
 * What a submission server does to a message before it goes out (RFC 6409 8): Date and Message-ID where they are missing,
 * no Bcc, whole addresses; and what it refuses because receivers would (RFC 5322 3.6, 2.1.1).  Octets in, octets out; no
 * session.  The header is gathered, the body goes through as it is.
 */
#ifndef SMTPD_FIXUP_H
#define SMTPD_FIXUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct fixup;
struct table;

struct fixup_options {
	const char *host;   /* for addresses without a domain, and Message-ID */
	const char *sender; /* reverse-path: Sender, when there are several authors and it is missing; "": none */
	uint64_t id;        /* for Message-ID */
	int64_t now;        /* for Date */
	const struct table *rewrite; /* senders as the world shall see them; or NULL */
	bool binary;        /* BODY=BINARYMIME: the body has no lines */
};

/* Copies the options. */
struct fixup *fixup_new(const struct fixup_options *);
void fixup_free(struct fixup *);
/* Replaces what TEXT holds, the next octets of the message, by what they become.  After a fault nothing comes out. */
void fixup_text(struct fixup *, struct evbuffer *text);
/* The message is whole; what was kept back is added to TEXT.  NULL; or why it is refused, in words for a reply. */
const char *fixup_end(struct fixup *, struct evbuffer *text);
/* After the end: who it says wrote or sent it, the addresses of From and Sender, normalised. */
size_t fixup_authors(const struct fixup *, const char *const **addresses);

#endif
