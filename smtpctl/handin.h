/*
 * Handing a message to the running server, over the control socket: what the two faces of sendmail
 * have in common, the one with options and the one that speaks SMTP (-bs).
 */
#ifndef SMTPCTL_HANDIN_H
#define SMTPCTL_HANDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/compose.h"

/* What the server says of itself. */
struct handin_server {
	char *host;    /* the name that completes addresses */
	uint64_t size; /* octets of a message */
};

/* The words of a `submit` request, the envelope.  Zero-initialised is empty and valid. */
struct handin_words {
	char **words;
	unsigned n;
	unsigned recipients;
};

/* False: there is none, and *WHY (caller frees) says so.  Either way handin_server_free. */
bool handin_ask(struct handin_server *, char **why);
void handin_server_free(struct handin_server *);

/* TEXT as an address, normalised, with HOST where it has no domain; "" is the null sender's.  NULL:
 * it is none, and *WHY (a constant) says why.  The caller frees. */
char *handin_address(const char *host, const char *text, bool sender, const char **why);

/* Takes WORD over. */
void handin_add(struct handin_words *, char *word);
/* A recipient; the same one twice gets one message. */
void handin_add_recipient(struct handin_words *, const char *address);
void handin_words_free(struct handin_words *);

/* 0: the server has stored the message, as *QUEUED.  Else *WHY is its SMTP reply, or what else went
 * wrong.  The caller frees both. */
int handin_submit(const struct handin_words *, const struct composed *, char **queued, char **why);

#endif
