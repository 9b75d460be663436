/*
 * The octets of a connection, in the clear or, from its handshake on, under TLS.  Results as in
 * lib/tls.h: octets, TLS_DONE when the client sends no more, TLS_WANT_*, TLS_FAILED when the connection
 * is lost.
 */
#ifndef SMTPD_WIRE_H
#define SMTPD_WIRE_H

#include "lib/tls.h"

/* TLS NULL: in the clear. */
ssize_t wire_read(int fd, SSL *tls, void *, size_t);
ssize_t wire_write(int fd, SSL *tls, const void *, size_t);
/* We send no more: a good-bye under TLS, then the end of the stream.  -1: the connection is lost already. */
int wire_end(int fd, SSL *tls);

#endif
