/*
 * The attributes of XCLIENT (Postfix's XCLIENT_README): "NAME=mail.example.net ADDR=192.0.2.1 ...",
 * values in xtext.  Syntax only: no session.
 */
#ifndef SMTPD_XCLIENT_H
#define SMTPD_XCLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

struct xclient {
	struct ip ip;  /* family 0: not told */
	uint16_t port; /* 0: not told */
	int rdns;      /* enum rdns_status; -1: not told */
	char *name;    /* verified, where RDNS is RDNS_PASS; else NULL */
	bool login_told;
	char *login;   /* or NULL */
};

/* LEN octets behind the verb.  Of an attribute that is given twice the last counts.  False, and
 * nothing to free, when they cannot be read; else xclient_free() OUT. */
bool xclient_parse(const char *, size_t len, struct xclient *out);
void xclient_free(struct xclient *);
/* For the reply to what cannot be read. */
#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

#endif
