/*
 * The beginning of a connection that a listed proxy makes for its client: its header, before TLS and before the door.
 */
#ifndef SMTPD_SESSION_PROXY_H
#define SMTPD_SESSION_PROXY_H

#include <stdbool.h>

struct session;

/* True: a header comes first; the session waits for it, in STATE_PROXY. */
bool session_proxy_begin(struct session *);
/* In STATE_PROXY: octets are there.  True: the header is, and it is the client's session now. */
bool session_proxy_read(struct session *);
/* Time is up. */
void session_proxy_timeout(struct session *);

#endif
