/*
 * The files of certificates and keys: read by the master while it is root, looked at again every few
 * seconds, and handed to the session workers in one piece (tls_server.h's bundle), so that a worker
 * never reads a file and no other process ever holds a key.  Also the keys of session tickets, which
 * all workers share and nobody stores.
 */
#ifndef SMTPD_KEYS_H
#define SMTPD_KEYS_H

#include <stdbool.h>

struct buf;
struct conf;
struct keys;

/* Reads all files that CONF names.  NULL, with one line in ERRORS for each that cannot be used; what is
 * legal and not well is in WARNINGS. */
struct keys *keys_read(const struct conf *, struct buf *errors, struct buf *warnings);
/* From now on these are watched, and served by processes that are forked; they belong to this module,
 * and their configuration must stay.  Returns those before, for the caller to free or to use again. */
struct keys *keys_use(struct keys *);
void keys_free(struct keys *);
/* In the master's loop: reads what has changed; what can be used goes to the workers, what cannot is
 * logged, and the one before stays.  Makes new keys for tickets. */
void keys_watch(void);
/* In a session worker: serves with what it was born with, and with what the master sends. */
void keys_serve(void);
/* In every child, a worker after keys_serve: nothing of it is left in memory. */
void keys_forget(void);

#endif
