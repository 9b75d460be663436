/*
 * Delivery to the end of a mbox file (RFC 4155), quoted the way that can be undone (mboxrd).
 * Blocking: for the process that delivers.
 */
#ifndef DELIVER_MBOX_H
#define DELIVER_MBOX_H

#include <stdint.h>
#include <time.h>

#include "deliver/final.h"

/* How long a mailbox that others have locked is waited for, in milliseconds. */
#define MBOX_WAIT_MS 20000
/* A dotlock that nobody has touched for so many seconds is that of a dead program. */
#define MBOX_STALE 300

struct mbox_item {
	const char *path;    /* of the file, absolute; it is made when it is missing */
	const char *sender;  /* "" for the null one */
	const char *address; /* for Delivered-To */
	struct maildir_content *content;
	uint32_t wait_ms;
	struct final_result result; /* final_result_free */
};

/* DELIVERY_OK: the whole message is on disk.  Else the file is what it was before. */
void mbox_deliver(struct mbox_item *);

/* Writes lines with '>' before each that is "From ", or that with some '>' before it.  Incremental:
 * zero-initialised is the beginning. */
struct mbox_quote {
	bool in_line;    /* the line is known to need no (further) quote */
	unsigned quotes; /* '>' held back at its start */
	unsigned matched; /* octets of "From " held back after them */
};
void mbox_quote_feed(struct mbox_quote *, const char *, size_t, struct buf *out);
/* The end: what was held back, and the line end if the last line has none. */
void mbox_quote_end(struct mbox_quote *, struct buf *out);
/* "From a@b.example Thu Jan  1 00:00:00 1970\n", in UTC. */
void mbox_separator(struct buf *, const char *sender, time_t);

#endif
