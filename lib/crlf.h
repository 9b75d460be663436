/*
 * Text of clients that do not know what a line end is, made text of lines (RFC 5321 2.3.8): a bare LF becomes CRLF, a bare CR
 * a space.  Pure and incremental.
 */
#ifndef LIB_CRLF_H
#define LIB_CRLF_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

/* Zero-initialised is the beginning. */
struct crlf {
	bool cr; /* the last octet was one, and was not written yet */
};

void crlf_feed(struct crlf *, const char *, size_t, struct evbuffer *out);
/* The end of the text: what was held back. */
void crlf_end(struct crlf *, struct evbuffer *out);

#endif
