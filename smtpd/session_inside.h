/*
 * Between a session's two files: its life (session.c) and its wire (session_io.c).  Nobody else includes this.
 */
#ifndef SMTPD_SESSION_INSIDE_H
#define SMTPD_SESSION_INSIDE_H

#include "smtpd/session.h"

/* The loop's events, of a socket that was just taken over; and their end. */
void session_io_begin(struct session *);
void session_io_end(struct session *);
/* Whether octets of the client are asked for. */
void session_set_reading(struct session *, bool);
/* Sends what it can; ends a closing session when all is out. */
void session_flush(struct session *);
/* Its text is being read, or on its way to the disk: a reply now would be taken for the answer to it. */
bool session_in_text(const struct session *);

#endif
