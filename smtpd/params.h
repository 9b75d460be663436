/*
 * Arguments of MAIL and RCPT behind the path: "SIZE=100 BODY=8BITMIME" (RFC 5321 4.1.2 Mail-parameters).  Syntax only.
 */
#ifndef SMTPD_PARAMS_H
#define SMTPD_PARAMS_H

#include <stddef.h>

struct param {
	const char *keyword; /* into the line; not NUL-terminated */
	size_t keyword_len;
	const char *value; /* NULL: none given */
	size_t value_len;
};

#define PARAMS_MAX 20

/* Parses LEN octets that begin behind the path: nothing, or parameters with a space before each (several are taken for one,
 * and so are those at the end).  Returns how many, or -1 when that is no list of parameters. */
int params_parse(const char *s, size_t len, struct param out[PARAMS_MAX]);

#endif
