/*
 * The index of messages in memory: a tree by id, counts of what waits, and the contents that are
 * kept for a short while, so that the usual delivery never reads the disk.
 *
 * Filled by recovery and by store_add, emptied by store_finish; all in the loop's thread.  A
 * message that is finished leaves the tree at once, and its memory goes when the last record or
 * task that points to it came back.  Nothing here fails.
 */
#include <stdlib.h>

#include "lib/mem.h"
#include "queue/index.h"

RB_GENERATE(message_tree, queued, by_id, message_compare)

int
message_compare(const struct queued *a, const struct queued *b)
{
	return a->env->id < b->env->id ? -1 : a->env->id > b->env->id;
}

struct queued *
message_new(struct store *st, struct envelope *env)
{
	struct queued *m = xcalloc(1, sizeof(*m));

	envelope_share(env);
	m->env = env;
	RB_INSERT(message_tree, &st->messages, m);
	return m;
}

struct queued *
message_find(struct store *st, uint64_t id)
{
	struct envelope env = { .id = id };
	struct queued key = { .env = &env };

	return RB_FIND(message_tree, &st->messages, &key);
}

void
message_count_recipient(struct store *st, struct recipient *r)
{
	bool waits = r->state == RECIPIENT_WAITING;

	if (waits && !r->counted)
		st->recipients_n++;
	else if (!waits && r->counted)
		st->recipients_n--;
	r->counted = waits;
}

void
message_count(struct store *st, struct envelope *env)
{
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++)
		message_count_recipient(st, &env->recipients[i]);
}

static void
uncount(struct store *st, const struct envelope *env)
{
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++)
		st->recipients_n -= env->recipients[i].counted;
}

static void
drop_fresh(struct store *st, struct queued *m)
{
	struct record *r = m->fresh;

	if (r == NULL)
		return;
	m->fresh = NULL;
	if (r->kept_fresh) {
		TAILQ_REMOVE(&st->fresh, r, fresh);
		st->fresh_bytes -= r->bytes.cap;
		record_free(r);
	}
}

void
message_forget(struct store *st, struct queued *m)
{
	RB_REMOVE(message_tree, &st->messages, m);
	if (m->added) {
		st->messages_n--;
		uncount(st, m->env);
	}
	drop_fresh(st, m);
	envelope_free(m->env);
	m->env = NULL;
}

void
message_release(struct queued *m)
{
	if (--m->in_flight == 0 && m->env == NULL)
		free(m);
}

void
message_keep_fresh(struct store *st, struct record *r)
{
	r->kept_fresh = true;
	TAILQ_INSERT_TAIL(&st->fresh, r, fresh);
	st->fresh_bytes += r->bytes.cap;
	while (st->fresh_bytes > journal_sizes.fresh)
		drop_fresh(st, TAILQ_FIRST(&st->fresh)->message);
}
