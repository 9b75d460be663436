/*
 * TLS for whoever speaks it, server or client: what we agree to, what a connection is called in logs
 * and in Received, the steps of a connection on a non-blocking socket, and what went wrong in words.
 * Server contexts are tls_server.h's.
 */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include <sys/types.h>

#include <stddef.h>

#include <openssl/ssl.h>

/* Before anything else is done with OpenSSL: whatever it gives back to the heap is wiped, so that of a
 * key that was parsed and freed nothing is left for a child to be born with, and nothing of a session's
 * keys for the next one. */
void tls_wipe_freed(void);

/* TLS 1.2 and later; only key exchange with forward secrecy, ciphers with AES or ChaCha20; no
 * compression, no renegotiation, no cache of sessions; an idle connection gives its buffers back.  Mail
 * is rather sent under a mode of yesterday (CBC, last in the list) than in the clear: servers of ten
 * years ago have no other with an RSA certificate. */
void tls_policy(SSL_CTX *);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", the registered name of the cipher (RFC 8314 4.3); "" before the
 * handshake. */
struct tls_text {
	char s[80];
};
struct tls_text tls_name(const SSL *);

/* One step.  A positive result of tls_read and tls_write counts octets. */
enum tls_result {
	TLS_DONE = 0,         /* handshake: done; read: the other side sends no more */
	TLS_WANT_READ = -1,   /* again when the socket is readable */
	TLS_WANT_WRITE = -2,  /* again when it is writable; what was to be written must still begin with the same octets */
	TLS_FAILED = -3       /* nothing more comes or goes; tls_why() */
};
int tls_handshake(SSL *); /* server or client, as SSL_set_*_state said; TLS_DONE or negative */
ssize_t tls_read(SSL *, void *, size_t);
ssize_t tls_write(SSL *, const void *, size_t);
/* Says good-bye (close_notify) if that can be said at once. */
void tls_goodbye(SSL *);

/* After TLS_FAILED: "the client speaks only TLS 1.1 or older", "the server left"; PEER is "client" or
 * "server".  Empties OpenSSL's queue of errors.  The caller frees. */
char *tls_why(const char *peer);
/* The words for one error of OpenSSL's, as bufferevent_get_openssl_error() gives it; 0: the connection
 * was lost.  The caller frees. */
char *tls_error_words(const char *peer, unsigned long error);

#endif
