/*
 * Messages that something is being done about: which of their recipients are busy, and what was
 * learnt of them so far.
 *
 * dispatch.c makes recipients busy, outcome.c ends it.  A work lives as long as one of its
 * recipients is busy; its end is the one place where a message that nobody waits for any more
 * leaves the store, so that an envelope is never freed under somebody who is still at it.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/mem.h"
#include "queue/queue.h"
#include "queue/wake.h"
#include "queue/work.h"

#define FEW 64
/* What was learnt of some recipients is told to the sender when nothing else of the message is
 * under way any more, so that one notice tells all; but not later than after so many seconds. */
#define TELL_WITHIN 30

static int
compare(const struct work *a, const struct work *b)
{
	return a->env->id < b->env->id ? -1 : a->env->id > b->env->id;
}

RB_GENERATE_INTERNAL(work_tree, work, node, compare, __attribute__((unused)) static)

struct work *
work_find(const struct queue *q, const struct envelope *env)
{
	struct envelope same_id = { .id = env->id };
	struct work key = { .env = &same_id };

	/* RB_FIND does not change the tree, and has no const */
	return RB_FIND(work_tree, (struct work_tree *)(uintptr_t)&q->works, &key);
}

bool
work_is_busy(const struct work *work, uint32_t index)
{
	if (index < FEW)
		return work->few >> index & 1;
	index -= FEW;
	return index / 64 < work->many_n && (work->many[index / 64] >> index % 64 & 1);
}

static void
set_busy(struct work *work, uint32_t index, bool busy)
{
	uint64_t *word = &work->few;
	uint32_t n;

	if (index >= FEW) {
		index -= FEW;
		if (index / 64 >= work->many_n) {
			n = (work->env->recipients_n - FEW + 63) / 64;
			work->many = xreallocarray(work->many, n, sizeof(uint64_t));
			memset(work->many + work->many_n, 0, (n - work->many_n) * sizeof(uint64_t));
			work->many_n = n;
		}
		word = &work->many[index / 64];
	}
	if (busy)
		*word |= UINT64_C(1) << index % 64;
	else
		*word &= ~(UINT64_C(1) << index % 64);
}

static struct work *
new_work(struct queue *q, struct envelope *env)
{
	struct work *work = xcalloc(1, sizeof(*work));

	work->queue = q;
	work->env = env;
	TAILQ_INIT(&work->tasks);
	RB_INSERT(work_tree, &q->works, work);
	return work;
}

struct work *
work_begin(struct queue *q, struct envelope *env, uint32_t index)
{
	struct work *work = work_find(q, env);

	if (work == NULL)
		work = new_work(q, env);
	else if (work_is_busy(work, index))
		return NULL;
	set_busy(work, index, true);
	work->busy_n++;
	q->busy++;
	return work;
}

static void
free_if_over(struct work *work)
{
	struct queue *q = work->queue;
	struct envelope *env = work->env;

	if (work->busy_n > 0 || work->pins > 0)
		return;
	RB_REMOVE(work_tree, &q->works, work);
	free(work->routed);
	free(work->verdicts);
	free(work->many);
	free(work);
	if (envelope_finished(env))
		store_finish(q->store, env);
}

void
work_end(struct work *work, uint32_t index)
{
	struct queue *q = work->queue;

	if (!work_is_busy(work, index))
		fatal("recipient %u of a message ends twice", (unsigned)index);
	set_busy(work, index, false);
	work->busy_n--;
	q->busy--;
	if (q->starved && q->busy < BUSY_MAX / 10 * 9)
		wake_by(q, clock_now());
	free_if_over(work);
}

void
work_pin(struct work *work)
{
	work->pins++;
}

void
work_unpin(struct work *work)
{
	work->pins--;
	free_if_over(work);
}

void
work_add_routed(struct work *work, const struct routed *routed)
{
	if (work->routed_n == work->routed_room) {
		work->routed_room = work->routed_room == 0 ? 1 : work->routed_room * 2;
		work->routed =
		    xreallocarray(work->routed, work->routed_room, sizeof(*work->routed));
	}
	work->routed[work->routed_n++] = *routed;
}

void
work_add_verdict(struct work *work, const struct verdict *verdict)
{
	struct queue *q = work->queue;

	if (work->verdicts_n == work->verdicts_room) {
		work->verdicts_room = work->verdicts_room == 0 ? 1 : work->verdicts_room * 2;
		work->verdicts =
		    xreallocarray(work->verdicts, work->verdicts_room, sizeof(*work->verdicts));
	}
	work->verdicts[work->verdicts_n++] = *verdict;
	if (work->verdicts_n == 1) {
		work->tell_at = clock_now() + TELL_WITHIN;
		TAILQ_INSERT_TAIL(&q->untold, work, untold);
		wake_by(q, work->tell_at);
	}
}

bool
work_is_decided(const struct work *work)
{
	return work->verdicts_n > 0 && work->busy_n == work->verdicts_n + work->telling;
}
