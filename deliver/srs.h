/*
 * The Sender Rewriting Scheme: a sender that we forward for gets a return address of ours, so that
 * the next server's SPF check is about us, and a bounce finds its way back.  As libsrs2 and postsrsd
 * write it:
 *
 *	SRS0=HHHH=TT=example.net=alice@ours.example
 *	SRS1=HHHH=first.example==HHHH=TT=example.net=alice@ours.example
 *
 * HHHH is a keyed hash (HMAC-SHA1), TT the day in base 32.  Pure, but for srs_load.
 */
#ifndef DELIVER_SRS_H
#define DELIVER_SRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRS_SECRET_MAX 64
/* A return address is good for so many days: longer than anybody keeps a message in his queue. */
#define SRS_DAYS 21

struct srs {
	char secret[SRS_SECRET_MAX];
	size_t len; /* 0: there is none, and nothing is rewritten */
};

enum srs_result {
	SRS_NONE,    /* no such address */
	SRS_GOOD,
	SRS_FORGED,  /* looks like one, and is none of ours */
	SRS_EXPIRED
};

/* SENDER as our own domain OURS sends it on, at NOW (seconds); NULL when that is no longer an
 * address (too long), or there is no secret.  The caller frees. */
char *srs_forward(const struct srs *, const char *sender, const char *ours, int64_t now);
/* LOCAL, the part before '@' of an address of ours, back; *ADDRESS (caller frees) only when GOOD. */
enum srs_result srs_reverse(const struct srs *, const char *local, int64_t now, char **address);

/* Reads the secret from PATH; where there is none, makes one when MAKE.  NULL, or what is wrong
 * (caller frees). */
char *srs_load(struct srs *, const char *path, bool make);

#endif
