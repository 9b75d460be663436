/*
 * The index of messages in memory: a tree by id, counts of what waits, the contents that are kept
 * for a short while, so that the usual delivery never reads the disk, and in which segment each
 * message lies, which compact.c lives by.
 *
 * Filled by recovery and by store_add, emptied by store_finish; all in the loop's thread.  A
 * message that is finished leaves the tree at once, and its memory goes when the last record or
 * chore that points to it came back.  Nothing here fails.
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

/* --- where it lies --- */

static void
need(struct segment *s, struct segment *older)
{
	size_t i;

	if (older == s)
		return;
	for (i = s->needs_n; i > 0; i--)
		if (s->needs[i - 1] == older->number)
			return;
	s->needs = xreallocarray(s->needs, s->needs_n + 1, sizeof(*s->needs));
	s->needs[s->needs_n++] = older->number;
	older->needed = true;
}

void
segment_speaks_of(struct segment *s, const struct queued *m)
{
	if (m->segment != NULL)
		need(s, m->segment);
}

void
message_unplace(struct queued *m)
{
	if (m->segment == NULL)
		return;
	LIST_REMOVE(m, in_segment);
	m->segment->live_bytes -= m->length;
	m->segment = NULL;
}

void
message_place(struct queued *m, struct segment *s, uint64_t offset, uint64_t length)
{
	segment_speaks_of(s, m);
	message_unplace(m);
	m->segment = s;
	m->offset = (uint32_t)offset;
	m->length = (uint32_t)length;
	LIST_INSERT_HEAD(&s->live, m, in_segment);
	s->live_bytes += length;
}

struct record *
message_record(struct store *st, struct queued *m, enum record_type type,
    void (*done)(struct chore *), const void *content, uint32_t content_len)
{
	struct record *r = record_new(done);

	r->store = st;
	r->message = m;
	r->id = m->env->id;
	m->in_flight++;
	envelope_encode(&r->bytes, m->env);
	record_content(&r->bytes, type, m->external ? RECORD_EXTERNAL : 0, r->id, content_len);
	buf_add(&r->bytes, content, content_len);
	record_end(&r->bytes);
	return r;
}
