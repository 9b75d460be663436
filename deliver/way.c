/*
 * Ways that are known, and those who wait for one (way.h).
 *
 * The relay role asks for every job.  The first for a destination makes an entry, which asks DNS;
 * who comes meanwhile waits with it.  A way that was found serves until the least of its records'
 * times is over, five minutes at most, since the operator who changes his DNS wants to see mail
 * follow; "not now" and "never" serve those who waited, and nobody else.  A way that was handed out
 * lives on with its job after its entry is gone.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "deliver/way.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/peer.h"

#define KEPT_MAX_MS (300 * 1000)
#define ENTRIES_MAX 10000 /* those that are over go when there are so many */

struct kept {
	struct way way; /* first: it is what others see */
	unsigned refs;
};

struct entry {
	RB_ENTRY(entry) node;
	char *destination;
	struct mx_query *finding; /* NULL: WAY is known */
	const struct way *way;
	uint64_t until; /* clock_ms() */
	bool telling;
	TAILQ_HEAD(, way_query) waiting;
	struct event turn;
};

struct way_query {
	TAILQ_ENTRY(way_query) link;
	uint64_t id;
	struct entry *entry;
	void (*callback)(const struct way *, void *);
	void *arg;
};

RB_HEAD(entry_tree, entry);

static int
compare(const struct entry *a, const struct entry *b)
{
	return strcmp(a->destination, b->destination);
}

RB_GENERATE_INTERNAL(entry_tree, entry, node, compare, __attribute__((unused)) static)

static struct entry_tree entries = RB_INITIALIZER(&entries);
static unsigned entries_n;
static uint64_t last_id;

/* --- ways --- */

const struct way *
way_keep(const struct way *way)
{
	((struct kept *)(uintptr_t)way)->refs++;
	return way;
}

void
way_drop(const struct way *way)
{
	struct kept *kept = (struct kept *)(uintptr_t)way;

	if (kept == NULL || --kept->refs > 0)
		return;
	mx_answer_drop(kept->way.mx);
	free(kept);
}

static const struct way *
way_new(const struct mx_answer *mx)
{
	struct kept *kept = xcalloc(1, sizeof(*kept));

	kept->refs = 1;
	kept->way.mx = mx_answer_keep(mx);
	return &kept->way;
}

/* --- entries --- */

static void
entry_free(struct entry *entry)
{
	RB_REMOVE(entry_tree, &entries, entry);
	entries_n--;
	event_del(&entry->turn);
	mx_cancel(entry->finding);
	way_drop(entry->way);
	free(entry->destination);
	free(entry);
}

static bool
is_over(const struct entry *entry, uint64_t now)
{
	return entry->finding == NULL && !entry->telling && TAILQ_EMPTY(&entry->waiting) &&
	       now >= entry->until;
}

static void
sweep(uint64_t now)
{
	struct entry *entry, *next;

	RB_FOREACH_SAFE(entry, entry_tree, &entries, next) {
		if (is_over(entry, now))
			entry_free(entry);
	}
}

/* Tells all who wait; who asks from a callback has the next turn. */
static void
tell(struct entry *entry)
{
	const struct way *way = way_keep(entry->way);
	uint64_t until = last_id;
	struct way_query *q;

	entry->telling = true;
	while ((q = TAILQ_FIRST(&entry->waiting)) != NULL && q->id <= until) {
		struct way_query copy = *q;

		TAILQ_REMOVE(&entry->waiting, q, link);
		free(q);
		copy.callback(way, copy.arg);
	}
	entry->telling = false;
	way_drop(way);
	if (is_over(entry, clock_ms()))
		entry_free(entry);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell(arg);
}

static void
on_found(const struct mx_answer *answer, void *arg)
{
	struct entry *entry = arg;
	uint64_t ttl_ms = (uint64_t)answer->ttl * 1000;

	entry->finding = NULL;
	entry->way = way_new(answer);
	entry->until = clock_ms();
	if (answer->status == MX_OK)
		entry->until += ttl_ms < KEPT_MAX_MS ? ttl_ms : KEPT_MAX_MS;
	tell(entry);
}

static struct entry *
entry_new(const char *destination, const struct mx_self *self)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));

	entry->destination = xstrdup(destination);
	TAILQ_INIT(&entry->waiting);
	event_assign(&entry->turn, peer_base(), -1, 0, on_turn, entry);
	RB_INSERT(entry_tree, &entries, entry);
	entries_n++;
	entry->finding = mx_find(destination, self, on_found, entry);
	return entry;
}

/* The entry for DESTINATION if what it says still holds, or will be said. */
static struct entry *
entry_find(const char *destination, uint64_t now)
{
	struct entry key = { .destination = (char *)(uintptr_t)destination };
	struct entry *entry = RB_FIND(entry_tree, &entries, &key);

	if (entry == NULL || !is_over(entry, now))
		return entry;
	entry_free(entry);
	return NULL;
}

struct way_query *
way_find(const char *destination, const struct mx_self *self,
    void (*callback)(const struct way *, void *), void *arg)
{
	struct way_query *q = xcalloc(1, sizeof(*q));
	uint64_t now = clock_ms();

	if (entries_n >= ENTRIES_MAX)
		sweep(now);
	q->entry = entry_find(destination, now);
	if (q->entry == NULL)
		q->entry = entry_new(destination, self);
	q->id = ++last_id;
	q->callback = callback;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&q->entry->waiting, q, link);
	if (q->entry->finding == NULL)
		event_active(&q->entry->turn, 0, 0);
	return q;
}

void
way_cancel(struct way_query *q)
{
	if (q == NULL)
		return;
	TAILQ_REMOVE(&q->entry->waiting, q, link);
	free(q);
}
