/*
 * The parameters of MAIL and RCPT (RFC 5321 4.1.1.11): what each means for the transaction.
 */
#ifndef SMTPD_MAIL_PARAMS_H
#define SMTPD_MAIL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

struct session;

/* LEN octets behind the path.  False when one is refused: said.  The transaction is there, and forgets what RCPT's said of
 * the recipient before. */
bool mail_params_take(struct session *, const char *, size_t len);
bool rcpt_params_take(struct session *, const char *, size_t len);

#endif
