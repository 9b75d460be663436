/*
 * One mail that was put off, and how it came back: the times of its tries, and by whom they were made.  Its
 * key is the greylist's: identity, sender, recipient.  Pure; the ledger keeps these (ledger_tries.h).
 */
#ifndef FILTERS_TRIES_H
#define FILTERS_TRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/operator.h"
#include "filters/rhythm.h"
#include "lib/ip.h"

struct buf;

/* The first ones and the last. */
#define TRIES_KEPT 8
/* RFC 1035 2.3.4, RFC 5321 4.5.3.1.2 */
#define TRIES_NAME_MAX 255

struct try_made {
	int64_t time;
	struct ip client; /* family 0: not known any more */
	char name[TRIES_NAME_MAX + 1], helo[TRIES_NAME_MAX + 1]; /* verified; as it called itself; or "" */
};

struct tries {
	struct rhythm rhythm;
	unsigned n; /* those that count */
	struct try_made made[TRIES_KEPT];
	uint16_t rule, line; /* of the gate, that put it off first */
	uint8_t action;	     /* enum action: greylist, tempfail, tarpit */
	bool proposed;	     /* they had the rhythm of a mail server */
	int64_t let_in;	     /* 0: not yet */
};

/* What is known at NOW does not count any more: that mail was let in or given up, and this is another one. */
bool tries_are_over(const struct tries *, int64_t now);
/* One more; a time before the last becomes the last.  NAME and HELO may be NULL. */
void tries_add(struct tries *, int64_t time, const struct ip *client, const char *name, const char *helo);
/* Seconds from the first try to the last, or to being let in. */
uint32_t tries_waited(const struct tries *);
/* After this the purge may drop it. */
int64_t tries_expire(const struct tries *);
/* What an operator would allow: the address where only one is known of a network, else IDENTITY.  The text (the
 * caller frees) is spelled as operator_text() does it. */
char *tries_whom(const struct tries *, const char *identity, enum operator_kind *);
/* "192.0.2.7 (mx.example.org) HELO mx, +5m 192.0.2.8, ...": times since the first, of those that are kept */
void tries_print(struct buf *, const struct tries *);

void tries_encode(struct buf *, const struct tries *);
/* False when the octets are none of this version. */
bool tries_decode(const void *, size_t, struct tries *);

#endif
