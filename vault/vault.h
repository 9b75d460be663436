/*
 * The vault: who may log in.  One role knows passwords, or whom to ask about them; SMTP sessions, which talk with the
 * whole world, pass on what a client says and learn one word (RFC 4954, RFC 4422).
 *
 * A dialogue is one AUTH command: a mechanism, perhaps a first response, then challenges and responses until it is
 * decided.  The vault counts failures in the ledger, and holds the answer to a failure back: nobody tries a thousand
 * passwords a second over one connection.  When it dies over a dialogue the answer is "not now".
 */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"
#include "vault/mechanism.h"

struct table;
struct buf;
struct vault_dialogue;

/* Where accounts come from: `accounts ...`. */
enum accounts {
	ACCOUNTS_NONE,
	ACCOUNTS_TABLE,     /* name = password, as password.h reads it */
	ACCOUNTS_FILE,      /* the same in a file that only the vault reads */
	ACCOUNTS_SASLDB,    /* libsasl2's own database */
	ACCOUNTS_SASLAUTHD, /* a socket: PAM and what else saslauthd(8) asks */
	ACCOUNTS_DOVECOT    /* a socket: auth-client of Dovecot */
};
struct vault_conf {
	enum accounts accounts;
	char *path;                /* of the file or socket; NULL for a table */
	const struct table *table;
	const char *host;          /* the realm of names without one */
};

/* --- asking --- */

/* In a role's start. */
void vault_client_init(void);
/* CALLBACK comes once, from the loop, when the vault has told what it offers. */
void vault_on_offer(void (*callback)(void));
/* The MECHANISM_BIT()s that CALLER may use now; those of the last vault while there is none. */
uint32_t vault_offers(const struct mechanism_caller *);

enum vault_result {
	VAULT_CHALLENGE, /* TEXT is to be said, and what the client responds is the next step */
	VAULT_OK,        /* TEXT is the account */
	VAULT_REFUSED,   /* wrong name or password: the client learns no more */
	VAULT_MALFORMED, /* no message of this mechanism */
	VAULT_BANNED,    /* too many failures; TEXT says whose */
	VAULT_TEMP       /* cannot be told now; TEXT says why, for the log */
};
struct vault_answer {
	enum vault_result result;
	const char *text; /* never NULL; LEN octets and a NUL */
	size_t len;
	const char *name; /* who it was said to be, for the log; "": not known */
};

/* Begins a dialogue; INITIAL is NULL when the client sent no first response.  The callback comes from the loop, once for
 * each step, not after a cancel; after any answer but VAULT_CHALLENGE the dialogue is gone.  SESSION is for the log. */
struct vault_dialogue *vault_begin(enum mechanism, const struct mechanism_caller *, uint64_t session,
    const void *initial, size_t len, void (*)(const struct vault_answer *, void *), void *arg);
/* After a challenge. */
void vault_respond(struct vault_dialogue *, const void *response, size_t len);
void vault_cancel(struct vault_dialogue *);

/* --- the role itself (smtpd/roles.c) --- */

/* Before privileges and the file system go: plug-ins of libsasl2, what may be read. */
void vault_role_prepare(const struct vault_conf *);
void vault_role_start(const struct vault_conf *);

#endif
