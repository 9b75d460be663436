/*
 * How often something happened of late, for many callers, in a table of fixed size: a sliding
 * window over two counts.  When a set of the table is full the caller who was seen least lately
 * is forgotten, so that a flood of addresses makes it count too little, never too much.
 *
 * A table has one writer and any number of readers, in other processes too.
 */
#ifndef FILTERS_METER_H
#define FILTERS_METER_H

#include <stdatomic.h>
#include <stdint.h>

#define METER_SETS 8192
#define METER_WAYS 4

struct meter {
	struct meter_slot {
		_Atomic uint32_t tag;    /* 0: nobody */
		_Atomic uint32_t window; /* number of the window that NOW is of */
		_Atomic uint32_t now, before;
	} slots[METER_SETS][METER_WAYS];
};

/* KEY is a hash of the caller that nobody outside can foresee.  PERIOD and TIME in milliseconds,
 * of a clock that only goes forward; PERIOD is the same for all of a table. */
void meter_add(struct meter *, uint64_t key, uint64_t period, uint64_t time);
/* How many there were in the PERIOD before TIME: exact while it does not reach into the window
 * before, and then as if that had been filled evenly. */
uint32_t meter_read(const struct meter *, uint64_t key, uint64_t period, uint64_t time);
/* Forgets everybody; memory that was never used is not touched. */
void meter_clear(struct meter *);

#endif
