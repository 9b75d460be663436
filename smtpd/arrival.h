/*
 * A client arrives at a session.
 */
#ifndef SMTPD_ARRIVAL_H
#define SMTPD_ARRIVAL_H

struct ip;
struct session;

/* We know who calls: counts him, and leads him to TLS or to the door. */
void session_admit(struct session *);
/* TLS has begun: the client starts anew (RFC 3207 4.2), or, with implicit TLS, comes to the door. */
void session_secured(struct session *);
/* After XCLIENT: another client stands at the door, and is counted instead of the peer.  RDNS: enum rdns_status when its name was told
 * too, -1: ask. */
void session_restart(struct session *, const struct ip *, int rdns, const char *name);

#endif
