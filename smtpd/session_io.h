/*
 * What goes over a session's wire, and when.  session_life.c begins and ends it; everybody else says what is to be said by
 * session.h.
 */
#ifndef SMTPD_SESSION_IO_H
#define SMTPD_SESSION_IO_H

#include "smtpd/session.h"

/* The loop's events, of a socket that was just taken over; and their end. */
void session_io_begin(struct session *);
void session_io_end(struct session *);
/* Sends what it can; ends a closing session when all is out. */
void session_flush(struct session *);
/* Its text is being read, or on its way to the disk: a reply now would be taken for the answer to it. */
bool session_in_text(const struct session *);
/* Of struct session_ops. */
void session_go_on(struct session *);
void session_io_await(struct session *, int want);

#endif
