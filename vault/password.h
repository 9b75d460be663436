/*
 * Passwords as a table has them, one line of text each:
 *
 *	$6$salt$hash            crypt(3): what openssl passwd -6, mkpasswd and /etc/shadow have
 *	{SHA512-CRYPT}$6$...    the same as doveadm pw writes it; {CRYPT}, {BLF-CRYPT} and others likewise
 *	{SCRAM-SHA-256}4096,salt,stored-key,server-key   (doveadm pw -s SCRAM-SHA-256), {SCRAM-SHA-1} likewise
 *	{PLAIN}password         also {CLEARTEXT}
 *
 * What follows a ':' behind a hash is not read (/etc/shadow, Dovecot's passwd-file).
 */
#ifndef VAULT_PASSWORD_H
#define VAULT_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

enum password_kind { PASSWORD_NONE, PASSWORD_CRYPT, PASSWORD_SCRAM, PASSWORD_PLAIN };

struct password {
	enum password_kind kind;
	const char *text; /* of the hash or password; into what was parsed */
	size_t len;
	const char *scram; /* SCRAM: "SCRAM-SHA-256" or "SCRAM-SHA-1" */
};

/* PASSWORD_NONE: nothing that we know; nobody logs in by it. */
struct password password_parse(const char *stored);
/* Is it the one?  Takes as long as its hash does; for PASSWORD_NONE as long as a usual one would. Any thread. */
bool password_check(const struct password *, const char *given);
/* For libsasl2's authPassword: "SCRAM-SHA-256$4096:salt$stored:server" (RFC 5803).  NULL: no such; the caller frees. */
char *password_scram_text(const struct password *);

#endif
