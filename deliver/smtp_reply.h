/*
 * Replies of SMTP servers (RFC 5321 4.2), as a client reads them.  Pure and incremental: octets in,
 * a reply out.
 */
#ifndef DELIVER_SMTP_REPLY_H
#define DELIVER_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

/* RFC 5321 4.5.3.1.5 has 512 octets to a line; of longer ones so much is kept. */
#define SMTP_REPLY_LINE_MAX 2048
#define SMTP_REPLY_MAX (32 * 1024)
/* Of the text that is kept for people. */
#define SMTP_REPLY_TEXT_MAX 1000

enum smtp_reply_status {
	SMTP_REPLY_MORE, /* all was used, and the reply is not whole */
	SMTP_REPLY_DONE, /* a reply is whole; what follows is the next */
	SMTP_REPLY_BAD	 /* this is no SMTP: the connection is of no use */
};

/* Zero-initialised is the beginning. */
struct smtp_reply {
	unsigned code;	  /* 200 to 599, of every line */
	struct buf lines; /* the texts behind the codes, each with '\n': for the answer to EHLO */
	struct buf line;  /* being read */
	size_t octets;	  /* of the reply so far */
};

/* *USED says how much of the input belongs to this reply. */
enum smtp_reply_status smtp_reply_feed(struct smtp_reply *, const char *, size_t len, size_t *used);
/* For the next one; keeps memory. */
void smtp_reply_clear(struct smtp_reply *);
void smtp_reply_free(struct smtp_reply *);

/* "550 5.1.1 who is that?": in one line, without controls, an enhanced code once.  The caller
 * frees. */
char *smtp_reply_text(const struct smtp_reply *);
/* True when the first line has the enhanced status code CODE, as "5.5.3". */
bool smtp_reply_has_enhanced(const struct smtp_reply *, const char *code);

#endif
