/*
 * What postgrey and taRgrey keep in their databases, as values: their keys and values read and
 * written.  Pure.
 *
 *	postgrey.db		192.0.2.0/alice@example.org/bob@example.net -> 1700000000,1700000400
 *	postgrey_clients.db	192.0.2.77 -> 6,1700000400
 *	tarpit_clients.db	192.0.2.77 -> 1700000400
 */
#ifndef SMTPCTL_POSTGREY_H
#define SMTPCTL_POSTGREY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

struct buf;

/* Of postgrey 1.37: how long a triplet waits, the same for its automatic white list. */
#define POSTGREY_DELAY 300
#define POSTGREY_AWL 5

struct postgrey_triplet {
	struct ipnet client; /* the network, or the whole address with --lookup-by-host */
	char *sender, *recipient; /* as in the key: postgrey has folded the sender already */
	int64_t first, last;
};

enum postgrey_kind {
	POSTGREY_NONE,	  /* neither can be made of it */
	POSTGREY_TRIPLET,
	POSTGREY_HASHED,  /* --privacy: nobody can tell whose it is */
	POSTGREY_CLIENT,
};

struct postgrey_client {
	struct ip ip;
	uint32_t count;
	int64_t last;
};

/* One pair of either file; TRIPLET's strings are the caller's, postgrey_triplet_clear(). */
enum postgrey_kind postgrey_read(const char *key, size_t key_len, const char *value, size_t len,
    struct postgrey_triplet *, struct postgrey_client *);
void postgrey_triplet_clear(struct postgrey_triplet *);
/* It waited long enough once, as postgrey sees it. */
bool postgrey_passed(const struct postgrey_triplet *);

/* The other way: as postgrey would have written them. */
void postgrey_triplet_write(const struct postgrey_triplet *, struct buf *key, struct buf *value);
void postgrey_client_write(const struct postgrey_client *, struct buf *key, struct buf *value);

#endif
