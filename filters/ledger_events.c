/*
 * The ring of the last decisions (ledger_events.h).
 *
 * The store owns it, adds to it with every event and has it flushed a second later, and before
 * anybody reads the table.  One round is one transaction: the new ones in, as many old ones out.
 * What can fail is the store below; the round is then lost, so that memory stays bounded.
 */
#include <stdlib.h>

#include "filters/ledger_events.h"
#include "filters/ledger_item.h"
#include "filters/ledger_store.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define ROUND 256 /* decisions at once: a tenth of a second of a flood, some dozen KiB */
#define KEY_LEN sizeof(uint64_t)

struct ledger_events {
	struct kv_table *table;
	uint64_t next;     /* number of the first one gathered */
	struct buf values; /* one behind the other */
	size_t ends[ROUND];
	size_t n;
};

struct ledger_events *
ledger_events_new(struct kv_table *table, uint64_t next)
{
	struct ledger_events *ring = xcalloc(1, sizeof(*ring));

	ring->table = table;
	ring->next = next;
	return ring;
}

void
ledger_events_free(struct ledger_events *ring)
{
	if (ring == NULL)
		return;
	(void)ledger_events_flush(ring);
	buf_free(&ring->values);
	free(ring);
}

int
ledger_events_add(struct ledger_events *ring, const struct gate_event *e)
{
	ledger_event_value(&ring->values, e);
	ring->ends[ring->n++] = ring->values.len;
	return ring->n == ROUND && ledger_events_flush(ring) == -1 ? -1 : 1;
}

/* Its key, in KEYS, which has room. */
static struct kv_change
change(struct buf *keys, uint64_t number)
{
	struct kv_change c = { .key = keys->data + keys->len, .key_len = KEY_LEN };

	ledger_key_event(keys, number);
	return c;
}

int
ledger_events_flush(struct ledger_events *ring)
{
	struct kv_change changes[2 * ROUND];
	struct buf keys = { 0 };
	size_t i, n = 0, begin = 0;
	int rc;

	if (ring->n == 0)
		return 0;
	(void)buf_reserve(&keys, sizeof(changes) / sizeof(changes[0]) * KEY_LEN);
	for (i = 0; i < ring->n; i++, ring->next++) {
		changes[n] = change(&keys, ring->next);
		changes[n].value = ring->values.data + begin;
		changes[n++].len = ring->ends[i] - begin;
		begin = ring->ends[i];
		if (ring->next > LEDGER_EVENTS_KEPT)
			changes[n++] = change(&keys, ring->next - LEDGER_EVENTS_KEPT);
	}
	rc = kv_change_all(ring->table, changes, n);
	buf_free(&keys);
	buf_clear(&ring->values);
	ring->n = 0;
	return rc;
}
