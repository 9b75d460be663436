/*
 * Counting for the report (ledger_count.h).
 *
 * The role counts with every event and flushes a second later; a kill loses that second of the
 * report and nothing else. The counters in use are in memory, and those that are quiet leave it
 * with a flush, so memory is bounded by the rules of a gate.  A store that does not answer costs
 * nothing but numbers.
 */
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "filters/ledger_count.h"
#include "lib/mem.h"

/* Remembers so many pairs of session and counter, to count a session once.  One that was
 * overwritten counts again: the report is a report, not a bill. */
#define SESSIONS 1024

struct counter {
	struct report_key key;
	struct report_counts counts;
	bool dirty;
	RB_ENTRY(counter) tree;
};

RB_HEAD(counter_tree, counter);

struct ledger_count {
	struct counter_tree counters;
	uint64_t sessions[SESSIONS];
	struct report_waits waits; /* of HOUR */
	uint32_t hour;
	bool waits_dirty, waits_loaded;
	struct ledger_count_totals totals;
};

static int
counter_compare(const struct counter *a, const struct counter *b)
{
	uint8_t ka[REPORT_KEY_LEN], kb[REPORT_KEY_LEN];

	report_key_encode(ka, &a->key);
	report_key_encode(kb, &b->key);
	return memcmp(ka, kb, sizeof(ka));
}

RB_GENERATE_INTERNAL(counter_tree, counter, tree, counter_compare, __attribute__((unused)) static)

struct ledger_count *
ledger_count_new(void)
{
	struct ledger_count *lc;

	lc = xcalloc(1, sizeof(*lc));
	RB_INIT(&lc->counters);
	return lc;
}

static void
counter_free(struct ledger_count *lc, struct counter *c)
{
	RB_REMOVE(counter_tree, &lc->counters, c);
	free(c);
}

void
ledger_count_free(struct ledger_count *lc)
{
	struct counter *c;

	if (lc == NULL)
		return;
	while ((c = RB_ROOT(&lc->counters)) != NULL)
		counter_free(lc, c);
	free(lc);
}

/* The counter of KEY, from memory or disk; whoever asks will change it. */
static struct report_counts *
counts_of(struct ledger_count *lc, struct ledger_store *s, const struct report_key *key)
{
	struct counter like = { .key = *key }, *c;

	c = RB_FIND(counter_tree, &lc->counters, &like);
	if (c == NULL) {
		c = xcalloc(1, sizeof(*c));
		c->key = *key;
		(void)ledger_get_counts(s, key, &c->counts);
		RB_INSERT(counter_tree, &lc->counters, c);
	}
	c->dirty = true;
	return &c->counts;
}

/* Spreads what differs in few bits over all of them: a product with 2^64 by the golden ratio. */
static uint64_t
spread(uint64_t n)
{
	n *= 0x9e3779b97f4a7c15u;
	return n ^ n >> 29;
}

/* True when this session is new to the counter of KEY. */
static bool
new_session(struct ledger_count *lc, uint64_t session, const struct report_key *key)
{
	uint64_t mix;

	mix = spread(session);
	mix ^= (uint64_t)key->rule << 32 | (uint64_t)key->line << 16 | (uint64_t)key->action << 8 |
	       key->observe;
	mix = spread(mix);
	if (lc->sessions[mix % SESSIONS] == mix)
		return false;
	lc->sessions[mix % SESSIONS] = mix;
	return true;
}

static int
flush_waits(struct ledger_count *lc, struct ledger_store *s)
{
	if (lc->waits_dirty && ledger_put_waits(s, lc->hour, &lc->waits) == -1)
		return -1;
	lc->waits_dirty = false;
	return 0;
}

/* Mail let in that the greylist had held. */
static void
count_wait(struct ledger_count *lc, struct ledger_store *s, int64_t time, uint32_t seconds)
{
	uint32_t hour;

	hour = report_hour(time);
	if (!lc->waits_loaded || hour != lc->hour) {
		(void)flush_waits(lc, s);
		lc->hour = hour;
		(void)ledger_get_waits(s, hour, &lc->waits);
		lc->waits_loaded = true;
	}
	report_waits_add(&lc->waits, seconds);
	lc->waits_dirty = true;
}

void
ledger_count_event(struct ledger_count *lc, struct ledger_store *s, const struct gate_event *e)
{
	struct report_key key = { .hour = report_hour(e->time),
		.rule = e->rule,
		.line = e->line,
		.action = (uint8_t)e->action,
		.observe = e->observe };
	struct report_counts *c;

	if (e->action == ACTION_COUNT) {
		key.rule = key.line = 0;
		lc->totals.let_in++;
	} else {
		lc->totals.decisions++;
	}
	c = counts_of(lc, s, &key);
	c->sessions += new_session(lc, e->session, &key);
	c->recipients += e->recipient != NULL;
	c->seconds += e->waited;
	if (!e->observe && (e->action == ACTION_PAUSE || e->action == ACTION_TARPIT)) {
		c->left += e->left;
		c->stayed += !e->left;
	}
	if (e->action == ACTION_COUNT && e->waited > 0)
		count_wait(lc, s, e->time, e->waited);
}

void
ledger_count_pause(struct ledger_count *lc, struct ledger_store *s, uint16_t rule, uint16_t line,
    uint32_t seconds, int64_t now)
{
	struct report_key key = {
		.hour = report_hour(now), .rule = rule, .line = line, .action = ACTION_PAUSE
	};
	struct report_counts *c;

	c = counts_of(lc, s, &key);
	c->sessions++;
	c->stayed++;
	c->seconds += seconds;
}

void
ledger_count_held(
    struct ledger_count *lc, struct ledger_store *s, const struct grey_question *q, int64_t now)
{
	struct report_key key = { .hour = report_hour(now),
		.rule = q->rule,
		.line = q->line,
		.action = q->tempfail ? ACTION_TEMPFAIL : ACTION_GREYLIST };
	struct report_counts *c;

	c = counts_of(lc, s, &key);
	c->triplets++;
	lc->totals.held++;
	if (q->window > c->window)
		c->window = q->window;
}

void
ledger_count_returned(struct ledger_count *lc, struct ledger_store *s, enum action action,
    uint16_t rule, uint16_t line, int64_t first)
{
	struct report_key key = {
		.hour = report_hour(first), .rule = rule, .line = line, .action = (uint8_t)action
	};

	counts_of(lc, s, &key)->returned++;
	lc->totals.returned++;
}

int
ledger_count_flush(struct ledger_count *lc, struct ledger_store *s)
{
	struct counter *c, *next;
	int rc;

	rc = flush_waits(lc, s);
	RB_FOREACH_SAFE(c, counter_tree, &lc->counters, next)
	{
		if (!c->dirty) {
			counter_free(lc, c);
			continue;
		}
		if (ledger_put_counts(s, &c->key, &c->counts) == -1)
			rc = -1;
		else
			c->dirty = false;
	}
	lc->totals.flush_failures += rc == -1;
	return rc;
}

void
ledger_count_totals(const struct ledger_count *lc, struct ledger_count_totals *out)
{
	*out = lc->totals;
}
