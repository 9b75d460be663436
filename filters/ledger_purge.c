/*
 * The ledger's purge (ledger_purge.h).
 *
 * The role starts one every few hours; it goes table by table in walks with pauses, so that ten
 * million records are looked through in an hour or two and nobody notices.  A store that fails ends
 * it; the next one comes.
 */
#include <stdbool.h>

#include "filters/ledger_purge.h"
#include "filters/ledger_role.h"
#include "filters/ledger_walk.h"
#include "lib/log.h"

#define PAUSE_MS 50

static const enum ledger_table tables[] = { TABLE_GREY, TABLE_CALLER, TABLE_CORRESPONDENT,
	TABLE_COUNTER, TABLE_TRIES, TABLE_LOGIN, TABLE_POLICY };
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static struct {
	struct ledger *ledger;
	bool running;
	unsigned table; /* the next of TABLES */
	int64_t now;
	uint64_t seen, dropped;
	struct ledger_census count, last;
} purge;

static void next_table(void);

static void
count(const struct ledger_item *item)
{
	switch (item->type) {
	case ITEM_TRIPLET:
		purge.count.triplets++;
		break;
	case ITEM_IDENTITY:
		purge.count.identities++;
		break;
	case ITEM_PASSED:
	case ITEM_TRAP:
	case ITEM_LEFT:
	case ITEM_STAYED:
		purge.count.callers++;
		break;
	case ITEM_TRIES:
		purge.count.tries++;
		break;
	case ITEM_CORRESPONDENT:
		purge.count.correspondents++;
		break;
	default:
		break;
	}
}

static enum kv_step
on_item(const struct ledger_item *item, void *arg)
{
	(void)arg;
	purge.seen++;
	if (purge.now <= ledger_item_expires(item)) {
		count(item);
		return KV_NEXT;
	}
	purge.dropped++;
	return KV_DELETE;
}

static void
on_done(int rc, void *arg)
{
	(void)arg;
	if (rc == 0)
		next_table();
	else
		purge.running = false;
}

static void
next_table(void)
{
	struct ledger_walk w = { .store = purge.ledger->store,
		.pause_ms = PAUSE_MS,
		.visit = on_item,
		.done = on_done };

	if (purge.table < TABLES) {
		w.table = tables[purge.table++];
		ledger_walk(&w);
		return;
	}
	purge.running = false;
	purge.last = purge.count;
	purge.ledger->changed = purge.ledger->changed || purge.dropped > 0;
	log_info("ledger.purged", F_U64("seen", purge.seen), F_U64("dropped", purge.dropped));
}

static void
purge_operators(struct ledger *l)
{
	const struct operator_entry *e, *next;

	for (e = operator_list_next(l->operators, NULL); e != NULL; e = next) {
		next = operator_list_next(l->operators, e);
		if (e->expires == 0 || purge.now <= e->expires)
			continue;
		log_info("ledger.entry-expired", F_STR("kind", operator_kind_name(e->kind)),
		    F_STR("entry", e->text));
		if (ledger_delete_operator(l->store, e->kind, e->text) != -1)
			(void)operator_list_remove(l->operators, e->kind, e->text);
	}
}

void
ledger_purge(struct ledger *l, int64_t now)
{
	if (purge.running || l->store == NULL)
		return;
	purge.ledger = l;
	purge.running = true;
	purge.table = 0;
	purge.now = now;
	purge.seen = purge.dropped = 0;
	purge.count = (struct ledger_census){ .time = now };
	purge_operators(l);
	next_table();
}

bool
ledger_purge_running(void)
{
	return purge.running;
}

const struct ledger_census *
ledger_purge_census(void)
{
	return &purge.last;
}
