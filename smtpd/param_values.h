/*
 * What stands behind the "=" of parameters of MAIL and RCPT: sizes, dates, notices.  Syntax only: pure, no session.  Each
 * takes LEN octets, and says false, or NULL, when they are no such value.
 */
#ifndef SMTPD_PARAM_VALUES_H
#define SMTPD_PARAM_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 1870 3: SIZE, 1 to 20 digits; more than 64 bits hold is UINT64_MAX. */
bool value_size(const char *, size_t len, uint64_t *octets);
/* RFC 3461 4.1: enum notify, or'ed. */
bool value_notify(const char *, size_t len, uint8_t *notify);
/* RFC 3461 4.2: "rfc822;alice@example.org", decoded; the caller frees.  With UTF8 an address of type utf-8 may come as it is
 * (RFC 6533 3); it is kept in the other form, of ASCII. */
char *value_orcpt(const char *, size_t len, bool utf8);
/* RFC 3461 4.4: decoded; the caller frees. */
char *value_envid(const char *, size_t len);
/* RFC 4954 5: "<>" or a mailbox, as xtext. */
bool value_auth(const char *, size_t len);
/* RFC 4865 3: seconds from 1 to 999,999,999; or a time in UTC, as "2026-12-24T18:00:00Z". */
bool value_hold_for(const char *, size_t len, int64_t *seconds);
bool value_hold_until(const char *, size_t len, int64_t *when);
/* RFC 2852 4: "120;R", "-5;NT"; BY is enum deliver_by, or'ed. */
bool value_by(const char *, size_t len, int64_t *seconds, uint8_t *by);

#endif
