/*
 * smtpctl's side of the control socket: one request, its answer, its end.
 */
#ifndef SMTPCTL_CLIENT_H
#define SMTPCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/field.h"

struct request {
	unsigned n;
	const char *const *words;
	/* `submit` only: what follows the words. */
	const void *content;
	size_t content_len;
	/* Called for each piece of the answer; either may be NULL: it is passed over. */
	void (*record)(const struct field *, void *arg);
	void (*text)(const void *, size_t, void *arg);
	void *arg;
};

/* No server answers at the socket. */
#define CLIENT_NO_SERVER (-1)

/* Asks, and waits for the end.  The server's status (0, 1, 2), 1 when the connection broke, or
 * CLIENT_NO_SERVER.  *WHY (caller frees) says what is wrong; NULL when it is 0.  QUIET: no warning about a
 * configuration that cannot be used. */
int client_request(const struct request *, bool quiet, char **why);

#endif
