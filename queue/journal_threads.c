/*
 * What the loop's side of the journal and its threads have in common: how work goes from one to the
 * other, and what files are called.
 *
 * Called from each of them, so nothing here touches what belongs to one alone (journal_threads.h
 * says to whom each field does).
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/journal_threads.h"

struct journal_sizes journal_sizes = {
	.segment = 16 << 20,
	.first = 1 << 20,
	.spares = 4,
	.fresh = 8 << 20,
	.slack = 64 << 20,
	.move = 1 << 20,
	.linger_ms = 1000,
};

/* --- from the loop to the threads --- */

void
journal_run(struct journal *j, struct chore *t)
{
	if (j->closed) {
		journal_fail(j, t, ESHUTDOWN);
		return;
	}
	pthread_mutex_lock(&j->lock);
	STAILQ_INSERT_TAIL(&j->chores, t, next);
	pthread_cond_signal(&j->chore);
	pthread_mutex_unlock(&j->lock);
}

void
journal_forward(struct journal *j, struct record *r)
{
	pthread_mutex_lock(&j->lock);
	STAILQ_INSERT_TAIL(&j->pending, &r->chore, next);
	j->pending_bytes += r->bytes.len;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
}

void
journal_want_next(struct journal *j)
{
	if (j->next != NULL || j->want_next)
		return;
	j->want_next = true;
	pthread_cond_signal(&j->chore);
}

/* --- and back --- */

void
journal_done(struct journal *j, struct chore_list *chores)
{
	bool wake;

	pthread_mutex_lock(&j->lock);
	STAILQ_CONCAT(&j->done, chores);
	wake = !j->signalled;
	j->signalled = true;
	pthread_mutex_unlock(&j->lock);
	if (wake)
		eventfd_write(j->wake_fd, 1);
}

void
journal_fail(struct journal *j, struct chore *t, int error)
{
	struct chore_list one = STAILQ_HEAD_INITIALIZER(one);

	t->error = error;
	STAILQ_INSERT_TAIL(&one, t, next);
	journal_done(j, &one);
}

/* --- records and segments --- */

struct record *
record_new(void (*done)(struct chore *))
{
	struct record *r = xcalloc(1, sizeof(*r));

	r->chore.done = done;
	record_begin(&r->bytes);
	return r;
}

void
record_free(struct record *r)
{
	buf_free(&r->bytes);
	free(r);
}

struct segment *
journal_new_segment(struct journal *j, uint64_t number)
{
	struct segment *s = xcalloc(1, sizeof(*s));

	s->journal = j;
	s->number = number;
	s->seed = segment_seed(number);
	s->fd = -1;
	s->opened.done = j->opened;
	s->ended.done = j->ended;
	LIST_INIT(&s->live);
	return s;
}

/* --- files --- */

void
journal_name(char name[JOURNAL_NAME_MAX], uint64_t number)
{
	snprintf(name, JOURNAL_NAME_MAX, "%010" PRIu64, number);
}

void
journal_spare_name(char name[JOURNAL_NAME_MAX], uint64_t number)
{
	snprintf(name, JOURNAL_NAME_MAX, "spare.%010" PRIu64, number);
}

void
journal_index_name(char name[JOURNAL_NAME_MAX], uint64_t number)
{
	snprintf(name, JOURNAL_NAME_MAX, "%010" PRIu64 JOURNAL_INDEX, number);
}

int
journal_open_segment(const struct journal *j, const struct segment *s)
{
	char name[JOURNAL_NAME_MAX];

	journal_name(name, s->number);
	return disk->openat(j->dir, name, O_RDONLY | O_CLOEXEC, 0);
}
