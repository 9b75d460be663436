/*
 * The life of connections: listen.c begins them, the role ends them all.
 */
#ifndef SMTPD_SESSION_LIFE_H
#define SMTPD_SESSION_LIFE_H

#include <stdint.h>

struct conf;
struct ip;
struct listener;

/* In a role's start. */
void session_init(const struct conf *);
/* Takes over FD, a new connection. */
void session_new(int fd, const struct ip *, uint16_t port, const struct listener *);
/* All are told to leave. */
void session_end_all(const char *why);

#endif
