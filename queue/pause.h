/*
 * What the operator has paused, and its form on disk.
 */
#ifndef QUEUE_PAUSE_H
#define QUEUE_PAUSE_H

#include <stdbool.h>

struct buf;
struct queue;

struct paused {
	bool relay, local;          /* either way as a whole */
	unsigned n;
	const char **destinations;  /* lookup.h */
};

void paused_encode(struct buf *, const struct paused *);
/* Strings point into BYTES, DESTINATIONS is allocated: the caller frees it.  False: it is none. */
bool paused_decode(const struct buf *bytes, struct paused *);

/* At the start, when store and lanes are there: remembers what was paused, and hears `pause` and
 * `resume`. */
void pause_init(struct queue *);

#endif
