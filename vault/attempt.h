/*
 * One attempt to log in, as a source of accounts sees it: a name and a password, or the steps of a mechanism that never
 * shows one.  Each source is a table of functions; the vault's dialogues (vault.c) know no source by name.
 */
#ifndef VAULT_ATTEMPT_H
#define VAULT_ATTEMPT_H

#include "vault/vault.h"

struct attempt;

/* CHALLENGE: the attempt lives on, and `step` follows.  Else it is gone.  TEXT: the challenge, the account, or why. */
typedef void (*attempt_callback)(enum vault_result, const void *text, size_t len, void *arg);

struct attempt_request {
	enum mechanism mechanism; /* PLAIN: a password, else a SCRAM */
	const struct mechanism_caller *caller;
	const char *name;
	const char *password;     /* PLAIN */
	const void *first;        /* SCRAM: the client's first message */
	size_t first_len;
	bool known;               /* the account has logged in from there of late: it goes first */
};

/* Callbacks come from the loop, never from inside a call, and not after a cancel. */
struct source {
	void (*prepare)(const struct vault_conf *); /* before the sandbox; may be NULL */
	/* OFFER is called when it is known, or has changed, what the source can do: MECHANISM_BIT()s. */
	void (*start)(const struct vault_conf *, void (*offer)(uint32_t));
	struct attempt *(*begin)(const struct attempt_request *, attempt_callback, void *arg);
	void (*step)(struct attempt *, const void *response, size_t len);
	void (*cancel)(struct attempt *);
	/* Nobody waits for the answer: true when the attempt costs nobody anything yet, and is gone.  NULL: it always does. */
	bool (*withdraw)(struct attempt *);
};

extern const struct source source_local, source_saslauthd, source_dovecot;

/* Seconds that a server behind a socket has for an answer. */
#define ATTEMPT_SECONDS 30

#endif
