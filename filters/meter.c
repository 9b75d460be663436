/*
 * Counting over time (meter.h).
 *
 * The session workers count callers with it, each in a table of its own that all of them read
 * (smtpd/meters.c).  Nothing can fail.  A reader may meet a slot that is just being given to
 * another caller, and then reads a wrong number once; what must never happen is that it stays
 * wrong.
 */
#include <stddef.h>

#include "filters/meter.h"

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, value) atomic_store_explicit(&(x), (value), memory_order_relaxed)

static uint32_t
tag_of(uint64_t key)
{
	return (uint32_t)(key >> 32) | 1;
}

static uint32_t
window_of(uint64_t period, uint64_t time)
{
	return (uint32_t)(time / period);
}

static struct meter_slot *
find(struct meter *meter, uint64_t key)
{
	struct meter_slot *set = meter->slots[key % METER_SETS];
	unsigned i;

	for (i = 0; i < METER_WAYS; i++)
		if (LOAD(set[i].tag) == tag_of(key))
			return &set[i];
	return NULL;
}

/* The slot of whom nobody would miss. */
static struct meter_slot *
take_slot(struct meter *meter, uint64_t key, uint32_t window)
{
	struct meter_slot *set = meter->slots[key % METER_SETS], *oldest = &set[0];
	unsigned i;

	for (i = 0; i < METER_WAYS; i++) {
		if (LOAD(set[i].tag) == 0) {
			oldest = &set[i];
			break;
		}
		if (LOAD(set[i].window) < LOAD(oldest->window))
			oldest = &set[i];
	}
	STORE(oldest->now, 0);
	STORE(oldest->before, 0);
	STORE(oldest->window, window);
	STORE(oldest->tag, tag_of(key));
	return oldest;
}

void
meter_add(struct meter *meter, uint64_t key, uint64_t period, uint64_t time)
{
	uint32_t window = window_of(period, time);
	struct meter_slot *slot = find(meter, key);

	if (slot == NULL)
		slot = take_slot(meter, key, window);
	if (LOAD(slot->window) != window) {
		STORE(slot->before, LOAD(slot->window) + 1 == window ? LOAD(slot->now) : 0);
		STORE(slot->now, 0);
		STORE(slot->window, window);
	}
	if (LOAD(slot->now) < UINT32_MAX)
		STORE(slot->now, LOAD(slot->now) + 1);
}

uint32_t
meter_read(const struct meter *meter, uint64_t key, uint64_t period, uint64_t time)
{
	uint32_t window = window_of(period, time), now = 0, before;
	const struct meter_slot *slot = find((struct meter *)(uintptr_t)meter, key);
	uint64_t left = period - time % period;

	if (slot == NULL)
		return 0;
	if (LOAD(slot->window) == window) {
		now = LOAD(slot->now);
		before = LOAD(slot->before);
	} else if (LOAD(slot->window) + 1 == window) {
		before = LOAD(slot->now);
	} else {
		return 0;
	}
	return now + (uint32_t)(before * left / period);
}

void
meter_clear(struct meter *meter)
{
	unsigned i, j;

	for (i = 0; i < METER_SETS; i++)
		for (j = 0; j < METER_WAYS; j++)
			if (LOAD(meter->slots[i][j].tag) != 0)
				STORE(meter->slots[i][j].tag, 0);
}
