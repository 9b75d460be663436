/*
 * Ways that are known, and those who wait for one (way.h).
 *
 * The relay role asks for every job.  The first for a destination makes an entry, which asks DNS
 * and then for the domain's policy; whoever comes meanwhile waits with it.  A way that was found
 * serves until the least of its records' times is over, five minutes at most, since the operator
 * who changes his DNS wants to see mail follow; "not now" and "never" serve those who waited, and
 * whoever comes within the second.  A way that was handed out lives on with its job after its
 * entry is gone.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "deliver/destination.h"
#include "deliver/sts.h"
#include "deliver/way.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/peer.h"

#define KEPT_MAX_MS (300 * 1000)
#define KEPT_FAILED_MS 1000 /* the queue asks, and then sends the first job */
#define ENTRIES_MAX 10000 /* those that are over go when there are so many */

struct kept {
	struct way way; /* first: it is what others see */
	unsigned refs;
};

struct entry {
	RB_ENTRY(entry) node;
	char *destination;
	struct mx_query *finding; /* the first step, */
	struct sts_query *asking; /* the second; when both are NULL, WAY is known */
	struct way *way;
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
static const struct table *providers;

void
way_init(const struct table *table)
{
	providers = table;
}

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
	sts_policy_drop(kept->way.policy);
	provider_free((struct provider *)(uintptr_t)kept->way.provider);
	free((char *)(uintptr_t)kept->way.site);
	free(kept);
}

static int
by_name(const void *left, const void *right)
{
	const struct mx_address *a = *(const struct mx_address *const *)left;
	const struct mx_address *b = *(const struct mx_address *const *)right;
	int order = strcasecmp(a->host, b->host);

	return order != 0 ? order : (int)a->port - (int)b->port;
}

/* One address of each server, in the order of their names; there is room for all. */
static unsigned
list_servers(const struct mx_answer *mx, const struct mx_address **servers)
{
	unsigned i, n = 0;

	if (mx->addresses_n == 0)
		return 0;
	for (i = 0; i < mx->addresses_n; i++)
		servers[i] = &mx->addresses[i];
	qsort(servers, mx->addresses_n, sizeof(servers[0]), by_name);
	for (i = 0; i < mx->addresses_n; i++) {
		if (n == 0 || by_name(&servers[n - 1], &servers[i]) != 0)
			servers[n++] = servers[i];
	}
	return n;
}

static char *
name_site(const struct mx_address *const *servers, unsigned n)
{
	struct buf site = { 0 };
	const char *s;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(&site, ' ');
		for (s = servers[i]->host; *s != '\0'; s++)
			buf_addc(&site, *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s);
		if (servers[i]->port != SMTP_PORT)
			buf_addf(&site, ":%u", (unsigned)servers[i]->port);
	}
	return buf_take(&site);
}

/* Where it leads, in a word, and what is to be heeded there. */
static void
look_at_site(struct way *way)
{
	const struct mx_address *servers[MX_ADDRESSES_MAX] = { NULL };
	const char *names[MX_ADDRESSES_MAX];
	unsigned n = list_servers(way->mx, servers), i;

	if (n == 0)
		return;
	for (i = 0; i < n; i++)
		names[i] = servers[i]->host;
	way->provider = provider_find(providers, names, n, way->mx->domain);
	way->site = way->provider != NULL ? xstrdup(way->provider->name) : name_site(servers, n);
}

static struct way *
way_new(const struct mx_answer *mx)
{
	struct kept *kept = xcalloc(1, sizeof(*kept));

	kept->refs = 1;
	kept->way.mx = mx_answer_keep(mx);
	look_at_site(&kept->way);
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
	sts_cancel(entry->asking);
	way_drop(entry->way);
	free(entry->destination);
	free(entry);
}

static bool
is_known(const struct entry *entry)
{
	return entry->finding == NULL && entry->asking == NULL;
}

static bool
is_over(const struct entry *entry, uint64_t now)
{
	return is_known(entry) && !entry->telling && TAILQ_EMPTY(&entry->waiting) &&
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
keep_for(struct entry *entry, uint64_t seconds)
{
	uint64_t ms = seconds * 1000;

	if (entry->way->mx->status != MX_OK)
		ms = KEPT_FAILED_MS;
	else if (ms > KEPT_MAX_MS)
		ms = KEPT_MAX_MS;
	entry->until = clock_ms() + ms;
	entry->way->holds = (uint32_t)(ms / 1000);
}

/* The domain whose policy counts (RFC 8461 3.4): the recipients', or a smarthost's own; NULL: none
 * does, since the configuration or DANE says more. */
static const char *
policy_domain(const struct mx_answer *mx)
{
	const struct mx_server *server;
	unsigned i;

	for (i = 0; i < mx->addresses_n; i++) {
		server = mx->addresses[i].server;
		if (server->tls == HOP_TLS_OFF || server->dane == DANE_USABLE)
			continue;
		if (server->by_mx)
			return mx->domain;
		if (server->tls != HOP_TLS_VERIFY && server->name[0] != '[')
			return server->name;
	}
	return NULL;
}

static void
on_policy(const struct sts_policy *policy, uint32_t ttl, void *arg)
{
	struct entry *entry = arg;

	entry->asking = NULL;
	entry->way->policy = sts_policy_keep(policy);
	keep_for(entry, entry->way->mx->ttl < ttl ? entry->way->mx->ttl : ttl);
	tell(entry);
}

static void
on_found(const struct mx_answer *answer, void *arg)
{
	struct entry *entry = arg;
	const char *domain = policy_domain(answer);

	entry->finding = NULL;
	entry->way = way_new(answer);
	if (domain != NULL) {
		entry->asking = sts_find(domain, on_policy, entry);
		return;
	}
	keep_for(entry, answer->ttl);
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
	if (is_known(q->entry))
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
