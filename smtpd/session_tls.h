/*
 * TLS of a session: from STARTTLS, or from the first octet where the listener says `implicit-tls`.
 *
 * With implicit TLS the handshake comes first and then the door, pause included: a client has to send
 * its ClientHello before it can hear anything, so that is not talking early; what it sends under TLS
 * before the banner is.
 */
#ifndef SMTPD_SESSION_TLS_H
#define SMTPD_SESSION_TLS_H

#include <stdbool.h>

struct ctl;
struct session;

/* In a role's start.  SECURED is called when a session's handshake is over. */
void session_tls_init(void (*secured)(struct session *));
/* The listener has a certificate; STARTTLS would be taken. */
bool session_tls_served(const struct session *);
bool session_tls_offered(const struct session *);
/* The handshake begins.  Nothing that was read waits to be looked at; nothing waits to be sent. */
void session_tls_begin(struct session *);
/* While handshaking: the socket is ready again, or time is up. */
void session_tls_ready(struct session *);
void session_tls_timeout(struct session *);
/* Before the socket is closed, or goes on in the clear for a moment: forgets TLS, with a good-bye when
 * there is somebody to understand it. */
void session_tls_end(struct session *);
/* Records for `smtpctl stats`. */
void session_tls_stats(struct ctl *);

#endif
