/*
 * Mail data as it goes over the wire (RFC 5321 4.5.2): dots doubled at the start of lines, the end
 * marked.  Pure and incremental.
 */
#ifndef DELIVER_DOTSTUFF_H
#define DELIVER_DOTSTUFF_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

/* Zero-initialised is the beginning. */
struct dotstuff {
	bool in_line; /* the last octet was no LF */
	bool cr;      /* it was a CR */
};

/* Appends to OUT (NULL: only checks).  False: a CR or LF stands alone, and nothing more of this may
 * be sent. */
bool dotstuff_feed(struct dotstuff *, const char *, size_t, struct evbuffer *out);
/* The end of the data: a missing last CRLF, and the dot.  False as above. */
bool dotstuff_end(struct dotstuff *, struct evbuffer *out);
/* True when there is an octet above 127. */
bool dotstuff_has_8bit(const char *, size_t);

#endif
