/*
 * The content of a message as an SMTP client sends it: from memory or from a file, piece by piece,
 * dots doubled.
 */
#ifndef DELIVER_SMTP_CONTENT_H
#define DELIVER_SMTP_CONTENT_H

#include <sys/types.h>

#include "deliver/dotstuff.h"

struct downgrade;

struct smtp_content {
	const char *data; /* LEN octets in memory, or NULL: */
	size_t len;
	int fd; /* a file, read by pread */
	off_t at;
	struct downgrade *plan; /* or this, unless NULL */
	bool raw;		/* not one octet more: for BDAT */
	struct dotstuff stuff;
};

enum smtp_content_status {
	SMTP_CONTENT_MORE,
	SMTP_CONTENT_END,  /* the final dot is out too */
	SMTP_CONTENT_BARE, /* a CR or LF stands alone in it */
	SMTP_CONTENT_ERROR /* the file cannot be read; errno */
};

/* PLAN and RAW are set by the caller then, if they are needed. */
void smtp_content_init(struct smtp_content *, const void *data, size_t len, int fd);
/* Appends the next piece, at most about 64 KiB, to OUT (NULL: only looks). */
enum smtp_content_status smtp_content_next(struct smtp_content *, struct evbuffer *out);

#endif
