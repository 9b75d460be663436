/*
 * Accounts at other people's servers: the file of `login FILE`.  A line is a host, with or without
 * a port, white space, and USER:PASSWORD; empty lines and those that begin with '#' count for
 * nothing.  Parsing is pure.
 */
#ifndef DELIVER_LOGIN_H
#define DELIVER_LOGIN_H

#include <stddef.h>
#include <stdint.h>

struct login {
	char *host;    /* lower case; an address in brackets */
	uint16_t port; /* 0: any */
	char *user, *password;
};

struct logins;

/* NULL, with *WHY "PATH:LINE: ..." (caller frees), when a line makes no sense.  PATH names it. */
struct logins *login_parse(const char *path, const char *text, size_t len, char **why);
/* The same from the file, which must be a regular one of root or of whoever runs us, with no rights for
 * anybody else. */
struct logins *login_load(const char *path, char **why);
/* Overwrites the passwords. */
void login_free(struct logins *);
const char *login_path(const struct logins *);
/* For HOST (a name, or an address in brackets) and PORT: the line with the port before the one
 * without; NULL: none. */
const struct login *login_find(const struct logins *, const char *host, uint16_t port);

#endif
