/*
 * The loop's side of the journal: appending, hearing what became of records and chores, and the
 * list of segments.
 *
 * The store calls it, always in the loop's thread.  Appends of one turn of the loop go to the
 * flush thread together at the end of the turn (an event that needs no system call), so that a
 * burst costs one wake-up and one flush; there is no timer, a lone message is on its way before
 * the loop waits again.  The way back is an eventfd, written once however much was done since the
 * loop last looked.
 *
 * Nothing here fails but starting; disk errors come back in the records.  What must never happen:
 * a callback before the flush that covers its record, or in the middle of the caller's call.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "queue/journal.h"
#include "queue/journal_threads.h"

#define STACK_SIZE (128 * 1024)

/* --- what the threads report --- */

static void
run_done(struct journal *j)
{
	struct chore_list done = STAILQ_HEAD_INITIALIZER(done);
	struct chore *t;

	pthread_mutex_lock(&j->lock);
	STAILQ_CONCAT(&done, &j->done);
	j->signalled = false;
	pthread_mutex_unlock(&j->lock);
	while ((t = STAILQ_FIRST(&done)) != NULL) {
		STAILQ_REMOVE_HEAD(&done, next);
		t->done(t);
	}
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct journal *j = arg;
	eventfd_t n;

	(void)what;
	eventfd_read(fd, &n);
	run_done(j);
	j->changed(j->arg);
}

/* --- appending --- */

static void
hand_over(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	STAILQ_CONCAT(&j->pending, &j->incoming);
	j->pending_bytes += j->incoming_bytes;
	pthread_mutex_unlock(&j->lock);
	/* not under the lock, which is the first thing that the thread wants */
	pthread_cond_signal(&j->work);
	j->incoming_bytes = 0;
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hand_over(arg);
}

void
journal_append(struct journal *j, struct record *r)
{
	if (j->closed) {
		journal_fail(j, &r->chore, ESHUTDOWN);
		return;
	}
	if (STAILQ_EMPTY(&j->incoming) && j->started)
		event_active(j->kick, EV_TIMEOUT, 0);
	STAILQ_INSERT_TAIL(&j->incoming, &r->chore, next);
	j->incoming_bytes += r->bytes.len;
}

/* --- segments --- */

static struct segment *
segment_of(struct chore *t, size_t offset)
{
	return (struct segment *)(void *)((char *)t - offset);
}

/* The flush thread has begun to use it. */
static void
on_opened(struct chore *t)
{
	struct segment *s = segment_of(t, offsetof(struct segment, opened));

	TAILQ_INSERT_TAIL(&s->journal->segments, s, entry);
}

/* ... and will not append any more; all records in it were told before this. */
static void
on_ended(struct chore *t)
{
	struct segment *s = segment_of(t, offsetof(struct segment, ended));

	s->closed = true;
	journal_make_indexes(s->journal);
	if (t->error == 0)
		return;
	s->poisoned = true;
	log_error("queue.segment_poisoned", F_U64("segment", s->number), F_U64("valid", s->end),
	    F_STR("error", strerror(t->error)));
}

static void
free_segment(struct segment *s)
{
	if (s == NULL)
		return;
	if (s->fd != -1)
		close(s->fd);
	free(s->needs);
	free(s);
}

struct segment *
journal_add_segment(struct journal *j, uint64_t number, uint64_t size)
{
	struct segment *s = journal_new_segment(j, number);

	s->size = size;
	s->closed = true;
	TAILQ_INSERT_TAIL(&j->segments, s, entry);
	return s;
}

void
journal_set_end(struct journal *j, struct segment *s, uint64_t end)
{
	s->end = end;
	j->extents = xreallocarray(j->extents, j->extents_n + 1, sizeof(*j->extents));
	j->extents[j->extents_n++] = (struct extent){ s->number, end };
}

void
journal_add_spare(struct journal *j, uint64_t number)
{
	if (j->spares_n < SPARES_MAX)
		j->spares[j->spares_n++] = number;
}

const struct segment_list *
journal_segments(const struct journal *j)
{
	return &j->segments;
}

struct segment *
journal_find(const struct journal *j, uint64_t number)
{
	struct segment *s;

	TAILQ_FOREACH(s, &j->segments, entry)
		if (s->number == number)
			return s;
	return NULL;
}

/* --- removing segments --- */

struct retirement {
	struct chore chore;
	struct segment *segment;
	struct journal *journal;
	void (*gone)(struct segment *, void *);
	void *arg;
};

static bool
run_retirement(struct journal *j, struct chore *t)
{
	t->error = journal_remove(j, ((struct retirement *)t)->segment);
	return true;
}

static void
forget_extent(struct journal *j, uint64_t number)
{
	size_t i;

	pthread_mutex_lock(&j->lock);
	for (i = 0; i < j->extents_n && j->extents[i].number != number; i++)
		;
	if (i < j->extents_n)
		memmove(
		    &j->extents[i], &j->extents[i + 1], (--j->extents_n - i) * sizeof(*j->extents));
	pthread_mutex_unlock(&j->lock);
}

static void
retired(struct chore *t)
{
	struct retirement *r = (struct retirement *)t;
	struct segment *s = r->segment;

	if (t->error == 0) {
		forget_extent(r->journal, s->number);
		TAILQ_REMOVE(&r->journal->segments, s, entry);
		r->gone(s, r->arg);
		free_segment(s);
	} else if (t->error != ESHUTDOWN)
		/* it stays, marked as retiring, and is looked at again after the next start */
		log_error("queue.segment_stays", F_U64("segment", s->number),
		    F_STR("error", strerror(t->error)));
	free(r);
}

void
journal_retire(
    struct journal *j, struct segment *s, void (*gone)(struct segment *, void *), void *arg)
{
	struct retirement *r = xcalloc(1, sizeof(*r));

	s->retiring = true;
	r->chore.run = run_retirement;
	r->chore.done = retired;
	r->segment = s;
	r->journal = j;
	r->gone = gone;
	r->arg = arg;
	journal_run(j, &r->chore);
}

/* --- from start to end --- */

struct journal *
journal_new(struct event_base *base, int dir, void (*changed)(void *), void *arg)
{
	struct journal *j = xcalloc(1, sizeof(*j));
	pthread_condattr_t attr;

	j->dir = dir;
	j->changed = changed;
	j->arg = arg;
	j->opened = on_opened;
	j->ended = on_ended;
	TAILQ_INIT(&j->segments);
	STAILQ_INIT(&j->incoming);
	STAILQ_INIT(&j->pending);
	STAILQ_INIT(&j->done);
	STAILQ_INIT(&j->chores);
	STAILQ_INIT(&j->queue);
	STAILQ_INIT(&j->unflushed);
	STAILQ_INIT(&j->failed);
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->work, &attr);
	pthread_cond_init(&j->chore, &attr);
	pthread_cond_init(&j->supply, &attr);
	pthread_condattr_destroy(&attr);
	j->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	j->wake = event_new(base, j->wake_fd, EV_READ | EV_PERSIST, on_wake, j);
	j->kick = event_new(base, -1, 0, on_kick, j);
	return j;
}

/* A thread that gets no signals and a small stack. */
static int
start_thread(pthread_t *thread, void *(*main)(void *), struct journal *j)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(
	    &attr, STACK_SIZE > PTHREAD_STACK_MIN ? STACK_SIZE : (size_t)PTHREAD_STACK_MIN);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, &attr, main, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

static void
stop_keeper(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->stop_keeper = true;
	pthread_cond_signal(&j->chore);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->keeper, NULL);
}

int
journal_start(struct journal *j, uint64_t next_number)
{
	int error;

	if (j->wake_fd == -1)
		return EMFILE;
	j->next_number = next_number;
	if (event_add(j->wake, NULL) == -1)
		return ENOMEM;
	if ((error = start_thread(&j->keeper, journal_keeper_main, j)) != 0)
		return error;
	pthread_mutex_lock(&j->lock);
	journal_want_next(j);
	pthread_mutex_unlock(&j->lock);
	if ((error = start_thread(&j->flusher, journal_flush_main, j)) != 0) {
		stop_keeper(j);
		return error;
	}
	j->started = true;
	if (!STAILQ_EMPTY(&j->incoming))
		event_active(j->kick, EV_TIMEOUT, 0);
	return 0;
}

/* The keeper first (it forwards records), then the flush thread (it needs segments meanwhile),
 * then the keeper's end. */
static void
stop_threads(struct journal *j)
{
	hand_over(j);
	pthread_mutex_lock(&j->lock);
	while (!STAILQ_EMPTY(&j->chores) || j->keeper_busy)
		pthread_cond_wait(&j->supply, &j->lock);
	j->stop_flusher = true;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->flusher, NULL);
	stop_keeper(j);
}

static void
free_journal(struct journal *j)
{
	struct segment *s;

	while ((s = TAILQ_FIRST(&j->segments)) != NULL) {
		TAILQ_REMOVE(&j->segments, s, entry);
		free_segment(s);
	}
	free_segment(j->next);
	if (j->wake != NULL)
		event_free(j->wake);
	if (j->kick != NULL)
		event_free(j->kick);
	if (j->wake_fd != -1)
		close(j->wake_fd);
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->work);
	pthread_cond_destroy(&j->chore);
	pthread_cond_destroy(&j->supply);
	free(j->extents);
	free(j);
}

void
journal_close(struct journal *j)
{
	if (j->started)
		stop_threads(j);
	else
		STAILQ_CONCAT(&j->done, &j->incoming);
	j->closed = true;
	while (!STAILQ_EMPTY(&j->done))
		run_done(j);
	free_journal(j);
}

/* --- figures --- */

int
journal_error(const struct journal *j)
{
	return j->error;
}

uint64_t
journal_backlog(struct journal *j)
{
	uint64_t bytes;

	pthread_mutex_lock(&j->lock);
	bytes = j->pending_bytes + j->incoming_bytes;
	pthread_mutex_unlock(&j->lock);
	return bytes;
}

struct journal_counts
journal_counts(const struct journal *j)
{
	return (struct journal_counts){
		.records = j->records, .flushes = j->flushes, .errors = j->errors
	};
}
